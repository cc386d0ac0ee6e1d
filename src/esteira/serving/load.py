"""How much a process takes on: so many questions at a time, each for so long, and no queue without an end."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from esteira.errors import EsteiraError

_Question = TypeVar("_Question")
_Answer = TypeVar("_Answer")


class Overloaded(EsteiraError):
    """The process has as much to do as it takes on, or a question took too long."""


class Load:
    """What one process carries at this moment."""

    def __init__(self, *, most: int = 64, seconds: float = 8.0) -> None:
        """Carry at most ``most`` questions at a time, each for ``seconds``."""
        self.carried = 0
        self._most = most
        self._seconds = seconds

    async def carry(self, answer: Callable[[_Question], Awaitable[_Answer]], asked: _Question) -> _Answer:
        """Answer what is asked. Raises Overloaded at once when too many wait already, or later for taking too long."""
        if self.carried >= self._most:
            raise Overloaded(f"{self._most} questions are being answered already. Ask again in a second.")
        self.carried += 1
        try:
            async with asyncio.timeout(self._seconds):
                return await answer(asked)
        except TimeoutError as error:
            raise Overloaded(f"There was no answer within {self._seconds:g} seconds. Ask again in a second.") from error
        finally:
            self.carried -= 1
