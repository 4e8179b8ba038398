"""A setting that is misspelt or impossible is named before anything runs."""

from pathlib import Path

import pytest

from backends.errors import InvalidInputError
from backends.settings import known_variables, load_settings


@pytest.fixture(autouse=True)
def nothing_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder of its own, whose `.env` counts, and no variable of ours."""
    for variable in known_variables():
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_without_any_setting_all_lies_below_the_working_folder(tmp_path: Path) -> None:
    assert load_settings().root == tmp_path / ".edgeward"


def test_nested_values_come_from_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGEWARD_MQTT__PORT", "1884")
    monkeypatch.setenv("EDGEWARD_BACKEND__JOB_THREADS", "2")

    settings = load_settings()

    assert settings.mqtt.port == 1884
    assert settings.backend.job_threads == 2


def test_a_group_may_be_one_json_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGEWARD_MQTT", '{"host": "broker.example", "port": 8883}')
    monkeypatch.setenv("EDGEWARD_MQTT__PORT", "1884")

    mqtt = load_settings().mqtt

    assert (mqtt.host, mqtt.port) == ("broker.example", 1884)


def test_the_env_file_counts_less_than_the_environment_and_may_hold_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".env").write_text(
        "EDGEWARD_HOME=from-file\nEDGEWARD_MQTT__HOST=broker.example\nDATABASE_URL=another's\n"
    )
    monkeypatch.setenv("EDGEWARD_HOME", "from-environment")

    settings = load_settings()

    assert settings.root == tmp_path / "from-environment"
    assert settings.mqtt.host == "broker.example"


@pytest.mark.parametrize("written_in", ["environment", ".env"])
@pytest.mark.parametrize(
    ("variable", "remedy"),
    [
        ("EDGEWARD_HOM", "Did you mean EDGEWARD_HOME?"),
        ("EDGEWARD_MQTT__PROT", "Did you mean EDGEWARD_MQTT__PORT?"),
        ("EDGEWARD_BACKEND__JOB_THREADS__MAX", "Did you mean EDGEWARD_BACKEND__JOB_THREADS?"),
        ("EDGEWARD_HOME__FOLDER", "Did you mean EDGEWARD_HOME?"),
        ("EDGEWARD_XYZ", "Known: EDGEWARD_HOME, EDGEWARD_BACKEND__KIND,"),
    ],
)
def test_an_unknown_variable_is_named_with_its_neighbour(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    variable: str,
    remedy: str,
    written_in: str,
) -> None:
    if written_in == ".env":
        (tmp_path / ".env").write_text(f"{variable}=1\n")
    else:
        monkeypatch.setenv(variable, "1")

    with pytest.raises(InvalidInputError) as refused:
        load_settings()

    assert refused.value.what == variable
    assert remedy in refused.value.remedy


@pytest.mark.parametrize(
    ("variable", "value", "named", "reason"),
    [
        ("EDGEWARD_MQTT__PORT", "65536", "EDGEWARD_MQTT__PORT", "less than or equal to 65535"),
        ("EDGEWARD_MQTT__PORT", "many", "EDGEWARD_MQTT__PORT", "valid integer"),
        ("EDGEWARD_BACKEND__JOB_SECONDS", "0", "EDGEWARD_BACKEND__JOB_SECONDS", "greater than"),
        ("EDGEWARD_BACKEND__WORKERS", "-1", "EDGEWARD_BACKEND__WORKERS", "greater than"),
        ("EDGEWARD_BACKEND__USD_PER_HOUR", "-1", "EDGEWARD_BACKEND__USD_PER_HOUR", "greater than"),
        ("EDGEWARD_MQTT", '{"prot": 1}', "EDGEWARD_MQTT__PROT", "no such setting"),
        ("EDGEWARD_MQTT", "1883", "EDGEWARD_MQTT", "dictionary"),
        ("EDGEWARD_MQTT", "not JSON", "EDGEWARD_*", 'parsing value for field "mqtt"'),
    ],
)
def test_an_impossible_value_is_named(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, named: str, reason: str
) -> None:
    monkeypatch.setenv(variable, value)

    with pytest.raises(InvalidInputError) as refused:
        load_settings()

    assert refused.value.what == named
    assert reason in refused.value.reason
    assert refused.value.exit_status == 2


def test_a_password_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGEWARD_MQTT__PASSWORD", "open sesame")

    settings = load_settings()

    assert "sesame" not in repr(settings)
    assert settings.mqtt.password.get_secret_value() == "open sesame"
