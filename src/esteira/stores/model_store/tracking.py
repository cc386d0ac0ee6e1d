"""The record of training runs, in MLflow: what went in, what came out, what it cost, and the runs that failed.

MLflow is where people look; what is live is the ledger's to say, and aliases here are copies of it.
"""

import importlib.metadata
import logging
import os
import platform
import re
import resource
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from esteira.errors import ModelError, UnknownName
from esteira.model_card import Estimate, ModelCard, missing_records
from esteira.settings import settings

if TYPE_CHECKING:
    from mlflow import MlflowClient

CARD = "card.json"
MODEL_VERSION = "model_version"
"""The tag that names the model a run came to."""
_LIBRARIES = ("scikit-learn", "numpy", "pandas", "polars", "feast", "bentoml")
_XGBOOST = ("xgboost", "xgboost-cpu")
_FAILED_BECAUSE = "failed_because"
_NOT_ALLOWED = re.compile(r"[^\w\-. /]")
_LONGEST_PARAMETER = 6000


@dataclass
class Cost:
    """What a stretch of work cost; its figures are zero until the stretch ends."""

    wall_seconds: float = 0.0
    cpu_seconds: float = 0.0
    peak_memory_mb: float = 0.0
    """The most this process has held until the stretch ended."""


@contextmanager
def cost() -> Iterator[Cost]:
    """Measure the work inside the block, also when it fails."""
    measured = Cost()
    wall, cpu = time.perf_counter(), time.process_time()
    try:
        yield measured
    finally:
        measured.wall_seconds = time.perf_counter() - wall
        measured.cpu_seconds = time.process_time() - cpu
        measured.peak_memory_mb = peak_memory_mb()


def peak_memory_mb() -> float:
    """The most memory this process has held."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1 << 20 if sys.platform == "darwin" else 1 << 10)  # bytes there, KiB here


def record_run(card: ModelCard, *, artifacts: Mapping[str, bytes], tags: Mapping[str, str]) -> str:
    """Record a training run with all that its card says; return the run's id.

    ``artifacts`` are file name -> content (plots, reference profile, golden rows). The card's own ``run_id`` is not
    looked at: it is this function's answer.

    Raises ModelError when a required record is missing; the run is then listed as failed, with what is missing.
    """
    if missing := missing_records(card, artifacts):
        reason = f"The run lacks required records: {', '.join(missing)}."
        record_failure(card.use_case, as_of=card.as_of.isoformat(), reason=reason, tags=tags)
        raise ModelError(f"{reason} It is listed as failed. Let the train flow fill them in before it records the run.")
    parameters = {"seed": card.seed, "candidate": card.candidate, **card.parameters}
    figures = {
        **_flat(card.metrics),
        **{f"baseline/{name}": value for name, value in card.baseline.items()},
        **{f"importance/{name}": value for name, value in card.importances.items()},
        **{
            f"slices/{each.slice.replace('=', '/', 1)}/{name}": value
            for each in card.slices
            for name, value in _flat(each.metrics).items()
        },
        **{f"cost/{name}": value for name, value in card.cost.items()},
        **{name: getattr(card, name) for name in ("training_rows", "size_bytes", "one_row_ms", "one_row_ms_p99")},
    }
    described = {
        **card.environment,
        MODEL_VERSION: card.version,
        "as_of": card.as_of.isoformat(),
        **{
            name: getattr(card, name)
            for name in (
                "hardware", "code_commit", "code_sha256", "lock_sha256", "training_set_sha256", "feature_service",
                "parameters_source", "cause",
            )
        },
        "selection": " ".join(card.selection),
        **{f"data_version/{name}": str(version) for name, version in card.data_versions.items()},
        **tags,
    }  # fmt: skip
    client = connect()
    run = client.create_run(_experiment(client, card.use_case), run_name=card.version)
    run_id = str(run.info.run_id)
    try:
        _log(client, run_id, parameters, figures, described)
        with tempfile.TemporaryDirectory() as folder:
            for name, content in {**artifacts, CARD: card.model_dump_json(indent=2).encode()}.items():
                (Path(folder) / Path(name).name).write_bytes(content)
            client.log_artifacts(run_id, folder)
    except BaseException:
        client.set_terminated(run_id, status="FAILED")
        raise
    client.set_terminated(run_id)
    return run_id


def record_failure(use_case: str, *, as_of: str, reason: str, tags: Mapping[str, str]) -> str:
    """List a training that did not come to a model, with why; return the run's id."""
    client = connect()
    run = client.create_run(_experiment(client, use_case), run_name=f"failed {as_of}")
    run_id = str(run.info.run_id)
    _log(client, run_id, {}, {}, {**environment(), "as_of": as_of, _FAILED_BECAUSE: reason, **tags})
    client.set_terminated(run_id, status="FAILED")
    return run_id


