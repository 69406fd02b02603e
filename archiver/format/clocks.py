"""Clocks: the moments that curves are on. One object each, by content, however many curves of however many runs share it.

Moments are timestamps with the unit and the zone that they were given with. Numbers above 1e8 are moments since 1970, in
seconds, milliseconds, microseconds or nanoseconds by their size; text is a moment where all of it is ISO 8601. Other
numbers and texts, bar numbers say, stand for themselves.
"""

from __future__ import annotations

import datetime as dt
import math
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from archiver.errors import ConfigError
from archiver.format.columnar import class_name
from archiver.format.model import Ref
from archiver.format.parquet import ParquetObject, write_parquet
from archiver.format.values import plain

if TYPE_CHECKING:
    import pyarrow as pa

_EPOCH = dt.datetime(1970, 1, 1)  # noqa: DTZ001  # of moments without a zone
_EPOCH_UTC = _EPOCH.replace(tzinfo=dt.UTC)
_MICROSECOND = dt.timedelta(microseconds=1)
_LEAST_EPOCH = 1e8
_SINCE_1970 = ((1e11, "s", 1), (1e14, "ms", 10**3), (1e17, "us", 10**6), (math.inf, "ns", 10**9))
UNITS = ("s", "ms", "us", "ns")
_REMEMBERED, _MOST_REMEMBERED = 16, 1 << 18
_ENCODED: dict[tuple[str, bytes], tuple[bytes, Ref]] = {}


@dataclass(slots=True, eq=False)
class Clock:
    """Moments, and how they were written: `form` is moment, space or date (ISO 8601 text of these), epoch (whole
    numbers), given (as `given` has them) or plain (no moments: `time` is what was given)."""

    time: pa.Array
    form: str
    given: pa.Array | None = None

    def written(self) -> list[Any]:
        """Return the moments as plain data: as they were given, or as ISO 8601 text."""
        if self.given is not None:
            return list(self.given.to_pylist())
        if self.form == "epoch":
            return list(self.time.cast("int64").to_pylist())
        return list(self.time.to_pylist()) if self.form == "plain" else _FORMS[self.form](self.time)


def clock_of(times: Any, where: str) -> Clock:
    """Return the clock of moments in any form. Raises ConfigError, naming `where`, for what is none."""
    array = _as_arrow(times, where)
    return _of_list(list(times), where) if array is None else _of_arrow(array, where)


def encode_clock(clock: Clock) -> tuple[bytes, Ref]:
    """Encode a clock; equal ones give equal bytes. The last few are remembered: runs of one search share theirs."""
    import pyarrow as pa

    told = pa.table({"time": clock.time} | ({} if clock.given is None else {"given": clock.given}))
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, told.schema) as stream:
        stream.write_table(told)
    key = clock.form, sha256(sink.getvalue()).digest()
    found = _ENCODED.pop(key, None) or _encode(clock)
    if len(found[0]) <= _MOST_REMEMBERED:
        _ENCODED[key] = found
        while len(_ENCODED) > _REMEMBERED:
            _ENCODED.pop(next(iter(_ENCODED)), None)
    return found


def _encode(clock: Clock) -> tuple[bytes, Ref]:
    import pyarrow as pa

    facts: dict[str, Any] = {"form": clock.form}
    time = clock.time
    if pa.types.is_timestamp(time.type):
        facts |= {"unit": time.type.unit} | ({"zone": time.type.tz} if time.type.tz else {})
        if time.type.unit == "s":  # Parquet has no seconds
            time = time.cast(pa.timestamp("ms", time.type.tz))
    columns = {"time": time} | ({} if clock.given is None else {"given": clock.given})
    return write_parquet([pa.table(columns)], {"format": 2, "clock": facts}, parts="group")


def decode_clock(source: ParquetObject) -> Clock:
    """Read a clock back, unit and zone included."""
    import pyarrow as pa

    table, facts = source.read(), source.facts["clock"]
    time = table["time"].combine_chunks()
    if "unit" in facts:
        time = time.cast(pa.timestamp(UNITS[UNITS.index(facts["unit"])], facts.get("zone")))
    given = table["given"].combine_chunks() if "given" in table.column_names else None
    form = str(facts["form"])
    if form not in (*_FORMS, "epoch", "plain", "given") or (form == "given") != (given is not None):
        raise ValueError(f"no clock has the form {form!r}")
    return Clock(time, form, given)


