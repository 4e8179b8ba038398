"""Tab completes what is on this machine, through each shell's own protocol; and never complains."""

import json
import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from backends.local.groups import Groups
from backends.settings import PROJECT
from flows.gate_names import GATES

PROGRAM = Path(sys.executable).with_name("edgeward")
DEPLOYMENT = "3f0c1f0e-6f0b-4a57-9d0e-0d6c5f1f7a11"


@pytest.fixture(scope="module")
def lived_in(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An EDGEWARD_HOME with devices, runs, a group, a deployment and published components."""
    home = tmp_path_factory.mktemp("home")
    written = {
        "things/hub-1/config/device.json": "{}",
        "things/porch/config/device.json": "{}",
        "runs/20261125-080000-aaaa/run.json": json.dumps({"status": "deployed"}),
        "runs/20261125-090000-bbbb/run.json": json.dumps({"status": "waiting"}),
        "cloud/fleet/targets.json": json.dumps({"targets": {"thing/hub-1": [DEPLOYMENT]}}),
        "components/edgeward.ImageClassification.Model/1.0.1.yaml": "",
    }
    for name, text in written.items():
        path = home / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    Groups(home / "cloud/groups.json").add("everything", ["hub-1", "porch"])
    return home


def answer(shell: str, words: list[str], **environment: str) -> subprocess.CompletedProcess[str]:
    """What the program says to a shell that asks with the last of `words` unfinished."""
    line = " ".join(words)
    asked = {
        "bash": {"COMP_WORDS": "\n".join(words), "COMP_CWORD": str(len(words) - 1)},
        "zsh": {"_TYPER_COMPLETE_ARGS": line},
        "fish": {"_TYPER_COMPLETE_ARGS": line, "_TYPER_COMPLETE_FISH_ACTION": "get-args"},
    }[shell]
    return subprocess.run(
        [PROGRAM],
        env=os.environ | asked | {"_EDGEWARD_COMPLETE": f"complete_{shell}"} | environment,
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def offered(home: Path, *words: str) -> list[str]:
    given = answer("bash", ["edgeward", *words], EDGEWARD_HOME=str(home))
    assert given.stderr == ""
    return given.stdout.split()


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        pytest.param(["device", "status", ""], ["hub-1", "porch"], id="things"),
        pytest.param(["device", "stop", "p"], ["porch"], id="a-thing-that-is-begun"),
        pytest.param(["run", "--thing", "h"], ["hub-1"], id="a-thing-of-an-option"),
        pytest.param(
            ["resume", ""], ["20261125-090000-bbbb", "20261125-080000-aaaa"], id="newest-run-first"
        ),
        pytest.param(["approve", ""], ["20261125-090000-bbbb"], id="only-runs-that-wait"),
        pytest.param(["public-model", "--run", "l"], ["latest"], id="latest"),
        pytest.param(["run", "--override", ""], list(GATES), id="gates"),
        pytest.param(
            ["resume", "x", "--override", "compiled.l"], ["compiled.latency"], id="a-gate"
        ),
        pytest.param(
            ["run", "--data", ""], ["driveway", "folder:", "caltech256", "recordio:"], id="sources"
        ),
        pytest.param(
            ["run", "--platform", "linux-a"], ["linux-aarch64", "linux-armv7l"], id="platforms"
        ),
        pytest.param(["device", "start", "x", "--nucleus", "l"], ["lite"], id="choices"),
        pytest.param(["group", "add", ""], ["everything"], id="groups"),
        pytest.param(
            ["deploy", ""], ["thing/hub-1", "thing/porch", "group/everything"], id="targets"
        ),
        pytest.param(["deployment", "show", ""], [DEPLOYMENT], id="deployments"),
        pytest.param(["variant", "start", "hub-1", "--model", ""], ["1.0.1"], id="models"),
        pytest.param(["variant", "start", "hub-1", "--mode", "s"], ["shadow", "split"], id="modes"),
        pytest.param(
            ["deploy", "thing/hub-1", "--component", "edgeward.ImageClassification.Model=1"],
            ["edgeward.ImageClassification.Model=1.0.1"],
            id="components",
        ),
        pytest.param(["dev"], ["device"], id="commands"),
    ],
)
def test_values_are_completed(lived_in: Path, words: list[str], expected: list[str]) -> None:
    assert offered(lived_in, *words) == expected


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_gets_the_names_in_its_own_protocol(lived_in: Path, shell: str) -> None:
    given = answer(shell, ["edgeward", "device", "status", ""], EDGEWARD_HOME=str(lived_in))

    assert given.stderr == ""
    assert "hub-1" in given.stdout
    assert "porch" in given.stdout


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_for_each_shell_is_shown(shell: str) -> None:
    script = subprocess.run(
        [PROGRAM, "--show-completion", shell],
        env=os.environ | {"_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1"},
        capture_output=True,
        text=True,
        check=True,
    )

    assert f"_EDGEWARD_COMPLETE=complete_{shell}" in script.stdout


@pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not on this machine")
def test_bash_itself_completes_with_the_script_that_is_shown(lived_in: Path) -> None:
    script = f"""
    export PATH={PROGRAM.parent}:$PATH
    eval "$(edgeward --show-completion bash)"
    COMP_WORDS=(edgeward device status po) COMP_CWORD=3
    "$(complete -p edgeward | sed -E 's/.*-F ([^ ]+) .*/\\1/')" edgeward po status
    echo "${{COMPREPLY[@]}}"
    """

    done = subprocess.run(
        ["bash", "--norc", "-c", script],
        env=os.environ
        | {"EDGEWARD_HOME": str(lived_in), "_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1"},
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stdout.split() == ["porch"]
    assert done.stderr == ""


@pytest.mark.parametrize(
    ("environment", "groups"),
    [
        pytest.param({"EDGEWARD_MQTT__PROT": "1"}, "", id="a-setting-is-wrong"),
        pytest.param({}, "no JSON", id="a-file-is-damaged"),
    ],
)
def test_nothing_is_said_when_something_is_wrong(
    tmp_path: Path, environment: dict[str, str], groups: str
) -> None:
    (tmp_path / "cloud").mkdir()
    (tmp_path / "cloud/groups.json").write_text(groups)

    given = answer("bash", ["edgeward", "deploy", ""], EDGEWARD_HOME=str(tmp_path), **environment)

    assert given.stdout.strip() == ""
    assert given.stderr == ""


def test_looking_makes_no_home(tmp_path: Path) -> None:
    assert offered(tmp_path / "not-yet", "device", "status", "") == []
    assert list(tmp_path.iterdir()) == []


def test_tab_answers_nearly_as_fast_as_help(lived_in: Path) -> None:
    def seconds(ask: Callable[[], object]) -> float:
        """Of the processor: what else the machine does meanwhile does not count."""
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        ask()
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    def help_() -> object:
        return subprocess.run([PROGRAM, "--help"], capture_output=True, check=True)

    helped = min(seconds(help_) for _ in range(3))
    completed = min(seconds(lambda: offered(lived_in, "resume", "")) for _ in range(3))

    assert completed < helped + 0.3
