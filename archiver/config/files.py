"""What the environment and the project's and the user's configuration files say, as read; `config` checks it."""

from __future__ import annotations

import json
import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from archiver.base.address import scheme_of
from archiver.errors import ConfigError

PREFIX = "ARCHIVER_"
"""How the names of the environment variables begin; as a layer's name it means these."""
PROJECT_FILE = "archiver.toml"
USER_FILE = "config.toml"
_JSON = ("storage_options", "policy", "lifecycle")
_VARIABLES = ("url", "code", "budget", "min_free", "deadline", *_JSON)
CODE_MODES = ("auto", "entry", "imports", "none")
"""What `code` may be besides paths."""


class Layer(NamedTuple):
    """The values of one source, and how that source is named to people."""

    values: Mapping[str, Any]
    name: str

    def origin(self, field: str) -> str:
        """Say where the layer's value of a field is from."""
        return f"{PREFIX}{field.upper()}" if self.name == PREFIX else self.name


def file_layers(folder: str | os.PathLike[str] = ".") -> list[Layer]:
    """Read the project's nearest file that has settings, from the folder upwards, then the user's.

    Raises ConfigError for a file that can't be read.
    """
    return [*_project(folder), *_user()]


def environment() -> Layer:
    """Read the variables `ARCHIVER_*`, whatever their case; an empty one says nothing. Raises ConfigError."""
    values: dict[str, Any] = {}
    for variable, text in os.environ.items():
        prefix, name = variable[: len(PREFIX)].upper(), variable[len(PREFIX) :].lower()
        if prefix == PREFIX and name in _VARIABLES and text:
            is_json = name in _JSON or (name == "code" and text.lstrip().startswith("["))
            values[name] = _json(name, text) if is_json else text.strip() if name == "code" else text
    return Layer(values, PREFIX)


def configured_code() -> str | list[str]:
    """Return what code a save captures, from the environment or the files; "auto" where nobody says so.

    Apart from `load_settings`: another setting that does not fit stops no capture. Raises ConfigError.
    """
    for layer in (environment(), *file_layers()):
        if "code" in layer.values:
            value = layer.values["code"]
            if is_code(value):
                return value  # type: ignore[no-any-return]  # is_code has told
            origin = layer.origin("code")
            raise ConfigError(
                f"code from {origin} does not fit: give one of {', '.join(CODE_MODES)}, or paths"
            )
    return "auto"


def is_code(value: Any) -> bool:
    """Tell whether a value can say what code to capture: a text, or a list of texts."""
    return isinstance(value, str) or (
        isinstance(value, list) and all(isinstance(name, str) for name in value)
    )


def _json(name: str, text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        raise ConfigError(f"{PREFIX}{name.upper()} is no valid JSON: correct it") from None


def _project(folder: str | os.PathLike[str]) -> list[Layer]:
    try:
        start = Path(folder).absolute()
    except FileNotFoundError:  # the working folder has been deleted: it is in no project
        return []
    for place in (start, *start.parents):
        own = place / PROJECT_FILE
        if _is_file(own):
            return [Layer(_anchored(_read(own), place), str(own))]
        shared = place / "pyproject.toml"
        if _is_file(shared):
            tools = _read(shared).get("tool")
            table = tools.get("archiver") if isinstance(tools, dict) else None
            if table is not None and not isinstance(table, dict):
                raise ConfigError(f"{shared}: tool.archiver is no table: write [tool.archiver]")
            if table is not None:
                return [Layer(_anchored(table, place), f"{shared} [tool.archiver]")]
    return []


def _user() -> list[Layer]:
    import platformdirs

    path = platformdirs.user_config_path("archiver", appauthor=False) / USER_FILE
    return [Layer(_anchored(_read(path), path.parent), str(path))] if _is_file(path) else []


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a folder that this user may not look into configures nothing
        return False


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is no valid TOML: {error}") from None
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from None


def _anchored(values: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Make a relative path in a file mean the same from everywhere."""
    out = dict(values)
    url, code = values.get("url"), values.get("code")
    if isinstance(url, str) and url and scheme_of(url) == "" and not url.startswith("~"):
        out["url"] = str(folder / url)
    if isinstance(code, str):
        # A word that is no file here is a mode that was misspelt: whoever takes it says so.
        word = code in CODE_MODES or not code or (code.isidentifier() and not (folder / code).exists())
        out["code"] = code if word else str(folder / code)
    elif isinstance(code, list):
        out["code"] = [str(folder / name) if isinstance(name, str) and name else name for name in code]
    return out
