"""Comparing the plain values that a source gives names with those the loaded module holds."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from types import ModuleType
from typing import Any


def other_value(module: ModuleType, data: bytes) -> str | None:
    """Return the first name, of the module or of a class in it, that holds another value than a source says.

    Bytecode does not tell everything: Python may not write it, and another process may write it anew. A name
    that the source sets more than once may hold anything.
    """
    held = vars(module)
    try:
        tree = ast.parse(data)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return "the code"
    free = {name for node in ast.walk(tree) if isinstance(node, ast.Global) for name in node.names}
    scopes: list[tuple[str, list[ast.stmt], Mapping[str, Any]]] = [("", tree.body, held)]
    scopes += [
        (f"{node.name}.", node.body, vars(held[node.name]))
        for node in tree.body
        if isinstance(node, ast.ClassDef) and isinstance(held.get(node.name), type)
    ]
    for prefix, body, names in scopes:
        times = Counter(_set_in(body))
        for name, value in _given_in(body):
            once = times[name] == 1 and name not in free
            if once and type(names.get(name)) is type(value) and repr(names[name]) != repr(value):
                return f"{prefix}{name}"
    return None


def _set_in(body: Iterable[ast.AST]) -> Iterator[str]:
    """Yield each name that statements set, as often as they do, not those of functions and classes within."""
    waiting = list(body)
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Lambda):
            continue
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        waiting.extend(ast.iter_child_nodes(node))


def _given_in(body: Iterable[ast.stmt]) -> Iterator[tuple[str, object]]:
    for node in body:
        target = node.targets[0] if isinstance(node, ast.Assign) else getattr(node, "target", None)
        if isinstance(node, ast.Assign | ast.AnnAssign) and isinstance(target, ast.Name) and node.value:
            with suppress(ValueError, TypeError):
                yield target.id, ast.literal_eval(node.value)
