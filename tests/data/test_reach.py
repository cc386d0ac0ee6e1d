import pytest

from esteira.contract import utc
from esteira.data.reach import require_none_late, require_within
from esteira.errors import DataError, MomentOutsideData

PRESENT = utc("2026-01-01")


def test_a_moment_the_source_does_not_reach_is_refused_with_its_span() -> None:
    span = (utc("2013-01-01"), utc("2014-01-01"))
    require_within(utc("2014-01-01"), span, "flights", present=PRESENT)
    with pytest.raises(MomentOutsideData, match=r"2014-06-01.*flights.*2013-01-01.*2014-01-01"):
        require_within(utc("2014-06-01"), span, "flights", present=PRESENT)


def test_a_source_without_end_reaches_to_the_present() -> None:
    span = (utc("2013-01-01"), None)
    require_within(PRESENT, span, "shop", present=PRESENT)
    with pytest.raises(MomentOutsideData, match=r"2100-01-01.*2026-01-01"):
        require_within(utc("2100-01-01"), span, "shop", present=PRESENT)


def test_records_that_came_late_are_refused_with_their_number() -> None:
    require_none_late("orders", "shop", PRESENT, taken=10, counted=10)
    require_none_late("orders", "shop", PRESENT, taken=10, counted=3)  # a source may drop what is old
    with pytest.raises(DataError, match=r"2 records of table 'orders' came late.*has 12.*had 10"):
        require_none_late("orders", "shop", PRESENT, taken=10, counted=12)
