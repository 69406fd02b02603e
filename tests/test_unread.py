"""What cannot be read hides nothing but itself: damaged, refused or hostile objects of one run, in every way of reading."""

from __future__ import annotations

import itertools
import json
import os
import random
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

import archiver
from archiver.archive import Archive
from archiver.base.unread import Unread
from archiver.errors import AccessError, IntegrityError
from archiver.format import layout
from archiver.format.parquet import ref_of
from archiver.format.records import compress, decode_record, encode_record
from archiver.store import Store
from archiver.store.local import LocalStore
from tests.benchmarks import workload
from tests.conftest import Cli
from tests.faults import flip
from tests.hostile import fields_of, hostile, put_fields, replaced

pytestmark = pytest.mark.usefixtures("details_apart")

GOOD = {
    "strategy_name": "g1",
    "sharpe_ratio": 1e6,
    "composite_score": 1e6,
    "trades_detailed": [{"pnl": 1.0}],
    "equity_curve": [1.0, 2.0],
}
READING = [
    ["ls"], ["metrics"], ["metrics", "--history"], ["metrics", "--newest", "universe"], ["top"], ["export"],
    ["export", "-f", "csv"], ["sql", "select * from metrics"],
]  # fmt: skip
TRADES = [["trades", "g1"], ["sql", "select strategy_name, pnl from trades"], ["sql", "select * from curves"]]


@pytest.fixture
def run(archive: Archive, command: Cli) -> Cli:
    return partial(command, "--url", archive.store.url)


def fill(archive: Archive) -> tuple[str, str, str]:
    """Save a sound run, a small one and a large one."""
    good = archive.save_universe_results("good", [GOOD], code="none").id
    small = archive.save_universe_results(
        "small", [workload.small_run(1, 0, 20, 50)], params={"a": [1, {"b": 2}]}, note="n", code=[__file__]
    ).id
    large = archive.save_universe_results(
        "large", workload.universe(3, 60, 3, 20, 3000), 3, code=[__file__]
    ).id
    return good, small, large


def tier(archive: Archive, number: int, universe: str) -> str:
    (key,) = [entry.key for entry in archive.store.list(f"tier{number}/universe={universe}/")]
    return key


@pytest.mark.parametrize("what", ["record", "tier1"])
def test_a_damaged_object_hides_only_itself_in_every_command(archive: Archive, run: Cli, what: str) -> None:
    good, _, large = fill(archive)
    key = layout.record_key(large) if what == "record" else tier(archive, 1, "large")
    flip(archive.store, key)
    for args in READING:
        code, out, err = run(*args)
        if what == "tier1" and args == ["ls"]:
            assert (code, err) == (0, "")  # a list of runs needs no metrics
            continue
        assert (code, good in out or "g1" in out) == (3, True), args
        assert err.count(f"archiver: left out: {key}") == 1, args
    for args in TRADES:
        code, out, _ = run(*args)
        assert (code, "g1" in out or "1.0" in out) == (3 if what == "record" else 0, True), args
    with pytest.raises(IntegrityError, match=key):
        archiver.open(archive.store.url).load_metrics()


def test_damaged_details_hide_only_their_run(archive: Archive, run: Cli, tmp_path: Path) -> None:
    fill(archive)
    key = tier(archive, 2, "large")
    flip(archive.store, key)
    for args in ["sql", "select strategy_name, pnl from trades"], ["sql", "select strategy_name from curves"]:
        code, out, err = run(*args)
        assert (code, "g1" in out, err.count(key)) == (3, True, 1)
    code, _, err = run("export", "-f", "tiered-json", "-o", str(tmp_path / "out"))
    assert (code, (tmp_path / "out/detailed_trades/g1.json").exists()) == (3, True)
    assert key in err


class Refusing(LocalStore):
    """A folder in which one object may not be read, as after `chmod 000`; the one who runs tests may be root."""

    refused = ""

    def get(self, key: str, start: int = 0, end: int | None = None) -> bytes:
        if key == self.refused:
            raise AccessError(f"cannot read {key}: permission denied")
        return super().get(key, start, end)


@pytest.mark.parametrize("what", ["record", "tier1"])
def test_python_says_what_is_to_be_done_about_what_may_not_be_read(archive: Archive, what: str) -> None:
    good, _, large = fill(archive)
    assert archive.store.local is not None
    store = Refusing(archive.store.local)
    store.refused = layout.record_key(large) if what == "record" else tier(archive, 1, "large")
    refusing = Archive(store)
    with pytest.raises(AccessError):
        refusing.load_metrics()
    with pytest.warns(archiver.UnreadWarning, match=store.refused):
        table = refusing.load_metrics(errors="warn")
    assert set(table["universe"].to_pylist()) == {"good", "small"}
    told: list[Unread] = []
    refusing.load_metrics(errors=told.append)
    assert [(one.run, one.universe) for one in told] == [(large, None if what == "record" else "large")]
    assert good in [one.id for one in refusing.runs(errors=told.append)]
    assert ("good", "g1") in refusing.detailed_strategies(errors=told.append)
    assert refusing.load_strategy("g1", errors=told.append)["equity_curve"] == [1.0, 2.0]
    with pytest.raises(archiver.ConfigError, match="errors is 'ignore'"):
        refusing.load_metrics(errors="ignore")
    report = refusing.verify(read_data=True)
    assert [problem.key for problem in report.problems] == [store.refused]
    report = refusing.verify(read_data=True, repair=True)
    assert report.quarantined == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_a_file_that_may_not_be_read_is_exit_code_14() -> None:
    # Not below pytest's own folder, which any session that begins closes for others.
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        archive = archiver.open(Path(folder) / "archive")
        fill(archive)
        root = Path(str(archive.store.local))
        (root / tier(archive, 1, "large")).chmod(0)
        _refused(root)


