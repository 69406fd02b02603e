"""Filters over columns: `sharpe_ratio > 1 and n_trades >= 30`, parsed and checked, never executed as code.

An expression is made of column names, numbers, strings, True, False, None; `< <= > >= == !=`, `in (...)`,
`and or not`, `+ - * /`, parentheses, and chained comparisons (`0 < win_rate < 0.9`). None and NaN satisfy no
comparison but `== None`, `== nan`, `!= None` and `!= nan`. Names may have dots (`params.fast > 27`); a column whose
name is otherwise no Python name is written in backticks: `` `Sharpe Ratio` > 1 ``.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, cast

from archiver.base.suggest import did_you_mean
from archiver.errors import ConfigError

if TYPE_CHECKING:
    import pyarrow as pa

_LONGEST = 2000
_COMPARE = {
    ast.Lt: "less",
    ast.LtE: "less_equal",
    ast.Gt: "greater",
    ast.GtE: "greater_equal",
    ast.Eq: "equal",
    ast.NotEq: "not_equal",
}
_ARITHMETIC = {ast.Add: "add", ast.Sub: "subtract", ast.Mult: "multiply", ast.Div: "divide"}
_NUMBERS = {"nan": float("nan"), "inf": float("inf")}
_QUOTED = re.compile(r"`([^`]*)`")
_STRING = re.compile(r"""("(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')""")


def known_column(name: str, names: Iterable[str]) -> str:
    """Return the name when there is such a column.

    Raises ConfigError that suggests the nearest name otherwise.
    """
    kept = list(names)
    if name in kept:
        return name
    hint = did_you_mean(name, kept, f": there are {', '.join(kept[:12])}")
    raise ConfigError(f"no column {name!r}{hint}")


