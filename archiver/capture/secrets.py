"""What must never leave the user's machine: files that hold keys, lines that look like credentials."""

from __future__ import annotations

import math
import re
from collections import Counter

from archiver.capture.passwords import plain_password

_NAMES = frozenset(
    {
        ".env",
        ".envrc",
        ".netrc",
        "_netrc",
        ".pgpass",
        ".pypirc",
        ".npmrc",
        ".htpasswd",
        ".dockercfg",
        ".s3cfg",
    }
    | {
        ".boto",
        ".git-credentials",
        "credentials",
        "secrets.json",
        "secrets.toml",
        "secrets.yaml",
        "secrets.yml",
    }
    | {"secrets.ini", "secrets.cfg", ".my.cnf", ".vault-token"}
)
_STARTS = (
    ".env.",
    ".env-",
    ".env_",
    "credentials.",
    "client_secret",
    "id_rsa",
    "id_dsa",
    "id_ecdsa",
    "id_ed25519",
)
_ENDS = (
    ".env",
    ".pem",
    ".key",
    ".p12",
    ".pfx",
    ".jks",
    ".keystore",
    ".crt",
    ".cer",
    ".der",
    ".kdbx",
    ".ppk",
    ".ovpn",
    ".tfvars",
    ".tfstate",
)
_CODE = (".py", ".pyw", ".ipynb", ".pyx", ".pyi")
_FOLDERS = frozenset({".ssh", ".aws", ".gnupg", ".azure", ".kube", ".docker"})


def secret_name(path: str) -> bool:
    """Tell whether a file of this name holds credentials (`.env`, private keys and their like)."""
    *folders, name = path.lower().split("/")
    account = name.endswith(".json") and ("service-account" in name or "service_account" in name)
    listed = name in _NAMES or name.startswith(_STARTS) or name.endswith(_ENDS)
    # A module may well be about credentials.
    listed = listed or (name.startswith(("credentials-", "credentials_")) and not name.endswith(".py"))
    return listed or account or not _FOLDERS.isdisjoint(folders)


