"""The one place that reads the environment and the one definition of every path.

Variables are named ``ESTEIRA_*`` (see ``.env.example``). Importing this module also switches off the telemetry of
every part, before any of them is imported; an operator's own explicit choice wins.
"""

import json
import os
from functools import lru_cache
from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

TELEMETRY_OFF = {
    "DO_NOT_TRACK": "1",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "BENTOML_DO_NOT_TRACK": "true",  # only the word counts; "1" does nothing
    "WHYLOGS_NO_ANALYTICS": "True",
    "MLFLOW_DISABLE_TELEMETRY": "true",
}

REPOSITORY = Path(__file__).resolve().parents[2]


class Settings(BaseSettings):
    """Everything an operator may set; frozen, unknown ``ESTEIRA_`` names in an env file are refused."""

    model_config = SettingsConfigDict(env_prefix="ESTEIRA_", env_file=".env", frozen=True, extra="forbid")

    home: Path = Field(default=REPOSITORY / ".esteira", description="Where all state lives: tables, stores, models.")
    repository: Path = Field(default=REPOSITORY, description="The checkout: feature_repo, bentos and flows are here.")
    source_locations: dict[str, SecretStr] = Field(
        default_factory=dict,
        description="Where sources are, as JSON: the name of a source to its folder or SQLAlchemy URL.",
    )
    online_store: Literal["sqlite", "redis"] = "sqlite"
    redis_url: SecretStr = SecretStr("localhost:6379")
    ledger_url: SecretStr | None = Field(default=None, description="SQLAlchemy URL; SQLite under home by default.")
    tracking_url: SecretStr | None = Field(default=None, description="MLflow URL; SQLite under home by default.")
    clock: Literal["wall", "belt"] = Field(
        default="wall",
        description="What the service takes as now: the wall clock, or the moment the belt has ingested to (replays).",
    )
    replay_days: int = Field(
        default=0,
        ge=0,
        description="Scheduled flows run this many days in the past; 678 weeks bring November 2026 to November 2013.",
    )
    ledger_poll_seconds: float = Field(default=0.5, gt=0, description="How often a service looks for a new release.")
    production: bool = Field(default=False, description="Refuse what nobody accounts for: data without a whole card.")
    actor: str = Field(default="operator", min_length=1, description="Who works here: named in the audit log.")
    prediction_log_share: float = Field(default=1.0, ge=0, le=1, description="The share of answers that is logged.")
    prediction_log_when_full: Literal["refuse", "drop"] = Field(
        default="refuse",
        description="When answers cannot be logged: refuse them and be not ready, or give them and count what is lost.",
    )
    alert_webhook_url: SecretStr | None = Field(default=None, description="Where alerts are posted to, as JSON.")
    alert_smtp_url: SecretStr | None = Field(default=None, description="The mail server: smtp://user:password@host:587")
    alert_email_from: str = "esteira@localhost"
    alert_email_to: tuple[str, ...] = Field(default=(), description="Who gets alerts by e-mail, as a JSON list.")
    alerts_an_hour: int = Field(
        default=20, ge=1, description="More alerts than these go out as one message that counts them."
    )
    threads: int = Field(default=2, ge=1, description="Threads for training and batch scoring.")
    device: Literal["cpu", "cuda"] = "cpu"
    seed: int = 2013
    run_seconds: float | None = Field(default=None, gt=0, description="How long a training run may take.")
    run_megabytes: float | None = Field(default=None, gt=0, description="How much memory its process may have held.")
    service_host: str = "127.0.0.1"
    service_port: int = 3000
    service_keys: Literal["except_loopback", "required"] = Field(
        default="except_loopback",
        description="Who needs a key to ask a service: everybody but programs on its own machine, or everybody.",
    )
    service_requests_per_second: float = Field(
        default=200.0, gt=0, description="The limit of a key that has none of its own, in each process of a service."
    )
    service_most_at_once: int = Field(
        default=64, ge=1, description="Questions a process answers at a time; more are refused with 503."
    )
    service_seconds: float = Field(default=8.0, gt=0, description="How long a process works on one question.")
    prefect_port: int = 4200
    mlflow_port: int = 5000

    @field_validator("home", "repository")
    @classmethod
    def _absolute(cls, path: Path) -> Path:
        # Children run in other folders, and URLs need whole paths.
        return path.expanduser().resolve()

    @property
    def tables_path(self) -> Path:
        """Delta tables, raw and features and predictions alike."""
        return self.home / "tables"

    @property
    def training_sets_path(self) -> Path:
        """Training sets as Parquet files."""
        return self.home / "training_sets"

    @property
    def tuning_path(self) -> Path:
        """Searches for parameters, one SQLite file a use case."""
        return self.home / "tuning"

    @property
    def feast_path(self) -> Path:
        """Feast's registry and, by default, its online store."""
        return self.home / "feast"

    @property
    def bentoml_path(self) -> Path:
        """BentoML's home: model store and Bentos."""
        return self.home / "bentoml"

    @property
    def prediction_log_path(self) -> Path:
        """Segments of the prediction log, written by services, collected into a table by the monitor."""
        return self.home / "prediction_log"

    @property
    def outcome_log_path(self) -> Path:
        """Segments of what services were told about outcomes, collected into a table by the monitor."""
        return self.home / "outcome_log"

    @property
    def profiles_path(self) -> Path:
        """whylogs profiles of serving windows."""
        return self.home / "profiles"

    @property
    def statistics_path(self) -> Path:
        """What is known of each slice of a table: its profile, and the report of its checks."""
        return self.home / "statistics"

    @property
    def proposed_schemas_path(self) -> Path:
        """Schemas proposed from data that nobody has accepted yet."""
        return self.home / "proposed_schemas"

    @property
    def reports_path(self) -> Path:
        """HTML reports."""
        return self.home / "reports"

    @property
    def feature_repo_path(self) -> Path:
        """The Feast repository."""
        return self.repository / "feature_repo"

    @property
    def ledger(self) -> str:
        """The release ledger's SQLAlchemy URL, secrets in the clear: for connecting, never for printing."""
        return self.ledger_url.get_secret_value() if self.ledger_url else f"sqlite:///{self.home / 'ledger.db'}"

    @property
    def tracking(self) -> str:
        """MLflow's tracking URL, secrets in the clear: for connecting, never for printing."""
        return self.tracking_url.get_secret_value() if self.tracking_url else f"sqlite:///{self.home / 'mlflow.db'}"

    @property
    def artifacts_path(self) -> Path:
        """MLflow's artifacts when tracking is local."""
        return self.home / "mlflow_artifacts"


