from pathlib import Path

import pytest

from esteira.contract import utc
from esteira.errors import UnknownName
from esteira.stores.monitoring import retrain_requests
from esteira.stores.monitoring.retrain_requests import RetrainRequest


def test_a_retrain_is_asked_for_once_and_answered_once(home: Path) -> None:
    request = RetrainRequest(key="k", use_case="flight_delay", as_of=utc("2013-04-01"), reason="drift")
    assert retrain_requests.ask(request)
    assert not retrain_requests.ask(request)
    assert retrain_requests.asked_by("flight_delay") == [request]
    assert retrain_requests.answered_by("k") is None
    assert retrain_requests.answer("k", "m2") == "m2"
    assert retrain_requests.answer("k", "m3") == "m2"
    assert retrain_requests.answered_by("k") == "m2"
    with pytest.raises(UnknownName, match="'nobody-asked'"):
        retrain_requests.answer("nobody-asked", "m2")
