"""Add up the last lines of several runs of pytest: `12 passed, 1 failed in 3.45s`, as it writes them."""

import re
import sys
from collections import Counter
from pathlib import Path

_LAST = re.compile(r"^=* ?(\d+ [a-z]+(?:, \d+ [a-z]+)*) in ([0-9.]+)s.*$", re.MULTILINE)


_FAILURES = ("failed", "error")


def total(logs: list[tuple[str, str | None]]) -> str:
    """Return one line for what all logs say; a log without one adds an error.

    logs: of each run, and of the run of what failed in it, None where there was none: it counts in its place.
    """
    counts: Counter[str] = Counter()
    seconds = 0.0
    for log, again in logs:
        first, took = _last(log)
        seconds += took
        if again is not None:
            for word in _FAILURES:
                first.pop(word, None)
            second, took = _last(again)
            counts.update(second)
            seconds += took
        counts.update(first)
    del counts["deselected"]  # by one run for the other
    told = [f"{counts[word]} {word}" for word in sorted(counts, key=lambda word: word != "failed")]
    return f"{', '.join(told)} in {seconds:.2f}s"


def _last(log: str) -> tuple[Counter[str], float]:
    found = _LAST.findall(log)
    words, took = found[-1] if found else ("1 error", "0")
    counts: Counter[str] = Counter()
    for number, word in re.findall(r"(\d+) ([a-z]+)", words):
        counts[word.rstrip("s")] += int(number)
    return counts, float(took)


def _read(name: str) -> tuple[str, str | None]:
    log, again = (Path(each) for each in (name, f"{name}.again"))
    return log.read_text(errors="replace"), again.read_text(errors="replace") if again.exists() else None


if __name__ == "__main__":
    sys.stdout.write(total([_read(name) for name in sys.argv[1:]]) + "\n")
