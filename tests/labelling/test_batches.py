"""What people say is kept at once, whole, and becomes pictures to learn from once and only once."""

import json
import multiprocessing
import os
from pathlib import Path

import pytest

from backends.errors import InvalidInputError
from tasks.labelling.answers import (
    Answer,
    AnsweredMeanwhileError,
    give_answers,
    given_answers,
)
from tasks.labelling.batches import Why, batches, make_batch, read_batch
from tasks.labelling.finishing import Labelled, finish_batch, finish_interrupted
from tasks.labelling.tables import read_labels
from tests.labelling.queue import CLASSES, NOW, batch_of, examples

WHY = Why("hub-1", "driveway", "", "")


def untold(_labelled: Labelled) -> None:
    """Nobody is told."""


def test_pictures_are_queued_once_whatever_is_fetched_again(tmp_path: Path) -> None:
    batch = batch_of(tmp_path, 5)

    again = make_batch(tmp_path, WHY, CLASSES, examples(tmp_path / "came", 5), NOW)
    more = make_batch(tmp_path, WHY, CLASSES, examples(tmp_path / "came", 7), NOW)

    assert again is None
    assert more is not None
    assert len(more.examples) == 2
    assert [each.id for each in batches(tmp_path)] == sorted([batch.id, more.id])
    assert all(each.file.read_bytes() for each in batch.examples)


def test_what_a_kill_left_half_queued_is_no_batch_and_goes(tmp_path: Path) -> None:
    left = tmp_path / "labelling" / ".unfinished-20260101_000000_abcd" / "pictures"
    left.mkdir(parents=True)

    batch_of(tmp_path)

    assert len(batches(tmp_path)) == 1
    assert not left.exists()


def test_an_answer_tells_who_and_when_and_the_last_one_counts(tmp_path: Path) -> None:
    batch = batch_of(tmp_path)
    one, other = batch.examples[:2]

    give_answers(batch, [Answer(one.image_id, "label", "cat")], "Ada")
    give_answers(batch, [Answer(one.image_id, "label", "dog")], "Bo")
    give_answers(batch, [Answer(other.image_id, "skip")], "Ada")

    given = given_answers(read_batch(tmp_path, batch.id))
    assert (given[one.image_id].answer.label, given[one.image_id].by) == ("dog", "Bo")
    assert given[one.image_id].at.startswith("20")
    assert given[other.image_id].answer.verdict == "skip"


def test_a_torn_line_takes_no_answer_with_it(tmp_path: Path) -> None:
    batch = batch_of(tmp_path)
    ids = [each.image_id for each in batch.examples]
    give_answers(batch, [Answer(ids[0], "label", "cat")], "Ada")
    with (batch.folder / "answers.jsonl").open("a") as stream:
        stream.write('{"at": "2026-11-25", "by": "Ada", "answers": [{"image_id": "')

    give_answers(batch, [Answer(ids[1], "label", "dog")], "Ada")

    assert set(given_answers(batch)) == {ids[0], ids[1]}


def test_two_people_do_not_overwrite_each_other_unseen(tmp_path: Path) -> None:
    batch = batch_of(tmp_path)
    image_id = batch.examples[0].image_id
    shown = {image_id: 0}
    give_answers(batch, [Answer(image_id, "label", "cat")], "Ada", shown)

    with pytest.raises(AnsweredMeanwhileError, match="Ada has answered meanwhile"):
        give_answers(batch, [Answer(image_id, "label", "dog")], "Bo", shown)

    given = given_answers(batch)[image_id]
    assert given.answer.label == "cat"
    give_answers(batch, [Answer(image_id, "label", "dog")], "Bo", {image_id: given.line})
    assert given_answers(batch)[image_id].answer.label == "dog"


def _answer_all(home: Path, batch: str, by: str) -> None:
    found = read_batch(home, batch)
    for example in found.examples:
        give_answers(found, [Answer(example.image_id, "label", "cat")], by)


