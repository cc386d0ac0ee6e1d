"""Answers as a service hands them to its prediction log, for the tests of what becomes of them."""

from datetime import datetime, timedelta

from esteira.contract import utc
from esteira.stores.answers.prediction_log import LoggedAnswers

START = utc("2013-03-01T12:00:00Z")


def logged(*names: str, as_of: datetime = START) -> LoggedAnswers:
    count = len(names)
    return LoggedAnswers(
        use_case="flight_delay",
        release=3,
        model_version="m3",
        feature_service="flight_delay_v1",
        requested_at=as_of + timedelta(seconds=1),
        horizon=None,
        prediction_id=list(names),
        entity_id=[f"flight-{name}" for name in names],
        as_of=[as_of] * count,
        source=["computed"] * count,
        prediction=[0.25] * count,
        decision=[False] * count,
        changes=[()] * count,
        inputs={"origin": ["JFK"] * count, "tailnum": [None] * count},
        read=list(range(count)),
        features={"distance": [1400] * count, "gust": [None] * count},
        event_times={"weather": [as_of - timedelta(microseconds=7)] * count, "aircraft": [None] * count},
        created_times={"weather": [as_of] * count, "aircraft": [None] * count},
    )


def fail(*_: object) -> None:
    raise OSError(28, "killed here")
