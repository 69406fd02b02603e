"""strategy.yaml: which files are a strategy, said by its author.

files:            # paths and patterns, relative to this file's folder
  - main.py
  - signals/**/*.py
exclude:          # patterns of files that are not wanted after all
  - signals/old_*.py
strict: true      # what can't be captured stops the save before anything is written
"""

from __future__ import annotations

import re
import stat
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from archiver.capture import globs
from archiver.capture.frames import Source

NAME = "strategy.yaml"
_LIMIT = 2**20


class WrongYamlError(Exception):
    """strategy.yaml can't be understood; the text says where."""

    def __init__(self, text: str, *, strict: bool) -> None:
        """Take the text, and whether the file asks to be `strict`."""
        super().__init__(text)
        self.strict = strict


class StrategyYaml(NamedTuple):
    """What a strategy.yaml says; `files` is None where it has no such list."""

    path: Path
    files: tuple[str, ...] | None = None
    exclude: tuple[str, ...] = ()
    strict: bool = False

    def sources(self) -> tuple[list[Source], list[str]]:
        """Return the listed files, the yaml itself first, and what is wrong with the list."""
        found, problems = listed(self.path.parent, self.files or ())
        if not self.files:
            problems.append(f"{NAME} lists no file under files:")
        return [Source(self.path, named=True), *found], problems


_read: dict[Path, tuple[tuple[int, int, int], StrategyYaml]] = {}


def nearest(folders: Iterable[Path]) -> StrategyYaml | None:
    """Return what the strategy.yaml in the first folder that has one says, or None.

    Raises WrongYamlError where it can't be understood.
    """
    for folder in folders:
        path = folder / NAME
        try:
            now = path.stat()
        except OSError:
            continue
        if not stat.S_ISREG(now.st_mode):
            continue
        state = now.st_mtime_ns, now.st_size, now.st_ino
        known = _read.get(path)
        if known is None or known[0] != state:
            _read[path] = known = state, read(path)
        return known[1]
    return None


def listed(folder: Path, names: Iterable[str]) -> tuple[list[Source], list[str]]:
    """Turn paths, folders and patterns into files; returns them and what is wrong with the list."""
    found: dict[Path, bool] = {}
    problems: list[str] = []
    for name in names:
        path = folder / name
        if globs.is_pattern(name) and not path.exists():
            hits, cut = globs.find(*globs.split(folder, name))
        elif path.is_dir():
            hits, cut = globs.find(path, "**")
        else:
            found[path] = True
            continue
        for hit in hits:
            found.setdefault(hit, False)
        problems += [cut] if cut else [] if hits else [f"{name} matches no file"]
    return [Source(path, named) for path, named in found.items()], problems


def read(path: Path) -> StrategyYaml:
    """Read one strategy.yaml.

    Raises WrongYamlError with line and column.
    """
    import yaml

    with open(path, "rb") as file:
        data = file.read(_LIMIT)
    # As it stands in the text, for what can't be parsed may be strict, too.
    strict = (
        re.search(rb"(?im)(?:^|[{,])[ \t]*[\"']?strict[\"']?[ \t]*:[ \t]*(?:true|yes|on)\b", data) is not None
    )
    try:
        node = yaml.compose(data, Loader=yaml.SafeLoader)
        return _understood(path, node)
    except yaml.MarkedYAMLError as error:
        # A key without its colon is noticed a line late: then the context is the place.
        late = error.context == "while scanning a simple key"
        mark = error.context_mark if late else error.problem_mark or error.context_mark
        at = f":{mark.line + 1}:{mark.column + 1}" if mark else ""
        raise WrongYamlError(f"{path}{at}: {error.problem or error.context}", strict=strict) from None
    except yaml.reader.ReaderError as error:
        before = (
            data[: error.position] if error.encoding == "utf-8" else data.decode()[: error.position].encode()
        )
        line, column = before.count(b"\n") + 1, len(before) - before.rfind(b"\n")
        raise WrongYamlError(f"{path}:{line}:{column}: {error.reason}", strict=strict) from None
    except (yaml.YAMLError, RecursionError) as error:
        raise WrongYamlError(f"{path}: {' '.join(str(error).split())}", strict=strict) from None


def _understood(path: Path, node: Any) -> StrategyYaml:
    """Take what is ours from the parsed file; other keys belong to other tools."""
    import yaml

    def wrong(what: str, where: Any) -> yaml.MarkedYAMLError:
        return yaml.MarkedYAMLError(problem=what, problem_mark=where.start_mark)

    def texts(key: str) -> tuple[str, ...] | None:
        value = keys.get(key)
        if value is None or value.tag == "tag:yaml.org,2002:null":
            return () if key in keys else None
        if not isinstance(value, yaml.SequenceNode):
            raise wrong(f"{key} must be a list of paths", value)
        for item in value.value:
            if not isinstance(item, yaml.ScalarNode) or not item.value or "\0" in item.value:
                raise wrong(f"each item of {key} must be a path", item)
        return tuple(item.value.replace("\\", "/") for item in value.value)

    if node is None:
        return StrategyYaml(path)
    if not isinstance(node, yaml.MappingNode):
        raise wrong("expected keys such as files:", node)
    keys = {key.value: value for key, value in node.value if isinstance(key, yaml.ScalarNode)}
    strict = keys.get("strict")
    if strict is not None and strict.tag != "tag:yaml.org,2002:bool":
        raise wrong("strict must be true or false", strict)
    return StrategyYaml(
        path,
        files=texts("files"),
        exclude=texts("exclude") or (),
        strict=strict is not None and strict.value.lower() in ("true", "yes", "on"),
    )
