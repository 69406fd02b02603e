"""Add up the last lines of several runs of pytest: `12 passed, 1 failed in 3.45s`, as it writes them."""

import re
import sys
from collections import Counter
from pathlib import Path

_LAST = re.compile(r"^=* ?(\d+ [a-z]+(?:, \d+ [a-z]+)*) in ([0-9.]+)s.*$", re.MULTILINE)


def total(logs: list[str]) -> str:
    """Return one line for what all logs say; a log without one adds an error."""
    counts: Counter[str] = Counter()
    seconds = 0.0
    for log in logs:
        found = _LAST.findall(log)
        words, took = found[-1] if found else ("1 error", "0")
        seconds += float(took)
        for number, word in re.findall(r"(\d+) ([a-z]+)", words):
            counts[word.rstrip("s")] += int(number)
    del counts["deselected"]  # by one run for the other
    told = [f"{counts[word]} {word}" for word in sorted(counts, key=lambda word: word != "failed")]
    return f"{', '.join(told)} in {seconds:.2f}s"


if __name__ == "__main__":
    sys.stdout.write(total([Path(name).read_text(errors="replace") for name in sys.argv[1:]]) + "\n")
