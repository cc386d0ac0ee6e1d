"""Write the files of a new use case: all of them, or, when one is there already, none."""

import importlib.util
import keyword
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
from jinja2 import Environment, PackageLoader, StrictUndefined

from esteira import use_cases
from esteira.contract import EVENT, RawTable
from esteira.data.propose import propose
from esteira.data.schema import SourceSchema, to_text
from esteira.errors import DataError, InputError
from esteira.scaffold.durations import as_code, in_words, short
from esteira.scaffold.planned import Plan
from esteira.settings import settings
from esteira.stores.whole_files import write_whole

_REGISTRY = Path("src/esteira/use_cases/__init__.py")
_SCHEDULES = Path("prefect.yaml")


@dataclass(frozen=True)
class Written:
    """Which files are new, and which got a line or a block more; as paths in the checkout."""

    made: tuple[Path, ...]
    added_to: tuple[Path, ...]


def require_free(name: str) -> None:
    """Raise InputError unless a use case may be called ``name`` and nothing of it exists yet."""
    if not re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", name) or keyword.iskeyword(name):
        raise InputError(
            f"{name!r} cannot name a use case. Expected small letters, digits and underscores: hourly_wind."
        )
    if name in use_cases.names():
        raise InputError(
            f"There is a use case {name!r} already. Choose another name; known: {', '.join(use_cases.names())}."
        )
    there = [str(path) for path in _targets(name) if (settings().repository / path).exists()]
    if there:
        raise InputError(
            f"{', '.join(there)} exists already, and nothing is overwritten. Choose another name, or move it."
        )
    if importlib.util.find_spec(name) is not None:
        raise InputError(
            f"{name!r} is the name of a Python module here, and feature_repo/{name}.py is imported as a module of that "
            "name. Choose another."
        )


def write(plan: Plan) -> Written:
    """Write the use case's folder, its features, its service, its schedules, and its line in the registry.

    Nothing is written when a file of it exists already, or the registry is not as it is expected to be.
    """
    name, root = plan.wanted.name, settings().repository
    require_free(name)
    registry, schedules = (root / _REGISTRY).read_text(), (root / _SCHEDULES).read_text()
    listed = re.sub(r"(_MODULES = \{\n(?:    .*\n)*)\}", rf'\1    "{name}": "esteira.use_cases.{name}",\n}}', registry)
    if listed == registry or "deployments:" not in schedules:
        raise DataError(
            f"{_REGISTRY} or {_SCHEDULES} is not as it is known: no list of use cases or of deployments was found. "
            "Nothing was written. Take the files of this release, or register the use case by hand."
        )
    page = _pages(plan)
    files = {
        f"src/esteira/use_cases/{name}/{file}.py": page(file if file != "__init__" else "use_case")
        for file in ("__init__", "source", "features", "questions", "model")
    }
    files[f"feature_repo/{name}.py"] = page("feature_repo")
    if plan.wanted.is_served:
        files[f"bentos/{name}/__init__.py"] = f'"""{_sentence(plan).capitalize()}?"""\n'
        files[f"bentos/{name}/questions.py"] = page("bento_questions")
        files[f"bentos/{name}/service.py"] = page("bento_service")
    made = [Path(file) for file in files]
    try:
        for file, text in files.items():
            write_whole(root / file, text.encode())
        _format([root / file for file in files])
        schema = Path(f"src/esteira/use_cases/{name}/schema.json")
        write_whole(root / schema, _schema(plan).encode())
        write_whole(root / _SCHEDULES, (schedules.rstrip("\n") + "\n" + page("prefect", "yaml")).encode())
        write_whole(root / _REGISTRY, listed.encode())  # last: whatever is registered is whole
    except BaseException:
        for folder in {(root / file).parent for file in made if name in file.parts}:
            shutil.rmtree(folder, ignore_errors=True)
        (root / f"feature_repo/{name}.py").unlink(missing_ok=True)
        write_whole(root / _SCHEDULES, schedules.encode())
        raise
    return Written((*made, schema), (_REGISTRY, _SCHEDULES))


