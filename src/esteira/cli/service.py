"""Serve a release from its bento, as a process beside this one."""

from collections.abc import Iterator
from contextlib import contextmanager

from esteira.cli import servers
from esteira.settings import settings
from esteira.stores import bentos
from esteira.stores.ledger import Release


@contextmanager
def service_running(release: Release, port: int) -> Iterator[str]:
    """Serve the bento of ``release`` on ``port`` until the block ends; yield its URL once it is ready."""
    bento = bentos.build(release.use_case, release)
    url = f"http://{settings().service_host}:{port}"
    command = bentos.serve_command(str(bento.path), host=settings().service_host, port=port)
    with servers.running(f"service-{release.use_case}", command, ready_url=f"{url}/readyz"):
        yield url
