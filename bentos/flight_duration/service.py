"""The BentoML service of flight_duration: what is asked about flights, joined to the live release."""

from functools import partial

import bentoml

from bentos.endpoints import OPTIONS, Endpoints
from bentos.flights import FlightFeatures, FlightIds, Flights, probe
from esteira.use_cases.flight_duration.entities import ASKED_BEFORE

endpoints = Endpoints(
    "flight_duration", partial(probe, before=ASKED_BEFORE), questions=Flights, names=FlightIds, features=FlightFeatures
)
service = bentoml.service(
    name="flight_duration",
    description="How many minutes will these flights leaving New York take from gate to gate?",
    **OPTIONS,
)(
    endpoints.as_class(
        "FlightDuration", "Minutes from gate to gate of flights leaving New York, and where nine of ten such lie."
    )
)
endpoints.put_doors_on(service)