@lru_cache(maxsize=1)
def settings() -> Settings:
    """The settings of this process, read once."""
    return Settings()


def _in_the_clear(value: object) -> str:
    if isinstance(value, dict):
        return json.dumps({name: _in_the_clear(each) for name, each in value.items()})
    if isinstance(value, tuple):
        return json.dumps([_in_the_clear(each) for each in value])
    return value.get_secret_value() if isinstance(value, SecretStr) else str(value)


def measures_shared_in() -> Path | None:
    """The folder in which the processes of one server share their measures, as the server has chosen it."""
    folder = os.environ.get("PROMETHEUS_MULTIPROC_DIR")
    return None if folder is None else Path(folder)


def environment_for_parts() -> dict[str, str]:
    """Variables through which the vendors and child processes are told where state lives and what to leave out."""
    current = settings()
    chosen = {name: getattr(current, name) for name in current.model_fields_set}  # a child may not see our .env file
    return {
        **TELEMETRY_OFF,
        **{
            f"ESTEIRA_{name.upper()}": _in_the_clear(value)
            for name, value in chosen.items()
            if value is not None and name != "repository"
        },
        "ESTEIRA_HOME": str(current.home),
        "BENTOML_HOME": str(current.bentoml_path),
        "PREFECT_HOME": str(current.home / "prefect"),
        # A flow without a server starts one of its own; on a small machine that takes longer than the default allows.
        "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",
    }


def prepare_environment(**more: str) -> None:
    """Set those variables, and ``more``, for this process; vendors read some of them once, when imported."""
    os.environ.update({**environment_for_parts(), **more})


def child_environment(**more: str) -> dict[str, str]:
    """The environment for a child process (a server, a worker, a service) that shares this process's settings."""
    return {**os.environ, **environment_for_parts(), **more}


# OpenMP threads that wait by spinning take the processor from the service and the server beside them: with three busy
# programs on two cores, fitting took several times as long.
_AT_IMPORT = {**TELEMETRY_OFF, "OMP_WAIT_POLICY": "PASSIVE"}

for _name, _value in _AT_IMPORT.items():
    os.environ.setdefault(_name, _value)
