import time
from pathlib import Path

import pytest
import sqlalchemy as sa

from esteira.errors import DataError, InputError, UnknownName
from esteira.settings import settings
from esteira.stores import audit, keys
from tests.cli.test_cli import esteira


def test_a_key_is_shown_once_and_only_its_digest_is_kept(home: Path) -> None:
    whole = keys.create("the app", ["predict"], actor="ana", reason="first customer")
    secret = whole.split("_", 2)[2]
    ((key, _, revoked),) = keys.listed()
    assert (key.name, key.scopes, revoked) == ("the app", {"predict"}, None)
    for path in home.rglob("*"):
        if path.is_file():
            assert secret.encode() not in path.read_bytes(), path
    assert secret not in f"{audit.entries()} {keys.listed()}"
    assert [(each.action, each.subject) for each in audit.entries()] == [("created key", f"key:{key.id}")]


@pytest.mark.parametrize("name", ["", "../x", "a\nb", "'; DROP TABLE service_keys; --", "x\x00", "ü", "n" * 65, " a"])
def test_a_name_that_could_be_anything_else_is_refused(home: Path, name: str) -> None:
    with pytest.raises(InputError, match="Cannot name a key"):
        keys.create(name, ["predict"], actor="ana", reason="r")
    assert keys.listed() == []


def test_scopes_and_rates_that_mean_nothing_are_refused(home: Path) -> None:
    with pytest.raises(UnknownName, match="Known: predict, outcomes, admin"):
        keys.create("a", ["root"], actor="ana", reason="r")
    with pytest.raises(InputError, match="opens nothing"):
        keys.create("a", [], actor="ana", reason="r")
    for rate in (0.0, -1.0, float("nan"), float("inf")):
        with pytest.raises(InputError, match="positive"):
            keys.create("a", ["predict"], requests_per_second=rate, actor="ana", reason="r")


def test_a_running_service_learns_of_new_and_revoked_keys(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ESTEIRA_LEDGER_POLL_SECONDS", "0.05")
    settings.cache_clear()
    followed = keys.FollowedKeys()
    followed.start()
    whole = keys.create("a", ["outcomes"], actor="ana", reason="r")
    _wait_until(lambda: followed.find(whole) is not None)
    found = followed.find(whole)
    assert found is not None
    keys.revoke(found.id, actor="ana", reason="it leaked")
    _wait_until(lambda: followed.find(whole) is None)
    followed.stop()
    assert audit.entries()[-1].action == "revoked key"


def test_a_key_is_revoked_once_and_an_unknown_one_never(home: Path) -> None:
    identity = keys.create("a", ["predict"], actor="ana", reason="r").split("_")[1]
    keys.revoke(identity, actor="ana", reason="r")
    with pytest.raises(InputError, match="revoked before"):
        keys.revoke(identity, actor="ana", reason="r")
    with pytest.raises(UnknownName, match="Unknown key"):
        keys.revoke("' OR 1=1 --", actor="ana", reason="r")


def test_an_outage_of_the_database_closes_no_service_and_opens_none(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ESTEIRA_LEDGER_POLL_SECONDS", "0.05")
    settings.cache_clear()
    whole = keys.create("a", ["predict"], actor="ana", reason="r")
    known, unknown = keys.FollowedKeys(), keys.FollowedKeys()
    known.start()

    def gone() -> None:
        raise sa.exc.OperationalError("select", None, OSError("gone"))

    monkeypatch.setattr(keys, "listed", gone)
    unknown.start()
    _wait_until(lambda: known.trouble is not None)
    assert known.find(whole) is not None
    with pytest.raises(DataError, match="cannot tell who may ask"):
        unknown.find(whole)
    known.stop()
    unknown.stop()


@pytest.mark.slow
def test_the_command_makes_lists_and_revokes(home: Path) -> None:
    made = esteira(home, "keys", "create", "the app", "--scope", "predict", "--scope", "outcomes", "--reason", "a test")
    whole = made.stdout.strip()
    identity = whole.split("_")[1]
    assert whole.split("_", 2)[2] not in made.stderr
    assert f"{identity}  the app  outcomes predict" in esteira(home, "keys", "list").stdout
    assert esteira(home, "keys", "revoke", identity, "--reason", "over").returncode == 0
    assert "revoked" in esteira(home, "keys", "list").stdout


def _wait_until(happened: object) -> None:
    deadline = time.monotonic() + 20
    while not happened():  # type: ignore[operator]
        assert time.monotonic() < deadline
        time.sleep(0.02)