def iso_texts(time: pa.Array, separator: str = "T") -> list[Any]:
    """Write timestamps as ISO 8601 text, to the nanosecond where they have one; null is None."""
    import pyarrow as pa

    unit, zone = time.type.unit, time.type.tz
    numbers = time.cast(pa.int64()).to_pylist()
    rest = [0 if unit != "ns" or number is None else number % 1_000 for number in numbers]
    if unit == "ns":
        coarse = [None if number is None else number // 1_000 for number in numbers]
        time = pa.array(coarse, pa.int64()).cast(pa.timestamp("us", zone))
    try:
        moments = time.to_pylist()
    except (
        ValueError,
        OverflowError,
        LookupError,
    ):  # a year beyond 9999, a zone that this machine does not know
        return [None if value is None else str(value) for value in time.to_numpy(zero_copy_only=False)]
    return [
        None
        if moment is None
        else _with_nanoseconds(moment, fine, separator)
        if fine
        else moment.isoformat(separator)
        for moment, fine in zip(moments, rest, strict=True)
    ]


def _with_nanoseconds(moment: dt.datetime, fine: int, separator: str) -> str:
    text = moment.isoformat(separator, timespec="microseconds")
    return f"{text[:26]}{fine:03d}{text[26:]}"


def _dates(time: pa.Array) -> list[Any]:
    return [text and text[:10] for text in iso_texts(time)]


_FORMS: dict[str, Callable[[Any], list[Any]]] = {
    "moment": iso_texts,
    "space": lambda time: iso_texts(time, " "),
    "date": _dates,
}


def _as_arrow(times: Any, where: str) -> Any:
    """Return moments of numpy, pandas, polars or Arrow as an Arrow array; None for other sequences."""
    import pyarrow as pa

    kinds = {class_name(base) for base in type(times).__mro__}
    if ("pandas", "MultiIndex") in kinds:
        raise ConfigError(f"{where} has an index of {times.nlevels} levels: give it one, the moments")
    try:
        if kinds & {("pandas", "Index"), ("pandas", "Series")}:
            if times.dtype.kind == "O" or str(times.dtype) in ("str", "string", "category"):
                return None
            if str(times.dtype).startswith("period"):
                return pa.array([None if value is None else str(value) for value in times.tolist()])
            return _one(pa.Array.from_pandas(times))
        if ("numpy", "ndarray") in kinds:
            if times.dtype.kind == "M" and str(times.dtype) not in {
                f"datetime64[{u}]" for u in ("D", *UNITS)
            }:
                times = times.astype("datetime64[s]")
            return None if times.dtype.kind == "O" else _one(pa.array(times, from_pandas=True))
        if ("polars", "Series") in kinds:
            return _one(times.to_arrow())
    except (pa.ArrowException, TypeError, ValueError) as error:
        raise ConfigError(f"{where}: {' '.join(str(error).split())[:200]}") from None
    return _one(times) if isinstance(times, pa.Array | pa.ChunkedArray) else None


def _one(array: Any) -> Any:
    import pyarrow as pa

    array = array.combine_chunks() if isinstance(array, pa.ChunkedArray) else array
    return array.dictionary_decode() if pa.types.is_dictionary(array.type) else array


def _of_arrow(array: Any, where: str) -> Clock:
    import pyarrow as pa

    kind = array.type
    if array.null_count:
        _refuse(array.is_null().to_pylist().index(True), where)
    if pa.types.is_timestamp(kind):
        return Clock(array, "moment")
    if pa.types.is_date(kind):
        return Clock(array.cast(pa.timestamp("s")), "date")
    if pa.types.is_duration(kind):
        scale = dict(zip(UNITS, (1, 10**3, 10**6, 10**9), strict=True))[kind.unit]
        return _of_numbers([value / scale for value in array.cast(pa.int64()).to_pylist()], where)
    return _of_list(array.to_pylist(), where)


def _of_list(times: Sequence[Any], where: str) -> Clock:
    for at, moment in enumerate(times):
        if moment is None or type(moment).__name__ == "NaTType" or moment != moment:
            _refuse(at, where)
    if times and all(isinstance(moment, dt.datetime) for moment in times):
        return _of_datetimes(times, where)
    if times and all(class_name(type(moment)) == ("numpy", "datetime64") for moment in times):
        return clock_of(sys.modules["numpy"].array(times), where)
    form = "date" if times and all(isinstance(moment, dt.date) for moment in times) else None
    values = plain(list(times), where)
    kinds = set(map(type, values))
    if kinds <= {str}:
        return _of_texts(values, where, form)
    if kinds <= {int, float}:
        return _of_numbers(values, where)
    at, odd = next((at, value) for at, value in enumerate(values) if type(value) is not type(values[0]) or type(value) not in (str, int, float))  # fmt: skip
    raise ConfigError(
        f"{where} has {str(odd)[:40]!r} as moment {at}: give datetimes, numbers or texts, one kind in all"
    )


def _refuse(at: int, where: str) -> None:
    raise ConfigError(f"{where} has no moment at point {at} (None, NaN or NaT): leave out that point")


def _of_datetimes(times: Sequence[dt.datetime], where: str) -> Clock:
    import pyarrow as pa

    zone = _zone_of(times, where)
    if any(class_name(type(moment)) == ("pandas", "Timestamp") for moment in times):
        pandas = sys.modules["pandas"]
        found = pandas.DatetimeIndex([moment.tz_convert("UTC") if zone else moment for moment in map(pandas.Timestamp, times)])  # fmt: skip
        array = pa.Array.from_pandas(found)
        return Clock(array.cast(pa.timestamp(array.type.unit, zone)), "moment")
    start = _EPOCH_UTC if zone else _EPOCH
    return Clock(
        pa.array([(moment - start) // _MICROSECOND for moment in times], pa.int64()).cast(
            pa.timestamp("us", zone)
        ),
        "moment",
    )


def _zone_of(times: Sequence[dt.datetime], where: str) -> str | None:
    """Return the name of the zone of all moments, UTC for several, None for none. Raises ConfigError for a mixture."""
    zones = {_zone_name(moment) for moment in times}
    if None in zones and len(zones) > 1:
        raise ConfigError(f"{where} has moments with a time zone and moments without: give all of them one")
    return zones.pop() if len(zones) == 1 else "UTC"


def _zone_name(moment: dt.datetime) -> str | None:
    zone = moment.tzinfo
    offset = moment.utcoffset()
    if zone is None or offset is None:
        return None
    name = getattr(zone, "key", None) or getattr(zone, "zone", None)
    if isinstance(name, str):
        return name
    minutes = round(offset.total_seconds() / 60)
    sign = "-" if minutes < 0 else "+"
    return f"{sign}{abs(minutes) // 60:02d}:{abs(minutes) % 60:02d}" if minutes else "UTC"


def _of_numbers(values: Sequence[Any], where: str) -> Clock:
    import pyarrow as pa

    if any(value != value or abs(value) == math.inf for value in values):
        raise ConfigError(f"{where} has a moment that is no finite number: leave out that point")
    whole = all(type(value) is int for value in values)
    if values and min(values) > _LEAST_EPOCH:
        unit, scale = next((unit, scale) for most, unit, scale in _SINCE_1970 if min(values) <= most)
        alike = next(unit for most, unit, _ in _SINCE_1970 if max(values) <= most) == unit
        if alike and max(values) < 2**63 and whole:
            return Clock(pa.array(values, pa.int64()).cast(pa.timestamp(unit, "UTC")), "epoch")
        if alike and max(values) / scale < 1e11:
            fine = [round(value / scale * 1_000_000) for value in values]
            given = pa.array([float(value) for value in values], pa.float64())
            return Clock(pa.array(fine, pa.int64()).cast(pa.timestamp("us", "UTC")), "given", given)
    if whole and all(-(2**63) <= value < 2**63 for value in values):
        return Clock(pa.array(values, pa.int64()), "plain")
    return Clock(pa.array([float(value) for value in values], pa.float64()), "plain")


def _of_texts(values: Sequence[str], where: str, form: str | None) -> Clock:
    import pyarrow as pa

    try:
        moments = [dt.datetime.fromisoformat(text) for text in values]
    except ValueError:
        moments = []
    if not moments:
        try:
            return Clock(pa.array(values, pa.string()), "plain")
        except UnicodeEncodeError:
            raise ConfigError(f"{where} has a moment that is not valid Unicode: write it otherwise") from None
    clock = _of_datetimes(moments, where)
    for name in ["date"] if form else _FORMS:
        if _FORMS[name](clock.time) == values:
            return Clock(clock.time, name)
    return Clock(clock.time, "given", pa.array(values, pa.string()))
