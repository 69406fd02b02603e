"""What the project's and the user's configuration files say, as read; `config` checks it."""

from __future__ import annotations

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


def configured_code() -> str | list[str]:
    """Return what code a save captures, from the environment or the files; "auto" where nobody says so.

    Apart from `load_settings` because that takes longer to load than a capture may take. Raises ConfigError.
    """
    text = os.environ.get(f"{PREFIX}CODE", "").strip()
    if text.startswith("["):
        import json

        try:
            return _as_code(json.loads(text), f"{PREFIX}CODE")
        except ValueError:
            raise ConfigError(f"{PREFIX}CODE is no valid JSON: correct it") from None
    if text:
        return text
    for layer in file_layers():
        if "code" in layer.values:
            return _as_code(layer.values["code"], layer.name)
    return "auto"


def _as_code(value: Any, origin: str) -> str | list[str]:
    if isinstance(value, str) or (isinstance(value, list) and all(isinstance(name, str) for name in value)):
        return value
    raise ConfigError(f"code from {origin} does not fit: give one of {', '.join(CODE_MODES)}, or paths")


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
