"""What adapters share: names, plain values, numbers out of texts, parameters, curves, rows; the rules stand here once."""

from __future__ import annotations

import importlib
import inspect
import math
import re
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from hashlib import sha256
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType
from typing import Any

from archiver.errors import ConfigError
from archiver.format.columnar import class_name
from archiver.format.text import dumps
from archiver.format.values import plain

Result = dict[str, Any]

_BRIEF = 40
"""Characters of a parameter in a strategy's name; what is longer is there as a digest."""
_UNITS = {"%": "_pct", "$": ""}
_LABEL = re.compile(r"\[(.)\]\s*$")
_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")
_SECRET = re.compile(
    r"(?:^|[_.-])(?:api_?key|api_?secret|secret|secret_?key|password|passwd|passphrase|private_?key|mnemonic"
    r"|(?:access|auth|bot|ws|refresh|bearer)_?token|jwt_secret_key|wallet_?address)$"
)
_SIGN = r"[^\d\s.,%+-]{0,3}[^\w\s.,%+-]"
"""A currency's sign, letters before it: `$`, `HK$`."""
# Letters alone before a number are a currency only where it has decimals: `Fr1.50`, while `SIM-001` is a name.
_AMOUNT = re.compile(
    rf"(?P<before>{_SIGN}|[^\d\s.,%+-]{{1,4}}(?=[+-]?[\d,]+\.\d))?\s*(?P<sign>[+-])?\s*(?P<inner>{_SIGN})?"
    rf"(?P<number>\d[\d,_]*\.?\d*(?:[eE][+-]?\d+)?|\.\d+)(?:\s*(?P<unit>%|{_SIGN})|\s+(?P<code>[A-Za-z]{{2,6}}))?"
)
_NOT_NUMBERS = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf, "∞": math.inf, "-∞": -math.inf}


def engine_module(name: str, package: str = "") -> ModuleType:
    """Import an engine. Raises ConfigError that names what to install."""
    try:
        return importlib.import_module(name)
    except ImportError:
        top = name.partition(".")[0]
        raise ConfigError(f"{top} is not installed: pip install {package or top}") from None


def call(adapter: Callable[..., Any], obj: Any, name: str | None, params: Any, how: Mapping[str, Any]) -> Any:
    """Call an adapter. Raises TypeError, naming its options, for one that it does not take."""
    if how:
        takes = [
            key
            for key, one in inspect.signature(adapter).parameters.items()
            if key not in ("obj", "name", "params") and one.kind is not one.VAR_KEYWORD
        ]
        unknown = [] if takes_any(adapter) else [key for key in how if key not in takes]
        if unknown:
            given = ", ".join(f"{key}=" for key in takes) or "none but name= and params="
            raise TypeError(
                f"{unknown[0]}= is no option for a {type(obj).__module__.partition('.')[0]} {type(obj).__qualname__}:"
                f" it takes {given}"
            )
    return adapter(obj, name=name, params=params, **how)


def takes_any(adapter: Callable[..., Any]) -> bool:
    """Tell whether an adapter takes options of any name."""
    return any(one.kind is one.VAR_KEYWORD for one in inspect.signature(adapter).parameters.values())


@lru_cache(maxsize=4096)
def plain_name(label: str) -> str:
    """Return an engine's label as a plain name with its unit: `Max. Drawdown [%]` is `max_drawdown_pct`."""
    text = label.replace("#", "n ").replace("&", " and ")
    unit = _LABEL.search(text)
    name = re.sub(r"[^a-z0-9]+", "_", text[: unit.start()].lower() if unit else text.lower()).strip("_")
    return name + (_UNITS.get(unit[1], "") if unit else "")


def metric(label: str, value: Any, *, dated: bool = True) -> tuple[str, Any]:
    """Return the plain name and value of one metric; durations are numbers of days, or of bars where no dates are."""
    name = plain_name(label)
    if name.endswith("duration") or issubclass(type(value), timedelta):
        # Without any trade it is NaN, yet of the same unit: a column has one name.
        found = plain_value(value)
        return f"{name}_{'days' if dated else 'bars'}", math.nan if found is None else found
    return name, plain_value(value)


def plain_value(value: Any, where: str = "value") -> Any:
    """Return a value as plain Python: no numpy, no pandas; durations in days, other objects as text."""
    if isinstance(value, timedelta):
        return value / timedelta(days=1) if value == value else math.nan
    if isinstance(value, datetime):
        return value.isoformat() if value == value else None
    try:
        return plain(value, where)
    except ConfigError:
        # Where an object lies in memory is another place in the next process.
        return _ADDRESS.sub("", str(value))


