"""Serve a release from its bento, as a process beside this one."""

from collections.abc import Iterator
from contextlib import contextmanager

from esteira.errors import EsteiraError
from esteira.settings import settings
from esteira.stores import processes
from esteira.stores.releases import bentos
from esteira.stores.releases.ledger import Release


@contextmanager
def service_running(release: Release, port: int) -> Iterator[str]:
    """Serve the bento of ``release`` on ``port`` until the block ends; yield its URL once it is ready."""
    if processes.free_port(port) != port:
        raise EsteiraError(
            f"Port {port} is taken, so release {release.id} cannot be served there. End what uses it, or choose "
            "another: esteira serve … --port, or ESTEIRA_SERVICE_PORT."
        )
    bento = bentos.build(release.use_case, release)
    url = f"http://{settings().service_host}:{port}"
    command = bentos.serve_command(str(bento.path), host=settings().service_host, port=port)
    with processes.running(f"service-{release.use_case}", command, ready_url=f"{url}/readyz"):
        yield url
