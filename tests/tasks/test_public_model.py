"""From a run to what an account takes: the right run, a recipe and a deployment that fit."""

import json
from pathlib import Path
from typing import Any

import pytest

from backends.errors import InvalidInputError
from backends.local.nucleus.versions import parse_requirement, parse_version
from backends.recipe_rules import check_recipe
from tasks.public_model import (
    FIRST_VERSION,
    LATEST,
    PUBLIC_VERSION,
    cloud_recipe,
    deployment_document,
    find_run,
    trained_model,
)
from tasks.recipes import PLATFORMS

STORE = "variant.DLR.ImageClassification.ModelStore"


def runs_of(home: Path, *statuses: str, **training: Any) -> Path:
    """Runs 0, 1, … that ended so, each with a trained model."""
    for number, status in enumerate(statuses):
        folder = home / "runs" / str(number)
        folder.mkdir(parents=True)
        (folder / "model.tar.gz").touch()
        known = {
            "archive": str(folder / "model.tar.gz"),
            "seconds": 1.0,
            "images_per_second": 2.0,
            "hyperparameters": {"image_shape": "3,24,40"},
        }
        record = {
            "status": status,
            "reason": "too bad",
            "split": {"classes": ["cat", "dog"]},
            "training": known | training,
        }
        (folder / "run.json").write_text(json.dumps(record))
    return home / "runs"


def test_the_newest_model_that_passed_its_gates_is_taken(tmp_path: Path) -> None:
    runs = runs_of(tmp_path, "deployed", "packaged", "refused", "failed")

    run = find_run(runs, LATEST)

    model = trained_model(run)
    assert run.id == "1"
    assert (model.width, model.height, model.classes) == (40, 24, ("cat", "dog"))
    assert model.archive == runs / "1" / "model.tar.gz"


@pytest.mark.parametrize(
    ("name", "reason"),
    [("1", "it ended refused: too bad"), ("7", "no such run"), ("../runs/0", "no such run")],
    ids=["refused", "unknown", "a path"],
)
def test_a_model_that_may_not_ship_is_refused(tmp_path: Path, name: str, reason: str) -> None:
    """This command would be a way round the gates."""
    runs = runs_of(tmp_path, "deployed", "refused")

    with pytest.raises(InvalidInputError, match=reason):
        find_run(runs, name)


def test_without_any_run_the_remedy_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="`edgeward run`"):
        find_run(tmp_path, LATEST)


@pytest.mark.parametrize(
    ("archive", "reason"), [("/nowhere/model.tar.gz", "is gone"), ("", "names no model")]
)
def test_a_run_whose_model_was_deleted_says_so(tmp_path: Path, archive: str, reason: str) -> None:
    run = find_run(runs_of(tmp_path, "deployed", archive=archive), LATEST)

    with pytest.raises(InvalidInputError, match=reason):
        trained_model(run)


def test_the_recipe_for_an_account_is_one_that_both_nuclei_take() -> None:
    recipe = cloud_recipe("2.1.103", PLATFORMS)

    check_recipe(recipe)
    assert (recipe["ComponentName"], recipe["ComponentVersion"]) == (STORE, "2.1.103")
    uris = [manifest["Artifacts"][0]["Uri"] for manifest in recipe["Manifests"]]
    assert uris == [
        f"s3://BUCKET_NAME/{STORE}/2.1.103/DLR-resnet50-{name}-cpu-ImageClassification.zip"
        for name in ("x86_64", "aarch64", "armv7l")
    ]


def test_the_public_component_accepts_the_version_and_prefers_it_to_aws_s_own() -> None:
    ours = parse_version(FIRST_VERSION)

    assert parse_requirement(">=2.1.0 <2.2.0").admits(ours)
    assert parse_version(PUBLIC_VERSION) < ours


def test_the_deployment_merges_the_interval_as_text_in_text() -> None:
    """CreateDeployment wants the merge as one JSON text, and the component an int of a text."""
    components = deployment_document("2.1.100")["components"]

    update = components["aws.greengrass.DLRImageClassification"]["configurationUpdate"]
    assert json.loads(update["merge"]) == {"InferenceInterval": "5"}
    assert components[STORE] == {"componentVersion": "2.1.100"}
