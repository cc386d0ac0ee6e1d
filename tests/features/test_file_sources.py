"""File sources on disk and in an object store: a small S3 server, spoken to over HTTP by the real clients."""

import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from feast import FileSource
from feast.credentials import ConnectionRef
from feast.data_format import DeltaFormat

from esteira.errors import DataError, InputError, MissingData
from esteira.features import file_sources
from esteira.features.asof import point_in_time_join

ROWS = pl.DataFrame({"key": ["a", "b"], "value": [1, 2]})


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name("small_s3.py"))], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        yield f"http://127.0.0.1:{process.stdout.readline().strip()}"
        process.terminate()


@pytest.fixture
def bucket(server: str, monkeypatch: pytest.MonkeyPatch) -> str:
    for name, value in {"ACCESS_KEY_ID": "me", "SECRET_ACCESS_KEY": "secret", "DEFAULT_REGION": "us-east-1"}.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    return server


def remote(bucket: str, path: str, file_format: DeltaFormat | None = None) -> FileSource:
    return FileSource(
        path=f"s3://flights/{path}",
        file_format=file_format,
        s3_endpoint_override=bucket,
        connection_ref=ConnectionRef(provider="env", name="AWS_"),
        timestamp_field="event_timestamp",
    )


@pytest.mark.parametrize(("path", "file_format"), [("one.parquet", None), ("folder", None), ("table", DeltaFormat())])
def test_rows_are_appended_to_and_read_from_an_object_store(
    bucket: str, path: str, file_format: DeltaFormat | None
) -> None:
    source = remote(bucket, path, file_format)
    assert not file_sources.exists(source, None)
    with pytest.raises(MissingData, match="Cannot read data source"):
        file_sources.scan(source, None)
    file_sources.append(source, None, ROWS)
    file_sources.append(source, None, ROWS)
    assert file_sources.exists(source, None)
    assert file_sources.scan(source, None).collect().sort("key").equals(pl.concat([ROWS, ROWS]).sort("key"))
    assert file_sources.stored_schema(source, None) == dict(ROWS.schema)


def test_an_unreachable_store_is_not_taken_for_an_empty_one(bucket: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="Cannot read data source") as refused:
        file_sources.append(remote(bucket, "forbidden/one.parquet"), None, ROWS)
    assert not isinstance(refused.value, MissingData)
    (tmp_path / "broken.parquet").write_text("neither header nor footer")
    with pytest.raises(DataError, match="Mend it first"):
        file_sources.append(FileSource(path="broken.parquet"), tmp_path, ROWS)
    assert (tmp_path / "broken.parquet").read_text() == "neither header nor footer"


def test_a_remote_folder_cannot_be_replaced_at_once_but_a_file_can(bucket: str) -> None:
    file_sources.write(remote(bucket, "one.parquet"), None, ROWS)
    file_sources.write(remote(bucket, "one.parquet"), None, ROWS.head(1))
    assert file_sources.scan(remote(bucket, "one.parquet"), None).collect().equals(ROWS.head(1))
    with pytest.raises(InputError, match=r"ending in \.parquet"):
        file_sources.write(remote(bucket, "folder"), None, ROWS)


def test_local_paths_are_absolute_relative_to_the_repository_or_file_urls(tmp_path: Path) -> None:
    for path in ("here.parquet", str(tmp_path / "here.parquet"), f"file://{tmp_path}/here.parquet"):
        assert file_sources.location(FileSource(path=path), tmp_path) == str(tmp_path / "here.parquet")
    assert file_sources.storage_options(FileSource(path="here.parquet")) == {}


def test_delta_files_outside_the_asked_time_are_not_opened(tmp_path: Path) -> None:
    source = FileSource(path="table", file_format=DeltaFormat(), timestamp_field="event")
    for month in (1, 6):
        rows = pl.DataFrame({"event": [datetime(2013, month, 1, tzinfo=UTC)], "value": [month]})
        file_sources.append(source, tmp_path, rows)
        if month == 1:
            (early,) = (tmp_path / "table").glob("*.parquet")
    early.unlink()
    entities = pl.DataFrame({"at": [datetime(2013, 6, 2, tzinfo=UTC)]})
    joined = point_in_time_join(
        entities,
        file_sources.scan(source, tmp_path),
        keys=[],
        entity_timestamp="at",
        event="event",
        created=None,
        ttl=timedelta(days=30),
        columns={"value": "value"},
    )
    assert joined["value"].to_list() == [6]
