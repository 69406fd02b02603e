"""The one retry layer: attempts until one succeeds, the error is final, or the budget is spent."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import TypeVar

from archiver.errors import ArchiverError
from archiver.store.failures import judge, response_of

T = TypeVar("T")

BUDGET = 60.0
"""Seconds after which no attempt begins, for a store that has answered before."""
FIRST_CONTACT = 8.0
"""Seconds that a store has to answer for the first time."""
_LEAST_WAIT, _MOST_WAIT = 0.05, 5.0


class Retry:
    """Runs attempts until one succeeds, the error is final, or the budget is spent.

    No attempt begins after the budget; one that runs may end when its own timeout strikes. Until the store has
    answered once the budget is FIRST_CONTACT, so that a wrong address is reported at once.
    """

    def __init__(
        self,
        shown: str,
        *,
        budget: float = BUDGET,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Take the store's URL as shown to people, and the budget in seconds."""
        self.shown = shown
        self.budget = budget
        self.answered = False
        self._clock, self._sleep = clock, sleep

    def __call__(self, attempt: Callable[[float], T], action: str, *, extra: float = 0.0) -> T:
        """Call attempt(seconds left) until it succeeds.

        action: what is being done, for the error text; extra: seconds added to the budget for a large body.

        Raises the ArchiverError that the last exception means.
        """
        began = self._clock()
        wait = _LEAST_WAIT
        while True:
            limit = extra + (self.budget if self.answered else min(self.budget, FIRST_CONTACT))
            left = limit - (self._clock() - began)
            try:
                result = attempt(max(left, 1.0))
                self.answered = True
                return result
            except ArchiverError:
                raise
            except Exception as error:
                failure = judge(error, self.shown, action)
                if response_of(error) is not None:
                    self.answered = True
                pause = random.uniform(wait / 2, wait)
                if not failure.again or self._clock() - began + pause > limit - 1.0:
                    raise failure.error from error
            self._sleep(pause)
            wait = min(wait * 2, _MOST_WAIT)