def test_several_processes_lose_no_answer(tmp_path: Path) -> None:
    batch = batch_of(tmp_path, 10)
    spawn = multiprocessing.get_context("spawn")
    people = [
        spawn.Process(target=_answer_all, args=(tmp_path, batch.id, f"p{n}")) for n in range(3)
    ]
    for process in people:
        process.start()
    for process in people:
        process.join(120)

    lines = (batch.folder / "answers.jsonl").read_text().splitlines()
    assert len([json.loads(line) for line in lines]) == 30


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (Answer("0" * 64, "label", "cat"), "has none such"),
        (Answer("", "label", "../cat"), "cannot be the name of a class"),
        (Answer("", "label", ""), "cannot be the name of a class"),
        (Answer("", "label", "a/b"), "cannot be the name of a class"),
        (Answer("", "perhaps", ""), "verdict"),  # type: ignore[arg-type]
        (Answer("", "skip", "cat"), "skip has no label"),
    ],
    ids=["stranger", "path", "empty", "slash", "verdict", "label-of-skip"],
)
def test_an_impossible_answer_is_refused_with_its_field(
    tmp_path: Path, answer: Answer, says: str
) -> None:
    batch = batch_of(tmp_path)
    known = batch.examples[0].image_id
    bad = Answer(answer.image_id or known, answer.verdict, answer.label)

    with pytest.raises(InvalidInputError, match=says):
        give_answers(batch, [Answer(known, "label", "cat"), bad], "Ada")

    assert given_answers(batch) == {}, "all or none"


def test_a_finished_batch_is_collected_told_and_closed(tmp_path: Path) -> None:
    batch = batch_of(tmp_path)
    ids = [each.image_id for each in batch.examples]
    give_answers(batch, [Answer(ids[0], "label", "cat"), Answer(ids[1], "label", "deer")], "Ada")
    give_answers(batch, [Answer(ids[2], "unusable")], "Bo")
    told: list[Labelled] = []

    labelled = finish_batch(tmp_path, batch, told.append)
    again = finish_batch(tmp_path, batch, told.append)

    assert told == [labelled]
    assert again == labelled
    assert (labelled.labels, labelled.unusable, labelled.open) == ({"cat": 1, "deer": 1}, 1, 2)
    assert labelled.people == ("Ada", "Bo")
    assert labelled.episode == "hub-1/2026-11-25"
    folder = tmp_path / "collected" / "driveway" / batch.id
    names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.png"))
    assert names == [f"cat/{ids[0]}.png", f"deer/{ids[1]}.png"]
    with pytest.raises(InvalidInputError, match="it is finished"):
        give_answers(batch, [Answer(ids[3], "label", "cat")], "Ada")


def test_nothing_answered_is_no_batch_to_finish(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="nobody has labelled any"):
        finish_batch(tmp_path, batch_of(tmp_path), untold)


def _killed_while_telling(home: Path, batch: str) -> None:
    def die(_labelled: Labelled) -> None:
        os._exit(9)

    finish_batch(home, read_batch(home, batch), die)


def test_a_batch_that_was_killed_before_it_was_told_is_told_later(tmp_path: Path) -> None:
    batch = batch_of(tmp_path)
    give_answers(batch, [Answer(batch.examples[0].image_id, "label", "cat")], "Ada")
    spawn = multiprocessing.get_context("spawn")
    process = spawn.Process(target=_killed_while_telling, args=(tmp_path, batch.id))
    process.start()
    process.join(120)
    assert process.exitcode == 9
    told: list[Labelled] = []

    ended = finish_interrupted(tmp_path, told.append)

    assert [one.batch for one in told] == [batch.id]
    assert ended == told
    assert finish_interrupted(tmp_path, told.append) == []


def table(folder: Path, *lines: str) -> Path:
    path = folder / "labels.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


def test_labels_come_from_a_table_too(tmp_path: Path) -> None:
    batch = batch_of(tmp_path)
    ids = [each.image_id for each in batch.examples]

    answers = read_labels(
        table(
            tmp_path,
            "image_id,label",
            f"{ids[0]},cat",
            f"{ids[1][:12]},!unusable",
            f"{ids[2]},",
            "",
        ),
        batch,
    )

    assert answers == [Answer(ids[0], "label", "cat"), Answer(ids[1], "unusable")]


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        (["picture,label"], "line 1"),
        (["image_id,label", "{0},cat", "ffffffffffff,dog"], "line 3: image_id"),
        (
            ["image_id,label", "{0},cat", "{0},dog"],
            "line 3: image_id: the picture is in an earlier",
        ),
        (["image_id,label", "{0},a/b"], "line 2: label"),
        (["image_id,label", "{0}"], "line 2: it has no label"),
        (["image_id,label", "abc,cat"], "shorter than 8"),
    ],
    ids=["header", "stranger", "twice", "label", "no-label", "short"],
)
def test_a_bad_table_is_refused_by_line_and_field(
    tmp_path: Path, lines: list[str], says: str
) -> None:
    batch = batch_of(tmp_path)
    written = [line.format(batch.examples[0].image_id) for line in lines]

    with pytest.raises(InvalidInputError, match=says):
        read_labels(table(tmp_path, *written), batch)