# (what it is, a text that must occur, the pattern). The plain text is looked for first: it costs a twentieth.
_PATTERNS = (
    ("private key", b"PRIVATE KEY", rb"-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----"),
    ("AWS access key", b"AKIA", rb"(?<![A-Z0-9])AKIA[A-Z0-9]{16}(?![A-Z0-9])"),
    ("AWS access key", b"ASIA", rb"(?<![A-Z0-9])ASIA[A-Z0-9]{16}(?![A-Z0-9])"),
    ("Google key", b"AIza", rb"AIza[\w-]{35}"),
    ("Google token", b"ya29.", rb"ya29\.[\w-]{20,}"),
    ("Google secret", b"GOCSPX-", rb"GOCSPX-[\w-]{20,}"),
    ("Azure storage key", b"AccountKey=", rb"AccountKey=[A-Za-z0-9+/]{40,}"),
    ("Azure shared access signature", b"sig=", rb"[?&]sig=[A-Za-z0-9%+/]{40,}"),
    *(
        ("GitHub token", kind, rb"(?<![A-Za-z0-9])gh[pousr]_[A-Za-z0-9]{30,}")
        for kind in (b"ghp_", b"gho_", b"ghu_", b"ghs_", b"ghr_")
    ),
    ("GitHub token", b"github_pat_", rb"github_pat_\w{22,}"),
    ("GitLab token", b"gl", rb"(?<![A-Za-z0-9])gl(?:pat|rt|dt|ptt|ft|oas|soat|imt|agent|cbt)-[\w-]{20,}"),
    ("Slack token", b"xox", rb"xox[abeoprs]-[\w-]{10,}"),
    ("Slack token", b"xapp-", rb"(?<![A-Za-z0-9])xapp-\d-[\w-]{20,}"),
    ("DigitalOcean token", b"_v1_", rb"(?<![A-Za-z0-9])do[opr]_v1_[0-9a-f]{40,}"),
    ("Shopify token", b"shp", rb"(?<![A-Za-z0-9])shp(?:at|ca|pa|ss)_[0-9a-fA-F]{32}"),
    ("Slack webhook", b"hooks.slack.com", rb"hooks\.slack\.com/services/T\w+/B\w+/\w+"),
    ("Discord webhook", b"/api/webhooks/", rb"discord(?:app)?\.com/api/webhooks/\d+/[\w-]{20,}"),
    ("Telegram bot token", b":AA", rb"(?<!\d)\d{8,10}:AA[\w-]{33}"),
    ("Stripe key", b"k_live_", rb"[rs]k_live_[A-Za-z0-9]{16,}"),
    ("API key", b"sk-", rb"(?<![A-Za-z0-9])sk-(?:[a-z]+\d*-){0,4}[A-Za-z0-9_]{20,}"),
    ("API key", b"sk-", rb"(?<![A-Za-z0-9])sk-(?:ant|proj|svcacct|admin|or)-(?=[\w-]*\d)[\w-]{20,}"),
    ("Hugging Face token", b"hf_", rb"(?<![A-Za-z0-9])hf_[A-Za-z0-9]{30,}"),
    ("npm token", b"npm_", rb"(?<![A-Za-z0-9])npm_[A-Za-z0-9]{36}"),
    ("PyPI token", b"pypi-", rb"pypi-[\w-]{50,}"),
    ("SendGrid key", b"SG.", rb"SG\.[\w-]{16,}\.[\w-]{16,}"),
    ("Databricks token", b"dapi", rb"(?<![a-z0-9])dapi[0-9a-f]{32}"),
    ("Vault token", b"hvs.", rb"hvs\.[\w-]{24,}"),
    ("JSON web token", b"eyJ", rb"(?<![\w-])eyJ[\w-]{10,}\.eyJ[\w-]{10,}\.[\w-]{10,}"),
)
# Repetitions have bounds and give nothing back: the time must grow with the text alone, whatever is in it.
_URL = rb"://[^\s/:@'\"<>{}$%]*:([^\s/@'\"<>{}$%]{3,})@"
# A pattern is made only where a text has one of these: making them all takes longer than most captures.
_WORD_HINTS = (
    *(b"passw", b"passphrase", b"pwd", b"secret", b"token", b"_key", b"-key", b"earer "),
    *(b"apikey", b"accesskey", b"privatekey", b"authkey"),
)
_KEY_HINTS = (b"key=", b"key:", b"key =", b"key :", b'key"', b"key'")
_WORD = (
    rb"(?: passw(?:or)?d | passwd | passphrase | pwd | secret | token | (?:api|access|private|auth)[_-]?key )"
)
_KEY = rb"(?<![A-Za-z]) key (?![A-Za-z0-9])"  # on its own, or at the end of BINANCE_KEY
_VALUE = rb"[A-Za-z0-9+/=_.~!@\#$%^&*-]{12,4096}+"
_KEY_VALUE = rb"[A-Za-z0-9+=_-]{20,4096}+"  # paths and names of files are keys, too
_QUOTE = rb"\\?[\"']"  # with a backslash where the source is a text in a notebook
# name = "...", os.environ["NAME"] = "...", NAME: Final[str] = ("..."), {"name": "..."}
_ASSIGNED = rb"""(?ix) %s [\w.-]{0,60}+ (?: %s )? \s{0,20}+ \]? \s{0,20}
    (?: : \s{0,20}+ [\w.]{1,60}+ (?: \[ [\w., |]{0,60}+ \] )? (?: \s{0,9}+ \| \s{0,9}+ [\w.]{1,60}+ )? \s{0,20}+ )?
    [:=]{1,2}+ \s{0,20}+ \\? \s{0,20}+ \(? \s{0,20}+ [rbfu]{0,2}+ (?: %s ){1,3}+ \s{0,20}+ ( %s ) \s{0,20}+ %s"""
# name = os.getenv("NAME") or "...": what stands behind on the line
_BEHIND = rb"""(?ix) %s [\w.-]{0,60}+ [ \t]{0,20}+ = [^\n=][^\n]{0,200}? %s ( %s ) %s"""
# .set("name", "..."), and what stands after Bearer
_PASSED = rb"""(?ix) \( \s{0,20}+ %s [\w.-]{0,60}? %s [\w.-]{0,60}+ %s \s{0,20}+ , \s{0,20}+ (?: %s ){1,3}+ ( %s ) %s""" % (
    _QUOTE, _WORD, _QUOTE, _QUOTE, _VALUE, _QUOTE,
)  # fmt: skip
_BEARER = rb"(?i)\bbearer\s{1,20}([A-Za-z0-9+/=_.~-]{16,})"
# name = value of ini files, .env files and YAML
_UNQUOTED = rb"""(?imx) ^ [ \t]{0,80}+ (?: export[ \t]{1,9}+ | -[ \t]{1,9}+ )? [\w.-]{0,60}? %s [\w.-]{0,60}+ [ \t]{0,40}+ [:=] [ \t]{0,40}
    ( [A-Za-z0-9+/=_-]{%d,4096}+ ) [ \t\r]{0,40}+ (?: (?<=[ \t]) [\#;] .* )? $"""
