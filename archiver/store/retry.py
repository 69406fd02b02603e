"""The one retry layer: attempts until one succeeds, the error is final, or the deadline is near."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import TypeVar

from archiver.errors import ArchiverError
from archiver.store.failures import judge, response_of

T = TypeVar("T")

DEADLINE = 60.0
"""Seconds after which a call begins no further attempt, on a store that has answered before."""
FIRST_CONTACT = 8.0
"""The same for a store that never answered: a wrong address is reported at once."""
_LEAST_WAIT, _MOST_WAIT = 0.05, 5.0
_LEAST_ATTEMPT = 1.0


class Retry:
    """Runs attempts of one store's calls.

    Each attempt is told how many seconds are left and must not wait longer for an answer. Waits between them
    double from 50 ms to 5 s, with jitter. Seconds that a large body takes are added by the caller.
    """

    def __init__(
        self,
        shown: str,
        *,
        deadline: float = DEADLINE,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Take the store's URL as shown to people, and the deadline in seconds."""
        self.shown = shown
        self.deadline = deadline
        self.answered = False
        self._clock, self._sleep = clock, sleep

    def __call__(self, attempt: Callable[[float], T], action: str, *, extra: float = 0.0) -> T:
        """Call attempt(seconds left) until it succeeds.

        action: what is being done, for the error text; extra: seconds added to the deadline for a large body.

        Raises the ArchiverError that the last exception means.
        """
        began = self._clock()
        wait = _LEAST_WAIT
        while True:
            try:
                result = attempt(max(self._limit(extra) - (self._clock() - began), _LEAST_ATTEMPT))
            except ArchiverError:
                raise
            except Exception as error:  # backends raise anything; judge says what it means
                self.answered = self.answered or response_of(error) is not None
                failure = judge(error, self.shown, action)
                pause = random.uniform(wait / 2, wait)
                if not failure.again or self._clock() - began + pause + _LEAST_ATTEMPT > self._limit(extra):
                    raise failure.error from error
            else:
                self.answered = True
                return result
            self._sleep(pause)
            wait = min(wait * 2, _MOST_WAIT)

    def _limit(self, extra: float) -> float:
        return extra + (self.deadline if self.answered else min(self.deadline, FIRST_CONTACT))
