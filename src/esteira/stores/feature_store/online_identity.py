"""The name under which this home keeps features in an online store that other homes may share.

Two homes declare the same Feast project and views; without a name of their own they would overwrite each other in one
Redis. The name lies in the home, so all services and workers on one home agree on it wherever it is mounted. When the
file is removed, the next ingest takes a new name and writes the online store anew.
"""

import os
from uuid import uuid4

from esteira.settings import settings


def online_identity() -> str:
    """Twelve random hexadecimal digits, drawn once for a home."""
    path = settings().feast_path / "online_identity"
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        staged = path.with_name(f".{path.name}.{uuid4().hex}")
        staged.write_text(uuid4().hex[:12])
        try:
            os.link(staged, path)  # of two processes that meet a new home, the first one's name is everybody's
        except FileExistsError:
            pass
        finally:
            staged.unlink()
    return path.read_text()
