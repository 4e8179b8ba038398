"""Packed files at the place where they are wanted."""

from pathlib import Path

from backends.local.packer import _place


def test_a_file_that_is_in_its_place_already_leaves_nothing_beside_it(tmp_path: Path) -> None:
    """What lies in a channel decides whether a training is joined: a left-over would repeat it."""
    source = tmp_path / "output" / "train.rec"
    source.parent.mkdir()
    source.write_bytes(b"records")

    for _ in range(2):
        _place(source, tmp_path / "channel" / "train.rec")

    assert [path.name for path in (tmp_path / "channel").iterdir()] == ["train.rec"]
