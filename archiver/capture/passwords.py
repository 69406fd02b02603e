"""Passwords that people choose: nothing tells them from words but the name that they stand behind."""

from __future__ import annotations

import re

_HINTS = (b"passw", b"passphrase", b"pwd", b"secret", b"token", b"apikey", b"api_key", b"api-key")
_NAME = rb"""(?P<name> passw(?:or)?d | passwd | passphrase | pwd
    | secret (?: [_-]? key)? | (?: access | auth | api | bot | refresh)? [_-]? token | api [_-]? key) \d{0,2}+"""
_QUOTED = rb"""\\?(?P<quote>["']) (?P<value> [^\s"'\\]{4,200}+ | (?<=["']) (?: [a-z]{3,12}[ -]){3,9}[a-z]{3,12}) \\?(?P=quote)"""
_ANNOTATION = rb"(?: : \s{0,9}+ [\w.]{1,60}+ (?: \[ [\w., |]{0,60}+ \] )? (?: \s{0,9}+ \| \s{0,9}+ [\w.]{1,60}+ )? \s{0,9}+ )?"
_LISTED = rb"""(?ix) %s \\?["'] \s{0,9}+ , \s{0,9}+ %s""" % (_NAME, _QUOTED)
"""env.get("NAME", "..."), ["--name", "..."]"""
_PATTERNS = (
    # name = "...", name: str = "...", f(name="..."), {"name": "..."}, env["NAME"] = "...", name == "..."
    rb"""(?ix) %s \\?["']{0,1}+ \s{0,9}+ \]? \s{0,9}+ %s [:=]{1,2}+ \s{0,9}+ \(? \s{0,9}+ [rbfu]{0,2}+ %s"""
    % (_NAME, _ANNOTATION, _QUOTED),
    _LISTED,
    # name = anything or "..."
    rb"(?ix) %s [ \t]{0,9}+ = [^\n=] [^\n]{0,200}? \b or [ \t]{1,9}+ %s" % (_NAME, _QUOTED),
)
# name: value, NAME=value, - name: value, {name: value}, --name=value
_UNQUOTED = (
    rb"(?imx) (?: ^ [ \t]{0,80}+ (?: export[ \t]{1,9}+ | set[ \t]{1,9}+ | -[ \t]{1,9}+ )? | [{,][ \t]{0,9}+ | --) [\w.-]{0,60}?"
    rb" %s [ \t]{0,40}+ [:=] [ \t]{0,40}+ (?P<value> (?!!) [^\s\#\"\'{}\[\],<>$%%|()]{4,200}+ ) [ \t\r]{0,40}+ (?= $ | [,}\#;] )"
    % _NAME
)
_NO_SECRET = re.compile(
    rb"(?i)example|placeholder|change.?me|dummy|redacted|xxx|\*\*\*|\.\.\.|(?<![a-z])your(?![a-z])|[<{$%]"
    rb"|^(?:password|passwd|pass|pwd|passphrase|secret|token|api.?key|test|none|null|true|false|str|string|text|bytes"
    rb"|hidden|required|optional|unknown|default|empty|username|user|[/~.*].*|#[0-9a-f]{3,8}|[\w-]+:.*|(?-i:[A-Z]+(?:_[A-Z0-9]+)+)"
    rb"|\w*(?:password|passwd|passphrase|secret|token|api_?key|access_?key))\d{0,3}$"
)


def plain_password(data: bytes, *, code: bool) -> int | None:
    """Return where a text begins that stands behind a name as passwords have, and is likely one; None where none does.

    code: a program's text, where a word without quotes is a variable.
    """
    lower = data.lower()
    if not any(hint in lower for hint in _HINTS):
        return None
    for pattern in _PATTERNS if code else (*_PATTERNS, _UNQUOTED):
        for match in re.finditer(pattern, data):
            # Words beside each other in a list are its members more often than name and password.
            if _is_likely(match["name"].lower(), match["value"]) and (
                pattern is not _LISTED or _mixed(match["value"])
            ):
                return match.start("value")
    return None


def _mixed(value: bytes) -> bool:
    return re.search(rb"\d", value) is not None and re.search(rb"[A-Za-z]", value) is not None


def _is_likely(name: bytes, value: bytes) -> bool:
    if _NO_SECRET.search(value):
        return False
    mixed = _mixed(value)
    if name.endswith(b"token") and name.strip(b"_-") == b"token":
        # Of a coin, a parser or a template, too: words, perhaps with a number behind them.
        words = all(re.fullmatch(rb"[A-Za-z]*\d{0,4}|\d{1,8}", part) for part in re.split(rb"[_./=-]", value))
        return mixed and len(value) >= 6 and not words
    if name.startswith(b"passw") or name == b"passphrase":
        return True
    return len(value) >= 8 or (mixed and len(value) >= 6)
