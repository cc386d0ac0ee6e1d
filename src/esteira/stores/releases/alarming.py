"""Tell people when a service cannot take over a live release: an alert, besides the service's own health."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from esteira.contract import UseCase
from esteira.serving.following import Release
from esteira.stores.monitoring import alerts
from esteira.stores.releases import ledger

_log = logging.getLogger("esteira.serving")


@contextmanager
def alarm_if_not_loaded(use_case: UseCase, release: Release) -> Iterator[None]:
    """Open one alert about ``release`` when the block, which loads it, fails; the failure goes on.

    All workers meet the same failure and try again; it stays one alert until somebody has seen to it.
    """
    try:
        yield
    except Exception as error:
        try:
            alerts.open_alert(
                alerts.Alert(
                    key=f"not loaded {use_case.name} {release.id}", severity="critical", owner=use_case.owner,
                    use_case=use_case.name, subject=release.model_version,
                    sentence=f"A service cannot take over release {release.id}; what it served before it serves on. "
                    f"{type(error).__name__}: {error}",
                    link=f"esteira releases show {use_case.name} {release.id}",
                    opened_at=ledger.release(use_case.name, release.id).released_at,
                )
            )  # fmt: skip
        except Exception:  # noqa: BLE001 - the service must serve on even if nobody can be told
            _log.exception("No alert could be opened about release %d.", release.id)
        raise
