"""What comes onto the device is exactly what was published, and can do no harm while it arrives."""

import io
import os
import shutil
import stat
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from backends.local.nucleus.download import PackageFault, digest_of, download
from backends.local.nucleus.layout import Layout
from backends.local.nucleus.packages import Packages, unpack
from backends.local.nucleus.privileges import check_privileges
from backends.local.nucleus.recipe import Artifact, RecipeError
from backends.local.nucleus.recipe_reader import this_platform
from backends.local.nucleus.resolution import ResolutionError, resolve
from backends.local.nucleus.versions import parse_version
from backends.settings import PROJECT
from tests.fakes.component_store import Store

RUN = {"Run": "true"}
ZIP = Artifact("s3://b/code.zip", unzip=True, read="OWNER", execute="NONE", digest="")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "home")


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    layout = Layout(tmp_path / "thing")
    layout.create()
    return layout


@pytest.fixture
def packages(store: Store, layout: Layout) -> Packages:
    return Packages(layout, store.components, store.objects, this_platform())


def test_an_archive_is_unpacked_where_greengrass_would_with_its_permissions(
    store: Store, packages: Packages, layout: Layout
) -> None:
    permission = {"Permission": {"Read": "ALL", "Execute": "OWNER"}}
    store.add("app", "1.0.0", RUN, files={"a/run.sh": "hi"}, artifact=permission)

    packages.fetch(packages.recipe("app", parse_version("1.0.0")))

    unpacked = layout.root / "packages/artifacts-unarchived/app/1.0.0/code/a/run.sh"
    assert unpacked.read_text() == "hi"
    assert stat.S_IMODE(unpacked.stat().st_mode) == 0o744
    assert (layout.root / "packages/artifacts/app/1.0.0/code.zip").is_file()
    assert packages.installed("app", "1.0.0").name == "app"


def test_an_artifact_that_was_damaged_on_the_device_is_fetched_again(
    store: Store, packages: Packages, layout: Layout
) -> None:
    store.add("app", "1.0.0", RUN, files={"run.sh": "good"})
    recipe = packages.recipe("app", parse_version("1.0.0"))
    packages.fetch(recipe)
    archive = layout.artifacts("app", "1.0.0") / "code.zip"
    archive.write_bytes(b"bad")

    packages.fetch(recipe)

    assert zipfile.is_zipfile(archive)
    assert (layout.unarchived("app", "1.0.0") / "code/run.sh").read_text() == "good"


def test_a_wrong_digest_leaves_nothing_behind(
    store: Store, packages: Packages, layout: Layout
) -> None:
    store.add("app", "1.0.0", RUN, files={"run.sh": "good"}, artifact={"Digest": "wrong"})

    with pytest.raises(PackageFault, match="the digest is"):
        packages.fetch(packages.recipe("app", parse_version("1.0.0")))

    assert list(layout.artifacts("app", "1.0.0").iterdir()) == []
    assert list(layout.recipes.iterdir()) == []


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """An object of 3 MiB in the store."""
    path = tmp_path / "source.bin"
    path.write_bytes(bytes(range(256)) * 12 * 1024)
    return path


def beginning_of(source: Path, target: Path, size: int) -> Path:
    """What a download of `source` leaves when it is cut off after `size` bytes."""
    label = digest_of(source).replace("/", "_")
    partial = target.with_name(f".{target.name}.{label}.part")
    partial.write_bytes(source.read_bytes()[:size])
    return partial


def artifact_of(source: Path, digest: str | None = None) -> Artifact:
    known = digest_of(source) if digest is None else digest
    return Artifact("s3://b/code.bin", unzip=False, read="OWNER", execute="NONE", digest=known)