class Expression:
    """A parsed filter over the columns of a table.

    Arguments:
        text: the expression.

    Raises ConfigError when the text is not such an expression, saying where.
    """

    def __init__(self, text: str) -> None:  # the class says it
        self.text = text
        self._names: dict[str, str] = {}
        self._tree = self._parse(text)
        self.columns: frozenset[str] = frozenset(
            self._column(node.id)
            for node in ast.walk(self._tree)
            if isinstance(node, ast.Name) and node.id not in _NUMBERS
        )
        """The names of the columns that the expression reads."""

    def mask(self, table: pa.Table) -> pa.ChunkedArray:
        """Return a boolean column that is true for the rows of the table that satisfy the expression.

        Raises ConfigError for a column the table does not have, or values that do not compare.
        """
        import pyarrow as pa

        for name in sorted(self.columns):
            known_column(name, table.column_names)
        try:
            value = self._truth(self._tree, table)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError, pa.ArrowTypeError, OverflowError) as error:
            reason = str(error).splitlines()[0]
            raise ConfigError(f"cannot compare in {self.text!r}: {reason}") from None
        if isinstance(value, pa.Scalar):
            return pa.chunked_array([pa.repeat(value, len(table))])
        return value if isinstance(value, pa.ChunkedArray) else pa.chunked_array([value])

    def _column(self, identifier: str) -> str:
        return self._names.get(identifier, identifier)

    def _parse(self, text: str) -> ast.expr:
        if len(text) > _LONGEST:
            raise ConfigError(f"the expression is too long: at most {_LONGEST} characters")
        try:
            tree = ast.parse(self._unquoted(text).strip(), mode="eval").body
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            raise ConfigError(
                f"cannot read {text!r}: write it like 'sharpe_ratio > 1 and n_trades >= 30'"
            ) from None
        tree = cast("ast.expr", _Dotted().visit(tree))
        self._check(tree)
        return tree

    def _unquoted(self, text: str) -> str:
        """Give every name in backticks a plain name, but leave what stands in a string alone."""

        def plain(match: re.Match[str]) -> str:
            identifier = f"_column_{len(self._names)}_"
            self._names[identifier] = match[1]
            return identifier

        parts = _STRING.split(text)
        return "".join(part if at % 2 else _QUOTED.sub(plain, part) for at, part in enumerate(parts))

    def _check(self, node: ast.expr, depth: int = 0) -> None:
        """Refuse whatever is not on the list; what passes can't call, index or reach anything."""
        match node:
            case _ if depth > 50:
                raise ConfigError("the expression is nested too deeply")
            case ast.Name() | ast.Constant(value=int() | float() | str() | None):
                parts: list[ast.expr] = []
            case ast.BoolOp(values=parts):
                pass
            case ast.UnaryOp(op=ast.Not() | ast.USub() | ast.UAdd(), operand=operand):
                parts = [operand]
            case ast.BinOp(left=left, op=operator, right=right) if type(operator) in _ARITHMETIC:
                parts = [left, right]
            case ast.Compare(left=left, ops=comparisons, comparators=comparators):
                parts = [left]
                for comparison, right in zip(comparisons, comparators, strict=True):
                    parts += self._compared(comparison, right)
            case _:
                raise ConfigError(f"{ast.unparse(node)[:60]!r} is not allowed in a filter")
        for part in parts:
            self._check(part, depth + 1)

    def _compared(self, op: ast.cmpop, right: ast.expr) -> list[ast.expr]:
        if isinstance(op, ast.In | ast.NotIn):
            if isinstance(right, ast.Tuple | ast.List) and all(map(_is_constant, right.elts)):
                return []
            raise ConfigError("write `in` with a list of values, as in regime in ('quiet', 'ranging')")
        if type(op) not in _COMPARE:
            raise ConfigError("`is` is not allowed in a filter: write == or !=")
        return [right]

    def _truth(self, node: ast.expr, table: pa.Table) -> Any:
        """Evaluate to booleans without nulls: what is not known is not true."""
        import pyarrow as pa
        import pyarrow.compute as pc

        match node:
            case ast.BoolOp(op=joining, values=values):
                truths = [self._truth(value, table) for value in values]
                join = pc.and_ if isinstance(joining, ast.And) else pc.or_
                result = truths[0]
                for truth in truths[1:]:
                    result = join(result, truth)
                return result
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                return pc.invert(self._truth(operand, table))
            case ast.Compare(left=left, ops=ops, comparators=comparators):
                result = pa.scalar(True)
                for op, right in zip(ops, comparators, strict=True):
                    result = pc.and_(result, self._comparison(left, op, right, table))
                    left = right
                return result
        value = self._value(node, table)
        value = value.cast(pa.bool_()) if pa.types.is_null(value.type) else value
        if not pa.types.is_boolean(value.type):
            raise ConfigError(f"{ast.unparse(node)!r} is neither true nor false: compare it with a value")
        return pc.fill_null(value, False)

    def _comparison(self, left: ast.expr, op: ast.cmpop, right: ast.expr, table: pa.Table) -> Any:
        import pyarrow as pa
        import pyarrow.compute as pc

        value = self._value(left, table)
        if isinstance(op, ast.In | ast.NotIn):
            members = [ast.literal_eval(item) for item in right.elts]  # type: ignore[attr-defined]  # checked
            known = pa.array(members)
            value = value.cast(known.type) if pa.types.is_null(value.type) else value
            found = pc.is_in(value, value_set=known.cast(value.type))
            return pc.invert(found) if isinstance(op, ast.NotIn) else found
        for one, other in ((right, value), (left, None)):
            if isinstance(op, ast.Eq | ast.NotEq) and _is_missing(one):
                tested = other if other is not None else self._value(right, table)
                missing = _missing(tested, one)
                return pc.invert(missing) if isinstance(op, ast.NotEq) else missing
        against = self._value(right, table)
        known = pc.and_(_known(value), _known(against))
        compared = pc.call_function(_COMPARE[type(op)], [value, against])
        return pc.and_(known, pc.fill_null(compared, False))

    def _value(self, node: ast.expr, table: pa.Table) -> Any:
        import pyarrow as pa
        import pyarrow.compute as pc

        match node:
            case ast.Name(id=identifier):
                if identifier in _NUMBERS and identifier not in table.column_names:
                    return pa.scalar(_NUMBERS[identifier])
                return table.column(self._column(identifier))
            case ast.Constant(value=int() as value) if value.bit_length() > 63:
                return pa.scalar(float(value))
            case ast.Constant(value=value):
                return pa.scalar(value)
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                return pc.negate(self._value(operand, table))
            case ast.UnaryOp(op=ast.UAdd(), operand=operand):
                return self._value(operand, table)
            case ast.BinOp(left=left, op=op, right=right):
                sides = [_as_float(self._value(side, table)) for side in (left, right)]
                return pc.call_function(_ARITHMETIC[type(op)], sides)
        return self._truth(node, table)


class _Dotted(ast.NodeTransformer):
    """Makes `a.b.c` one name: the name of a column, never a part of something."""

    def visit_Attribute(self, node: ast.Attribute) -> ast.expr:
        inner = self.visit(node.value)
        return ast.Name(f"{inner.id}.{node.attr}", ast.Load()) if isinstance(inner, ast.Name) else node


def _is_constant(node: ast.expr) -> bool:
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        node = node.operand
    return isinstance(node, ast.Constant) and isinstance(node.value, int | float | str)


def _is_missing(node: ast.expr) -> bool:
    is_none = isinstance(node, ast.Constant) and node.value is None
    return is_none or (isinstance(node, ast.Name) and node.id == "nan")


def _missing(value: Any, node: ast.expr) -> Any:
    import pyarrow.compute as pc

    if isinstance(node, ast.Constant):
        return pc.is_null(value)
    return pc.fill_null(pc.is_nan(_as_float(value)), False)


def _known(value: Any) -> Any:
    import pyarrow.compute as pc

    return pc.invert(pc.is_null(value, nan_is_null=True))


def _as_float(value: Any) -> Any:
    import pyarrow as pa

    return value.cast(pa.float64())