@contextmanager
def failure_listed(use_case: str, as_of: datetime) -> Iterator[None]:
    """List a training that fails among the runs, with why, and let it fail."""
    try:
        yield
    except Exception as error:
        record_failure(use_case, as_of=as_of.isoformat(), reason=f"{type(error).__name__}: {error}", tags={})
        raise


def mark_alias(use_case: str, version: str, alias: str) -> None:
    """Point MLflow's ``alias`` (champion, challenger) at a recorded model version; the same again changes nothing.

    Raises UnknownName when no finished run recorded that version.
    """
    from mlflow.exceptions import MlflowException  # noqa: PLC0415 - takes seconds

    client = connect()
    experiment = client.get_experiment_by_name(use_case)
    condition = f"attributes.status = 'FINISHED' AND tags.{MODEL_VERSION} = '{version}'"
    finished = client.search_runs([experiment.experiment_id], condition, max_results=1) if experiment else []
    if not finished:
        raise UnknownName(
            f"No finished run recorded model version {version!r} of {use_case!r}. The train flow records them; "
            "esteira runs list shows them."
        )
    try:
        client.create_registered_model(use_case)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    registered = [
        each for each in client.search_model_versions(f"name='{use_case}'") if each.tags.get(MODEL_VERSION) == version
    ]
    if registered:
        number = registered[0].version
    else:
        run = finished[0].info
        number = client.create_model_version(
            use_case, source=run.artifact_uri, run_id=run.run_id, tags={MODEL_VERSION: version}
        ).version
    client.set_registered_model_alias(use_case, alias, number)


def aliased(use_case: str, alias: str) -> str | None:
    """The model version that MLflow's ``alias`` names; None when it names none."""
    from mlflow.exceptions import MlflowException  # noqa: PLC0415 - takes seconds

    try:
        version: str | None = connect().get_model_version_by_alias(use_case, alias).tags.get(MODEL_VERSION)
    except MlflowException as error:
        if error.error_code not in {"RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"}:
            raise
        return None
    return version


def environment() -> dict[str, str]:
    """What this process runs: the interpreter and the versions of the libraries that make a model."""
    installed = {each.metadata["Name"].lower(): each.version for each in importlib.metadata.distributions()}
    found = {f"version/{name}": installed[name] for name in (*_LIBRARIES, *_XGBOOST) if name in installed}
    return {"python": platform.python_version(), **found}


def hardware(device: str) -> str:
    """What this process runs on, in words, with the device that models are trained on."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    return f"{platform.system()} {platform.machine()}, {os.cpu_count()} CPUs, {memory:.0f} GB, trained on {device}"


def _flat(metrics: Mapping[str, Estimate]) -> dict[str, float]:
    return {
        f"{name}{suffix}": getattr(figure, end)
        for name, figure in metrics.items()
        for suffix, end in (("", "value"), ("_low", "low"), ("_high", "high"))
    }


def _log(
    client: "MlflowClient",
    run_id: str,
    parameters: Mapping[str, Any],
    figures: Mapping[str, float],
    described: Mapping[str, str],
) -> None:
    from mlflow.entities import Metric, Param, RunTag  # noqa: PLC0415 - takes seconds

    moment = int(time.time() * 1000)
    client.log_batch(
        run_id,
        metrics=[Metric(_key(name), float(value), moment, 0) for name, value in figures.items()],
        params=[Param(_key(name), str(value)[:_LONGEST_PARAMETER]) for name, value in parameters.items()],
        tags=[RunTag(_key(name), value) for name, value in described.items()],
    )


def _key(name: str) -> str:
    return _NOT_ALLOWED.sub("_", name)


def _experiment(client: "MlflowClient", use_case: str) -> str:
    from mlflow.exceptions import MlflowException  # noqa: PLC0415 - takes seconds

    experiment = client.get_experiment_by_name(use_case)
    if experiment is not None:
        return str(experiment.experiment_id)
    # A tracking server keeps artifacts where it was told to; a local database would put them into the working folder.
    location = None if settings().tracking.startswith("http") else (settings().artifacts_path / use_case).as_uri()
    try:
        return str(client.create_experiment(use_case, artifact_location=location))
    except MlflowException:  # another process was first
        experiment = client.get_experiment_by_name(use_case)
        if experiment is None:
            raise
        return str(experiment.experiment_id)


def connect() -> "MlflowClient":
    """MLflow's client for the tracking store of the settings."""
    from mlflow import MlflowClient  # noqa: PLC0415 - takes seconds

    settings().home.mkdir(parents=True, exist_ok=True)
    for name in ("mlflow.store.db", "alembic"):  # a new database tells of 67 migrations
        logging.getLogger(name).setLevel(logging.WARNING)
    return MlflowClient(tracking_uri=settings().tracking, registry_uri=settings().tracking)