def _refused(root: Path) -> None:
    # The first call imports what somebody else could not.
    script = textwrap.dedent(
        f"""
        import contextlib, io, os, sys
        from archiver import cli
        args = ["--url", {str(root)!r}, *sys.argv[1:]]
        with contextlib.redirect_stderr(io.StringIO()), contextlib.redirect_stdout(io.StringIO()):
            cli.main(args)
        os.seteuid(65534)
        sys.exit(cli.main(args))
        """
    )
    for args in (["metrics"], ["top"]):
        done = subprocess.run(
            [sys.executable, "-c", script, *args], capture_output=True, text=True, check=False, cwd="/"
        )
        assert (done.returncode, "g1" in done.stdout) == (14, True), done.stderr
        assert "left out: " in done.stderr
        assert "Traceback" not in done.stderr


def _kept(archive: Archive, run: Cli, bad: str, strategy: str) -> list[list[str]]:
    return [
        *READING,
        *TRADES,
        ["show", bad], ["code", bad], ["code", bad, "--env"], ["trades", strategy], ["du"], ["tree"], ["compact"],
        ["verify"], ["verify", "--read-data"], ["undelete"],
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("which", "count"),
    [
        (1, 15),
        pytest.param(1, 60, marks=pytest.mark.slow),
        pytest.param(2, 60, marks=pytest.mark.slow),
    ],
)
def test_no_hostile_record_ends_a_command_or_hides_another_run(
    archive: Archive, run: Cli, which: int, count: int
) -> None:
    runs = fill(archive)
    good, bad = runs[0], runs[which]
    strategy = archive.detailed_strategies(run=bad)[0][1]
    key = layout.record_key(bad)
    sound = archive.store.get(key)
    cases = list(hostile(fields_of(archive.store, key)))
    commands = itertools.cycle(_kept(archive, run, bad, strategy))
    # Every kind of place and value, each with some of the commands; which, changes from day to day.
    for name, fields in random.Random().sample(cases, count):
        put_fields(archive.store, key, fields)
        for args in itertools.islice(commands, 5):
            code, out, err = run(*args)
            assert code in (0, 2, 3, 10, 11, 14), (name, args, err)
            if args in READING or args == ["trades", "g1"]:
                assert "g1" in out or good in out or "1.000" in out, (name, args, err)
                assert code in (0, 3, 11), (name, args, err)
        archive.store.put(key, sound)


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        (("created",), 5, "`created` is a whole number"),
        (("tier1", "size"), "x", "`tier1.size` is text"),
        (("tier2", "key"), "tapes/x", "points to 'tapes/x', which is not its own"),
        (("details", "rank", 0), [], "`details.rank[0]` is a list"),
        (("metrics", "sharpe_ratio"), [1], "`metrics.sharpe_ratio` is a list"),
        (("code", "files", 0), {}, "`code.files[0]` is an object"),
        (("code", "provenance", "argv"), [1], "`code.provenance.argv[0]` is a whole number"),
    ],
)
def test_a_bad_field_is_named_with_its_record_and_set_aside(
    archive: Archive, run: Cli, path: tuple[Any, ...], value: Any, said: str
) -> None:
    good, _, large = fill(archive)
    key = layout.record_key(large)
    put_fields(archive.store, key, replaced(fields_of(archive.store, key), path, value))
    with pytest.raises(IntegrityError) as caught:
        archive.records()
    assert key in str(caught.value)
    assert said in str(caught.value)
    code, out, _ = run("verify")
    assert (code, said in out) == (3, True)
    assert archive.verify(repair=True).quarantined == [key]
    assert run("ls")[0] == 0
    assert archive.verify().ok
    assert good in [one.id for one in archive.runs()]


@pytest.mark.parametrize("field", ["rows", "params"])
def test_texts_in_a_record_are_checked_by_who_reads_them_and_by_verify(
    archive: Archive, run: Cli, field: str
) -> None:
    _, small, _ = fill(archive)
    key = layout.record_key(small)
    put_fields(archive.store, key, {**fields_of(archive.store, key), field: "[[1]]"})
    code, out, _ = run("verify")
    assert (code, f"`{field}" in out) == (3, True)
    assert archive.verify(repair=True).quarantined == [key]


