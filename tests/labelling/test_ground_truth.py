"""SageMaker Ground Truth reads our manifest and we read its own: all of it, or none."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from backends.aws.account import Account
from backends.aws.objects import S3Objects
from backends.errors import InvalidInputError
from backends.settings import AwsSettings
from tasks.labelling.answers import Answer
from tasks.labelling.batches import Batch
from tasks.labelling.ground_truth import batch_named_in, export_batch, read_output
from tests.backends.aws.conftest import (
    BUCKET,
    account,
    aws_server,
    aws_settings,
    calls,
    credentials,
)
from tests.labelling.queue import CLASSES, batch_of

__all__ = ["account", "aws_server", "aws_settings", "calls", "credentials"]

JOB = "night-labels"


@pytest.fixture
def objects(account: Account) -> S3Objects:
    return S3Objects(account)


@pytest.fixture
def batch(tmp_path: Path) -> Batch:
    return batch_of(tmp_path / "home", 4)


def line(batch: Batch, number: int, label: str = "cat", **changes: Any) -> dict[str, Any]:
    """An answer as Ground Truth writes it."""
    about = {
        "class-name": label,
        "job-name": f"labeling-job/{JOB}",
        "confidence": 0.94,
        "type": "groundtruth/image-classification",
        "human-annotated": "yes",
        "creation-date": "2026-11-25T10:18:13.527256",
    }
    ref = f"s3://{BUCKET}/edgeward/labelling/{batch.id}/{batch.examples[number].file.name}"
    about |= {name.replace("_", "-"): value for name, value in changes.items()}
    return {"source-ref": ref, JOB: 1, f"{JOB}-metadata": about}


@pytest.fixture
def written(tmp_path: Path) -> Callable[..., Path]:
    def written(*lines: dict[str, Any] | str) -> Path:
        path = tmp_path / "output.manifest"
        texts = [each if isinstance(each, str) else json.dumps(each) for each in lines]
        path.write_text("\n".join(texts) + "\n")
        return path

    return written


def test_a_job_finds_every_picture_that_the_manifest_names(
    batch: Batch, objects: S3Objects, account: Account, tmp_path: Path
) -> None:
    exported = export_batch(batch, objects)

    manifest = objects.get(exported.manifest, tmp_path / "manifest").read_text()
    refs = [json.loads(each) for each in manifest.splitlines()]
    assert [set(each) for each in refs] == [{"source-ref"}] * 4
    for ref, example in zip(refs, batch.examples, strict=True):
        found = objects.get(ref["source-ref"], tmp_path / "picture").read_bytes()
        assert found == example.file.read_bytes()
    categories = json.loads(objects.get(exported.categories, tmp_path / "labels").read_text())
    assert [each["label"] for each in categories["labels"]] == list(CLASSES)


def test_exported_again_nothing_is_uploaded_twice(
    batch: Batch, objects: S3Objects, calls: list[Any]
) -> None:
    export_batch(batch, objects)
    calls.clear()

    export_batch(batch, objects)

    assert {call.operation for call in calls} == {"HeadObject"}


def test_the_answers_of_people_are_read_and_a_machine_s_are_not(
    batch: Batch, objects: S3Objects, written: Callable[..., Path]
) -> None:
    failed = line(batch, 3)
    failed[f"{JOB}-metadata"] = {
        "failure-reason": "it could not be opened",
        "type": "groundtruth/image-classification",
    }
    manifest = written(
        line(batch, 0),
        line(batch, 1, "deer"),
        line(batch, 2, human_annotated="no"),
        failed,
    )

    found = read_output(manifest, batch, objects)

    ids = [each.image_id for each in batch.examples]
    assert found.answers == (Answer(ids[0], "label", "cat"), Answer(ids[1], "label", "deer"))
    assert (found.job, found.by_machine, found.failed) == (JOB, 1, 1)
    assert batch_named_in(manifest) == batch.id


@pytest.mark.parametrize(
    ("change", "field"),
    [
        pytest.param({"class_name": ""}, f"{JOB}-metadata: class-name", id="no-name"),
        pytest.param({"class_name": "a/b"}, f"{JOB}-metadata.class-name", id="no-folder"),
        pytest.param({"confidence": 2}, f"{JOB}-metadata.confidence", id="confidence"),
        pytest.param({"confidence": True}, f"{JOB}-metadata.confidence", id="no-number"),
        pytest.param({"human_annotated": "maybe"}, f"{JOB}-metadata.human-annotated", id="who"),
        pytest.param({"creation_date": "today"}, f"{JOB}-metadata.creation-date", id="date"),
        pytest.param({"type": "groundtruth/object-detection"}, "-metadata.type", id="other-job"),
    ],
)
def test_a_bad_field_is_refused_by_line_and_name(
    batch: Batch,
    objects: S3Objects,
    written: Callable[..., Path],
    change: dict[str, Any],
    field: str,
) -> None:
    manifest = written(line(batch, 0), line(batch, 1, **change))

    with pytest.raises(InvalidInputError) as refused:
        read_output(manifest, batch, objects)

    assert "line 2" in refused.value.what
    assert field in refused.value.what


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        pytest.param(lambda b: ["{"], "line 1: it is no JSON", id="torn"),
        pytest.param(lambda b: ["[]"], "line 1: it is no JSON object", id="no-object"),
        pytest.param(lambda b: [line(b, 0), line(b, 0)], "line 2: source-ref", id="twice"),
        pytest.param(
            lambda b: [line(b, 0) | {"source-ref": "s3://other/x.png"}],
            "line 1: source-ref",
            id="stranger",
        ),
        pytest.param(lambda b: [line(b, 0) | {JOB: "1"}], f"line 1: {JOB}", id="class-number"),
        pytest.param(lambda b: [""], "it has no line", id="empty"),
    ],
)
def test_a_bad_manifest_is_refused_whole(
    batch: Batch,
    objects: S3Objects,
    written: Callable[..., Path],
    lines: Callable[[Batch], list[Any]],
    says: str,
) -> None:
    with pytest.raises(InvalidInputError, match=says):
        read_output(written(*lines(batch)), batch, objects)


def test_it_comes_by_the_command_line_into_the_batch(
    batch: Batch,
    objects: S3Objects,
    aws_settings: AwsSettings,
    written: Callable[..., Path],
    tmp_path: Path,
) -> None:
    import os
    import subprocess
    import sys

    environment = os.environ | {
        "EDGEWARD_HOME": str(tmp_path / "home"),
        "EDGEWARD_AWS__BUCKET": BUCKET,
        "EDGEWARD_AWS__REGION": aws_settings.region,
        "EDGEWARD_AWS__ENDPOINT_URL": aws_settings.endpoint_url,
    }

    def does(*words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "flows", "label", *words]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)

    exported = does("export", "--batch", batch.id)
    output = objects.put(written(line(batch, 0), line(batch, 1, "deer")), "out/output.manifest")
    imported = does("import", output, "--finish")
    bad = does("import", str(written(line(batch, 0, confidence=7))))

    assert exported.returncode == 0, exported.stderr
    assert exported.stdout.startswith(f"s3://{BUCKET}/edgeward/labelling/{batch.id}/input.manifest")
    assert imported.returncode == 0, imported.stderr
    collected = tmp_path / "home" / "collected" / "driveway" / batch.id
    assert {path.parent.name for path in collected.rglob("*.png")} == {"cat", "deer"}
    assert (bad.returncode, "line 1" in bad.stderr) == (2, True), bad.stderr