def test_a_download_that_the_disk_cut_off_goes_on_where_it_stopped(
    tmp_path: Path, source: Path
) -> None:
    """A file size limit stands for what cuts off: the bytes that arrived are kept, then used."""
    target = tmp_path / "code.bin"
    script = (
        "import pathlib, resource, signal, sys\n"
        "from backends.local.nucleus.download import download\n"
        "from backends.local.nucleus.recipe import Artifact\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (2_000_000, 2_000_000))\n"
        "source, target, digest = sys.argv[1:]\n"
        "artifact = Artifact('s3://b/code.bin', False, 'OWNER', 'NONE', digest)\n"
        "download(pathlib.Path(source), pathlib.Path(target), artifact)\n"
    )
    command = [sys.executable, "-c", script, str(source), str(target), digest_of(source)]
    cut = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)
    (partial,) = tmp_path.glob(".code.bin.*.part")
    assert "File too large" in cut.stderr
    assert partial.stat().st_size == 2_000_000
    kept = partial.stat().st_ino

    download(source, target, artifact_of(source))

    assert target.read_bytes() == source.read_bytes()
    assert target.stat().st_ino == kept
    assert list(tmp_path.glob(".*")) == []


@pytest.mark.parametrize("size", [0, 1, 2_000_000, 12 * 256 * 1024], ids=str)
def test_any_beginning_becomes_the_whole(tmp_path: Path, source: Path, size: int) -> None:
    target = tmp_path / "code.bin"
    kept = beginning_of(source, target, size).stat().st_ino

    download(source, target, artifact_of(source))

    assert target.read_bytes() == source.read_bytes()
    assert target.stat().st_ino == kept


@pytest.mark.parametrize("wrong", [b"bad", b"\0" * 4_000_000], ids=["other bytes", "too long"])
def test_a_beginning_that_does_not_fit_is_fetched_anew(
    tmp_path: Path, source: Path, wrong: bytes
) -> None:
    target = tmp_path / "code.bin"
    beginning_of(source, target, 0).write_bytes(wrong)

    download(source, target, artifact_of(source))

    assert target.read_bytes() == source.read_bytes()
    assert list(tmp_path.glob(".*")) == []


def test_a_beginning_of_something_else_or_without_a_digest_is_not_used(
    tmp_path: Path, source: Path
) -> None:
    target = tmp_path / "code.bin"
    beginning_of(source, target, 1000)
    (tmp_path / ".code.bin.unknown.part").write_bytes(b"bad")

    download(source, target, artifact_of(source, digest=""))

    assert target.read_bytes() == source.read_bytes()
    assert list(tmp_path.glob(".*")) == []


def test_what_the_disk_has_no_room_for_is_refused_before_it_is_fetched(tmp_path: Path) -> None:
    source = tmp_path / "huge.bin"
    with source.open("wb") as sparse:
        sparse.truncate(shutil.disk_usage(tmp_path).free * 2)

    with pytest.raises(
        PackageFault, match=r"s3://b/code\.bin needs \d+ bytes more, and the disk of"
    ):
        download(source, tmp_path / "code.bin", artifact_of(source, digest="never read"))

    assert not (tmp_path / "code.bin").exists()


def test_an_archive_that_the_disk_has_no_room_for_is_not_unpacked(tmp_path: Path) -> None:
    """Each entry says that it unpacks to 4 GiB."""
    claimed = 0xFFFFFFF0
    count = shutil.disk_usage(tmp_path).free // claimed + 1
    archive = archive_of(tmp_path / "code.zip", *((str(n), 0o100644) for n in range(count)))
    raw = archive.read_bytes()
    head, *entries = raw.split(b"PK\x01\x02")
    size = claimed.to_bytes(4, "little")
    lies = [entry[:20] + size + entry[24:] for entry in entries]
    archive.write_bytes(b"PK\x01\x02".join([head, *lies]))

    with pytest.raises(PackageFault, match="bytes more, and the disk of"):
        unpack(archive, tmp_path / "code", ZIP)

    assert list(tmp_path.iterdir()) == [archive]


