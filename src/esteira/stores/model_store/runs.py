"""Read the record of training runs back from MLflow: the newest, the best, one by name."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from esteira.errors import UnknownName
from esteira.stores.model_store.tracking import MODEL_VERSION, connect
from esteira.training.runs import HIGHER_IS_BETTER, Run

if TYPE_CHECKING:
    from mlflow import MlflowClient

_HINT = "esteira runs list shows them."


def listed(use_cases: Sequence[str], *, by: str | None = None, limit: int | None = None) -> list[Run]:
    """Runs of ``use_cases``, newest first, or with ``by`` the best of that metric first; failed ones come last then.

    Raises UnknownName when no run has the metric ``by``.
    """
    client = connect()
    found = _all(client, use_cases, by=by, limit=limit)
    if by is not None and found and by not in found[0].metrics:
        newest = _all(client, use_cases, limit=1)[0]
        known = [name for name in newest.metrics if "/" not in name]
        raise UnknownName.among("metric", by, known, "Every run records the metrics of its kind.")
    return found


def find(use_cases: Sequence[str], name: str) -> Run:
    """The run whose id is ``name``, or the newest that came to the model version ``name``.

    Raises UnknownName when there is none.
    """
    client = connect()
    version = name.rpartition(":")[2].replace("'", "")
    for condition in (f"attributes.run_id = '{version}'", f"tags.{MODEL_VERSION} = '{version}'"):
        found = _all(client, use_cases, where=condition, limit=1)
        if found:
            return found[0]
    known = [each.version or each.run_id for each in _all(client, use_cases, limit=10)]
    raise UnknownName.among("run", name, known, _HINT)


def _all(
    client: "MlflowClient",
    use_cases: Sequence[str],
    *,
    where: str = "",
    by: str | None = None,
    limit: int | None = None,
) -> list[Run]:
    names = {
        str(each.experiment_id): str(each.name)
        for each in (client.get_experiment_by_name(name) for name in use_cases)
        if each is not None
    }
    if not names:
        return []
    order = ["attributes.start_time DESC"]
    if by is not None:
        order.insert(0, f"metrics.`{by}` {'DESC' if by in HIGHER_IS_BETTER else 'ASC'}")
    return [_run(each, names) for each in _pages(client, list(names), where, order, limit)]


def _pages(
    client: "MlflowClient", experiments: list[str], where: str, order: list[str], limit: int | None
) -> Iterator[Any]:
    token, left = None, limit
    while left is None or left > 0:
        page = client.search_runs(
            experiments, filter_string=where, order_by=order, max_results=min(left or 200, 200), page_token=token
        )
        yield from page
        token = page.token
        left = None if left is None else left - len(page)
        if not token:
            return


def _run(run: Any, names: dict[str, str]) -> Run:
    return Run(
        run_id=run.info.run_id,
        use_case=names[run.info.experiment_id],
        status=run.info.status,
        started=datetime.fromtimestamp(run.info.start_time / 1000, UTC),
        parameters=dict(run.data.params),
        metrics=dict(run.data.metrics),
        facts={name: value for name, value in run.data.tags.items() if not name.startswith("mlflow.")},
    )
