"""Tables and pairs as commands print them."""

from __future__ import annotations

import pytest

from archiver.cli import output


def test_piped_tables_are_tab_separated(capsys: pytest.CaptureFixture[str]) -> None:
    output.print_table(["run", "age"], [["a\tb", 3], [None, 4.25]])
    output.print_pairs([("universe", "u"), ("size", 5)])
    assert capsys.readouterr().out == "run\tage\na\\tb\t3\n-\t4.250\nuniverse\tu\nsize\t5\n"
