"""What cannot be read hides nothing but itself: who reads many runs says what is to be done about one that cannot.

Three answers: `raise` (the default: a result is whole or there is none), `warn` (go on without it, with a warning that
names it), or a function that is told of each, which goes on as well.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import NamedTuple

from archiver.errors import AccessError, ArchiverError, ConfigError, FormatError, IntegrityError

ONE_OBJECT = (IntegrityError, FormatError, AccessError)
"""Errors that are about one object; any other failure of the store is about all that follow, and ends the reading."""


class Unread(NamedTuple):
    """What was left out: a run, its universe where that is known, and the error that says why."""

    run: str
    universe: str | None
    error: ArchiverError


class UnreadWarning(UserWarning):
    """Something could not be read and was left out."""


Tell = Callable[[Unread], object]
"""Is told of what cannot be read; it may raise the error instead of going on without."""

Errors = str | Tell
"""What to do about what cannot be read: `raise`, `warn`, or a function that is told."""


def teller(errors: Errors) -> Tell:
    """Return what is to be told of what cannot be read; it passes each thing on once.

    Raises ConfigError for an answer that there is not.
    """
    found = errors if callable(errors) else {"raise": raise_it, "warn": _warn}.get(errors)
    if found is None:
        raise ConfigError(f"errors is {errors!r}: give 'raise', 'warn', or a function that is told of each")
    passed: set[tuple[str, str]] = set()

    def tell(unread: Unread) -> None:
        key = (unread.run, str(unread.error))
        if key not in passed:
            found(unread)
            passed.add(key)

    return tell


def raise_it(unread: Unread) -> None:
    """Raise the error: nothing may be left out."""
    raise unread.error


def _warn(unread: Unread) -> None:
    warnings.warn(str(unread.error), UnreadWarning, stacklevel=4)
