from pathlib import Path

from esteira.contract import utc
from esteira.stores.model_store import verdicts


def test_verdicts_are_kept_in_order(home: Path) -> None:
    verdicts.record("flight_delay", "monitor", "m1", utc("2013-03-08"), {"action": "keep"})
    verdicts.record("flight_delay", "monitor", "m1", utc("2013-03-15"), {"action": "watch"})
    assert [verdict["action"] for _, _, verdict in verdicts.recorded("flight_delay", "monitor")] == ["keep", "watch"]
    assert verdicts.recorded("flight_delay", "gate") == []
