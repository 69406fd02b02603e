"""Where an export goes: a stream, a file that appears whole or not at all, an object at a URL, a folder of files."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from archiver.base.address import is_local, shown_url
from archiver.config.settings import load_settings
from archiver.errors import ConfigError, NotFoundError
from archiver.format import layout
from archiver.format.model import Record
from archiver.interop.export import FORMATS, Tiered, export_metrics, export_tiered
from archiver.runs.read import Reader
from archiver.store import Store, local_path, open_store

Output = str | os.PathLike[str] | BinaryIO


@dataclass(frozen=True, slots=True)
class Exported:
    """What was written: where to, of how many strategies, and of the tiered layout all that there is to say."""

    place: str
    strategies: int
    tiered: Tiered | None = None


def format_of(wanted: str | None, output: Output | None) -> str:
    """Choose a format: the one asked for, else what the file's suffix says, else json. Raises ConfigError."""
    name = os.fspath(output) if isinstance(output, str | os.PathLike) else ""
    chosen = wanted or PurePosixPath(name).suffix.removeprefix(".").lower() or "json"
    if chosen not in FORMATS:
        what = f"format {wanted!r}" if wanted else f"the format of {shown_url(name)}"
        raise ConfigError(f"{what} is not known: use one of {', '.join(FORMATS)}, as in -f json")
    return chosen


def export(
    reader: Reader,
    records: Sequence[Record],
    output: Output,
    form: str,
    *,
    newest: str = "strategy",
    history: bool = False,
    safe_csv: bool = False,
    step: Callable[[], None] = lambda: None,
) -> Exported:
    """Write what `Archive.export` says. records: newest first."""
    if not records:
        raise NotFoundError("no run to export: `archiver ls` shows those there are")
    if safe_csv and form != "csv":
        raise ConfigError(f"safe CSV is for csv, not for {form}")

    def write(file: BinaryIO) -> int:
        return export_metrics(reader, records, form, file, newest=newest, history=history, safe_csv=safe_csv)

    if not isinstance(output, str | os.PathLike):
        if form == "tiered-json":
            raise ConfigError("tiered-json needs a folder or URL")
        return Exported("the stream", write(output))
    place = os.fspath(output)
    if form == "tiered-json":
        if history or newest != "strategy":
            raise ConfigError("tiered-json holds the newest of each strategy: leave out history and newest")
        target = target_of(open_store(place, storage_options=load_settings(url=place).storage_options))
        done = export_tiered(reader, records, target, step)
        return Exported(target.url, done.strategies, done)
    return to_place(place, form, write)


def to_place(place: str, form: str, write: Callable[[BinaryIO], int]) -> Exported:
    """Write one file, whole or not at all, where a path or a URL says; `write` returns what it counted."""
    return _to_file(place, write) if is_local(place) else _to_url(place, form, write)


def _to_file(place: str, write: Callable[[BinaryIO], int]) -> Exported:
    path = Path(local_path(place))
    part = path.with_name(f".{path.name}.part")
    try:
        with part.open("wb") as file:
            count = write(file)
        part.replace(path)
    except OSError as error:
        raise ConfigError(f"cannot write {path}: {error.strerror}") from None
    finally:
        with suppress(OSError):  # what could not be written cannot be removed either
            part.unlink()
    return Exported(str(path), count)


def _to_url(place: str, form: str, write: Callable[[BinaryIO], int]) -> Exported:
    folder, _, name = place.rpartition("/")
    if not name or folder.endswith(("/", ":")):
        raise ConfigError(f"{shown_url(place)} names no file: end it with one, such as metrics.{form}")
    if "?" in place or "#" in place:  # an error would show it as part of the file's name
        raise ConfigError(f"{shown_url(place)}: leave the query out of the URL")
    target = open_store(folder, storage_options=load_settings(url=folder).storage_options)
    with target.write(name) as file:
        count = write(file)
    return Exported(f"{target.url}/{name}", count)


def target_of(store: Store) -> Store:
    """Return the store if an export may go there. Raises ConfigError where an archive is."""
    if store.stat(layout.ARCHIVE) is not None:
        raise ConfigError(f"{store.url} is an archive: export into another folder")
    return store
