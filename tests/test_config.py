"""Where settings come from, which one wins, and what is never shown."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from archiver.config.settings import DEFAULT, SETTINGS, load_settings, size_in_bytes
from archiver.errors import ConfigError

SECRET = "hunter" + "2-very-secret"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    folder.mkdir()
    return folder


@pytest.fixture
def user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "xdg"))
    path = tmp_path / "xdg" / "archiver" / "config.toml"
    path.parent.mkdir(parents=True)
    return path


def test_nothing_configured_is_the_folder_archive_and_one_can_tell(project: Path) -> None:
    settings = load_settings(folder=project)
    assert settings.url == "./archive"
    assert settings.url_is_default
    assert settings.storage_options == {}
    assert settings.code == "auto"
    assert settings.budget is None
    assert settings.policy == []
    assert set(settings.origins.values()) == {DEFAULT}
    assert set(settings.origins) == set(SETTINGS)


def test_each_source_beats_the_next(project: Path, user: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    user.write_text('url = "s3://user/x"\ncode = "none"\nmin_free = "1GB"\n')
    settings = load_settings(folder=project)
    assert (settings.url, settings.origins["url"]) == ("s3://user/x", str(user))
    (project / "pyproject.toml").write_text('[tool.archiver]\nurl = "s3://project/x"\ncode = "imports"\n')
    settings = load_settings(folder=project)
    assert (settings.url, settings.origins["url"]) == (
        "s3://project/x",
        f"{project}/pyproject.toml [tool.archiver]",
    )
    assert (settings.code, settings.min_free) == ("imports", 10**9)
    assert settings.origins["min_free"] == str(user)
    monkeypatch.setenv("ARCHIVER_URL", "s3://variable/x")
    settings = load_settings(folder=project)
    assert (settings.url, settings.origins["url"]) == ("s3://variable/x", "ARCHIVER_URL")
    settings = load_settings("s3://call/x", folder=project)
    assert (settings.url, settings.origins["url"]) == ("s3://call/x", "argument")
    assert settings.origins["code"].endswith("[tool.archiver]")
    assert not settings.url_is_default


def test_the_nearest_project_counts(project: Path) -> None:
    deep = project / "a" / "b"
    deep.mkdir(parents=True)
    (project / "archiver.toml").write_text('url = "s3://far/x"\n')
    (project / "a" / "pyproject.toml").write_text('[project]\nname = "has no table for us"\n')
    assert load_settings(folder=deep).url == "s3://far/x"
    (project / "a" / "pyproject.toml").write_text('[tool.archiver]\nurl = "s3://near/x"\n')
    assert load_settings(folder=deep).url == "s3://near/x"
    (project / "a" / "archiver.toml").write_text('url = "s3://own/x"\n')
    assert load_settings(folder=deep).url == "s3://own/x"
    assert load_settings(folder=project).url == "s3://far/x"


def test_the_working_folder_is_where_the_search_begins(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (project / "archiver.toml").write_text('url = "s3://here/x"\n')
    (project / "sub").mkdir()
    monkeypatch.chdir(project / "sub")
    assert load_settings().url == "s3://here/x"


def test_a_relative_folder_means_the_same_from_everywhere(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (project / "archiver.toml").write_text('url = "results/archive"\n')
    (project / "sub").mkdir()
    assert load_settings(folder=project / "sub").url == str(project / "results/archive")
    (project / "archiver.toml").write_text('url = "~/archive"\n')
    assert load_settings(folder=project).url == "~/archive"
    monkeypatch.setenv("ARCHIVER_URL", "elsewhere")
    assert load_settings(folder=project).url == "elsewhere"


def test_variables_hold_every_kind_of_value(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ARCHIVER_BUDGET", "500GB")
    monkeypatch.setenv("ARCHIVER_MIN_FREE", "12345")
    monkeypatch.setenv("ARCHIVER_DEADLINE", "7.5")
    monkeypatch.setenv("ARCHIVER_CODE", '["a.py", "b"]')
    monkeypatch.setenv("ARCHIVER_STORAGE_OPTIONS", '{"anon": true}')
    settings = load_settings("s3://b/x", folder=project)
    assert (settings.budget, settings.min_free, settings.deadline) == (500 * 10**9, 12345, 7.5)
    assert settings.code == ["a.py", "b"]
    assert settings.storage_options == {"anon": True}
    assert settings.origins["storage_options"] == "ARCHIVER_STORAGE_OPTIONS"
    monkeypatch.setenv("ARCHIVER_CODE", "imports")
    monkeypatch.setenv("ARCHIVER_URL", "")
    settings = load_settings(folder=project)
    assert settings.code == "imports"
    assert settings.url_is_default


def test_policies_are_tables(project: Path) -> None:
    (project / "archiver.toml").write_text(
        '[[policy]]\nkeep_last = 10\n[[policy]]\nkeep_within = "30d"\nuniverse = "u*"\n'
    )
    expected = [{"keep_last": 10}, {"keep_within": "30d", "universe": "u*"}]
    assert load_settings(folder=project).policy == expected
    (project / "archiver.toml").unlink()
    (project / "pyproject.toml").write_text("[[tool.archiver.policy]]\nkeep_last = 10\n")
    assert load_settings(folder=project).policy == expected[:1]


def test_options_go_with_the_kind_of_url_they_stand_beside(project: Path, user: Path) -> None:
    (project / "archiver.toml").write_text(
        'url = "s3://project/x"\n[storage_options]\nendpoint_url = "http://127.0.0.1:1"\nanon = true\n'
    )
    assert load_settings(folder=project).storage_options == {
        "endpoint_url": "http://127.0.0.1:1",
        "anon": True,
    }
    assert load_settings("s3://other/x", folder=project).storage_options["anon"] is True
    for local in ("./here", "file:///tmp/x", "memory://x"):
        settings = load_settings(local, folder=project)
        assert settings.storage_options == {}
        assert settings.origins["storage_options"] == DEFAULT
    merged = load_settings(storage_options={"anon": False}, folder=project)
    assert merged.storage_options == {"endpoint_url": "http://127.0.0.1:1", "anon": False}
    assert merged.origins["storage_options"] == f"argument, {project}/archiver.toml"
    user.write_text('[storage_options]\nprofile = "mine"\n')
    assert load_settings(folder=project).storage_options["profile"] == "mine"
    assert load_settings("./here", folder=project).storage_options == {}


def test_what_is_to_be_kept_of_one_archive_is_not_for_another(
    project: Path, user: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(project)
    (project / "archiver.toml").write_text('url = "here"\nbudget = "1GB"\n[[policy]]\nkeep_last = 10\n')
    for same in (None, "here", "./here/", f"file://{project}/here"):
        settings = load_settings(same, folder=project)
        assert (settings.elsewhere("policy"), settings.budget) == (None, 10**9)
    other = load_settings("there", folder=project)
    assert other.elsewhere("policy") == str(project / "here")
    assert other.elsewhere("lifecycle") is None
    assert (other.budget, other.origins["budget"]) == (None, DEFAULT)
    # Without a URL beside them they are for all.
    (project / "archiver.toml").write_text('budget = "1GB"\n[[policy]]\nkeep_last = 10\n')
    user.write_text('url = "s3://user:secret@bucket/x/"\n[lifecycle]\nold_versions = "never"\n')
    other = load_settings("there", folder=project)
    assert (other.elsewhere("policy"), other.budget) == (None, 10**9)
    assert other.elsewhere("lifecycle") == "s3://bucket/x"
    assert load_settings("s3://user:secret@bucket/x", folder=project).elsewhere("lifecycle") is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("ulr = 's3://x'", "did you mean 'url'"),
        ("colour = 1", "'colour' is no setting; known are url"),
        ("url = 5", r"url from .*archiver\.toml does not fit"),
        ("url = ''", "url from"),
        ("budget = 'lots'", "'lots' is no size"),
        ("budget = -5", "budget from"),
        ("deadline = 0", "deadline from"),
        ("policy = 5", "policy from"),
        ("code = 5", "code from"),
        ("code = [1]", "code from"),
        ("storage_options = 5", "storage_options"),
        ("lifecycle = [1]", "lifecycle from .* does not fit: give a table"),
        ("policy = [1]", "policy from .* does not fit: give a table"),
        ("budget = 1.5", "budget from"),
        ("budget = true", "budget from"),
        ("min_free = -1", "min_free from"),
        ("min_free = inf", "min_free from"),
        ("deadline = nan", "deadline from"),
        ("deadline = true", "deadline from"),
        ("deadline = 3601", "at most 3600"),
        ("url = ", "no valid TOML"),
    ],
)
def test_what_does_not_fit_is_named_in_one_line(project: Path, text: str, said: str) -> None:
    (project / "archiver.toml").write_text(text)
    with pytest.raises(ConfigError, match=said) as caught:
        load_settings(folder=project)
    assert "\n" not in str(caught.value)


def test_a_file_that_cannot_be_read_is_named(project: Path) -> None:
    (project / "pyproject.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match=r"pyproject\.toml is no valid TOML"):
        load_settings(folder=project)


def test_a_variable_that_does_not_fit_is_named(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ARCHIVER_STORAGE_OPTIONS", "{not json")
    with pytest.raises(ConfigError, match="ARCHIVER_STORAGE_OPTIONS is no valid JSON"):
        load_settings(folder=project)
    monkeypatch.delenv("ARCHIVER_STORAGE_OPTIONS")
    monkeypatch.setenv("ARCHIVER_DEADLINE", "soon")
    with pytest.raises(ConfigError, match="deadline from ARCHIVER_DEADLINE"):
        load_settings(folder=project)


def test_only_the_names_of_settings_are_variables(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ARCHIVER_S3_KEY", "of something else")
    monkeypatch.setenv("ARCHIVER_ORIGINS", "of something else")
    monkeypatch.setenv("archiver_deadline", "7")
    monkeypatch.setenv("ARCHIVER_CODE", "[no json")
    with pytest.raises(ConfigError, match="ARCHIVER_CODE is no valid JSON"):
        load_settings(folder=project)
    monkeypatch.setenv("ARCHIVER_CODE", " entry ")
    settings = load_settings(folder=project)
    assert (settings.deadline, settings.code) == (7.0, "entry")


def test_a_layer_that_loses_is_not_checked(project: Path) -> None:
    (project / "archiver.toml").write_text("url = 5\nbudget = '1GB'\n")
    settings = load_settings("memory://x", folder=project)
    assert (settings.url, settings.budget) == ("memory://x", 10**9)


def test_secrets_are_masked_wherever_settings_are_shown(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = {
        "key": SECRET,
        "secret": SECRET,
        "account_key": SECRET,
        "some_new_option": SECRET,
        "endpoint_url": f"http://user:{SECRET}@host:9000/?sig={SECRET}",
        "client_kwargs": {"region_name": "eu-west-1", "aws_session_token": SECRET, "headers": [SECRET]},
        "anon": False,
        "max_concurrency": 4,
    }
    settings = load_settings(f"sftp://user:{SECRET}@host/path?token={SECRET}", options, folder=project)
    texts = [repr(settings), str(settings), *(text for row in settings.shown() for text in row)]
    assert not any(SECRET in text for text in texts)
    shown = {name: text for name, text, _ in settings.shown()}
    assert shown["url"] == "sftp://host/path"
    assert "endpoint_url=http://host:9000" in shown["storage_options"]
    assert "region_name=eu-west-1" in shown["storage_options"]
    assert "max_concurrency=4" in shown["storage_options"]
    assert "secret=********" in shown["storage_options"]
    monkeypatch.setenv("ARCHIVER_POLICY", f'["{SECRET}"]')
    with pytest.raises(ConfigError) as caught:
        load_settings(folder=project)
    assert SECRET not in str(caught.value)


def test_settings_do_not_change(project: Path) -> None:
    settings = load_settings(folder=project)
    with pytest.raises(AttributeError, match="cannot assign"):
        settings.url = "elsewhere"  # type: ignore[misc]


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("0", 0),
        ("12", 12),
        ("1KB", 1000),
        ("1KiB", 1024),
        ("500GB", 500 * 10**9),
        ("1.5 TiB", 3 * 2**39),
        ("2m", 2_000_000),
    ],
)
def test_sizes(text: str, size: int) -> None:
    assert size_in_bytes(text) == size


@pytest.mark.parametrize("text", ["", "GB", "-1", "1XB", "1e9", "1 GB 2"])
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(ConfigError, match="is no size"):
        size_in_bytes(text)


def test_the_environment_of_the_tests_is_nobodys() -> None:
    assert not [name for name in os.environ if name.startswith("ARCHIVER_")]
    assert not Path(os.environ["AWS_SHARED_CREDENTIALS_FILE"]).exists()


def test_every_setting_is_documented() -> None:
    text = (Path(__file__).parent.parent / "docs/reference/settings.md").read_text()
    rows = [line.split("|")[1:3] for line in text.splitlines() if line.startswith("| `")]
    assert [name.strip().strip("`") for name, _ in rows] == list(SETTINGS)
    assert all(f"`ARCHIVER_{name.strip().strip('`').upper()}`" in variable for name, variable in rows)
