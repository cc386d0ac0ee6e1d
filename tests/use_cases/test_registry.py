"""The registry of use cases: what is listed can be had, what is not is named with advice."""

import pytest

from esteira import use_cases
from esteira.errors import UnknownName


@pytest.mark.parametrize("name", use_cases.names())
def test_every_listed_use_case_can_be_had_by_its_name(name: str) -> None:
    assert use_cases.get(name).name == name


def test_an_unknown_name_is_refused_with_what_exists_and_where() -> None:
    with pytest.raises(UnknownName, match=r"Unknown use case 'flight_dely'\. Known: flight_delay.*use_cases/__init__"):
        use_cases.get("flight_dely")


@pytest.mark.parametrize("name", use_cases.names())
def test_every_declared_parameter_lies_in_the_space_it_is_searched_in(name: str) -> None:
    for candidate in use_cases.get(name).candidates:
        assert candidate.search, f"{candidate.name} cannot be tuned"
        for parameter, tried in candidate.search.items():
            value = candidate.parameters[parameter]
            allowed = value in tried if isinstance(tried, tuple) else tried.low <= value <= tried.high
            assert allowed, f"{candidate.name}: {parameter} {value}"
