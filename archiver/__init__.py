"""The archive that every backtest writes to.

    import archiver

    archive = archiver.open("s3://bucket/backtests")
    archive.save_universe_results("universe_001_5min_5lb", results, top_n=50)

Everything public is here; `archiver.errors` shows the tree of errors.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from archiver.base import script as _started  # noqa: F401  # it notes the script's source, now
from archiver.base.version import __version__

if TYPE_CHECKING:
    from archiver import engines
    from archiver.archive import Archive
    from archiver.archive import open_archive as open  # noqa: A004 - archiver.open(url) is the contract
    from archiver.base.unread import Unread, UnreadWarning
    from archiver.capture import capture
    from archiver.engines import result
    from archiver.engines.backtesting import from_backtesting
    from archiver.errors import (
        AccessError,
        ArchiveNotFoundError,
        ArchiverError,
        CaptureError,
        ConfigError,
        FormatError,
        IntegrityError,
        NotFoundError,
        NotKeptError,
        PolicyError,
        RunFinishedError,
        RunNotFoundError,
        StorageError,
        StorageFullError,
    )
    from archiver.format.model import Run
    from archiver.retention.policy import Policy
    from archiver.runs.open import OpenRun

# Imported when first used: `import archiver` costs a backtest nothing. What has no home here is an error.
_HOME = {
    "Archive": "archiver.archive",
    "OpenRun": "archiver.runs.open",
    "Policy": "archiver.retention.policy",
    "Run": "archiver.format.model",
    "Unread": "archiver.base.unread",
    "UnreadWarning": "archiver.base.unread",
    "capture": "archiver.capture",
    "engines": "archiver.engines",
    "from_backtesting": "archiver.engines.backtesting",
    "open": "archiver.archive",
    "result": "archiver.engines",
}

__all__ = [
    "AccessError",
    "Archive",
    "ArchiveNotFoundError",
    "ArchiverError",
    "CaptureError",
    "ConfigError",
    "FormatError",
    "IntegrityError",
    "NotFoundError",
    "NotKeptError",
    "OpenRun",
    "Policy",
    "PolicyError",
    "Run",
    "RunFinishedError",
    "RunNotFoundError",
    "StorageError",
    "StorageFullError",
    "Unread",
    "UnreadWarning",
    "__version__",
    "capture",
    "engines",
    "from_backtesting",
    "open",
    "result",
]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'archiver' has no attribute {name!r}")
    from importlib import import_module

    home = import_module(_HOME.get(name, "archiver.errors"))
    value = (
        home if name in ("capture", "engines") else getattr(home, {"open": "open_archive"}.get(name, name))
    )
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
