"""What came of what: a prediction, release, model or data version with all it was made of, to be listed or drawn."""

from collections.abc import Iterator

from esteira.model_card import Frozen


class Thing(Frozen):
    """One thing of the belt, facts about it, and what it comes from (or in the other direction: what came of it)."""

    name: str
    """``kind:name``, such as model:flight_delay:2013-03-01-4f9a0c21be."""
    facts: tuple[tuple[str, str], ...] = ()
    """Label and value; without a label, a sentence."""
    parts: tuple["Thing", ...] = ()

    def walk(self) -> Iterator["Thing"]:
        """This thing and everything below it, from above."""
        yield self
        for each in self.parts:
            yield from each.walk()


def mermaid(root: Thing) -> str:
    """The graph in Mermaid's text form, which Git hosts and editors draw.

    >>> print(mermaid(Thing(name="release:a/2", parts=(Thing(name="model:a:m1", facts=(("owner", "ann"),)),))))
    flowchart TD
      n0["release:a/2"]
      n1["model:a:m1<br/>owner: ann"]
      n0 --> n1
    """
    lines = ["flowchart TD"]
    numbers: dict[str, int] = {}
    arrows: list[str] = []

    def add(thing: Thing) -> int:
        if thing.name not in numbers:
            numbers[thing.name] = len(numbers)
            told = "<br/>".join(
                [thing.name, *(f"{label}: {value}" if label else value for label, value in thing.facts)]
            )
            lines.append(f'  n{numbers[thing.name]}["{told.replace(chr(34), "#quot;")}"]')
        for part in thing.parts:
            arrow = f"  n{numbers[thing.name]} --> n{add(part)}"
            if arrow not in arrows:
                arrows.append(arrow)
        return numbers[thing.name]

    add(root)
    return "\n".join(lines + arrows)
