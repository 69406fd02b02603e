"""Passwords that people choose, and words that only stand behind such a name."""

from __future__ import annotations

from pathlib import Path

import pytest

from archiver.capture.secrets import credential
from tests.captured import run, show, write

PASSWORDS_OF_CODE = [
    'password = "hunter2hunter2"',
    'db_password = "swordfish"',
    'DB_PASSWORD = "hunter2"',
    'passwd="abcd"',
    "PASSWD: str = 'hunter22'",
    'token = "hunter2hunter2"',
    'api_key = "abc123"',
    'secret = "hunter2"',
    'client_secret = "swordfish"',
    'pwd = "hunter2"',
    'connect(user="me", password="hunter2hunter2")',
    '{"user": "me", "password": "hunter2hunter2"}',
    '{"db": {"passwd": "hunter2"}}',
    'os.environ["DB_PASSWORD"] = "hunter2x"',
    'os.getenv("DB_PASSWORD", "hunter2x")',
    'password = os.getenv("X") or "hunter2x"',
    'dbPassword = "hunter2"',
    'auth_token = "abc123"',
    'apiKey = "abc123"',
    '"{\\"password\\": \\"hunter2\\"}"',
    'passphrase = "correct horse battery staple"',
    'conf.set("password", "hunter2")',
    'self.password = "hunter2hunter2"',
    'cfg["smtp.password"] = "hunter2"',
    'dict(token="a1b2c3d4e5")',
    'password = b"hunter2"',
    'if password == "hunter2":',
    '["--password", "hunter2"]',
]
PASSWORDS_OF_SETTINGS = [
    "password: hunter2hunter2",
    "db_password = hunter2",
    "  passwd: 12345678",
    "PASSWORD=hunter2hunter2",
    "export DB_PASSWORD=hunter2",
    "token: hunter2hunter2",
    "api_key: abc123",
    "secret: swordfish",
    '"password": "hunter2"',
    "{password: hunter2, user: x}",
    "pwd=hunter2",
    "- password: hunter2  # mine",
    "password: p@ss!word",
    'password: "hunter2"',
    "run --password=hunter2",
    "DB_PASSWORD: s3cr3t!pass",
]
NO_PASSWORDS_OF_CODE = [
    'password = os.environ["DB_PASSWORD"]',
    'password = config["database"]["main"]',
    'password = ""',
    "password = None",
    'token = "BTC"',
    'token = "BTCUSDT"',
    "password: str",
    'def f(password: str = "") -> None: ...',
    'password = getpass("Password: ")',
    'PASSWORD_ENV = "DB_PASSWORD"',
    'password = "DB_PASSWORD"',
    '{"password": "string"}',
    'columns = ["password", "username"]',
    'pwd = "/home/me"',
    'pwd = "data"',
    'secret_ratio = "swordfish1"',
    'password = "${DB_PASSWORD}"',
    'password = f"{pw}"',
    'password = "<password>"',
    'password_file = "secrets.txt"',
    'token_address = "0xdeadbeef12"',
    'tokens = ["abc123def4"]',
    'help="password for the account"',
    "token = next(tokens)",
    'print("password", "is missing")',
    'secret = "changeme"',
    'api_key = "YOUR_API_KEY"',
    'password = "password"',
    'token_type = "bearer12"',
    'next_token = "page_2"',
    'tokenizer = "gpt2"',
    '"token": "symbol"',
    'label = "Password:"',
    'raise ValueError("token: expected abc1234")',
    'password: Annotated[str, Option(help="The password1")]',
    "KEY: '#d0d0d0', Token: '#d0d0d0'",
]
NO_PASSWORDS_OF_SETTINGS = [
    "password: ${DB_PASSWORD}",
    "password: null",
    "password:",
    'password: "{{ pw }}"',
    "password_file: /run/secrets/db",
    "token: BTC",
    "password: /run/secrets/db",
    "password: !secret db",
    "password: $DB_PASSWORD",
    "password=<your password>",
    "passwords: 1234",
    "tokens: 123456",
    "token_count: 12345678",
]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        *(("run.py", text) for text in PASSWORDS_OF_CODE),
        *((name, text) for name in ("conf.yaml", "conf.toml", "conf.env") for text in PASSWORDS_OF_SETTINGS),
    ],
)
def test_passwords_that_people_choose(name: str, text: str) -> None:
    found = credential(f"x = 1\n{text}\ny = 2\n".encode(), name)
    assert found is not None
    assert found.endswith(", line 2")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        *(("run.py", text) for text in NO_PASSWORDS_OF_CODE),
        *(("conf.yaml", text) for text in NO_PASSWORDS_OF_SETTINGS),
    ],
)
def test_words_behind_the_name_of_a_password(name: str, text: str) -> None:
    assert credential(f"x = 1\n{text}\ny = 2\n".encode(), name) is None


def test_a_plain_password_keeps_its_file_out_and_says_so(tmp_path: Path) -> None:
    write(tmp_path, {"pyproject.toml": "", "conf.yaml": "db:\n  password: hunter2hunter2\n"})
    write(tmp_path, {"run.py": show("code=['run.py', '*.yaml']")})
    shown = run("run.py", cwd=tmp_path)
    assert sorted(shown.files) == ["run.py"]
    said = "conf.yaml may hold a credential (plain password, line 2): list it in strategy.yaml if it must be kept"
    assert shown.code["warnings"] == [said]
    assert "hunter2" not in str(shown.code)
