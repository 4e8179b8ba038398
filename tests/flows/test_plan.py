"""What a person wrote on the command line becomes one checked plan, or is refused by name."""

from pathlib import Path
from typing import Any

import pytest
from prefect import Flow
from prefect.utilities.callables import parameter_schema
from pydantic import ValidationError

from backends.errors import InvalidInputError
from backends.settings import PROJECT
from edge.contract import INFERENCE_COMPONENT, RUNTIME_COMPONENT
from flows.cycle import cycle
from flows.gate_names import GATES
from flows.monitor import monitor
from flows.plan import CyclePlan, DevicePlan, make_plan, read_targets
from tasks.business_understanding import Targets, load_targets

STRICT = 'objective = "Miss nobody."\n[accuracy]\nmin_top1 = 0.99\n'


def plan(**written: Any) -> CyclePlan:
    usual: dict[str, Any] = {
        "data": "driveway",
        "targets": None,
        "platform": "linux-x86_64",
        "thing": "hub-1",
        "settings": [],
        "override": [],
        "run_id": "",
    }
    return make_plan(**(usual | written))


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No targets.toml lies in the working folder."""
    monkeypatch.chdir(tmp_path)


def test_a_plan_survives_the_way_to_a_worker_as_json() -> None:
    made = plan(settings=["epochs=5", "split.seed=3"], override=["data.drift"], run_id="mine")

    assert CyclePlan.model_validate_json(made.model_dump_json()) == made


def test_settings_go_to_their_tables() -> None:
    made = plan(
        settings=[
            "epochs=5",
            "training.num_layers=32",
            "split.train_share=0.7",
            "driveway.drift=night",
            "device.known_pictures=3",
        ]
    )

    assert (made.training.epochs, made.training.num_layers) == (5, 32)
    assert made.split.train_share == 0.7
    assert made.driveway.drift == "night"
    assert made.device.known_pictures == 3


def test_the_last_of_two_settings_counts() -> None:
    assert plan(settings=["epochs=5", "epochs=6"]).training.epochs == 6


def test_a_value_may_hold_an_equals_sign_or_be_a_list() -> None:
    made = plan(settings=["lr_scheduler_step=2,4", "image_shape=3,28,28"])

    assert made.training.lr_scheduler_step == "2,4"
    assert (made.training.height, made.training.width) == (28, 28)


@pytest.mark.parametrize(
    ("written", "what", "remedy"),
    [
        ({"platform": "linux-riscv64"}, "--platform linux-riscv64", "linux-armv7l"),
        ({"override": ["model.acuracy"]}, "--override model.acuracy", "model.accuracy"),
        ({"settings": ["epochs"]}, "--set epochs", "epochs=5"),
        ({"settings": ["=5"]}, "--set =5", "epochs=5"),
        ({"settings": ["splits.seed=3"]}, "--set splits.seed=3", "training, split, driveway"),
        ({"settings": ["a.split.seed=3"]}, "--set a.split.seed=3", "training, split, driveway"),
        ({"settings": ["split.sed=3"]}, "--set split.sed", "split.seed"),
        ({"settings": ["split.seed=-1"]}, "--set split.seed=-1", "possible value"),
        ({"settings": ["device.max_results=0"]}, "--set device.max_results=0", "possible value"),
        ({"settings": ["driveway.images=69"]}, "--set driveway.images=69", "possible value"),
        ({"settings": ["epoch=5"]}, "hyperparameter epoch", "epochs"),
        ({"settings": ["learning_rate=2"]}, "hyperparameter learning_rate", "default"),
    ],
)
def test_what_is_wrong_is_refused_by_the_option_that_says_it(
    written: dict[str, Any], what: str, remedy: str
) -> None:
    with pytest.raises(InvalidInputError) as refused:
        plan(**written)

    assert refused.value.what == what
    assert remedy in refused.value.remedy
    assert refused.value.exit_status == 2


def test_every_gate_may_be_overridden_by_name() -> None:
    assert plan(override=list(GATES)).override == GATES


def test_the_driveway_is_judged_by_the_projects_own_targets() -> None:
    targets = plan().targets

    assert targets == load_targets(PROJECT / "targets.toml")
    assert "child" in targets.accuracy.min_recall


def test_other_data_are_not_judged_by_the_driveways_classes() -> None:
    targets = plan(data="folder:/pictures").targets

    assert targets == Targets()
    assert targets.classes == ()


def test_targets_in_the_working_folder_are_the_driveways(tmp_path: Path) -> None:
    (tmp_path / "targets.toml").write_text(STRICT)

    assert read_targets(None, "driveway").accuracy.min_top1 == 0.99
    assert read_targets(None, "folder:/pictures") == Targets(), "they speak of other classes"


@pytest.mark.parametrize("data", ["driveway", "folder:/pictures"])
def test_targets_that_are_named_judge_any_data(tmp_path: Path, data: str) -> None:
    (tmp_path / "strict.toml").write_text(STRICT)

    assert plan(data=data, targets=tmp_path / "strict.toml").targets.objective == "Miss nobody."


def test_targets_that_are_named_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match=r"missing\.toml"):
        plan(targets=tmp_path / "missing.toml")


def test_an_interpreter_on_the_device_is_only_named_where_there_is_one() -> None:
    with_python = DevicePlan().merge(Path("/camera"), "/opt/python")
    without = DevicePlan().merge(Path("/camera"), "")

    assert with_python[RUNTIME_COMPONENT] == {"Python": "/opt/python"}
    assert without[RUNTIME_COMPONENT] == {}
    assert without[INFERENCE_COMPONENT]["ImageDirectory"] == "/camera"


@pytest.mark.parametrize(
    "device", [{"wheels_for": "3.11"}, {"runtime": "variant.DLR"}], ids=["wheels", "variant"]
)
def test_the_ready_made_interpreter_is_not_given_where_another_was_asked_for(
    device: dict[str, str],
) -> None:
    """A device on this machine then shows that the installation works."""
    usual = DevicePlan().merge(Path("/camera"), "/device/python")
    asked = DevicePlan.model_validate(device).merge(Path("/camera"), "/device/python")

    assert usual[RUNTIME_COMPONENT] == {"Python": "/device/python"}
    assert asked[RUNTIME_COMPONENT] == {}


def test_wheels_for_a_python_that_the_component_does_not_run_on_are_refused() -> None:
    with pytest.raises(InvalidInputError, match=r"device\.wheels_for"):
        plan(settings=["device.wheels_for=3.8"])


@pytest.mark.parametrize("which", [cycle, monitor], ids=["cycle", "monitor"])
def test_every_input_of_the_run_form_is_described_and_has_a_default(which: Flow[..., Any]) -> None:
    schema = parameter_schema(which).model_dump()
    tables = schema["definitions"]
    described = {name for name, table in tables.items() if table.get("description")}

    bare = [
        f"{name}.{key}"
        for name, table in tables.items()
        for key, field in table["properties"].items()
        if not field.get("description")
        and field.get("$ref", "").rsplit("/", 1)[-1] not in described
    ]
    assert tables
    assert bare == []
    assert [
        name for name, table in {"flow": schema, **tables}.items() if table.get("required")
    ] == []


@pytest.mark.parametrize(
    ("given", "says"),
    [
        pytest.param({"data": "folder"}, "folder", id="no source"),
        pytest.param({"run_id": "../elsewhere"}, "pattern", id="a way out of the runs"),
        pytest.param({"override": ["model.beauty"]}, "model.accuracy", id="no gate"),
        pytest.param({"thing": "no thing"}, "pattern", id="no thing"),
    ],
)
def test_a_wrong_input_of_the_run_form_is_refused_by_name(given: dict[str, Any], says: str) -> None:
    with pytest.raises(ValidationError) as refused:
        CyclePlan.model_validate(given)

    assert next(iter(given)) in str(refused.value)
    assert says in str(refused.value)
