"""Leave what a flow did where people look: an artifact in Prefect, an entry in the audit log."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from prefect.artifacts import create_markdown_artifact, create_progress_artifact, update_progress_artifact
from prefect.runtime import flow_run
from pydantic import BaseModel

from esteira.contract import utc
from esteira.stewardship.audit_chain import Deed
from esteira.stores import audit
from flows.plain import is_plain


def publish(
    key: str,
    title: str,
    record: BaseModel,
    *,
    sentences: tuple[str, ...] = (),
    plugged: Mapping[str, Mapping[str, Any]] | None = None,
) -> None:
    """Create a markdown artifact ``key`` (title, sentences, the record's fields) and append it to the audit log.

    ``plugged`` has the outputs of steps that other packages brought; both tell them too.
    """
    plain_record = record.model_dump(mode="json")
    audit.record(_deed(key, title, plain_record, plugged or {}))
    if is_plain():
        return
    lines = [f"# {title}", "", *(f"- {sentence}" for sentence in sentences), ""]
    plain: list[str] = []
    for name, value in {**plain_record, **(plugged or {})}.items():
        if isinstance(value, dict):
            lines += [f"**{name.replace('_', ' ')}**", "", "| | |", "|---|---:|"]
            lines += [f"| {each} | {_text(count)} |" for each, count in value.items()] + [""]
        else:
            plain.append(f"| {name.replace('_', ' ')} | {_text(value)} |")
    create_markdown_artifact(key=key, markdown="\n".join([*lines, "| | |", "|---|---|", *plain]), description=title)


class Progress:
    """How far a long step has come, as an artifact that Prefect's page draws while the run goes on."""

    def __init__(self, key: str) -> None:
        """Nothing is shown before there is something to tell: most steps are done in one piece."""
        self._key = key
        self._shown: UUID | None = None

    def __call__(self, done: int, of: int) -> None:
        """Tell that ``done`` of ``of`` is done."""
        share = 100.0 * done / of
        if self._shown is not None:
            update_progress_artifact(self._shown, progress=share)
        elif done < of:
            self._shown = create_progress_artifact(progress=share, key=self._key)  # type: ignore[assignment]


def _deed(key: str, title: str, record: dict[str, Any], plugged: Mapping[str, Mapping[str, Any]]) -> Deed:
    # Counts and names are facts for the log; whole verdicts and windows stay where the record says.
    facts = {
        name: value
        for name, value in record.items()
        if isinstance(value, str | int | float | None)
        or (isinstance(value, dict) and all(isinstance(each, int) for each in value.values()))
    }
    use_case = facts.pop("use_case", "")
    return Deed(
        actor=f"flow:{flow_run.flow_name or 'plain'}",
        action=key,
        subject=f"use case:{use_case}",
        reason=title,
        details={**facts, "run": flow_run.id, **({"plugged": plugged} if plugged else {})},
        as_of=utc(record["as_of"]),
    )


def _text(value: object) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    if isinstance(value, list | tuple):
        return "<br>".join(str(each) for each in value)
    return str(value).replace("|", "\\|")
