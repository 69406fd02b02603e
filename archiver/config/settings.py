"""Settings: which archive is meant and what to keep, from the call, the environment, the project or the user."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from archiver.base.address import is_local, scheme_of, shown_url
from archiver.base.suggest import did_you_mean
from archiver.config.files import CODE_MODES, Layer, environment, file_layers, is_code
from archiver.errors import ConfigError

DEFAULT_URL = "./archive"
DEFAULT = "default"
"""The origin of a value that nobody set."""

_HIDDEN = "********"
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([KMGTP]?)(I?)B?", re.IGNORECASE)
# Every option that is not known to be harmless may be a secret.
_HARMLESS = {
    "account_name",
    "cache_storage",
    "endpoint_url",
    "host",
    "profile",
    "project",
    "protocol",
    "region_name",
    "request_checksum_calculation",
    "response_checksum_validation",
    "target_protocol",
}


@dataclass(frozen=True, repr=False)
class Settings:
    """What holds for this call; immutable. `origins` tells where each value came from."""

    url: str = DEFAULT_URL
    """Where the archive is: a folder or any URL of fsspec. Relative to the file that says it."""
    storage_options: dict[str, Any] = field(default_factory=dict)
    """What the filesystem of that URL takes."""
    code: str | list[str] = "auto"
    """What code a save captures: auto, entry, imports, none, or paths."""
    budget: int | None = None
    """Bytes that the archive may take in a bucket; None: no limit. Written as a number or as `500GB`."""
    min_free: int = 100 * 10**6
    """Bytes that must stay free on a local disk: a save that finds less refuses."""
    deadline: float = 60.0
    """Seconds that one call to a remote store may be retried for."""
    policy: list[dict[str, Any]] = field(default_factory=list)
    """What to keep: tables with the fields of `archiver.Policy`."""
    lifecycle: dict[str, Any] = field(default_factory=dict)
    """What a bucket's own rules do beside the policies: moves, ages of uploads and old versions, prices."""

    _origins: Mapping[str, str] = field(default_factory=dict)
    _elsewhere: Mapping[str, str] = field(default_factory=dict)

    @property
    def origins(self) -> Mapping[str, str]:
        """Where each value came from: `argument`, a variable, a file, or `default`."""
        return self._origins

    @property
    def url_is_default(self) -> bool:
        """Whether nobody said where the archive is."""
        return self._origins.get("url") == DEFAULT

    def elsewhere(self, name: str) -> str | None:
        """Return the URL that stands beside a value in its source, where it is not the one that won; else None."""
        return self._elsewhere.get(name)

    def shown(self) -> list[tuple[str, str, str]]:
        """Return (name, value as text without secrets, origin) of every setting."""
        return [(name, _shown(name, getattr(self, name)), self._origins[name]) for name in SETTINGS]

    def __repr__(self) -> str:
        """Show no more than the URL: options may hold secrets."""
        return f"Settings(url={shown_url(self.url)!r})"

    __str__ = __repr__


def load_settings(
    url: str | None = None,
    storage_options: Mapping[str, Any] | None = None,
    *,
    folder: str | os.PathLike[str] = ".",
) -> Settings:
    """Find what holds: the call beats `ARCHIVER_*` variables, then the project's file counts, then the user's.

    url, storage_options: what the call says; folder: where to look for the project, upwards from there. The
    project's file is the nearest `archiver.toml`, or `pyproject.toml` with a table `[tool.archiver]`.
    Storage options that stand beside another kind of URL than the one that won are left out: they would not
    fit. So is a budget beside another URL. `elsewhere` tells of policies and rules that are for another.

    Raises ConfigError for a file that cannot be read, a name that is not known, or a value that does not fit.
    """
    call = {"url": url, "storage_options": dict(storage_options) if storage_options else None}
    layers = [
        Layer({name: value for name, value in call.items() if value is not None}, "argument"),
        environment(),
        *file_layers(folder),
    ]
    for layer in layers:
        _refuse_unknown(layer)
    values: dict[str, Any] = {}
    origins = dict.fromkeys(SETTINGS, DEFAULT)
    for layer in reversed(layers):
        for name, value in layer.values.items():
            values[name], origins[name] = value, layer.origin(name)
    for name, value in values.items():
        values[name] = _checked(name, value, origins[name])
    url = values.get("url", DEFAULT_URL)
    values["storage_options"], origins["storage_options"] = _options(url, layers)
    elsewhere = _elsewhere(url, layers)
    if "budget" in elsewhere:
        values["budget"], origins["budget"] = None, DEFAULT
    return Settings(**values, _origins=origins, _elsewhere=elsewhere)


