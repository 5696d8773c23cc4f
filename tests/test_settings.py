"""Settings stop the load when they are wrong, and say which, why and what is allowed."""

from __future__ import annotations

import os
import warnings
from pathlib import Path

import pytest

from selo_dagster.errors import SeloError
from selo_dagster.settings import CloseLimitsWarning, Settings, load_settings, process_settings


def fault(**environ: str) -> str:
    with pytest.raises(SeloError) as caught:
        load_settings(environ)
    assert caught.value.code == "settings"
    return caught.value.message


def test_nothing_set_gives_safe_defaults() -> None:
    settings = load_settings({})
    assert (settings.catchup_days, settings.cohort_size, settings.call_timeout_s) == (3, 500, 15.0)
    assert settings.store_url == f"sqlite:///{Path.cwd() / '.selo' / 'selo.db'}"


def test_a_value_out_of_range_is_named_with_the_range_allowed() -> None:
    assert "SELO_CATCHUP_DAYS" in fault(SELO_CATCHUP_DAYS="99")
    assert "(allowed: 1 to 60)" in fault(SELO_CATCHUP_DAYS="99")


@pytest.mark.parametrize("value", ["0", "-1", "inf", "nan", "soon", "1e400"])
def test_a_time_limit_that_is_no_positive_number_is_refused(value: str) -> None:
    for variable in ("REFLECTION_LLM_TIMEOUT_S", "REFLECTION_SYNC_TIMEOUT_S", "SELO_RUN_TIMEOUT_S"):
        assert variable in fault(**{variable: value})


def test_limits_have_to_nest() -> None:
    assert "must be greater than REFLECTION_LLM_TIMEOUT_S" in fault(REFLECTION_SYNC_TIMEOUT_S="15")
    assert "must be less than SELO_RUN_TIMEOUT_S" in fault(SELO_RUN_TIMEOUT_S="20")
    assert "REFLECTION_SYNC_TIMEOUT_S_DAILY" in fault(REFLECTION_SYNC_TIMEOUT_S_DAILY="3")


def test_limits_that_are_too_close_to_leave_room_warn() -> None:
    with pytest.warns(CloseLimitsWarning, match="leaves less than 2 s"):
        load_settings({"REFLECTION_SYNC_TIMEOUT_S": "16"})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        load_settings({"REFLECTION_SYNC_TIMEOUT_S": "17"})


def test_a_kind_may_have_a_limit_of_its_own() -> None:
    settings = load_settings({"REFLECTION_SYNC_TIMEOUT_S_DAILY": "40"})
    assert (settings.person_limit_s("daily"), settings.person_limit_s("weekly")) == (40.0, 20.0)


def test_a_misspelt_variable_is_an_error_with_a_suggestion() -> None:
    assert "did you mean SELO_CATCHUP_DAYS?" in fault(SELO_CATCHUP_DAY="3")


def test_every_fault_is_told_at_once() -> None:
    message = fault(SELO_CATCHUP_DAYS="0", SELO_COHORT_SIZE="no", SELO_NOTHING="1")
    assert all(name in message for name in ("SELO_CATCHUP_DAYS", "SELO_COHORT_SIZE", "SELO_NOTHING"))


def test_an_empty_value_counts_as_not_set() -> None:
    assert load_settings({"SELO_CATCHUP_DAYS": " "}).catchup_days == 3


def test_a_password_is_in_no_message_and_no_representation() -> None:
    settings = load_settings({"DATABASE_URL": "postgresql://selo:planted-secret@db/selo"})
    assert "planted-secret" not in repr(settings)
    assert "planted-secret" not in fault(DATABASE_URL="postgresql://a:planted-secret@b/c", SELO_CATCHUP_DAYS="0")


def test_the_home_is_made_absolute_once_and_exported_for_child_processes(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SELO_HOME", "here")
    process_settings.cache_clear()
    assert process_settings().home == tmp_path / "here"
    assert os.environ["SELO_HOME"] == str(tmp_path / "here")


def test_every_setting_is_documented_in_the_operators_handbook() -> None:
    handbook = (Path(__file__).parent.parent / "docs" / "settings.md").read_text(encoding="utf-8")
    for field in Settings.model_fields.values():
        assert f"`{field.alias}`" in handbook
        assert str(field.description) in handbook