# -- nothing that is stored takes more memory than it may -----------------------------------------------------


def bomb(plain: bytes, count: int) -> bytes:
    """Return a frame that unpacks to many times its size."""
    writer = zstandard.ZstdCompressor(level=3, write_checksum=True).compressobj(size=len(plain) * count)
    return b"".join([*(writer.compress(plain) for _ in range(count)), writer.flush()])


def table_bomb(rows: int, chunk: int = 10_000_000) -> bytes:
    """Return a small Parquet of very many rows."""
    out = pa.BufferOutputStream()
    names = pa.DictionaryArray.from_arrays(pa.repeat(pa.scalar(0, pa.int32()), chunk), ["s"])
    table = pa.table({"strategy_name": names, "sharpe_ratio": pa.repeat(1.0, chunk)})
    with pq.ParquetWriter(
        out, table.schema, compression="zstd", store_schema=False, write_statistics=False
    ) as writer:
        for _ in range(rows // chunk):
            writer.write_table(table, row_group_size=chunk)
        writer.add_key_value_metadata({"archiver": '{"format":1,"tier":1,"rows":{}}'})
    return out.getvalue().to_pybytes()


def peak(url: str, *args: str) -> tuple[int, int, str]:
    """Run a command in a process of its own; return its exit code, the most memory it took in MB, and what it said."""
    # Not ru_maxrss: that of a child begins with what its parent held.
    script = (
        "import sys; from archiver import cli; code = cli.main(sys.argv[1:]);"
        "held = next(line for line in open('/proc/self/status') if line.startswith('VmHWM'));"
        "sys.stderr.write(f'\\n{int(held.split()[1]) // 1024}'); sys.exit(code)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, "--url", url, *args], capture_output=True, text=True, check=False
    )
    said, _, megabytes = done.stderr.rpartition("\n")
    return done.returncode, int(megabytes), done.stdout + said


def _record_bomb(store: Store, run: str) -> None:
    store.put(layout.record_key(run), bomb(b"[" + b"[]," * 333_333, 500))


def _nested_bomb(store: Store, run: str) -> None:
    text = json.dumps(fields_of(store, layout.record_key(run)))[:-1]
    store.put(layout.record_key(run), compress(f'{text}, "x": [{"[]," * 20_000_000}[]]}}'.encode()))


def _table_bomb(store: Store, run: str, *, lying: bool = False) -> None:
    key = layout.record_key(run)
    record = decode_record(store.get(key), key)
    assert record.tier1 is not None
    data = table_bomb(50_000_000)
    store.put(record.tier1.key, data)
    claimed = 50_000_000 if lying else record.strategies
    tier1 = replace(ref_of(record.tier1.key, data), parts=())
    store.put(key, encode_record(replace(record, tier1=tier1, strategies=claimed)))


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="Linux says what a process took")
@pytest.mark.parametrize(
    "make",
    [
        pytest.param(_record_bomb, marks=pytest.mark.slow),
        pytest.param(_nested_bomb, marks=pytest.mark.slow),
        pytest.param(_table_bomb, marks=pytest.mark.slow),
        partial(_table_bomb, lying=True),
    ],
)
def test_no_small_object_takes_the_memory(archive: Archive, make: Callable[[Store, str], None]) -> None:
    _, _, large = fill(archive)
    before = max(peak(archive.store.url, *args)[1] for args in (["metrics"], ["verify", "--read-data"]))
    make(archive.store, large)
    for args in (["metrics"], ["top"], ["verify", "--read-data"]):
        code, megabytes, said = peak(archive.store.url, *args)
        assert (code, "Traceback" in said) == (3, False), said
        assert megabytes < before + 250, args


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="Linux says what a process took")
def test_a_catalog_that_is_a_bomb_is_passed_over(archive: Archive) -> None:
    good, _, _ = fill(archive)
    for number in range(70):
        archive.save_universe_results("more", [{"strategy_name": str(number)}], code="none")
    key = f"{layout.CATALOG}{good}--{good}--00000000{layout.SEGMENT_SUFFIX}"
    archive.store.put(key, bomb(b"[]\n" * 333_333, 500))
    code, megabytes, said = peak(archive.store.url, "ls")
    assert (code, good in said, megabytes < 400) == (0, True, True)


def test_an_archive_json_that_is_long_is_damage(archive: Archive) -> None:
    fill(archive)
    archive.store.put(layout.ARCHIVE, b'{"format": 1, "x": "' + b" " * 50_000_000 + b'"}')
    with pytest.raises(IntegrityError, match=r"archive\.json"):
        archiver.open(archive.store.url).runs()


def test_a_record_that_no_reader_would_take_is_not_written(archive: Archive) -> None:
    with pytest.raises(archiver.ConfigError, match="give smaller params"):
        archive.save_universe_results("u", [GOOD], params={"x": ["0" * 1_000] * 60_000}, code="none")
    assert archive.store.stat(layout.ARCHIVE) is None or archive.runs() == []
