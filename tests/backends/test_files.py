"""A file that is replaced is never seen half written, and failing leaves the old one."""

import os
import stat
from pathlib import Path

import pytest

from backends.files import replace_file
from backends.local.files import read_json, write_json


def test_text_and_bytes_replace_what_was_there_and_leave_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "note"

    replace_file(path, "süß\n")
    assert path.read_bytes() == "süß\n".encode()
    replace_file(path, b"\x00\xff", durable=True)

    assert path.read_bytes() == b"\x00\xff"
    assert [found.name for found in path.parent.iterdir()] == ["note"]


def test_a_reader_keeps_the_old_file_whole(tmp_path: Path) -> None:
    path = tmp_path / "note"
    replace_file(path, "old")

    with path.open() as reader:
        replace_file(path, "new and longer")

        assert reader.read() == "old"
    assert path.read_text() == "new and longer"


def test_what_cannot_be_replaced_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "note" / "in the way").mkdir(parents=True)

    with pytest.raises(OSError, match="note"):
        replace_file(tmp_path / "note", "text")

    assert [found.name for found in tmp_path.iterdir()] == ["note"]


def test_a_mode_is_set_and_otherwise_the_umask_decides(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        replace_file(tmp_path / "usual", "")
        replace_file(tmp_path / "shared", "", mode=0o644)
        write_json(tmp_path / "secret", {"password": "x"}, mode=0o600)
    finally:
        os.umask(before)

    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    assert modes == {"usual": 0o640, "shared": 0o644, "secret": 0o600}
    assert read_json(tmp_path / "secret") == {"password": "x"}


def test_a_value_that_is_no_json_leaves_the_old_file(tmp_path: Path) -> None:
    write_json(tmp_path / "state.json", {"a": 1})

    with pytest.raises(TypeError):
        write_json(tmp_path / "state.json", {"a": object()})

    assert read_json(tmp_path / "state.json") == {"a": 1}
    assert [found.name for found in tmp_path.iterdir()] == ["state.json"]