def size_in_bytes(text: str) -> int:
    """Read `500GB` (powers of 1000), `500GiB` (of 1024) or a plain number of bytes. Raises ConfigError."""
    found = _SIZE.fullmatch(text.strip())
    if found is None:
        raise ConfigError(f"{text!r} is no size: write a number of bytes, or such as 500GB or 20GiB")
    number, unit, binary = found.groups()
    power = " KMGTP".index(unit.upper()) if unit else 0
    return int(float(number) * (1024 if binary else 1000) ** power)


def _options(url: str, layers: list[Layer]) -> tuple[dict[str, Any], str]:
    """Merge the storage options that fit the URL, and say where they are from."""
    merged: dict[str, Any] = {}
    origins = []
    url = url.removeprefix("bundle::")
    for layer in layers:
        options = layer.values.get("storage_options")
        beside = layer.values.get("url")
        if not options or not (layer.name == "argument" or _fits(url, beside)):
            continue
        if not isinstance(options, Mapping):
            raise ConfigError(f"storage_options in {layer.origin('storage_options')} must be a table")
        merged = {**options, **merged}
        origins.append(layer.origin("storage_options"))
    return merged, ", ".join(origins) or DEFAULT


def _fits(url: str, beside: Any) -> bool:
    return scheme_of(url) == scheme_of(beside) if isinstance(beside, str) else not is_local(url)


def _elsewhere(url: str, layers: list[Layer]) -> dict[str, str]:
    """Return what stands beside another URL than the one that won: what to keep of one archive is not for all."""
    found = {}
    for name in ("policy", "lifecycle", "budget"):
        layer = next((layer for layer in layers if name in layer.values), None)
        beside = layer.values.get("url") if layer is not None else None
        if isinstance(beside, str) and _place(beside) != _place(url):
            found[name] = shown_url(beside)
    return found


def _place(url: str) -> str:
    """Return a URL in one of the ways to write it."""
    if is_local(url):
        return os.path.realpath(Path(re.sub(r"^\w+://", "", url)).expanduser())
    return url.rstrip("/")


# -- what fits -----------------------------------------------------------------------------------------------


def _text(value: Any) -> str:
    if isinstance(value, str) and value:
        return value
    raise ConfigError("give a text")


def _table(value: Any) -> dict[str, Any]:
    if isinstance(value, Mapping) and all(isinstance(key, str) for key in value):
        return dict(value)
    raise ConfigError("give a table")


def _tables(value: Any) -> list[dict[str, Any]]:
    if isinstance(value, list):
        return [_table(item) for item in value]
    raise ConfigError("give a list of tables")


def _code(value: Any) -> str | list[str]:
    if is_code(value):
        return value  # type: ignore[no-any-return]  # is_code has told
    raise ConfigError(f"give one of {', '.join(CODE_MODES)}, or paths")


def _bytes(value: Any) -> int:
    if isinstance(value, str):
        return size_in_bytes(value)
    if isinstance(value, (int, float)) and not isinstance(value, bool) and value >= 0 and value == value // 1:
        return int(value)
    raise ConfigError("give a number of bytes, or such as 500GB")


def _budget(value: Any) -> int:
    size = _bytes(value)
    if size < 1:
        raise ConfigError("give at least 1 byte")
    return size


def _deadline(value: Any) -> float:
    try:
        seconds = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        seconds = math.nan
    if 0 < seconds <= 3600:
        return seconds
    raise ConfigError("give a number of seconds, more than 0 and at most 3600")


_CHECKS: Mapping[str, Callable[[Any], Any]] = {
    "url": _text,
    "storage_options": _table,
    "code": _code,
    "budget": _budget,
    "min_free": _bytes,
    "deadline": _deadline,
    "policy": _tables,
    "lifecycle": _table,
}
SETTINGS = tuple(_CHECKS)
"""The names of all settings."""


def _checked(name: str, value: Any, origin: str) -> Any:
    try:
        return _CHECKS[name](value)
    except ConfigError as error:
        raise ConfigError(f"{name} from {origin} does not fit: {error}") from None


# -- errors and texts ----------------------------------------------------------------------------------------


def _refuse_unknown(layer: Layer) -> None:
    for name in layer.values:
        if name not in SETTINGS:
            meant = did_you_mean(name, SETTINGS, f"; known are {', '.join(SETTINGS)}")
            raise ConfigError(f"{layer.origin(name)}: {name!r} is no setting{meant}")


def _shown(name: str, value: Any) -> str:
    if name == "url":
        return shown_url(value)
    if name == "storage_options":
        return ", ".join(_option(key, held) for key, held in sorted(value.items()))
    if isinstance(value, list):
        return ", ".join(str(item) for item in value)
    return "" if value is None else str(value)


def _option(name: str, value: Any) -> str:
    if isinstance(value, Mapping):
        return f"{name}={{{', '.join(_option(key, held) for key, held in sorted(value.items()))}}}"
    if isinstance(value, (bool, int, float)) or value is None:
        return f"{name}={value}"
    return f"{name}={shown_url(str(value)) if name in _HARMLESS else _HIDDEN}"
