import gzip
import io
import tarfile
from pathlib import Path

import pytest

from backends import tar_archives
from backends.errors import PackageError
from backends.tar_archives import unpack_tar


def tar(path: Path, *members: tuple[tarfile.TarInfo, bytes]) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for member, data in members:
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return path


def link(name: str, target: str) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.linkname = tarfile.SYMTYPE, target
    return member


def test_an_archive_is_unpacked_into_a_folder_of_its_own(tmp_path: Path) -> None:
    path = tar(tmp_path / "model.tar.gz", (tarfile.TarInfo("deep/symbol.json"), b"{}"))

    folder = unpack_tar(path, tmp_path / "into")

    assert (folder / "deep/symbol.json").read_bytes() == b"{}"


@pytest.mark.parametrize(
    ("member", "reason"),
    [
        pytest.param(tarfile.TarInfo("../outside"), "outside", id="outside"),
        pytest.param(link("compiled.so", "/etc/passwd"), "neither a file nor a folder", id="link"),
    ],
)
def test_what_could_hurt_is_refused(tmp_path: Path, member: tarfile.TarInfo, reason: str) -> None:
    """A compiled archive comes from a bucket that others may write to."""
    path = tar(tmp_path / "model.tar.gz", (member, b""))

    with pytest.raises(PackageError, match=reason):
        unpack_tar(path, tmp_path / "into")

    assert not (tmp_path / "outside").exists()


def test_what_is_too_large_unpacked_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tar_archives, "MAX_BYTES", 10)
    path = tar(tmp_path / "model.tar.gz", (tarfile.TarInfo("weights"), b"0" * 11))

    with pytest.raises(PackageError, match="more than the 10 bytes"):
        unpack_tar(path, tmp_path / "into")


@pytest.mark.parametrize(
    "content",
    [b"", b"no archive", gzip.compress(b"no tar"), gzip.compress(b"\0" * 10240)[:-9]],
    ids=["empty", "text", "gzip", "cut"],
)
def test_what_is_no_whole_archive_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "model.tar.gz"
    path.write_bytes(content)

    with pytest.raises(PackageError):
        unpack_tar(path, tmp_path / "into")
