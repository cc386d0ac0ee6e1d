"""Every shipped use case keeps every law, on its own data."""

import pytest

from esteira import use_cases
from esteira.conformance.case import Case, first_worthwhile_moment
from esteira.conformance.check import laws
from esteira.conformance.law import Law
from esteira.settings import REPOSITORY
from tests.conftest import Belt
from tests.released import released

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("belt")]
EVERY = pytest.mark.parametrize("name", use_cases.names())


def named(law: Law) -> str:
    return law.name


@pytest.fixture(scope="module", params=use_cases.names())
def case(request: pytest.FixtureRequest, belt: Belt) -> Case:
    """Each use case on the shared belt: what is ingested for one serves them all."""
    return released(belt, request.param)


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
