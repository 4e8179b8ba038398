"""Test pictures stay test pictures for ever, whatever is added, taken away or dealt anew."""

import hashlib
import multiprocessing
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from backends.artifacts import Dataset, Split
from backends.errors import InvalidInputError
from tasks.held_out import Known, Ledger, open_ledger
from tasks.leakage import judge_leakage
from tasks.origins import collected_name, origin_of
from tasks.splitting import SplitPlan, split_pictures
from tests.tasks.manifests import Row, dataset_of, rows_of


def parts_of(split: Split) -> dict[str, str]:
    rows = parquet.read_table(split.table).to_pylist()
    return {row["image_id"]: row["part"] for row in rows}


def collected(batch: str, seed: int, **classes: int) -> list[Row]:
    """Rows of a batch that devices collected."""
    return [
        row | {"path": f"{row['label']}/{collected_name(batch, row['path'].rpartition('/')[2])}"}
        for row in rows_of(seed=seed, brightness=0.2, **classes)
    ]


def deal(rows: list[Row], home: Path, plan: SplitPlan | None = None) -> dict[str, str]:
    dataset = dataset_of(rows, home / "data")
    with open_ledger(home / "held-out") as ledger:
        split = split_pictures(dataset, plan or SplitPlan(), home / "split", ledger)
    assert judge_leakage(dataset, split).passed
    return parts_of(split)


def near(row: Row, number: int, bits: int = 1) -> Row:
    """Another picture that looks like `row`: its hash differs in `bits` bits."""
    changed = int(row["phash"], 16) ^ ((1 << bits) - 1)
    name = hashlib.sha256(f"{row['image_id']}-{number}".encode()).hexdigest()
    path = f"{row['label']}/near-{number}.png"
    return row | {"image_id": name, "path": path, "phash": f"{changed:016x}"}


changes = st.lists(
    st.tuples(
        st.integers(0, 30),  # pictures taken away
        st.integers(0, 40),  # pictures added to the source
        st.integers(0, 12),  # pictures of a new batch
        st.integers(0, 9),  # the split's seed
        st.sampled_from([0.1, 0.2, 0.4]),  # its test share
        st.integers(0, 5),  # near-duplicates of pictures that are there
    ),
    min_size=1,
    max_size=4,
)


