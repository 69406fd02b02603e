"""The text of a diff: what is kept of it, and which submodules it calls dirty."""

from __future__ import annotations

import re
from codecs import escape_decode

from archiver.capture.secrets import credential, key_lines, secret_name


def with_end_as_comment(text: bytes, limit: int) -> bytes:
    """Return a diff that was cut such that `git apply` takes what is whole of it; the rest is for people."""
    start = text.rfind(b"\ndiff --git ") + 1
    hunk = text.rfind(b"\n@@ ") + 1
    first = text.find(b"\n@@ ", start) + 1
    whole = hunk if hunk > first > 0 else start
    rest = re.sub(rb"(?m)^", b"# ", b"cut: what follows is not complete\n" + text[whole:])
    return (text[:whole] + rest)[:limit].rpartition(b"\n")[0] + b"\n"


def applicable(text: bytes) -> bytes:
    """Return the diff without what may hold a credential or is binary: `git apply` takes the rest."""
    parts = text.split(b"\ndiff --git ")
    for at, whole in enumerate(parts):
        part = whole.removeprefix(b"diff --git ")
        names = part.split(b"\n", 1)[0]
        plain = re.sub(_SIGNS, b"", part)
        if (
            any(map(secret_name, _names_of(part)))
            or credential(plain, max(_names_of(part), key=len, default=""))
            or key_lines(plain)
        ):
            parts[at] = b"# left out: it may hold a credential: " + names
        elif re.search(_BINARY, part.split(b"\n@@ ", 1)[0]):
            parts[at] = b"# left out: it is binary: " + names
        elif at:
            parts[at] = b"diff --git " + part
    return b"\n".join(parts)


_SIGNS = rb"(?m)^[ +-]"
_BINARY = rb"(?m)^Binary files .* differ$"
_NAMED = rb"(?m)^(?:--- |\+\+\+ |rename from |rename to |copy from |copy to )\"?(?:[ab]/)?(.*?)\"?\t?$"


def _names_of(part: bytes) -> set[str]:
    """Return what a part of a diff calls its file, before and after a move."""
    head = part.split(b"\n@@ ", 1)[0]
    first = head.split(b"\n", 1)[0].decode(errors="replace")
    old, _, new = first.replace('"', "").rpartition(" b/")
    found = {name.decode(errors="replace") for name in re.findall(_NAMED, head)}
    return found | {old.removeprefix("a/"), new}


# What git writes of a submodule; a file's part has a line that begins with `index` and another mode.
_MODULE = (
    rb"(?m)^diff --git [^\n]*\n(?:index \w+\.\.\w+ 160000\n)?--- [^\n]*\n\+\+\+ (\"?)b/([^\n]*?)\"?\t?\n@@ [^\n]*\n"
    rb"-Subproject commit (\w+)\n\+Subproject commit (\w+)(-dirty)?\n"
)


def dirty_modules(text: bytes) -> tuple[bytes, list[bytes]]:
    """Return the diff as it would be were no submodule dirty, and the paths of those that are."""
    paths: list[bytes] = []

    def clean(match: re.Match[bytes]) -> bytes:
        if match[5] is None:
            return match[0]
        paths.append(escape_decode(match[2])[0] if match[1] else match[2])
        moved = match[3] != match[4]
        return match[0].replace(b"-dirty\n", b"\n") if moved else b""

    return re.sub(_MODULE, clean, text), paths
