"""What the service is measured against: an empty endpoint of the same server, and a straightforward service.

Both are counted by the server's own metrics, as it comes; ours has those switched off and counts for itself.
"""

from datetime import datetime
from typing import Any

import bentoml

from bentos.flights import Flights
from esteira.features.online_store import reading_at

_ALIKE: dict[str, Any] = {"workers": 1, "traffic": {"timeout": 10}, "logging": {"access": {"enabled": False}}}


class EmptyEndpoint:
    """Answers nothing at once."""

    @bentoml.api  # type: ignore[untyped-decorator]
    async def nothing(self) -> str:
        return ""


class Straightforward:
    """As a good first version is written: Feast's own read to a DataFrame, and the pipeline on it."""

    @bentoml.on_startup  # type: ignore[untyped-decorator]
    def start(self) -> None:
        from esteira import use_cases
        from esteira.stores import clock
        from esteira.stores.feature_store import features
        from esteira.stores.model_store import models
        from esteira.stores.releases import ledger

        release = ledger.live("flight_delay")
        model = models.load("flight_delay", release.model_version, card_sha256=release.card_sha256)
        self.pipeline, self.release = model.pipeline, release
        self.columns = [column.name for column in model.card.columns]
        self.store = features.open_store()
        self.features = self.store.get_feature_service(release.feature_service)
        self.now: datetime = clock.now(use_cases.get("flight_delay"))

    @bentoml.api  # type: ignore[untyped-decorator]
    def predict(self, request: Flights, /) -> dict[str, Any]:
        rows = [
            {
                **flight.model_dump(include={"flight_id", "carrier", "flight", "origin", "dest", "tailnum"}),
                "scheduled_departure": int(flight.scheduled_departure.timestamp()),
                "scheduled_arrival": int(flight.scheduled_arrival.timestamp()),
                "predicted_at": int(self.now.timestamp()),
            }
            for flight in request.flights
        ]
        with reading_at(self.now):  # the flights are of 2013: by the wall clock every value has expired
            frame = self.store.get_online_features(features=self.features, entity_rows=rows).to_df()
        probabilities = self.pipeline.predict_proba(frame[self.columns])[:, 1]
        return {"release": self.release.id, "predictions": probabilities.tolist()}


empty = bentoml.service(name="empty", **_ALIKE)(EmptyEndpoint)
straightforward = bentoml.service(name="straightforward", **_ALIKE)(Straightforward)
