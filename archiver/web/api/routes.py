"""The API under the pages: JSON for documents; JSON, CSV, Parquet or Arrow for tables. Read-only, like everything here."""

from __future__ import annotations

import logging
import mimetypes
import secrets
import threading
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from flask import Blueprint, Response, request
from werkzeug.exceptions import HTTPException

from archiver.base.humanize import json_bytes
from archiver.base.version import __version__
from archiver.errors import (
    AccessError,
    ArchiverError,
    ConfigError,
    FormatError,
    IntegrityError,
    NotFoundError,
    StorageError,
)
from archiver.format.model import run_document
from archiver.format.packs import moment_of
from archiver.query import tree
from archiver.query.expression import known_column
from archiver.query.selection import Ask, parse_sort
from archiver.runs.reach import reachable
from archiver.runs.tables import FIRST
from archiver.web.api import judged
from archiver.web.api.export import PIECE, TYPES, apart, stream
from archiver.web.api.given import whole, yes
from archiver.web.reading import attached, points
from archiver.web.reading.rows import Rows

if TYPE_CHECKING:
    from archiver.web.reading.data import Metrics
    from archiver.web.reading.site import Site

_STATUS: tuple[tuple[type[ArchiverError], int], ...] = (
    (NotFoundError, 404),
    (ConfigError, 400),
    (IntegrityError, 500),
    (FormatError, 500),
    (AccessError, 503),
    (StorageError, 503),
    (ArchiverError, 500),
)
_MOST_LONG = 4
"""So many long answers may be under way: each takes one of the server's threads for as long as its reader likes."""
_long = threading.BoundedSemaphore(_MOST_LONG)
_OF_TABLES = "columns where sort offset limit format download"
ENDPOINTS = {
    "/api/archive": "the archive: URL, counts, version of its state",
    "/api/runs": "runs, newest first: universe, tag, limit",
    "/api/runs/<run>": "one run: its record, tags, objects",
    "/api/runs/<run>/code": "captured files; /api/runs/<run>/code/<path> gives one",
    "/api/universes": "universes with their newest runs",
    "/api/metrics": "metrics of strategies: universe, run, newest (strategy, universe, all), columns, search, where, sort, offset, limit, format,"
    " without_damaged",
    "/api/strategy": "one strategy's full detail: universe, name, run",
    "/api/part": "one of its curves or tables as Parquet, or a file: universe, name, run, curve or table or file",
    "/api/curves": "its equity, drawdown and benchmark by time, as its page draws them: universe, name, run, format",
    "/api/trades/<universe>/<strategy>": "its trades: run, columns, where, sort, offset, limit, format",
    **judged.ENDPOINTS,
    "/api/objects": "keys below a prefix: prefix, after, limit",
    "/api/object": "one object's bytes: key",
}


def blueprint(site: Site) -> Blueprint:
    """Return the routes of the API over a site."""
    made = Blueprint("api", __name__, url_prefix="/api")
    routes: tuple[tuple[str, Callable[..., Response], str | None], ...] = (
        ("/", lambda: _json({"archiver": __version__, "endpoints": ENDPOINTS}), ""),
        ("/archive", lambda: _archive(site), ""),
        ("/runs", lambda: _runs(site), "universe tag limit"),
        ("/runs/<run>", lambda run: _run(site, run), ""),
        ("/runs/<run>/code", lambda run: _code(site, run), ""),
        ("/runs/<run>/code/<path:path>", lambda run, path: _file(site, run, path), ""),
        ("/universes", lambda: _universes(site), ""),
        (
            "/metrics",
            lambda: _metrics(site),
            f"universe run newest history strategy search without_damaged {_OF_TABLES}",
        ),
        ("/strategy", lambda: _strategy(site), "name strategy universe run download"),
        ("/part", lambda: _part(site), "name universe run curve table file"),
        ("/curves", lambda: _curves(site), "name strategy universe run offset limit format download"),
        ("/trades", lambda: _trades(site, None, None), f"name strategy universe run {_OF_TABLES}"),
        (
            "/trades/<universe>/<path:strategy>",
            lambda universe, strategy: _trades(site, universe, strategy),
            f"run {_OF_TABLES}",
        ),
        (
            "/parameters",
            lambda: _json(judged.parameters(site)),
            "universe run newest where metric x y how plateau limit",
        ),
        ("/samples", lambda: _json(judged.samples(site)), "inside outside metric limit"),
        ("/portfolio", lambda: _json(judged.portfolio(site)), "strategy universe run top"),
        ("/runs/<run>/luck", lambda run: _json(judged.luck(site, run)), ""),
        ("/objects", lambda: _objects(site), "prefix after limit"),
        ("/object", lambda: _object(site), "key"),
        ("/<path:rest>", _absent, None),
    )
    for number, (path, answer, taken) in enumerate(routes):
        view = _answering(answer, None if taken is None else taken.split())
        made.add_url_rule(path, f"route{number}", view, methods=["GET"], strict_slashes=False)
    return made


