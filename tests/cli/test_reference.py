"""The documents say what the program and the tree are: commands, modules, figures."""

import re

from esteira.cli.reference import page
from esteira.settings import REPOSITORY

DOCS = REPOSITORY / "docs"


def test_the_reference_is_what_the_program_says() -> None:
    assert (DOCS / "reference.md").read_text() == page(), "The commands have changed: make docs"


def test_every_place_that_architecture_names_exists() -> None:
    text = (DOCS / "architecture.md").read_text()
    named = {each.replace("<use case>", "flight_delay") for each in re.findall(r"^\| `([^`]+)` \|", text, re.MULTILINE)}
    assert len(named) > 20
    assert [each for each in sorted(named) if not (REPOSITORY / each).exists()] == []


def test_every_room_of_the_program_is_named_in_architecture() -> None:
    text = (DOCS / "architecture.md").read_text()
    rooms = [each.name for each in (REPOSITORY / "src" / "esteira").iterdir() if (each / "__init__.py").is_file()]
    assert [each for each in sorted(rooms) if f"src/esteira/{each}/" not in text] == []


def test_every_file_that_a_document_links_to_exists() -> None:
    for document in (*REPOSITORY.glob("README*.md"), *DOCS.glob("*.md")):
        links = [each for each in re.findall(r"\]\(([^)#:]+)\)", document.read_text()) if each]
        assert [each for each in links if not (document.parent / each).exists()] == [], document.name


def test_the_portuguese_readme_has_the_figures_and_commands_of_the_english_one() -> None:
    texts = [(REPOSITORY / name).read_text() for name in ("README.md", "README.pt-BR.md")]
    english, portuguese = (re.findall(r"```.*?```", each, re.DOTALL) for each in texts)
    assert portuguese == english
    # Decimal points and commas change places; the digits do not.
    figures = [sorted(re.sub(r"[.,]", "", each) for each in re.findall(r"\d[\d.,]*\d|\d", text)) for text in texts]
    assert figures[0] == figures[1]
    named = [set(re.findall(r"`([^`\n]+)`", text)) for text in texts]
    assert named[0] == named[1]
