"""The reference of the command line, as a page made from the program itself (``make docs``)."""

from collections.abc import Iterator
from inspect import cleandoc
from typing import Any

import typer

_HEAD = """# Every command

Made from the program by `make docs`; a test holds both together. `esteira COMMAND --help` says the same.
"""


def page() -> str:
    """The whole page: every command with its arguments, options and what they mean."""
    from esteira.cli import app

    return "\n".join([_HEAD, *_lines(typer.main.get_command(app), ("esteira",))]).rstrip() + "\n"


def _lines(command: Any, path: tuple[str, ...]) -> Iterator[str]:
    if hasattr(command, "commands"):
        for name in sorted(command.commands):
            yield from _lines(command.commands[name], (*path, name))
        return
    with typer.Context(command, info_name=" ".join(path)) as context:
        usage = " ".join(command.collect_usage_pieces(context))
        yield f"## `{' '.join([*path, usage]).strip()}`"
        yield ""
        yield cleandoc(command.help or "")
        yield ""
        told = [row for each in command.params if (row := _row(each))]
        if told:
            yield from ("| | |", "|---|---|", *told, "")


def _row(parameter: Any) -> str | None:
    if "--help" in parameter.opts or getattr(parameter, "hidden", False):
        return None
    name = ", ".join(f"`{each}`" for each in parameter.opts)
    if parameter.param_type_name == "argument":
        name = f"`{(parameter.name or '').upper()}`"
    said = (getattr(parameter, "help", None) or "").strip()
    must = "Required. " if parameter.required and parameter.param_type_name == "option" else ""
    return f"| {name} | {must}{_one_line(said)} |"


def _one_line(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


if __name__ == "__main__":
    typer.echo(page(), nl=False)
