"""The events by which one flow rings for the next, awaited by the triggers in ``prefect.yaml``.

What was decided stands in the ledger, so a lost event loses nothing.
"""

from datetime import datetime

from prefect.events import emit_event

from flows.plain import is_plain

RETRAIN_REQUESTED = "esteira.retrain.requested"
CHALLENGER_TRAINED = "esteira.challenger.trained"
RELEASED = "esteira.released"


def ring(event: str, use_case: str, as_of: datetime, **payload: str) -> None:
    """Emit ``event`` about a use case; ``payload`` names what it is about in the ledger or the model store."""
    if is_plain():  # nobody is there to hear it
        return
    emit_event(
        event,
        resource={"prefect.resource.id": f"esteira.use-case.{use_case}", "prefect.resource.name": use_case},
        payload={"as_of": as_of.isoformat(), **payload},
    )