def _check_parameters(taken: list[str]) -> None:
    """Refuse what would be ignored: a misspelt filter must not give all rows as if they matched."""
    for name, values in request.args.lists():
        if name not in ("token", *taken):
            there = ", ".join(taken) or "none"
            raise ConfigError(f"no parameter {name[:40]!r} here: there are {there}")
        if len(values) > 1 and name != "strategy":
            raise ConfigError(f"{name} is given {len(values)} times: give it once")


def _answering(answer: Callable[..., Response], taken: list[str] | None) -> Callable[..., Response]:
    def answered(**parts: str) -> Response:
        try:
            if taken is not None:
                _check_parameters(taken)
            return answer(**parts)
        except ArchiverError as error:
            status = next(code for kind, code in _STATUS if isinstance(error, kind))
            return _json({"error": {"kind": type(error).__name__, "message": str(error)}}, status)
        except HTTPException:
            raise
        except Exception as error:
            number = secrets.token_hex(4)
            logging.getLogger("archiver.web").error("unexpected error %s", number, exc_info=error)
            text = f"unexpected error: the server's log has the reason under {number}"
            return _json({"error": {"kind": "Error", "message": text}}, 500)

    return answered


def _json(document: Any, status: int = 200) -> Response:
    return Response(json_bytes(document, indent=False), status, content_type=TYPES["json"])


def _absent(rest: str) -> Response:
    raise NotFoundError(f"there is no /api/{rest[:100]}: /api lists what there is")


def _archive(site: Site) -> Response:
    seen = site.data.seen()
    return _json(
        {
            "url": site.data.url,
            "version": seen.version,
            "runs": len(seen),
            "universes": len(seen.universes),
        }
    )


def _runs(site: Site) -> Response:
    limit = whole("limit", 0) if request.args.get("limit") else None
    runs = site.data.runs(request.args.get("universe") or None, request.args.get("tag") or None, limit)
    return _json({"runs": [run_document(run) for run in runs]})


def _run(site: Site, name: str) -> Response:
    record, run = site.data.run(name)
    document = run_document(run) | {
        "top_n": record.top_n,
        "rank_by": record.rank_by,
        "note": record.note,
        "params": record.params,
        "ranges": {metric: list(span) for metric, span in record.metrics.items()},
        "detailed_strategies": [{"rank": d.rank, "strategy_name": d.strategy} for d in record.details],
        "objects": [{"key": ref.key, "bytes": ref.size, "sha256": ref.sha256} for ref in reachable(record)],
    }
    return _json(document)


def _code(site: Site, run: str) -> Response:
    code = site.data.code(run)
    files = [
        {"path": f.path, "bytes": f.size, "sha256": f.sha256, "executable": f.executable} for f in code.files
    ]
    return _json({"how": code.how, "reason": code.reason, "warnings": list(code.warnings), "files": files})


def _file(site: Site, run: str, path: str) -> Response:
    return download(site.data.code(run).read(path), path)


def _universes(site: Site) -> Response:
    seen = site.data.seen()
    rows = seen.by_universe
    first = seen.table.select(["run", "created", "strategies"]).take(rows["first"])
    found = [
        {
            "universe": row["universe"],
            "newest_run": one["run"],
            "created": moment_of(one["created"]),
            "strategies": one["strategies"],
            "runs": row["runs"],
            "bytes": row["bytes"],
        }
        for row, one in zip(rows.to_pylist(), first.to_pylist(), strict=True)
    ]
    return _json({"universes": found})


def _metrics(site: Site) -> Response:
    args = request.args
    named = [args.get(name, "") for name in ("columns", "sort", "where")]
    metrics = site.metrics(
        args.get("run") or None, "all" if yes("history") else args.get("newest", ""), *named
    )
    incomplete = _lacks_damaged(metrics, args.get("universe") or None)
    ask = Ask(
        args.get("universe", ""),
        args.get("search", ""),
        args.get("where", ""),
        parse_sort(args.get("sort", "")),
    )
    columns = _columns(metrics.table.column_names, first=FIRST)
    chosen = site.views.rows(metrics, ask, columns)
    names = args.getlist("strategy")
    if names:
        chosen = chosen.among("strategy_name", names)
    return _table(chosen, "metrics", "metrics-incomplete" if incomplete else "metrics")


def _lacks_damaged(metrics: Metrics, universe: str | None) -> bool:
    """Tell whether damaged universes are left out, as was asked. Raises IntegrityError where that was not asked."""
    if universe is None and metrics.damaged and yes("without_damaged"):
        return True
    try:
        metrics.require(universe)
    except ArchiverError as error:
        if universe is not None:
            raise
        names = ", ".join(repr(name) for name in sorted(metrics.damaged))
        raise type(error)(
            f"{error}; damaged of all universes: {names}: name another one, or leave out what is damaged with "
            "without_damaged=1"
        ) from None
    return False


