"""Code that lies beside old results, as a run's code; what looks like a secret stays out."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from archiver.capture.secrets import credential, secret_name
from archiver.format.model import Code, CodeFile
from archiver.interop.importing.batch import SKIPPED, Outcome

MOST_CODE = 4 << 20
"""Bytes of a file that is still taken for code."""


def listed_code(
    files: Iterable[tuple[str, str, bytes]], outcomes: list[Outcome]
) -> tuple[Code, dict[str, bytes]]:
    """Return files as a run's code, and their bytes by sha256.

    files: (place in the source, name in the code, bytes); outcomes takes what stays out.
    """
    found, blobs, warnings = [], {}, []
    for key, name, data in files:
        secret = "its name" if secret_name(name) else credential(data, name)
        if secret or len(data) > MOST_CODE:
            warnings.append(f"{name}: " + (f"looks like a secret ({secret})" if secret else "too large"))
            outcomes.append(Outcome(key, SKIPPED, warnings[-1].partition(": ")[2]))
            continue
        digest = hashlib.sha256(data).hexdigest()
        found.append(CodeFile(name, len(data), digest))
        blobs[digest] = data
    if not found:
        return Code("none", reason="the run's folder has no code", warnings=tuple(warnings)), {}
    return Code("listed", tuple(found), provenance={"imported": True}, warnings=tuple(warnings)), blobs
