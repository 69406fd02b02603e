"""Settings: which archive is meant and what to keep, from the call, the environment, the project or the user.

A module to import late: pydantic takes longer to load than most commands take to run.
"""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import Field, PrivateAttr, ValidationError, field_validator
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
)

from archiver.base.address import is_local, scheme_of, shown_url
from archiver.config.files import PREFIX, Layer, file_layers
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


class Settings(BaseSettings):
    """What holds for this call; immutable. `origins` tells where each value came from."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, extra="forbid", frozen=True, hide_input_in_errors=True, env_ignore_empty=True
    )

    url: str = Field(DEFAULT_URL, min_length=1)
    """Where the archive is: a folder or any URL of fsspec. Relative to the file that says it."""
    storage_options: dict[str, Any] = Field(default_factory=dict, repr=False)
    """What the filesystem of that URL takes."""
    code: str | list[str] = "auto"
    """What code a save captures: auto, entry, imports, none, or paths."""
    budget: int | None = Field(None, ge=1)
    """Bytes that the archive may take in a bucket; None: no limit. Written as a number or as `500GB`."""
    min_free: int = Field(100 * 10**6, ge=0)
    """Bytes that must stay free on a local disk: a save that finds less refuses."""
    deadline: float = Field(60.0, gt=0, le=3600)
    """Seconds that one call to a remote store may be retried for."""
    policy: list[dict[str, Any]] = Field(default_factory=list)
    """What to keep: tables with the fields of `archiver.Policy`."""
    lifecycle: dict[str, Any] = Field(default_factory=dict)
    """What a bucket's own rules do beside the policies: moves, ages of uploads and old versions, prices."""

    _origins: dict[str, str] = PrivateAttr(default_factory=dict)
    _elsewhere: dict[str, str] = PrivateAttr(default_factory=dict)

    @field_validator("budget", "min_free", mode="before")
    @classmethod
    def _bytes(cls, value: Any) -> Any:
        return size_in_bytes(value) if isinstance(value, str) else value

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003 - the signature is pydantic-settings' own
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - the same
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - the same
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - the same
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Take values from the call alone: `load_settings` asks the sources itself, to know them apart."""
        return (init_settings,)

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
        return [
            (name, _shown(name, getattr(self, name)), self._origins[name]) for name in type(self).model_fields
        ]

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
        Layer(_environment(), PREFIX),
        *file_layers(folder),
    ]
    for layer in layers:
        _refuse_unknown(layer)
    origins = {
        name: next((layer.origin(name) for layer in layers if name in layer.values), DEFAULT)
        for name in Settings.model_fields
    }
    values = {name: layer.values[name] for layer in reversed(layers) for name in layer.values}
    try:
        settings = Settings(**values)
        options, origin = _options(settings.url, layers)
        elsewhere = _elsewhere(settings.url, layers)
        settings = settings.model_copy(
            update={"storage_options": options, **({"budget": None} if "budget" in elsewhere else {})}
        )
    except ValidationError as error:
        raise _invalid(error, origins) from None
    settings._origins = {**origins, "storage_options": origin}
    settings._elsewhere = elsewhere
    if "budget" in elsewhere:
        settings._origins["budget"] = DEFAULT
    return settings


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


# -- sources -------------------------------------------------------------------------------------------------


def _environment() -> dict[str, Any]:
    try:
        return EnvSettingsSource(Settings)()
    except SettingsError as error:
        name = re.search(r'field "(\w+)"', str(error))
        raise ConfigError(
            f"{PREFIX}{name[1].upper() if name else '*'} is no valid JSON: correct it"
        ) from None


# -- errors and texts ----------------------------------------------------------------------------------------


def _refuse_unknown(layer: Layer) -> None:
    for name in layer.values:
        if name not in Settings.model_fields:
            close = difflib.get_close_matches(name, Settings.model_fields, 1)
            meant = f"did you mean {close[0]}?" if close else f"known are {', '.join(Settings.model_fields)}"
            raise ConfigError(f"{layer.origin(name)}: {name!r} is no setting; {meant}")


def _invalid(error: ValidationError, origins: Mapping[str, str]) -> ConfigError:
    first = error.errors(include_url=False, include_input=False)[0]
    name = str(first["loc"][0]) if first["loc"] else "?"
    return ConfigError(f"{name} from {origins.get(name, 'the call')} does not fit: {first['msg']}")


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