def _strategy(site: Site) -> Response:
    name, universe, run = _named(None, None)
    found = site.data.archive.load_strategy(name, universe=universe, run=run)
    return download(
        json_bytes(found, indent=False), f"{name}.json", TYPES["json"], inline=not yes("download")
    )


def _part(site: Site) -> Response:
    name, universe, run = _named(None, None)
    asked = {kind: request.args[kind] for kind in attached.KINDS if kind in request.args}
    data, filename = attached.read(site, name, universe, run, asked)
    return download(data, filename, "application/octet-stream")


def _curves(site: Site) -> Response:
    name, universe, run = _named(None, None)
    table = points.table(site.details.find(name, universe, run))
    return _table(Rows(table, None), "curves", f"{name}-curves")


def _trades(site: Site, universe: str | None, strategy: str | None) -> Response:
    name, universe, run = _named(universe, strategy)
    found = site.details.find(name, universe, run)
    table = found.trades.table
    columns = _columns(table.column_names) if table.num_columns else None
    ask = Ask(where=request.args.get("where", ""), sort=parse_sort(request.args.get("sort", "")))
    return _table(site.views.rows(found.trades, ask, columns), "trades", f"{name}-trades")


def _objects(site: Site) -> Response:
    limit = whole("limit", 1000)
    if not 1 <= limit <= 10_000:
        raise ConfigError(f"limit must be 1 to 10000, not {limit}")
    folder = tree.folder(
        site.objects.index(), request.args.get("prefix", ""), request.args.get("after", ""), limit
    )
    items = [
        {"key": item.key, "bytes": item.size, "objects": item.objects, "modified": item.modified}
        for item in folder.items
    ]
    return _json(
        {
            "prefix": folder.prefix,
            "bytes": folder.size,
            "objects": folder.objects,
            "items": items,
            "next": folder.after,
        }
    )


def _object(site: Site) -> Response:
    key = request.args.get("key", "")
    entry = site.objects.entry(key)
    name = key.rsplit("/", 1)[-1]

    def chunks() -> Any:
        for start in range(0, entry.size, 1 << 20):
            yield site.data.store.get(key, start, min(entry.size, start + (1 << 20)))

    answer = Response(chunks(), content_type="application/octet-stream")
    answer.headers["Content-Length"] = str(entry.size)
    answer.headers["Content-Disposition"] = _disposition(name)
    return answer if entry.size <= 1 << 20 else _one_of_few(answer)


def _one_of_few(answer: Response) -> Response:
    """Return a long answer, or refuse it while as many as may be are under way."""
    if request.method == "HEAD":
        return answer
    if not _long.acquire(blocking=False):
        text = f"{_MOST_LONG} long downloads are under way: try again when one of them has ended"
        answer = _json({"error": {"kind": "Error", "message": text}}, 503)
        answer.headers["Retry-After"] = "10"
        return answer
    answer.call_on_close(_long.release)
    return answer


def download(
    data: bytes | Iterator[bytes], name: str, kind: str | None = None, *, inline: bool = False
) -> Response:
    """Return bytes as a file to save; nothing an archive holds is ever shown by the browser as a page of ours."""
    if kind is None:
        guess = mimetypes.guess_type(name)[0] or ""
        kind = "text/plain; charset=utf-8" if guess.startswith("text/") else "application/octet-stream"
    answer = Response(data, content_type=kind)
    if not inline:
        answer.headers["Content-Disposition"] = _disposition(name.rsplit("/", 1)[-1])
    return answer


def _disposition(name: str) -> str:
    plain = "".join(char if char.isascii() and (char.isalnum() or char in "-_.") else "_" for char in name)[
        -100:
    ]
    return f"attachment; filename=\"{plain or 'file'}\"; filename*=UTF-8''{quote(name, safe='', errors='replace')[:600]}"


def _table(rows: Rows, key: str, name: str) -> Response:
    form = request.args.get("format", "json")
    part = rows.slice(whole("offset", 0), whole("limit", len(rows)))
    data: Any = apart(stream(part, form, key, len(rows)))
    is_long = len(part) > PIECE
    if not is_long:
        # What is small is made before it is promised: its length is told, and a failure is an answer.
        data = b"".join(data)
    answer = download(data, f"{name}.{form}", TYPES[form], inline=form == "json" and not yes("download"))
    return _one_of_few(answer) if is_long else answer


def _named(universe: str | None, strategy: str | None) -> tuple[str, str | None, str | None]:
    args = request.args
    name = strategy or args.get("name") or args.get("strategy") or ""
    if not name:
        raise ConfigError("say which strategy: ?universe=...&name=...")
    return name, universe or args.get("universe") or None, args.get("run") or None


def _columns(names: list[str], first: tuple[str, ...] = ()) -> list[str] | None:
    text = request.args.get("columns", "")
    if not text:
        return None
    wanted = [known_column(name, names) for name in text.split(",") if name]
    return list(dict.fromkeys([*(name for name in first if name in names), *wanted]))
