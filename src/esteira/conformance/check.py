"""Put a use case on trial: run its belt in a home of its own, as plain Python, and see which laws it keeps."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime

from esteira.conformance import declaration, on_data, on_model  # noqa: F401 - they register their laws
from esteira.conformance.case import Case, first_worthwhile_moment
from esteira.conformance.law import LAWS, Law, Needs
from esteira.contract import UseCase
from esteira.errors import BrokenLaw, EsteiraError
from flows import plain
from flows.ingest import ingest
from flows.monitor import monitor
from flows.precompute import precompute
from flows.train import train
from flows.validate import validate

STAGES: dict[Needs, str] = {
    "declaration": "its declaration",
    "data": "ingest, with features online and offline",
    "model": "train, validate, precompute, monitor",
}


@dataclass(frozen=True)
class Finding:
    """Whether one law is kept; ``broken`` says what to do where it is not."""

    sentence: str
    broken: str | None = None


def laws(needs: Needs) -> list[Law]:
    """The laws that can be checked at one stage."""
    return [each for each in LAWS if each.needs == needs]


def judge(law: Law, case: Case) -> Finding:
    """Check one law. An error on the way is a finding too, because it is what its user would meet."""
    try:
        law.check(case)
    except EsteiraError as error:
        return Finding(law.sentence, str(error))
    except Exception as error:  # noqa: BLE001 - a use case's own code may raise anything; it is told, and counts
        return Finding(law.sentence, f"{type(error).__name__}: {error}. It was raised on the way; see {case.folder}.")
    return Finding(law.sentence)


def check(use_case: UseCase, as_of: datetime | None = None) -> Iterator[Finding]:
    """Yield a finding for each law, stage by stage; a stage is entered when all laws before it are kept.

    Runs in the home that settings name: give it an empty one. ``as_of``: up to when, by default
    ``first_worthwhile_moment``.
    """
    stages: dict[Needs, Callable[[Case], Case]] = {
        "declaration": _declare,
        "data": _ingest,
        "model": _train,
    }
    case = Case(use_case, as_of or first_worthwhile_moment(use_case))
    for needs, prepare in stages.items():
        try:
            case = prepare(case)
        except EsteiraError as error:
            yield Finding(f"The belt runs: {STAGES[needs]}.", str(error))
            return
        yield Finding(f"The belt runs: {STAGES[needs]}.")
        found = [judge(each, case) for each in laws(needs)]
        yield from found
        if any(each.broken for each in found):
            return


def _declare(case: Case) -> Case:
    return case


def _ingest(case: Case) -> Case:
    plain.run(ingest, case.use_case.name, case.as_of)
    return case


def _train(case: Case) -> Case:
    name, moment = case.use_case.name, case.as_of
    trained = plain.run(train, name, moment)
    validated = plain.run(validate, name, moment, challenger=trained.challenger)
    if validated.release is None:
        raise BrokenLaw("The gate refused the first model:\n" + "\n".join(validated.verdict.sentences))
    plain.run(precompute, name, moment)
    plain.run(monitor, name, moment)  # nobody has asked anything yet: it must bear that
    return Case(case.use_case, moment, trained.challenger)
