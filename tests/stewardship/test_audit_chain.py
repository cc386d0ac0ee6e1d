from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from esteira.contract import utc
from esteira.errors import InputError
from esteira.stewardship.audit_chain import GENESIS, AuditEntry, Deed, Head, faults, link

EMPTY = Head(count=0, digest=GENESIS)


def chain(length: int) -> list[AuditEntry]:
    log: list[AuditEntry] = []
    for place in range(length):
        deed = Deed(actor="ana", action="held", subject=f"table:{place}", reason="a lawsuit", as_of=utc("2013-03-01"))
        previous = Head(count=log[-1].id, digest=log[-1].digest) if log else EMPTY
        log.append(link(deed, previous=previous, recorded_at=utc("2026-11-01") + timedelta(seconds=place)))
    return log


def test_a_chain_as_it_was_written_has_no_faults() -> None:
    log = chain(5)
    assert faults(log, {"a friend": Head(count=3, digest=log[2].digest), "another": EMPTY}) == ()


@given(
    place=st.integers(0, 4), change=st.sampled_from(["actor", "reason", "subject", "action", "as_of", "recorded_at"])
)
def test_every_edit_of_one_entry_is_found(place: int, change: str) -> None:
    log = chain(5)
    value: Any = utc("2020-01-01") if change in ("as_of", "recorded_at") else "somebody else"
    log[place] = log[place].model_copy(update={change: value})
    assert f"Entry {place + 1} was edited" in " ".join(faults(log, {}))


@given(place=st.integers(0, 4))
def test_an_edit_with_its_digest_computed_anew_breaks_what_follows_or_the_kept_head(place: int) -> None:
    log = chain(5)
    head = Head(count=5, digest=log[4].digest)
    previous = Head(count=place, digest=log[place].previous)
    forged = Deed(actor="ana", action="held", subject=f"table:{place}", reason="none")
    log[place] = link(forged, previous=previous, recorded_at=utc("2026-11-01"))
    assert faults(log, {"a friend": head})


@given(st.permutations(range(5)))
def test_every_other_order_is_found(order: list[int]) -> None:
    log = chain(5)
    assert bool(faults([log[place] for place in order], {})) == (order != sorted(order))


@given(st.sets(st.integers(0, 4), min_size=1))
def test_every_deletion_is_found_given_the_head(gone: set[int]) -> None:
    log = chain(5)
    left = [entry for place, entry in enumerate(log) if place not in gone]
    assert faults(left, {"a friend": Head(count=5, digest=log[4].digest)})


def test_a_head_is_written_and_read() -> None:
    head = Head(count=12, digest="ab" * 32)
    assert Head.parse(f"{head}\n") == head
    with pytest.raises(InputError, match="COUNT:DIGEST"):
        Head.parse("12")