def _targets(name: str) -> tuple[Path, ...]:
    return Path(f"src/esteira/use_cases/{name}"), Path(f"feature_repo/{name}.py"), Path(f"bentos/{name}")


def _pages(plan: Plan) -> Any:
    environment = Environment(  # noqa: S701 - it writes Python, not HTML
        loader=PackageLoader("esteira.scaffold", "templates"), trim_blocks=True, lstrip_blocks=True,
        undefined=StrictUndefined, keep_trailing_newline=True,
    )  # fmt: skip
    environment.filters["code"] = as_code
    theirs = plan.records.called
    columns = {name: kind for name, kind in plan.types.items() if not (plan.wanted.label_after and name == plan.label)}
    # The timestamp is read as the moment, not as a column; what a table does not declare is left out of it.
    skipped = [theirs[name] for name in plan.without]
    others = [theirs[name] for name in plan.types if name not in (plan.key, plan.label)]
    in_rows = [*skipped, *([theirs[plan.label]] if plan.wanted.label_after else [])]
    tables = [("ROWS", columns, in_rows)]
    if plan.wanted.label_after:
        tables.append(("LABELS", {plan.key: "", plan.label: ""}, [*skipped, *others]))
    called = {ours: theirs[ours] for ours in plan.types if theirs[ours] != ours}
    value = f'pl.col("{plan.label}").cast(pl.Float64)'
    if plan.yes is not None:
        value = f'(pl.col("{plan.label}") == {plan.yes}).cast(pl.Float64)'
    text_key = plan.types[plan.key] == "String"
    widths = [each for each in (plan.short, plan.long) if each]
    facts = {
        "plan": plan,
        "name": plan.wanted.name,
        "class_name": "".join(each.capitalize() for each in plan.wanted.name.split("_")),
        "sentence": _sentence(plan),
        "rows": columns,
        "tables": tables,
        "called": called,
        "value": value,
        "truths": [each.column for each in plan.features if plan.types[each.column] == "Boolean"],
        "example": f'"{plan.example_key}"' if text_key else plan.example_key,
        "key_type": "str = Field(min_length=1, max_length=200)" if text_key else "int",
        "kinds": sorted({"count", *(each.type for each in plan.features)}),
        "windows": ", ".join(short(each) for each in widths) or "none",
    }
    return lambda template, kind="py": environment.get_template(f"{template}.{kind}.jinja").render(facts)


def _sentence(plan: Plan) -> str:
    what, whose = (each.replace("_", " ") for each in (plan.label, plan.key))
    return f"{what} per {whose}" + (f", {in_words(plan.wanted.ahead)} ahead" if plan.wanted.ahead else "")


def _schema(plan: Plan) -> str:
    """What the file's records look like, as bounds with room: to be read, corrected and committed by a person."""
    rows = plan.records.rows
    moments = plan.moments
    timed = rows.with_columns(moments.alias(EVENT), moments.alias("created_timestamp"))
    tables = {}
    for table in ("rows", "labels") if plan.wanted.label_after else ("rows",):
        names = (
            [plan.key, plan.label]
            if table == "labels"
            else [each for each in plan.types if not (plan.wanted.label_after and each == plan.label)]
        )
        declared = RawTable(
            name=f"{plan.wanted.name}_{table}",
            columns={each: getattr(pl, plan.types[each])() for each in names},
            keys=(plan.key, EVENT),
        )
        records = timed.select(pl.col(name).cast(kind) for name, kind in declared.schema.items())
        tables[declared.name] = propose(records, declared, shifts={})
    return to_text(SourceSchema(source=plan.wanted.name, tables=tables))


def _format(files: list[Path]) -> None:
    """Bring generated code into the shape of the house, where its formatter is installed; it runs without, too."""
    if importlib.util.find_spec("ruff") is not None:
        for task in (["check", "--fix", "--quiet", "--no-cache", "--select", "I"], ["format", "--quiet", "--no-cache"]):
            subprocess.run(
                [sys.executable, "-m", "ruff", *task, *map(str, files)], cwd=settings().repository, check=False
            )
