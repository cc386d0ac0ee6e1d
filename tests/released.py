"""Every use case on the shared belt: trained, released and predicted ahead once, for whatever tests need it."""

from esteira import use_cases
from esteira.conformance.case import Case
from esteira.stores.releases import ledger
from flows import plain
from flows.monitor import monitor
from flows.precompute import precompute
from flows.train import train
from flows.validate import validate
from tests.conftest import Belt


def released(belt: Belt, name: str) -> Case:
    """The use case with its live model; what is ingested for one serves them all."""
    if not ledger.is_released(name):
        trained = plain.run(train, name, belt.as_of)
        validated = plain.run(validate, name, belt.as_of, challenger=trained.challenger)
        assert validated.release is not None, validated.verdict.sentences
        plain.run(precompute, name, belt.as_of)
        plain.run(monitor, name, belt.as_of)
    return Case(use_cases.get(name), belt.as_of, ledger.live(name).model_version)
