"""Errors an archive raises on purpose; anything else that escapes is a bug.

ArchiverError                   exit code 1
├── ConfigError                 2   wrong setting, argument or input
│   └── RunFinishedError        the run takes no results any more
├── IntegrityError              3   bytes are not what the record says
├── NotFoundError               10  a named thing is not there
│   ├── RunNotFoundError
│   ├── NotKeptError            the strategy is known, its detail was not kept
│   └── ArchiveNotFoundError
├── FormatError                 11  written by a newer archiver, or not an archive
├── CaptureError                12  code could not be captured, and strict was asked for
├── PolicyError                 13  a policy or a plan is wrong, stale or too greedy
└── StorageError                14  the store failed
    ├── StorageFullError
    └── AccessError
"""

from __future__ import annotations

from typing import ClassVar


class ArchiverError(Exception):
    """Every expected failure; its text is one line that says what to do."""

    exit_code: ClassVar[int] = 1


class ConfigError(ArchiverError, ValueError):
    """A setting, an argument or an input is wrong."""

    exit_code = 2


class RunFinishedError(ConfigError):
    """The run takes no results any more: it is being finished, or was."""


class IntegrityError(ArchiverError):
    """Stored bytes differ from what the record promises."""

    exit_code = 3


class NotFoundError(ArchiverError, LookupError):
    """A named thing is not in the archive."""

    exit_code = 10


class RunNotFoundError(NotFoundError):
    """No run has this id."""


class NotKeptError(NotFoundError):
    """The strategy is known, but its detail was not kept or is no longer there."""


class ArchiveNotFoundError(NotFoundError):
    """There is no archive under this URL."""


class FormatError(ArchiverError):
    """The archive is of a newer format, or the place holds something else."""

    exit_code = 11


class CaptureError(ArchiverError):
    """Code could not be captured although a strict mode asked for it."""

    exit_code = 12


class PolicyError(ArchiverError):
    """A policy or plan is wrong, stale, or would remove more than allowed."""

    exit_code = 13


class StorageError(ArchiverError):
    """The store failed or did not answer in time."""

    exit_code = 14


class StorageFullError(StorageError):
    """No space is left where the archive lives."""


class AccessError(StorageError):
    """The store refused: credentials are missing, expired or not allowed."""