@settings(max_examples=40, deadline=None)
@given(changes=changes)
def test_no_run_ever_trains_on_what_an_earlier_one_tested(
    changes: list[tuple[int, int, int, int, float, int]],
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        rows = rows_of(seed=1, cat=30, dog=30)
        first = deal(rows, home)
        tested = {name for name, part in first.items() if part == "test"}
        trained = set(first) - tested
        for number, (gone, added, batch, seed, share, alike) in enumerate(changes, 2):
            twins = [near(row, number * 100 + n) for n, row in enumerate(rows[:alike])]
            kept = rows[gone // 2 : len(rows) - (gone - gone // 2)]
            rows = kept + rows_of(seed=number, cat=added + 3, dog=added + 3) + twins
            rows += collected(f"b{number}", 1000 + number, cat=batch, dog=batch)

            parts = deal(rows, home, SplitPlan(seed=seed, test_share=share))

            now = {name for name, part in parts.items() if part == "test"}
            assert not (set(parts) - now) & tested
            assert not now & trained
            tested |= now
            trained |= set(parts) - now


def test_a_near_duplicate_of_an_old_test_picture_is_one_too_even_when_that_is_gone(
    tmp_path: Path,
) -> None:
    rows = rows_of(seed=1, cat=40, dog=40)
    first = deal(rows, tmp_path)
    old = next(row for row in rows if first[row["image_id"]] == "test")
    other = next(row for row in rows if first[row["image_id"]] == "train")
    fresh = [near(old, 1), near(other, 2)]

    parts = deal([row for row in rows if row is not old] + fresh, tmp_path)

    assert parts[fresh[0]["image_id"]] == "test"
    assert parts[fresh[1]["image_id"]] != "test"


def test_a_picture_that_looks_like_both_is_left_out(tmp_path: Path) -> None:
    rows = rows_of(seed=1, cat=40, dog=40)
    first = deal(rows, tmp_path)
    tested = next(row for row in rows if first[row["image_id"]] == "test")
    trained = next(row for row in rows if first[row["image_id"]] == "train")
    # Three bits from each, so it bridges two that are six apart.
    bridge = near(tested, 1, bits=3)
    far = int(tested["phash"], 16) ^ 0b111111
    ledger = Ledger(
        known={
            tested["image_id"]: Known(tested["image_id"], tested["phash"], "test"),
            trained["image_id"]: Known(trained["image_id"], f"{far:016x}", "trained"),
        }
    )
    rows = [row | ({"phash": f"{far:016x}"} if row is trained else {}) for row in rows]

    split = split_pictures(
        dataset_of([*rows, bridge], tmp_path / "x"), SplitPlan(), tmp_path, ledger
    )

    parts = parts_of(split)
    assert bridge["image_id"] not in parts
    assert split.aside == 1
    assert (parts[tested["image_id"]], parts[trained["image_id"]] != "test") == ("test", True)


def test_some_of_each_batch_and_class_is_held_out(tmp_path: Path) -> None:
    rows = rows_of(seed=1, cat=40, dog=40)
    deal(rows, tmp_path)
    rows += collected("night", 2, cat=10, dog=5) + collected("fog", 3, cat=20, dog=8)

    parts = deal(rows, tmp_path)

    for batch in ("night", "fog"):
        for label in ("cat", "dog"):
            mine = [r for r in rows if origin_of(r["path"]) == batch and r["label"] == label]
            held = [row for row in mine if parts[row["image_id"]] == "test"]
            assert len(held) == pytest.approx(0.2 * len(mine), abs=0.5)


def test_a_new_class_of_small_batches_is_in_every_part(tmp_path: Path) -> None:
    rows = rows_of(seed=1, cat=40, dog=40)
    for number in range(12):
        rows += collected(f"b{number}", 100 + number, deer=2)

    parts = deal(rows, tmp_path)

    assert {parts[r["image_id"]] for r in rows if r["label"] == "deer"} == {
        "train",
        "validation",
        "test",
    }


def test_the_same_again_deals_the_same_and_adds_nothing(tmp_path: Path) -> None:
    rows = rows_of(seed=1, cat=40, dog=40)
    dataset = dataset_of(rows, tmp_path / "data")

    splits = []
    for number in range(2):
        with open_ledger(tmp_path / "held-out") as ledger:
            splits.append(split_pictures(dataset, SplitPlan(), tmp_path / str(number), ledger))

    assert parts_of(splits[0]) == parts_of(splits[1])
    assert splits[0].fingerprint == splits[1].fingerprint
    assert len(list((tmp_path / "held-out").glob("*.parquet"))) == 1


def test_other_parts_are_another_fingerprint(tmp_path: Path) -> None:
    dataset: Dataset = dataset_of(rows_of(cat=40, dog=40), tmp_path / "data")
    known = sorted(parts_of(split_pictures(dataset, SplitPlan(), tmp_path / "a")))[:3]
    ledger = Ledger(known={name: Known(name, "", "test") for name in known})

    one = split_pictures(dataset, SplitPlan(), tmp_path / "a")
    other = split_pictures(dataset, SplitPlan(), tmp_path / "b", ledger)

    assert one.fingerprint != other.fingerprint


def test_a_damaged_ledger_is_never_taken_for_none(tmp_path: Path) -> None:
    deal(rows_of(cat=40, dog=40), tmp_path)
    (tmp_path / "held-out" / "000001.parquet").write_bytes(b"PAR1 and nothing more")

    with pytest.raises(InvalidInputError, match="the ledger of held-out pictures is damaged"):
        deal(rows_of(cat=40, dog=40), tmp_path)


def _add(folder: Path, name: str) -> None:
    with open_ledger(folder) as ledger:
        ledger.add([Known(name, "", "test")])


def test_two_processes_do_not_forget_each_others_pictures(tmp_path: Path) -> None:
    spawn = multiprocessing.get_context("spawn")
    several = [spawn.Process(target=_add, args=(tmp_path, f"picture-{n}")) for n in range(4)]
    for process in several:
        process.start()
    for process in several:
        process.join(60)

    with open_ledger(tmp_path) as ledger:
        assert set(ledger.known) == {f"picture-{n}" for n in range(4)}
