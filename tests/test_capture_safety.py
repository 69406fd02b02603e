"""What must never be captured, and trees made to hurt."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from archiver.capture import Capture, capture
from archiver.capture.files import FILE_LIMIT
from archiver.capture.secrets import credential, masked, secret_name
from tests.captured import environment, parse, run, show, write

# Built from pieces, so that no scanner takes them for real ones.
LOOK_LIKE_KEYS = {
    "AWS access key": "AKIA" + "IOSFODNN7" + "EXAMPLE",
    "private key": "-----BEGIN RSA " + "PRIVATE KEY-----",
    "GitHub token": "ghp" + "_" + "a1B2" * 9,
    "Slack token": "xoxb" + "-1234567890-" + "abcdefghij",
    "Google key": "AIza" + "SyA1234567890abcdefghijklmnopqrstuv",
    "Telegram bot token": "123456789:" + "AA" + "Hx7Kp2Qw9Zr4Tn6Vb1Mc3Yd5Fg8Js0LeU",
    "API key": "sk-" + "proj-" + "a1B2c3D4e5" * 3,
    "Stripe key": "sk" + "_live_" + "a1B2c3D4e5F6g7H8",
    "Azure storage key": "Account" + "Key=" + "a1B2c3D4" * 10,
    "JSON web token": "eyJ" + "hbGciOiJIUzI1NiJ9" + ".eyJ" + "zdWIiOiIxMjM0NTYifQ" + ".abcdefghijklmnop",
    "password in a URL": "postgres://trader:" + "hunter2x9" + "@db/prices",
    "secret in an assignment": "binance_api_" + "key = '" + "vmPUZE6mv9SD5VNHk4HlWFsOr6aKE2zvsw0MuIgwCIPy6utIco14y7Ju" + "'",
}  # fmt: skip


@pytest.mark.parametrize(("what", "text"), LOOK_LIKE_KEYS.items())
def test_lines_that_look_like_credentials(what: str, text: str) -> None:
    found = credential(f"import os\n# {text}\n".encode())
    assert found is not None
    assert found.endswith("line 2")
    assert text not in found
    assert what in found


HEX = "a8f5f167f44f4964" + "e6c998dee827110c"
WIDE = "wJalrXUtnFEMI/K7MD" + "ENG/bPxRfiCYzQ8"


@pytest.mark.parametrize(
    "text",
    [
        f'os.environ["AWS_SECRET_ACCESS_KEY"] = "{WIDE}"', f'API_KEY: str = "{HEX}"', f'API_KEY: Final[str] = "{HEX}"',
        f'API_KEY = ("{HEX}")', f"API_KEY = \'\'\'{HEX}\'\'\'", f'conf.set("api_key", "{HEX}")', f'"API_KEY = \\"{HEX}\\""',
        f"aws_secret_access_key = {WIDE}", f"  api_key: {HEX}  # mine", f"export API_TOKEN={HEX}",
        "redis://:" + "hunter2x9" + "@cache:6379/0", f'"Authorization": "Bearer {HEX}"',
        "sk-" + "ant-api03-Ab1-Cd2_Ef3-" + "Gh4-Ij5_Kl6-Mn7", "sk-" + "proj-Ab1-Cd2_Ef3-" + "Gh4-Ij5_Kl6",
        "xapp-" + "1-A0123456789-" + "1234567890-abcdef", "dop" + "_v1_" + HEX * 2, "shp" + "at_" + HEX,
        "glrt" + "-" + "a1B2c3D4e5F6g7H8i9J0",
        f'key = "{HEX}"', f'{{"key": "{HEX}"}}', f'BINANCE_KEY = "{HEX}"', f"key: {HEX}", f"consumer_key={HEX}",
        f'TOKEN = """ {HEX}"""', f"token = os.getenv('T') or '{HEX}'", f'api_key = os.environ.get("K", "{HEX}")',
        "dsn = 'postgresql://trader:My" + "Secret2024x@db/x'",
    ],
)  # fmt: skip
def test_shapes_of_credentials(text: str) -> None:
    found = credential(f"x = 1\n{text}\ny = 2\n".encode())
    assert found is not None
    assert found.endswith("line 2")


@pytest.mark.parametrize(
    "text",
    [
        "prices.sort(key=lambda bar: bar.close)",
        "token = 'mean_reverter_long_only'",
        "password = os.environ['DB_PASSWORD']",
        "API_KEY = 'your-api-key-goes-here-12345'",
        "url = f'postgres://{user}:{password}@db'",
        "url = 'postgres://user:password@localhost/db'",
        "KEYS = ['entry_price', 'exit_price', 'secret_sauce_ratio']",
        "sha256 = 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855'",
        "# see https://example.com/a:b@c",
        "task-12345678901234567890abcdef",
        "api_key = settings_for_2024_backtest",
        "token = MeanReverter_L5_SL10_TP50",
        'frame.rename("token", "mean_reverter_l20_sl10")',
        'token: str = Field("symbol")',
        "secret_key: Optional[str] = None",
        "the bearer of mean_reverter_l20_sl10",
        "ws://:8080/feed",
        "sk-learn-style-pipelines-of-estimators",
        "private_key = load_key(path)",
        'sort_key = "mean_reverter_l20_sl10_tp50"',
        'cache_key = f"{universe}/{run_id}/metrics"',
        '{"key": "tier1/universe_001/20260101T000000Z-0a1b2c3d.parquet"}',
        "monkey = 'a8f5f167f44f4964e6c998dee827110c'",
        "keys = sorted(positions, key=by_entry_time_and_symbol_1)",
    ],
)
def test_ordinary_lines(text: str) -> None:
    assert credential(text.encode()) is None


def test_secrets_over_lines() -> None:
    assert credential(f'TOKEN = """\n{HEX}\n"""\n'.encode()) == "secret in an assignment, line 2"
    assert credential(f'api_key = \\\n    "{HEX}"\n'.encode()) == "secret in an assignment, line 2"


@pytest.mark.parametrize(
    "text",
    [
        b"RPC = 'https://x'\nCODE = '0x" + b"a1" * 200_000 + b"'",
        b"token" + b" " * 400_000,
        b"eyJ" * 130_000,
        b"sk-" * 130_000,
        b"key_" * 100_000,
        b"token = " * 50_000,
        b"password = a or b " * 20_000,
        b'"password", ' * 50_000,
    ],
    ids=lambda text: text[:12].decode(),
)
def test_long_texts_end(text: bytes) -> None:
    # Where the search takes time that grows with the square of the text, this takes minutes.
    assert credential(text) is None


def test_own_sources_hold_no_credential() -> None:
    import archiver

    for path in Path(archiver.__file__).parent.rglob("*.py"):
        assert credential(path.read_bytes()) is None, path


@pytest.mark.parametrize(
    "name", [".env", "conf/.env", ".env.local", "prod.env", "id_rsa", "id_ed25519.pub", "server.PEM", "my.key",
             ".aws/config", ".netrc", "credentials.json", "secrets.yaml", "client_secret_123.json", ".ssh/known",
             "server.crt", "ca.cer", "credentials_prod.json", "credentials-live.yml", ".env-prod", ".my.cnf"],
)  # fmt: skip
def test_names_of_secrets(name: str) -> None:
    assert secret_name(name)


@pytest.mark.parametrize(
    "name",
    ["run.py", "environment.py", "keys.py", "monkey.py", "token.py", "strategy.yaml", "credentials_store.py"],
)
def test_ordinary_names(name: str) -> None:
    assert not secret_name(name)


def test_arguments_are_masked() -> None:
    url = "s3://user:" + "pa55word9" + "@host/b"
    argv = [
        "run.py",
        "--token",
        "abc",
        "--window=5",
        "--api-key=xyz",
        "password=1",
        url,
        "--secret",
        "--fast",
    ]
    assert masked(argv) == [
        "run.py", "--token", "***", "--window=5", "--api-key=***", "password=***", "***", "--secret", "--fast"
    ]  # fmt: skip


def test_script_with_a_credential_is_kept_out_unless_listed(tmp_path: Path) -> None:
    key = LOOK_LIKE_KEYS["AWS access key"]
    write(tmp_path, {"run.py": f"KEY = {key!r}\n{show()}"})
    shown = run("run.py", cwd=tmp_path)
    assert shown.code["files"] == []
    assert "run.py may hold a credential (AWS access key, line 1)" in shown.code["reason"]
    assert key not in str(shown.code) + shown.said
    write(tmp_path, {"strategy.yaml": "files: [run.py]\n"})
    assert sorted(run("run.py", cwd=tmp_path).files) == ["run.py", "strategy.yaml"]
    write(tmp_path, {"strategy.yaml": "files: ['*.py']\n"})
    assert sorted(run("run.py", cwd=tmp_path).files) == ["strategy.yaml"]


def _listed(folder: Path, *names: str | Path) -> Capture:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        return capture(list(names))


def _names(captured: Capture) -> list[str]:
    return [file.path for file in captured.code.files]


def test_secrets_only_by_name(tmp_path: Path) -> None:
    write(tmp_path, {"a.py": "", ".env": "X=1", "deploy.key": "k"})
    assert _names(_listed(tmp_path, "*", ".*")) == ["a.py"]
    assert _names(_listed(tmp_path, "a.py", ".env", "deploy.key")) == [".env", "a.py", "deploy.key"]


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_links_to_secrets_are_secret(tmp_path: Path) -> None:
    write(tmp_path, {"pyproject.toml": "", "a.py": "", ".env": "X=1", ".aws/credentials": "k", "conf/x": ""})
    (tmp_path / "settings.txt").symlink_to(".env")
    (tmp_path / "conf/c.cfg").symlink_to("../.aws/credentials")
    found = _listed(tmp_path, "a.py", "*.txt", "conf/*.cfg")
    assert _names(found) == ["a.py"]
    assert sum("holds secrets by its name" in text for text in found.code.warnings) == 2


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_credential_in_a_saved_notebook(tmp_path: Path) -> None:
    line = f'API_KEY = "{HEX}"'
    cells = {
        "quoted": [{"cell_type": "code", "source": [line]}],
        "late": [{"cell_type": "code", "source": "x\n" + LOOK_LIKE_KEYS["GitHub token"]}],
        "shown": [{"cell_type": "code", "source": "", "outputs": [{"text": ["x\n", line]}]}],
        "plain": [{"cell_type": "code", "source": "x = 1"}],
    }
    write(tmp_path, {f"{name}.ipynb": json.dumps({"cells": cell}) for name, cell in cells.items()})
    found = _listed(tmp_path, "*.ipynb")
    assert _names(found) == ["plain.ipynb"]


@pytest.mark.parametrize(
    "flag",
    [
        "--pass",
        "--db-pass",
        "--key",
        "--credentials",
        "--bearer",
        "--passphrase",
        "--private-key",
        "--binance-key",
    ],
)
def test_more_flags_of_secrets(flag: str) -> None:
    assert masked(["x", flag, "hush", f"{flag}=hush", "--passes", "3"]) == [
        "x", flag, "***", f"{flag}=***", "--passes", "3"
    ]  # fmt: skip


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_links_out_of_the_project(tmp_path: Path) -> None:
    write(tmp_path / "outside", {"secret.py": "outside = True\n", "more/deep.py": ""})
    project = write(tmp_path / "proj", {"pyproject.toml": "", "a.py": "", "lib/real.py": "real = 1\n"})
    (project / "link.py").symlink_to(tmp_path / "outside/secret.py")
    (project / "folder").symlink_to(tmp_path / "outside")
    (project / "inside.py").symlink_to(project / "lib/real.py")
    (project / "loop").symlink_to(project)
    (project / "self.py").symlink_to("self.py")
    found = _listed(project, "**/*.py", "link.py", "folder/secret.py", "../outside/secret.py", "self.py")
    assert _names(found) == ["a.py", "inside.py", "lib/real.py"]
    text = "\n".join(found.code.warnings)
    assert text.count("is outside of the project") == 3
    assert "self.py" in text
    assert b"outside = True\n" not in found.blobs.values()


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_only_regular_files(tmp_path: Path) -> None:
    write(tmp_path, {"pyproject.toml": "", "a.py": ""})
    os.mkfifo(tmp_path / "pipe.py")
    (tmp_path / "zero.py").symlink_to("/dev/zero")
    with open(tmp_path / "big.py", "wb") as file:
        file.truncate(5 * 10**9)
    found = _listed(tmp_path, "*.py", "pipe.py", "big.py")
    assert _names(found) == ["a.py"]
    text = "\n".join(found.code.warnings)
    assert "pipe.py is not a regular file" in text
    assert "big.py has 5,000,000,000 bytes" in text


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_names_that_are_not_utf8(tmp_path: Path) -> None:
    bad = os.fsencode(tmp_path) + b"/caf\xe9.py"
    try:
        with open(bad, "wb") as file:
            file.write(b"x = 1\n")
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")
    write(tmp_path, {"pyproject.toml": "", "a.py": ""})
    found = _listed(tmp_path, "*.py")
    assert _names(found) == ["a.py"]
    assert "caf\\xe9.py: its name is not UTF-8" in found.code.warnings
    " ".join(found.code.warnings).encode()


def test_script_whose_name_is_not_utf8(tmp_path: Path) -> None:
    script = os.fsencode(tmp_path) + b"/r\xe9.py"
    with open(script, "wb") as file:
        file.write(show().encode())
    done = subprocess.run(
        [sys.executable, script], cwd=tmp_path, env=environment(), capture_output=True, text=True, check=True
    )
    (shown,) = parse(done.stdout)
    assert shown.code["how"] == "none"
    assert "its name is not UTF-8" in shown.code["reason"]


def test_unreadable_file(tmp_path: Path) -> None:
    # Root reads everything, so the child gives up being root first.
    write(
        tmp_path,
        {"proj/a.py": "x = 1\n", "proj/locked.py": "", "proj/strategy.yaml": "files: [a.py, locked.py]\n"},
    )
    drop = "import os, yaml, secrets, archiver.format.records, archiver.capture.collect, archiver.capture.choose, dataclasses, json\nif os.getuid() == 0: os.setuid(65534)\n"
    write(tmp_path, {"proj/run.py": drop + show("configured='auto'")})
    (tmp_path / "proj/locked.py").chmod(0)
    for folder in (tmp_path, *list(tmp_path.parents)[:3]):
        folder.chmod(folder.stat().st_mode | 0o755)
    shown = run("run.py", cwd=tmp_path / "proj")
    assert sorted(shown.files) == ["a.py", "strategy.yaml"]
    assert shown.code["warnings"] == ["locked.py: Permission denied"]


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_caps(tmp_path: Path) -> None:
    write(tmp_path, {"pyproject.toml": ""})
    for at in range(6):
        (tmp_path / f"f{at}.py").write_bytes(b"#" * (FILE_LIMIT - at))
    (tmp_path / "over.py").write_bytes(b"#" * (FILE_LIMIT + 1))
    found = _listed(tmp_path, "*.py")
    assert len(found.code.files) == 4
    assert any("over.py has 4,194,305 bytes" in text for text in found.code.warnings)
    assert any(text.startswith("2 files are left out") for text in found.code.warnings)


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_endless_pattern_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("archiver.capture.globs._MOST", 30)
    write(tmp_path, {f"d{at}/f.py": "" for at in range(20)})
    found = _listed(tmp_path, "**/*.py")
    assert "**/*.py was given up after 30 folder entries: use a narrower pattern" in found.code.warnings


def test_environments_and_caches_are_no_code(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "pyproject.toml": "", "a.py": "", "my-env/pyvenv.cfg": "", "my-env/lib/x.py": "", "__pycache__/c.py": "",
            "node_modules/n.py": "", ".hidden/h.py": "", "lib/site-packages/s.py": "", "sub/b.py": "",
        },
    )  # fmt: skip
    assert _names(_listed(tmp_path, "**/*.py")) == ["a.py", "sub/b.py"]


def test_links_that_change_after_the_first_look(tmp_path: Path) -> None:
    write(tmp_path / "outside", {"secret.py": "outside = True\n"})
    project = write(tmp_path / "proj", {"pyproject.toml": "", "a.py": "x = 1\n"})
    assert _names(_listed(project, "a.py")) == ["a.py"]
    (project / "a.py").unlink()
    (project / "a.py").symlink_to(tmp_path / "outside/secret.py")
    with pytest.warns(UserWarning, match="outside of the project"):
        assert _names(_listed(project, "a.py")) == []


def test_captured_module_is_never_run(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "run.py": f"def later():\n    import bomb\n{show(repr('imports'))}",
            "bomb.py": "raise SystemExit('this must not run')\n",
        },
    )
    assert list(run("run.py", cwd=tmp_path).files) == ["bomb.py", "run.py"]
