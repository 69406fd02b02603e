"""`archiver tree`: the objects as folders, with what lies in each."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any

import typer

from archiver.cli.call import Call

if TYPE_CHECKING:
    from archiver.archive import Archive
    from archiver.query.tree import Index, Item

SORTS = ("name", "size", "objects")
_ALL = 2**62


@dataclass(slots=True)
class _Node:
    """A folder or an object, what lies in it, and which of its entries are not shown."""

    item: Item
    entries: list[_Node] = field(default_factory=list)
    hidden: list[Item] = field(default_factory=list)


def tree(
    ctx: typer.Context,
    prefix: Annotated[str, typer.Argument(metavar="[PREFIX]", help="Begin here, as in tier2/.")] = "",
    depth: Annotated[int, typer.Option("--depth", "-d", min=1, help="So many levels.")] = 2,
    limit: Annotated[
        int, typer.Option("--limit", "-n", min=1, help="At most so many entries of each folder.")
    ] = 50,
    sort: Annotated[
        str, typer.Option("--sort", "-s", metavar="ORDER", help="name, or size or objects: most first.")
    ] = "name",
    after: Annotated[
        str, typer.Option("--after", metavar="KEY", help="Only what comes after this entry of PREFIX.")
    ] = "",
) -> None:
    """Show the objects as a tree of folders, with the size and number of what lies in each.

    The store is listed once. Names in keys are percent-quoted.
    """
    from archiver.cli.output import paged
    from archiver.errors import ConfigError

    call = Call.of(ctx)
    if sort not in SORTS:
        raise ConfigError(f"no order {sort!r}: use one of {', '.join(SORTS)}")
    if after and sort != "name":
        raise ConfigError("--after goes on in the order of names: leave --sort out")
    archive = call.archive()
    index = archive.tree(prefix)
    _require(archive, index, prefix)
    root = _Node(_root(index, prefix))
    if root.item.is_folder or not root.item.key:
        _fill(index, root, depth, limit, sort, after)
    if call.json:
        call.print_json({"url": archive.store.url, **_document(root)})
        return
    with paged():
        _print(archive.store.url, root)
    hidden = sum(len(node.hidden) for node in _nodes(root))
    if hidden:
        again = f"archiver tree {root.item.key} --after {root.entries[-1].item.key}" if root.hidden else ""
        more = f", or go on with `{again}`" if again and sort == "name" else ""
        call.say(f"{hidden:,} entries are not shown: raise --limit{more}")


def _require(archive: Archive, index: Index, prefix: str) -> None:
    """Tell an archive in which nothing has the prefix from a place that holds none."""
    from archiver.errors import NotFoundError

    if not index.keys or not prefix:
        archive.run_ids()
    if not index.keys:
        raise NotFoundError(f"nothing lies below {prefix!r}: `archiver tree` shows what there is")


def _root(index: Index, prefix: str) -> Item:
    from archiver.query.tree import Item, folder

    if index.keys[0] == prefix:
        entry = index.entries[0]
        return Item(entry.key, entry.size, 1, entry.modified)
    whole = folder(index, prefix, limit=0)
    return Item(whole.prefix, whole.size, whole.objects, None)


def _fill(index: Index, node: _Node, depth: int, limit: int, sort: str, after: str = "") -> None:
    from archiver.query.tree import folder

    items = folder(index, node.item.key, after, _ALL).items
    if sort != "name":
        items.sort(key=lambda item: (-getattr(item, sort), item.key))
    node.entries, node.hidden = [_Node(item) for item in items[:limit]], items[limit:]
    for entry in node.entries:
        if entry.item.is_folder and depth > 1:
            _fill(index, entry, depth - 1, limit, sort)


def _nodes(node: _Node) -> Iterator[_Node]:
    yield node
    for entry in node.entries:
        yield from _nodes(entry)


def _document(node: _Node) -> dict[str, Any]:
    item = node.item
    found: dict[str, Any] = {
        "key": item.key,
        "bytes": item.size,
        "objects": item.objects,
        "modified": item.modified,
    }
    if node.entries:
        found["entries"] = [_document(entry) for entry in node.entries]
    if node.hidden:
        found["not_shown"] = {
            "entries": len(node.hidden),
            "objects": sum(item.objects for item in node.hidden),
            "bytes": sum(item.size for item in node.hidden),
        }
    return found


def _print(url: str, root: _Node) -> None:
    """Print drawn lines on a terminal, whole keys where output is piped."""
    import sys

    from archiver.base.humanize import size
    from archiver.cli.output import print_table

    if sys.stdout.isatty():
        first = [root.item.key or url, size(root.item.size), root.item.objects, None]
        rows = [first, *_drawn(root)]
    else:
        nodes = [node for node in _nodes(root) if node is not root or not node.entries]
        rows = [_row(node.item.key, node.item) for node in nodes]
    headers = ["object", "size", "objects", "age"]
    print_table(headers, rows, right=headers[1:], crop="object", styles={"size": "cyan", "age": "dim"})


def _row(name: str, item: Item) -> list[Any]:
    from archiver.base.humanize import age, size

    return [name, size(item.size), item.objects, age(item.modified) if item.modified else None]


def _drawn(node: _Node, guide: str = "") -> Iterator[list[Any]]:
    from archiver.base.humanize import size

    for entry in node.entries:
        last = entry is node.entries[-1] and not node.hidden
        name = entry.item.key[len(node.item.key) :]
        yield _row(f"{guide}{'└── ' if last else '├── '}{name}", entry.item)
        yield from _drawn(entry, guide + ("    " if last else "│   "))
    if node.hidden:
        total, objects = (
            sum(values) for values in zip(*((i.size, i.objects) for i in node.hidden), strict=True)
        )
        yield [f"{guide}└── ... {len(node.hidden):,} more", size(total), objects, None]