def archive_of(path: Path, *entries: tuple[str, int]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, mode in entries:
            info = zipfile.ZipInfo(name)
            info.external_attr = mode << 16
            archive.writestr(info, "content")
    return path


@pytest.mark.parametrize(
    "entry",
    [
        ("../out.txt", 0o100644),
        ("a/../../out.txt", 0o100644),
        ("/etc/out.txt", 0o100644),
        ("..\\out.txt", 0o100644),
        ("link", stat.S_IFLNK | 0o777),
        ("pipe", stat.S_IFIFO | 0o600),
    ],
    ids=["parent", "inner parent", "absolute", "backslash", "link", "pipe"],
)
def test_an_archive_that_reaches_outside_is_refused_whole(
    tmp_path: Path, entry: tuple[str, int]
) -> None:
    archive = archive_of(tmp_path / "code.zip", ("good.txt", 0o100644), entry)
    before = set(tmp_path.iterdir())

    with pytest.raises(PackageFault):
        unpack(archive, tmp_path / "code", ZIP)

    assert set(tmp_path.iterdir()) == before


def test_an_archive_that_is_too_large_unpacked_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("backends.local.nucleus.packages.MAX_UNPACKED", 10)
    archive = archive_of(tmp_path / "code.zip", ("a", 0o100644), ("b", 0o100644))

    with pytest.raises(PackageFault, match="more than 10 bytes"):
        unpack(archive, tmp_path / "code", ZIP)

    assert not (tmp_path / "code").exists()


def damaged_archive(method: int, *bytes_from_data: int) -> bytes:
    """With an entry `a`, whose content is wrong at these places."""
    with io.BytesIO() as held:
        with zipfile.ZipFile(held, "w", method) as archive:
            archive.writestr("a", "xyz" * 100)
        raw = bytearray(held.getvalue())
    for at in bytes_from_data:
        raw[30 + len("a") + at] ^= 0xFF
    return bytes(raw)


@pytest.mark.parametrize(
    ("method", "places"),
    [
        (zipfile.ZIP_DEFLATED, (0, 1, 2)),
        (zipfile.ZIP_LZMA, (5, 9, 12)),
        (zipfile.ZIP_BZIP2, (12,)),
        (zipfile.ZIP_STORED, (0,)),
    ],
    ids=["deflate", "lzma", "bzip2", "checksum"],
)
def test_an_archive_whose_content_is_damaged_is_refused_with_the_entry(
    tmp_path: Path, method: int, places: tuple[int, ...]
) -> None:
    archive = tmp_path / "code.zip"
    archive.write_bytes(damaged_archive(method, *places))

    with pytest.raises(PackageFault, match=r"s3://b/code\.zip: 'a' cannot be unpacked: "):
        unpack(archive, tmp_path / "code", ZIP)

    assert list(tmp_path.iterdir()) == [archive]


@pytest.mark.parametrize(
    ("entries", "wrong"),
    [
        (("a", "a/b"), "a/b"),
        (("a/b", "a"), "a"),
        (("x" * 300,), "x" * 200),
    ],
    ids=["file, then folder", "folder, then file", "too long"],
)
def test_an_archive_that_no_folder_can_hold_is_refused_with_the_entry(
    tmp_path: Path, entries: tuple[str, ...], wrong: str
) -> None:
    archive = archive_of(tmp_path / "code.zip", *((name, 0o100644) for name in entries))

    with pytest.raises(PackageFault, match=rf"code\.zip: '{wrong}' cannot be unpacked: "):
        unpack(archive, tmp_path / "code", ZIP)

    assert list(tmp_path.iterdir()) == [archive]


def test_an_archive_may_hold_its_own_folder(tmp_path: Path) -> None:
    """As `zip -r code.zip .` makes it."""
    archive = tmp_path / "code.zip"
    with zipfile.ZipFile(archive, "w") as content:
        content.writestr("./", "")
        content.writestr("./a/", "")
        content.writestr("./a/b", "x")

    unpack(archive, tmp_path / "code", ZIP)

    assert (tmp_path / "code/a/b").read_text() == "x"


def test_something_else_than_a_zip_is_refused(tmp_path: Path) -> None:
    archive = tmp_path / "code.zip"
    archive.write_bytes(b"\x1f\x8b tar after all")

    with pytest.raises(PackageFault, match="no ZIP archive"):
        unpack(archive, tmp_path / "code", ZIP)


def test_a_recipe_under_another_versions_name_is_refused(store: Store, packages: Packages) -> None:
    store.add("app", "1.0.0", RUN)
    folder = store.components / "app"
    (folder / "1.0.0.json").rename(folder / "2.0.0.json")

    with pytest.raises(RecipeError, match=r"is that of app 1\.0\.0"):
        packages.recipe("app", parse_version("2.0.0"))


def needs(**requirements: str) -> dict[str, dict[str, str]]:
    return {name: {"VersionRequirement": text} for name, text in requirements.items()}


def names(packages: Packages, **roots: str) -> list[str]:
    return [f"{r.name} {r.version}" for r in resolve({"thing/hub-1": roots}, packages)]


def test_the_newest_versions_that_suit_everybody_are_chosen_dependencies_first(
    store: Store, packages: Packages
) -> None:
    store.add("app", "1.0.0", RUN, needs=needs(model=">=1.0.0 <2.0.0", runtime="*"))
    store.add("runtime", "1.0.0", RUN, needs=needs(model="<1.5.0"))
    for version in ("1.0.0", "1.4.0", "1.9.0", "2.0.0"):
        store.add("model", version, RUN)

    assert names(packages, app="1.0.0") == ["model 1.4.0", "runtime 1.0.0", "app 1.0.0"]
    assert names(packages, app="^1.0.0", model="1.0.0")[0] == "model 1.0.0"


def test_a_version_with_build_metadata_is_found_in_its_file(
    store: Store, packages: Packages, layout: Layout
) -> None:
    store.add("app", "1.0.0+build.1", RUN, files={"run.sh": "hi"})

    (recipe,) = resolve({"thing/hub-1": {"app": "1.0.0"}}, packages)
    packages.fetch(recipe)

    assert names(packages, app="1.0.0+build.1") == ["app 1.0.0+build.1"]
    assert packages.installed("app", "1.0.0+build.1") == recipe


def test_a_conflict_says_who_wants_what(store: Store, packages: Packages) -> None:
    store.add("app", "1.0.0", RUN, needs=needs(model="^1.0.0"))
    store.add("other", "2.0.0", RUN, needs=needs(model="^2.0.0"))
    store.add("model", "1.0.0", RUN)
    store.add("model", "2.0.0", RUN)

    with pytest.raises(ResolutionError) as conflict:
        names(packages, app="*", other="*")

    text = str(conflict.value)
    assert "app 1.0.0 wants ^1.0.0" in text
    assert "other 2.0.0 wants ^2.0.0" in text
    assert "there is 1.0.0, 2.0.0" in text


def test_a_circle_of_dependencies_is_named(store: Store, packages: Packages) -> None:
    store.add("a", "1.0.0", RUN, needs=needs(b="*"))
    store.add("b", "1.0.0", RUN, needs=needs(a="*"))

    with pytest.raises(ResolutionError, match="a -> b -> a"):
        names(packages, a="*")


def test_the_nucleus_itself_is_always_there_in_its_version(
    store: Store, packages: Packages
) -> None:
    nucleus = {"aws.greengrass.Nucleus": {"VersionRequirement": ">=2.0.0 <3.0.0"}}
    store.add("app", "1.0.0", RUN, needs=nucleus)
    store.add(
        "old", "1.0.0", RUN, needs={"aws.greengrass.Nucleus": {"VersionRequirement": "<2.0.0"}}
    )

    assert names(packages, app="*") == ["app 1.0.0"]
    with pytest.raises(ResolutionError, match=r"there is 2\.12\.0"):
        names(packages, old="*")


@contextmanager
def without_root() -> Iterator[None]:
    """For a while, this process may do what a user may."""
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(user)


def test_a_component_that_wants_root_is_refused_before_anything_changes(
    store: Store, packages: Packages, layout: Layout
) -> None:
    step = {"Script": "true", "RequiresPrivilege": "true"}
    store.add("app", "1.0.0", {"Run": step}, files={"run.sh": "hi"})
    store.add("perhaps", "1.0.0", {"Install": {**step, "Skipif": "onpath sh"}})
    wanted, perhaps = (packages.recipe(n, parse_version("1.0.0")) for n in ("app", "perhaps"))

    with without_root():
        check_privileges(perhaps)  # whether that step runs is not known before it does
        with pytest.raises(
            RecipeError, match=r"app 1.0.0: Lifecycle.Run.RequiresPrivilege: .*root"
        ):
            packages.fetch(wanted)

    assert not layout.artifacts("app", "1.0.0").exists()
