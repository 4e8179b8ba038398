"""The compile job, run as it ships: in the jobs environment, under the container contract."""

import dataclasses
import hashlib
import json
import runpy
import subprocess
import tarfile
from pathlib import Path

import pytest

from backends.artifacts import Platform
from backends.errors import JobError
from backends.local.compiler import LocalCompiler
from backends.local.jobs import LocalJobs
from backends.settings import PROJECT
from edge.contract import read_metadata
from tests.tiny_model import CLASSES, HEIGHT, WIDTH, Compile, TinyModel

pytestmark = pytest.mark.jobs

LIBDLR = "570d8e462cd1f4f6d997e150d6d0eea0026010098194bef62d1ad4f8e1196ca7"
PLATFORMS: tuple[Platform, ...] = ("linux-x86_64", "linux-aarch64", "linux-armv7l")


@pytest.mark.parametrize("platform", PLATFORMS)
def test_each_platform_gets_the_folder_that_dlr_loads(
    compile_for: Compile, platform: Platform
) -> None:
    compiled = compile_for(platform)

    metadata = read_metadata(compiled.folder)
    assert metadata.labels == CLASSES
    assert (metadata.preprocessing["width"], metadata.preprocessing["height"]) == (WIDTH, HEIGHT)
    assert metadata.compiler["target"] == compiled.target
    assert metadata.compiler["wheel"] == "hhb-tvm==3.2.3"
    assert metadata.threads == 1
    assert compiled.compiler_version == "0.16.dev0 (hhb-tvm==3.2.3)"
    assert compiled.flags["opt_level"] == "3"
    files = sorted(path.name for path in compiled.folder.iterdir())
    runtime = ["libdlr.so"] if platform == "linux-x86_64" else []
    assert files == [
        "compiled.meta",
        "compiled.params",
        "compiled.so",
        "compiled_model.json",
        *runtime,
        "synset.txt",
    ]


def test_the_runtime_that_ships_is_the_one_of_the_dlr_wheel(compile_for: Compile) -> None:
    library = compile_for("linux-x86_64").folder / "libdlr.so"

    assert hashlib.sha256(library.read_bytes()).hexdigest() == LIBDLR


def test_the_same_model_gives_the_same_bytes(
    compile_for: Compile, tiny_model: TinyModel, jobs_python: Path, tmp_path: Path
) -> None:
    """Otherwise each run would make a new version, and every device would download it."""
    before = compile_for("linux-x86_64")
    jobs = LocalJobs(tmp_path, jobs_python, seconds=300)

    again = LocalCompiler(jobs).compile("other", tiny_model.trained, "linux-x86_64", lambda _: None)

    assert again.sha256 == before.sha256
    assert again.folder != before.folder


def test_a_fleet_s_model_can_be_compiled_for_older_cpus_than_this_machine_s(
    tiny_model: TinyModel, jobs_python: Path, tmp_path: Path
) -> None:
    compiler = LocalCompiler(LocalJobs(tmp_path, jobs_python, seconds=300), cpu="")

    compiled = compiler.compile("fleet", tiny_model.trained, "linux-x86_64", lambda _: None)

    assert compiled.target == "llvm -mtriple=x86_64-linux-gnu -mcpu=x86-64-v3"


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"classes": ("cat", "dog")}, r"classes: the model's output is \(1, 3\), for 2 labels"),
        ({"classes": ("cat", "cat", "dog")}, "classes: names a class twice"),
        ({"width": 24, "height": 40}, r"trained for \(3, 24, 40\), not \(3, 40, 24\)"),
        ({"width": 0}, "width: '0' is not a whole number from 1 to 4096"),
    ],
    ids=["labels", "double label", "sides", "no width"],
)
def test_what_does_not_fit_the_model_is_refused_by_name(
    tiny_model: TinyModel,
    jobs_python: Path,
    tmp_path: Path,
    changed: dict[str, object],
    reason: str,
) -> None:
    model = dataclasses.replace(tiny_model.trained, **changed)  # type: ignore[arg-type]
    compiler = LocalCompiler(LocalJobs(tmp_path, jobs_python, seconds=60))

    with pytest.raises(JobError, match=reason):
        compiler.compile("refused", model, "linux-x86_64", lambda _: None)


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"platform": "linux-mips"}, "platform: 'linux-mips' is none of"),
        ({"platform": "linux-aarch64", "mcpu": "host"}, "mcpu: 'host' is for linux-x86_64"),
        ({"input": "camera"}, "input: 'camera' is none of model, public-component"),
        ({"opt_level": "4"}, "opt_level: unknown hyperparameter"),
        ({"classes": "cat,dog"}, "classes: is not JSON"),
        ({"classes": None}, "classes: missing"),
    ],
    ids=["platform", "host", "input", "unknown", "no json", "missing"],
)
def test_a_wrong_hyperparameter_is_written_to_the_failure_file(
    jobs_python: Path, tmp_path: Path, changed: dict[str, str | None], reason: str
) -> None:
    values = {"platform": "linux-x86_64", "width": "8", "height": "8", "classes": '["a", "b"]'}
    given = {name: value for name, value in (values | changed).items() if value is not None}
    (tmp_path / "input/config").mkdir(parents=True)
    (tmp_path / "input/config/hyperparameters.json").write_text(json.dumps(given))

    finished = subprocess.run(
        [jobs_python, PROJECT / "jobs/compile.py"],
        env={"SM_ML_ROOT": str(tmp_path)},
        capture_output=True,
        check=False,
    )

    assert finished.returncode == 1
    assert reason in (tmp_path / "output/failure").read_text()