_PLACEHOLDER = (
    rb"(?i)example|placeholder|change.?me|dummy|redacted|xxx|\*\*\*|\.\.\.|(?<![a-z])your(?![a-z])"
    rb"|^(?:password|passwd|pass|secret|token)\d{0,3}$"
)


# What a value is when it stands after a name; whether names of variables and strategies stand there, too.
_NAMED = (
    ("secret in an assignment", _WORD_HINTS, _ASSIGNED % (_WORD, _QUOTE, _QUOTE, _VALUE, _QUOTE), False),
    ("secret in an assignment", _WORD_HINTS, _BEHIND % (_WORD, _QUOTE, _KEY_VALUE, _QUOTE), True),
    ("secret in a call", _WORD_HINTS, _PASSED, True),
    ("bearer token", (b"earer ",), _BEARER, True),
    ("secret in an assignment", _WORD_HINTS, _UNQUOTED % (_WORD, 12), True),
    ("key in an assignment", _KEY_HINTS, _ASSIGNED % (_KEY, _QUOTE, _QUOTE, _KEY_VALUE, _QUOTE), True),
    ("key in an assignment", _KEY_HINTS, _UNQUOTED % (_KEY, 20), True),
)


def credential(data: bytes, name: str = "") -> str | None:
    """Find the first line that looks like a credential; `name` tells whether it is a program's text.

    Returns what it looks like and the line's number (`AWS access key, line 3`), never the text itself; None
    where there is none.
    """
    for what, anchor, pattern in _PATTERNS:
        if anchor in data and (match := re.search(pattern, data)):
            return _place(what, data, match.start())
    if b"://" in data:
        for match in re.finditer(_URL, data):
            if not re.search(_PLACEHOLDER, match[1]):
                return _place("password in a URL", data, match.start())
    lower = data.lower()
    hinted = {hints: any(hint in lower for hint in hints) for _, hints, _, _ in _NAMED}
    for what, hints, pattern, of_code in _NAMED:
        for match in re.finditer(pattern, data) if hinted[hints] else ():
            if _random(match[1]) and not (of_code and _worded(match[1])):
                return _place(what, data, match.start(1))
    at = plain_password(data, code=not name or name.endswith(_CODE))
    return None if at is None else _place("plain password", data, at)


def key_lines(data: bytes) -> bool:
    """Tell whether lines look like the middle of a private key, whose head is not there to tell."""
    return re.search(rb"(?m)(?:^(?=.*[a-z])(?=.*[G-Z])[A-Za-z0-9+/]{60,76}\r?\n){3}", data) is not None


def _place(what: str, data: bytes, at: int) -> str:
    line = data.count(b"\n", 0, at) + 1
    return f"{what}, line {line}"


def _random(value: bytes) -> bool:
    """Tell a key from a word: digits and letters mixed, and no character much more frequent than chance."""
    if re.search(_PLACEHOLDER, value) or not re.search(rb"\d", value) or not re.search(rb"[A-Za-z]", value):
        return False
    entropy = -sum(n / len(value) * math.log2(n / len(value)) for n in Counter(value).values())
    return entropy > 3.2


def _worded(value: bytes) -> bool:
    """Tell a name (`settings_for_2024`, `MeanReverter_L5_SL10`) from a key."""
    return all(re.fullmatch(rb"[A-Za-z]*\d{0,4}|\d{1,8}", part) for part in re.split(rb"[_./=-]", value))


_FLAG = (
    r"(?i)--?(?:[\w-]*(?:passw(?:or)?d|passphrase|pwd|secret|token|credential|bearer|auth"
    r"|(?:api|access|private|signing|encryption)[_-]?key)[\w-]*|(?:[\w-]*[_-])?(?:pass|key))"
)


def masked(argv: list[str]) -> list[str]:
    """Return command-line arguments with everything that looks like a credential replaced by `***`."""
    out: list[str] = []
    hide = False
    for word in argv:
        name, equals, _ = word.partition("=")
        if hide and not word.startswith("-"):
            out.append("***")
        elif equals and re.fullmatch(_FLAG, f"-{name.lstrip('-')}"):
            out.append(f"{name}=***")
        elif credential(word.encode(errors="surrogateescape")):
            out.append("***")
        else:
            out.append(word)
        hide = not equals and re.fullmatch(_FLAG, word) is not None
    return out
