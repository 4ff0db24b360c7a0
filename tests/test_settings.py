"""Flags win over environment, environment over the file, the file over defaults; unknown keys are named."""

from __future__ import annotations

from pathlib import Path

import pytest

from qa.errors import SettingsError
from qa.settings import load_settings, setting_keys


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_the_order_of_sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert load_settings().retrieval.rrf_k == 10
    (tmp_path / "qa.toml").write_text("[retrieval]\nrrf_k = 15\npassages = 11\ncandidates = 12\n")
    monkeypatch.setenv("QA_RETRIEVAL__RRF_K", "20")
    monkeypatch.setenv("QA_RETRIEVAL__PASSAGES", "21")
    settings = load_settings({"retrieval": {"rrf_k": 30, "passages": None}})
    assert settings.retrieval.rrf_k == 30
    assert settings.retrieval.passages == 21
    assert settings.retrieval.candidates == 12


def test_every_key_can_be_set_by_its_environment_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    for key in setting_keys():
        monkeypatch.setenv(f"QA_{key.replace('.', '__').upper()}", "nonsense \x01")
        # A free-text key takes it, any other refuses it by name; no key is unknown.
        try:
            load_settings()
        except SettingsError as error:
            assert key in str(error)
        monkeypatch.delenv(f"QA_{key.replace('.', '__').upper()}")


def test_a_file_can_be_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "other.toml").write_text("[server]\nport = 9000\n")
    assert load_settings(config=tmp_path / "other.toml").server.port == 9000
    monkeypatch.setenv("QA_CONFIG", str(tmp_path / "other.toml"))
    assert load_settings().server.port == 9000
    monkeypatch.setenv("QA_CONFIG", str(tmp_path / "none.toml"))
    with pytest.raises(SettingsError, match="none.toml"):
        load_settings()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[retrieval]\nrrf = 10\n", "unknown setting retrieval.rrf; did you mean retrieval.rrf_k"),
        ("[retreival]\nrrf_k = 10\n", "unknown setting retreival"),
        ("[server]\nport = 99999\n", "server.port"),
        ("[server]\nport = 'x'\n", "server.port"),
        ("paths = 3\n", "paths"),
        ("[server\n", "not valid TOML"),
    ],
)
def test_what_is_wrong_in_the_file_is_named(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "qa.toml").write_text(text)
    with pytest.raises(SettingsError, match=message):
        load_settings()


def test_an_unknown_variable_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QA_PATHS__CORPSE", "x")
    with pytest.raises(SettingsError, match="QA_PATHS__CORPSE; did you mean QA_PATHS__CORPUS"):
        load_settings()


def test_the_admin_token_never_shows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QA_SERVER__ADMIN_TOKEN", "s3cret-value")
    settings = load_settings()
    assert "s3cret" not in repr(settings) + str(settings) + settings.model_dump_json()
    monkeypatch.setenv("QA_SERVER__PORT", "x")
    with pytest.raises(SettingsError) as caught:
        load_settings()
    assert "s3cret" not in str(caught.value)
