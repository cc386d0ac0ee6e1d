"""The commands of the programs the belt needs beside it: Prefect's server and worker, MLflow's pages."""

import sys
from pathlib import Path

from esteira.settings import settings


def prefect_server(port: int) -> tuple[list[str], str]:
    """The command that starts a Prefect server on ``port``, and its API's URL."""
    command = [program("prefect"), "server", "start", "--host", "127.0.0.1", "--port", str(port)]
    return command, f"http://127.0.0.1:{port}/api"


def prefect_worker(pool: str) -> list[str]:
    """The command that starts a process worker on ``pool``, creating the pool if need be."""
    return [program("prefect"), "worker", "start", "--pool", pool, "--type", "process", "--limit", "1"]


def prefect_deploy() -> list[str]:
    """The command that registers every deployment of prefect.yaml."""
    return [program("prefect"), "--no-prompt", "deploy", "--all"]


def mlflow_server(port: int) -> tuple[list[str], str]:
    """The command that starts MLflow's pages on ``port``, and their URL."""
    command = [
        program("mlflow"), "server", "--backend-store-uri", settings().tracking,
        "--artifacts-destination", str(settings().artifacts_path), "--host", "127.0.0.1", "--port", str(port),
    ]  # fmt: skip
    return command, f"http://127.0.0.1:{port}"


def program(name: str) -> str:
    """The path of a program installed beside this Python."""
    return str(Path(sys.executable).parent / name)
