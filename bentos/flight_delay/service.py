"""The BentoML service of flight_delay: what is asked about flights, joined to the live release."""

from functools import partial

import bentoml

from bentos.endpoints import OPTIONS, Endpoints
from bentos.flights import FlightFeatures, FlightIds, Flights, probe
from esteira.use_cases.flight_delay.entities import ASKED_BEFORE

endpoints = Endpoints(
    "flight_delay", partial(probe, before=ASKED_BEFORE), questions=Flights, names=FlightIds, features=FlightFeatures
)
service = bentoml.service(
    name="flight_delay",
    description="Will these flights leaving New York arrive at least 15 minutes late?",
    **OPTIONS,
)(
    endpoints.as_class(
        "FlightDelay",
        "P(arrival at least 15 minutes late) of flights leaving New York, and the decision at the release's threshold.",
    )
)
endpoints.put_doors_on(service)
