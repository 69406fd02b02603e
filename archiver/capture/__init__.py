"""Capturing the code of a run: what ran, by content, without ever stopping a backtest.

This package knows no store: it returns what the record says and the bytes that are to be written before it.
"""

from __future__ import annotations

import sys as _sys
import warnings as _warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

from archiver.capture.strategy_yaml import WrongYamlError
from archiver.errors import CaptureError
from archiver.format.model import Code

_Wanted = str | Path | Sequence[str | Path]


@dataclass(frozen=True)
class Capture:
    """What a record says of the code, and the plain bytes of every file and text in it by their sha256."""

    code: Code
    blobs: Mapping[str, bytes] = field(default_factory=dict)


def capture(
    code: _Wanted | None = None,
    *,
    seed: Any = None,
    data: Any = None,
    strict: bool = False,
    configured: _Wanted | None = None,
) -> Capture:
    """Capture the code that is running now.

    Arguments:
        code: "auto" (what strategy.yaml lists, else "entry"), "entry" (the files of yours from the started
            script to this call, or the notebook), "imports" (entry and every local module), "none", or paths,
            folders and patterns; None: as `configured`.
        seed: the random seed of the run, any plain JSON value.
        data: a fingerprint of the data, any plain JSON value of at most 16 KB.
        strict: raise rather than leave out what should be captured; `strict: true` in strategy.yaml does too.
        configured: the same as `code`, but a strategy.yaml beats it, except for "none"; None: what
            `ARCHIVER_CODE`, the project's or the user's file says.

    Returns what was captured. A failure gives a `Code` whose `how` is "none" with a reason, and one warning.

    Raises CaptureError, and only in a strict mode.
    """
    depth = 2
    try:
        from archiver.capture.choose import choose
        from archiver.capture.collect import collect, without_code
        from archiver.capture.frames import walk
        from archiver.format.records import encode_code

        mode, otherwise = _asked(code, configured)
        if mode == "none":
            return Capture(without_code("switched off", seed, data))
        stack = walk()
        depth = stack.depth
        choice = choose(mode, otherwise, stack)
        found, blobs, problems = collect(choice, seed, data)
        encode_code(found)  # what no record can hold must fail here, not in the save
        wanted = strict or (choice.yaml is not None and choice.yaml.strict)
        failed = found.reason if found.how == "none" else problems[0] if problems else None
        if wanted and failed:
            raise CaptureError(f"code is not captured as strict asks: {failed}")
        said = [f"code: not captured ({found.reason})"] if found.reason else []
        _warn([*said, *found.warnings], depth)
        return Capture(found, blobs)
    except CaptureError:
        raise
    except Exception as error:  # a backtest of hours must not be lost to its own snapshot
        reason = str(error) if isinstance(error, WrongYamlError) else f"{type(error).__name__}: {error}"
        if strict or (isinstance(error, WrongYamlError) and error.strict):
            raise CaptureError(f"code is not captured as strict asks: {reason}") from error
        _warn([f"code: not captured ({reason})"], depth)
        return _without_files(reason, seed, data)


def _without_files(reason: str, seed: Any, data: Any) -> Capture:
    """Return what can be said of a run whose code could not be captured: as much as does not fail, too."""
    try:
        from archiver.capture.choose import nothing
        from archiver.capture.collect import collect
        from archiver.capture.frames import walk
        from archiver.format.records import encode_code

        found, blobs, _ = collect(nothing(walk(), reason), seed, data)
        encode_code(found)
        return Capture(found, blobs)
    except Exception:  # noqa: BLE001  # the reason that counts is the first one
        return _without_anything(reason, seed, data)


def _without_anything(reason: str, seed: Any, data: Any) -> Capture:
    try:
        from archiver.capture.collect import without_code
        from archiver.format.records import encode_code

        code = without_code(reason, seed, data)
        encode_code(code)
    except Exception:  # noqa: BLE001  # the same
        return Capture(Code("none", reason=reason))
    return Capture(code)


def _asked(code: _Wanted | None, configured: _Wanted | None) -> tuple[_Wanted, _Wanted]:
    """Return the mode, or paths, and what "auto" means where no strategy.yaml lists files."""
    if code is not None:
        return code, "entry"
    if configured is None:
        from archiver.config.files import configured_code

        configured = configured_code()
    if configured == "none":
        return "none", "entry"
    return "auto", "entry" if configured == "auto" else configured


def _warn(said: list[str], depth: int) -> None:
    if not said:
        return
    more = f" (and {len(said) - 1} more: see the run's code)" if len(said) > 1 else ""
    try:
        _warnings.warn(f"{said[0]}{more}", stacklevel=depth + 1)
    except Exception:  # noqa: BLE001  # warnings may be errors, or shown by code of the user's: no backtest stops for that
        return


class _Callable(ModuleType):
    """Lets `archiver.capture(...)` be called although importing this package gives its name to the module."""

    def __call__(self, *arguments: Any, **options: Any) -> Capture:
        """Call `capture`."""
        return capture(*arguments, **options)


_sys.modules[__name__].__class__ = _Callable
