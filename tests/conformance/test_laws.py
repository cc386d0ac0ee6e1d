"""Every shipped use case keeps every law, on its own data."""

import pytest

from esteira import use_cases
from esteira.conformance.case import Case, first_worthwhile_moment
from esteira.conformance.check import laws
from esteira.conformance.law import Law
from esteira.settings import REPOSITORY
from flows import plain
from flows.monitor import monitor
from flows.precompute import precompute
from flows.train import train
from flows.validate import validate
from tests.conftest import Belt

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("belt")]
EVERY = pytest.mark.parametrize("name", use_cases.names())


def named(law: Law) -> str:
    return law.name


@pytest.fixture(scope="module", params=use_cases.names())
def case(request: pytest.FixtureRequest, belt: Belt) -> Case:
    """Each use case on the shared belt: what is ingested for one serves them all."""
    name = request.param
    if name == belt.use_case.name:
        return Case(belt.use_case, belt.as_of, belt.challenger)
    trained = plain.run(train, name, belt.as_of)
    validated = plain.run(validate, name, belt.as_of, challenger=trained.challenger)
    assert validated.release is not None, validated.verdict.sentences
    plain.run(precompute, name, belt.as_of)
    plain.run(monitor, name, belt.as_of)
    return Case(use_cases.get(name), belt.as_of, trained.challenger)


@EVERY
@pytest.mark.parametrize("law", laws("declaration"), ids=named)
def test_declaration(name: str, law: Law) -> None:
    declared = use_cases.get(name)
    law.check(Case(declared, first_worthwhile_moment(declared)))


@pytest.mark.parametrize("law", [*laws("data"), *laws("model")], ids=named)
def test_data_and_model(case: Case, law: Law) -> None:
    law.check(case)


@EVERY
def test_a_use_case_is_named_by_no_shared_room(name: str) -> None:
    own = {"use_cases", name}
    rooms = [REPOSITORY / "flows", REPOSITORY / "src" / "esteira"]
    naming = [
        str(file.relative_to(REPOSITORY))
        for room in rooms
        for file in room.rglob("*.py")
        if not own & set(file.parts) and f'== "{name}"' in file.read_text()
    ]
    assert naming == []
