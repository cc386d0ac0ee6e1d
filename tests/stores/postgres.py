"""A database of its own in the local PostgreSQL, dropped when the test is over."""

from collections.abc import Iterator
from contextlib import contextmanager
from uuid import uuid4

import sqlalchemy as sa

_SERVER = "postgresql+psycopg://postgres@127.0.0.1:5432"


@contextmanager
def database() -> Iterator[str]:
    """The SQLAlchemy URL of an empty database."""
    name = f"esteira_test_{uuid4().hex}"
    server = sa.create_engine(f"{_SERVER}/postgres", isolation_level="AUTOCOMMIT")
    with server.connect() as connection:
        connection.exec_driver_sql(f"CREATE DATABASE {name}")
        try:
            yield f"{_SERVER}/{name}"
        finally:
            connection.exec_driver_sql(f"DROP DATABASE {name} WITH (FORCE)")
    server.dispose()
