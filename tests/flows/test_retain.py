"""The retain flow under a real Prefect server, in a home of its own: what is old goes, what is held stays."""

from datetime import timedelta
from pathlib import Path

import polars as pl
import pytest
from prefect.client.orchestration import get_client

from esteira.contract import utc
from esteira.settings import settings
from esteira.stores.answers.predictions import PREDICTIONS
from esteira.stores.data import tables
from esteira.stores.monitoring import profiles
from esteira.stores.monitoring.profiles import StoredWindow
from esteira.stores.stewardship import holds
from flows.retain import retain
from tests.conftest import Belt, forget_home, use_home

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("belt")]
NAME, TABLE = "flight_delay", "predictions_flight_delay"


def test_what_is_older_than_it_is_kept_goes_except_what_is_held(belt: Belt, tmp_path: Path) -> None:
    old, young = utc("2013-03-01"), utc("2014-12-01")
    as_of = old + belt.use_case.retention[TABLE] + timedelta(days=1)
    with pytest.MonkeyPatch.context() as patch:
        use_home(patch, tmp_path / "home")
        rows = pl.DataFrame({"as_of": [old, young], "day": [old.date(), young.date()]})
        asked = pl.DataFrame(schema=PREDICTIONS).select(pl.all().exclude(rows.columns))
        whole = pl.concat([asked, rows.cast({name: PREDICTIONS[name] for name in rows.columns})], how="diagonal")
        tables.append(TABLE, whole.select(*PREDICTIONS), until=young, partition_by="day")
        windows = [StoredWindow(old, old + timedelta(hours=hour), 1) for hour in (1, 2)]
        for each in windows:
            profiles.save(NAME, each, b"profile")
        holds.place(f"profiles:{NAME}/{windows[0].name}", actor="legal", reason="A claim is open.")
        done = retain(NAME, as_of)
        assert (done.rows_removed, done.items_removed, done.items_kept) == ({TABLE: 1}, 1, 1)
        assert tables.read(TABLE)["as_of"].to_list() == [young]
        assert profiles.list_windows(NAME) == windows[:1]
        assert any("held" in each or "hold" in each for each in done.sentences)
        again = retain(NAME, as_of)
        assert (again.rows_removed, again.items_removed) == ({TABLE: 0}, 0)
    forget_home()
    use = settings().home
    assert use != tmp_path / "home"
    with get_client(sync_client=True) as client:
        told = client.request("GET", "/artifacts/{key}/latest".replace("{key}", "retained")).json()["data"]
    assert "Retention until" in str(told)