def test_an_archive_without_a_model_is_refused(
    tiny_model: TinyModel, jobs_python: Path, tmp_path: Path
) -> None:
    archive = tmp_path / "model.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(__file__, "readme.txt")
    model = dataclasses.replace(tiny_model.trained, archive=archive)
    compiler = LocalCompiler(LocalJobs(tmp_path, jobs_python, seconds=60))

    with pytest.raises(JobError, match="holds no trained model"):
        compiler.compile("empty", model, "linux-x86_64", lambda _: None)


def test_another_library_in_the_wheel_s_place_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """DLR executes it on every device."""
    monkeypatch.syspath_prepend(PROJECT / "jobs")
    copy_runtime = runpy.run_path(str(PROJECT / "jobs/runtime_library.py"))["copy_runtime"]
    (tmp_path / "dlr").mkdir()
    (tmp_path / "dlr/libdlr.so").write_bytes(b"something else")

    with pytest.raises(Exception, match=r"has SHA-256 .*, and dlr 1\.6\.0 has 570d8e46"):
        copy_runtime("linux-x86_64", tmp_path, prefix=tmp_path)

    assert not (tmp_path / "libdlr.so").exists()


@pytest.mark.parametrize(
    ("multiply_adds", "threads"),
    [
        pytest.param(9_000_000, 1, id="very-small"),
        pytest.param(41_000_000, 0, id="the-default-network"),
        pytest.param(1_800_000_000, 0, id="large"),
    ],
)
def test_a_very_small_model_asks_for_one_thread(
    monkeypatch: pytest.MonkeyPatch, multiply_adds: int, threads: int
) -> None:
    """Two threads that wait for each other after each of its operators are slower than one."""
    monkeypatch.syspath_prepend(PROJECT / "jobs")
    suitable_threads = runpy.run_path(str(PROJECT / "jobs/targets.py"))["suitable_threads"]

    assert suitable_threads(multiply_adds) == threads


@pytest.mark.parametrize(
    ("flags", "cpu"),
    [
        ("avx512f avx512dq avx512bw avx512vl avx512cd avx2 fma", "skylake-avx512"),
        ("avx512f avx2 fma bmi1 bmi2 f16c movbe", "core-avx2"),
        ("sse4_2 ssse3 popcnt cx16", "x86-64-v2"),
        ("sse2", "x86-64"),
    ],
)
def test_the_host_s_cpu_is_recognised_by_what_it_can_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, flags: str, cpu: str
) -> None:
    """A step too high dies of SIGILL, a step too low runs at half the speed."""
    monkeypatch.syspath_prepend(PROJECT / "jobs")
    tvm_target = runpy.run_path(str(PROJECT / "jobs/targets.py"))["tvm_target"]
    (tmp_path / "cpuinfo").write_text(f"processor\t: 0\nflags\t\t: {flags}\n")

    target = tvm_target("linux-x86_64", "host", tmp_path / "cpuinfo")

    assert target == f"llvm -mtriple=x86_64-linux-gnu -mcpu={cpu}"
    assert tvm_target("linux-x86_64").endswith("-mcpu=x86-64-v3")