def number(text: str) -> tuple[float | int, str] | None:
    """Read a number with its unit out of a text: `$1,234.50`, `12.3%`, `2.20 USD`, `-0.5`; None where it is no number.

    Returns the number as written (12.3 of `12.3%`) and its unit: `%`, a currency's sign or code, or nothing.
    """
    text = text.strip()
    if text.lower() in _NOT_NUMBERS:
        return _NOT_NUMBERS[text.lower()], ""
    match = _AMOUNT.fullmatch(text)
    if match is None:
        return None
    units = [match[part] for part in ("before", "inner", "unit", "code") if match[part]]
    if len(units) > 1:
        return None
    digits = match["number"].replace(",", "").replace("_", "")
    found: float | int = int(digits) if digits.isdigit() else float(digits)
    return (-found if match["sign"] == "-" else found), "".join(units)


def measured(label: str, value: Any) -> Result:
    """Return what a labelled text says as metrics: `Fees: $1.50` is fees 1.5 and fees_currency `$`, 5% ends in `_pct`."""
    name = plain_name(label)
    if not isinstance(value, str):
        return {name: plain_value(value)}
    found = number(value)
    if found is None:
        return {name: value}
    amount, unit = found
    if unit == "%":
        return {f"{name}_pct": amount}
    return {name: amount, **({f"{name}_currency": unit} if unit else {})}


def flat(values: Mapping[Any, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield what nested dicts hold, with names joined by dots; empty dicts too."""
    for key, value in type(values).items(values):
        name = f"{prefix}{key}"
        if issubclass(type(value), Mapping) and value:
            yield from flat(value, f"{name}.")
        else:
            yield name, value


def params_of(values: Mapping[Any, Any]) -> Result:
    """Return parameters as a flat dict of plain values.

    Dicts are flattened, their names joined by dots; lists stay lists; a class or function is its name; a Decimal is a
    number; other objects are text. A text whose name is that of a credential is left out, with a warning.
    """
    found: Result = {}
    for name, value in flat(values):
        if isinstance(value, str) and value and secret(name):
            warnings.warn(f"the parameter {name} looks like a credential: it is not kept", stacklevel=3)
            continue
        if _is_named(value):
            found[name] = str(value.__name__)
        elif isinstance(value, Decimal):
            found[name] = int(value) if value.is_finite() and value == int(value) else float(value)
        else:
            found[name] = plain_value(value, f"params.{name}")
    return found


def _is_named(value: Any) -> bool:
    """Tell a class or function, those of numpy too."""
    kind = type(value)
    return issubclass(kind, FunctionType | BuiltinFunctionType | MethodType | type) or (
        class_name(kind) in (("numpy", "ufunc"), ("numpy", "_ArrayFunctionDispatcher"))
    )


def secret(name: str) -> bool:
    """Tell whether a setting of this name holds a credential."""
    return _SECRET.search(re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()) is not None


def made_name(kind: str, params: Mapping[str, Any]) -> str:
    """Return a name made of a strategy's class and its parameters, the same in every process."""
    return "_".join([kind, *(f"{key}={_brief(value, f'param_{key}')}" for key, value in params.items())])


def _brief(value: Any, where: str) -> str:
    """Write a parameter for a name: the same in every process, and short; what is long is its digest."""
    if _is_named(value):
        return str(value.__name__)
    kept = plain_value(value, where)
    text = dumps(kept) if isinstance(kept, list | dict) else str(kept)
    return text if len(text) <= _BRIEF else sha256(text.encode()).hexdigest()[:8]


def unique(results: Iterable[Result]) -> Iterator[Result]:
    """Yield results with names that are unique: the second `Sma` is `Sma #2`."""
    seen: dict[str, int] = {}
    for result in results:
        name = result["strategy_name"]
        count = seen.get(name, 0) + 1
        while count > 1 and f"{name} #{count}" in seen:
            count += 1
        seen[name] = count
        if count > 1:
            seen[f"{name} #{count}"] = 1
            yield {**result, "strategy_name": f"{name} #{count}"}
        else:
            yield result


def rows(frame: Any, names: Mapping[str, str]) -> list[Result]:
    """Return a table's rows as dicts: columns of `names` under those names and first, all others under their own.

    Columns of one name are told apart by a number. Moments stay as they are, a missing one is None.
    """
    labels = [str(column) for column in frame.columns]
    called = [names.get(label, label) for label in labels]
    for at, label in enumerate(called):
        count = 1
        while called.index(called[at]) < at:
            count += 1
            called[at] = f"{label}_{count}"
    order = sorted(range(len(called)), key=lambda at: labels[at] not in names)
    columns = [_cells(frame.iloc[:, at]) for at in order]
    keys = [called[at] for at in order]
    if not keys:
        return [{} for _ in range(len(frame))]
    return [dict(zip(keys, row, strict=True)) for row in zip(*columns, strict=True)]


def _cells(column: Any) -> list[Any]:
    values = list(column.tolist())
    if column.dtype.kind not in "Mm" and str(column.dtype) not in ("object", "str", "string", "category"):
        return values
    return [plain_value(value) if _odd(value) else value for value in values]


def _odd(value: Any) -> bool:
    return type(value) not in (str, int, float, bool, type(None))
