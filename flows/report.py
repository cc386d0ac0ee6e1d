"""Leave what a flow did as a Prefect artifact that a person can read."""

from prefect.artifacts import create_markdown_artifact
from pydantic import BaseModel


def publish(key: str, title: str, record: BaseModel, *, sentences: tuple[str, ...] = ()) -> None:
    """Create a markdown artifact ``key``: title, sentences, then the record's fields."""
    lines = [f"# {title}", "", *(f"- {sentence}" for sentence in sentences), ""]
    plain: list[str] = []
    for name, value in record.model_dump(mode="json").items():
        if isinstance(value, dict):
            lines += [f"**{name.replace('_', ' ')}**", "", "| | |", "|---|---:|"]
            lines += [f"| {each} | {_text(count)} |" for each, count in value.items()] + [""]
        else:
            plain.append(f"| {name.replace('_', ' ')} | {_text(value)} |")
    create_markdown_artifact(key=key, markdown="\n".join([*lines, "| | |", "|---|---|", *plain]), description=title)


def _text(value: object) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    if isinstance(value, list | tuple):
        return "<br>".join(str(each) for each in value)
    return str(value).replace("|", "\\|")
