"""Somebody who types what the documentation shows, line by line, and what each story has."""

import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from backends.settings import PROJECT
from tests.warm import WarmTerminal

LEVEL = """'{"my.App": {"Level": 3}}'"""
NEW_APP = "--component my.App=1.3.0"
SHOWN_BATCH = "20261125_101500_1f3a"
SHOWN_DEPLOYMENT = "3f0c1f0e-6f0b-4a57-9d0e-0d6c5f1f7a11"
PER_THING = "SELECT thing, label, count(*)"


@dataclass(frozen=True)
class Step:
    """A command as it is shown; `instead` makes it small, and fills in what a reader would."""

    line: str
    instead: Mapping[str, str] = field(default_factory=dict)
    until: str = ""
    """It goes on until Ctrl-C, which is pressed once it has said this (a regular expression)."""
    also: tuple[str, ...] = ()
    """Words for what a reader answers on the terminal."""

    def words(self, meant: Mapping[str, str]) -> list[str]:
        given = {**meant, **self.instead}
        return [*(given.get(word, word) for word in shlex.split(self.line)), *self.also]


@dataclass
class Person:
    """Somebody who types what is shown. What ends with another status than 0 is the page's fault.

    `meant` has what stands for each example of an id, a device or a version.
    """

    folder: Path
    environment: Mapping[str, str]
    terminal: WarmTerminal | None = None
    meant: dict[str, str] = field(default_factory=dict)

    @property
    def home(self) -> Path:
        return self.folder / "home"

    def does(self, step: Step) -> str:
        """Standard output of a command of ours."""
        assert self.terminal
        said = self.terminal.runs(step.words(self.meant)[1:], step.until)
        assert step.until or said.status == 0, f"{step.line}\n{said.out}\n{said.err}"
        assert re.search(step.until, said.out), f"{step.line}\n{said.out}\n{said.err}"
        return said.out

    def starts(self, step: Step) -> str:
        """The same of any program, as a process from the beginning."""
        program, *words = step.words(self.meant)
        process = subprocess.Popen(
            [str(Path(sys.executable).parent / program), *words],
            cwd=PROJECT if program == "prefect" else self.folder,
            env={**os.environ, **self.environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        try:
            if step.until:
                return self._interrupted(process, step)
            out, err = process.communicate(timeout=300)
        finally:
            process.kill()
        assert process.returncode == 0, f"{step.line}\n{out}\n{err}"
        return out

    def _interrupted(self, process: subprocess.Popen[str], step: Step) -> str:
        assert process.stdout is not None
        seen = ""
        for line in process.stdout:
            seen += line
            if re.search(step.until, line):
                break
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
        assert re.search(step.until, seen), f"{step.line}\n{seen}{out}\n{err}"
        return seen + out


ALONE = (
    Step("edgeward run --help"),
    Step("edgeward doctor"),
    Step("edgeward doctor --json"),
    Step("edgeward doctor --thing hub-1"),
)
ONE_DEVICE = (
    Step("edgeward device status hub-1"),
    Step("edgeward device logs hub-1"),
    Step("edgeward device logs hub-1 --component greengrass --follow", until=r"\w"),
    Step("edgeward results --count 20"),
    Step("edgeward results --json"),
    Step("edgeward results --thing hub-1 --count 3"),
    Step("edgeward results --follow", until="hub-1"),
    Step("edgeward results --follow --json", until="hub-1"),
    Step("edgeward results --follow --thing hub-1", until="hub-1"),
    Step("edgeward monitor --thing hub-1"),
    Step("edgeward alerts"),
    Step("edgeward alerts --follow --thing hub-1", until="anything"),
    Step(
        "edgeward deploy thing/hub-1 --component edgeward.ImageClassification=1.0.0 "
        "--component edgeward.ImageClassification.Model=1.0.0 --merge "
        """'{"edgeward.ImageClassification": {"PicturesMayLeave": "true"}}'"""
    ),
    Step("edgeward examples fetch hub-1 --count 20"),
    Step("edgeward examples fetch hub-1 --count 50"),
    Step("edgeward examples list hub-1"),
)
VERDICTS = (
    Step("edgeward alerts confirm 3f0c9a12 --by Ada"),
    Step("edgeward alerts confirm 3f0c9a12b7d1 --by Ada"),
    Step("edgeward alerts deny 3f0c9a12 77b1e004"),
    Step("edgeward alerts deny 77b1e004c2aa"),
)
LABELS = (
    Step("edgeward label collect hub-1"),
    Step("""edgeward label collect hub-1 --count 20 --reason "the first snow\""""),
    Step("edgeward label --list"),
    Step(f"edgeward label --batch {SHOWN_BATCH} --set labels.csv --finish"),
    Step("edgeward retrain --thing hub-1"),
    Step("edgeward retrain --why"),
)
TELEMETRY = (
    Step("edgeward telemetry show"),
    Step("edgeward telemetry show --days 30 --json"),
    Step("edgeward telemetry compact"),
    Step("edgeward telemetry ddl"),
    Step('edgeward query "DESCRIBE statistics"'),
    Step('edgeward query "DESCRIBE statistics" --csv'),
    Step(
        'edgeward query "SELECT problem, count(*) AS windows FROM statistics '
        'WHERE problem IS NOT NULL GROUP BY ALL" --json'
    ),
    Step(
        'edgeward query "SELECT thing, date, sum(brightness_sum_e6) / 1e6 / sum(count) AS '
        'brightness FROM statistics WHERE problem IS NULL GROUP BY ALL ORDER BY ALL"'
    ),
    Step(
        f'edgeward query "{PER_THING} AS pictures, avg(score) AS confidence FROM results '
        'GROUP BY ALL ORDER BY ALL"'
    ),
    Step(f'edgeward query "{PER_THING} FROM results GROUP BY ALL"'),
    Step("edgeward baseline export 1.0.3 --into monitor"),
    Step(
        "edgeward baseline import monitor/statistics.json --version 1.0.3",
        instead={"1.0.3": "1.0.4"},
    ),
    Step("edgeward baseline import monitor/statistics.json --version 1.0.3 --replace"),
)
TWO_MODELS = (
    Step("edgeward variant start hub-1 --model 1.0.1"),
    Step("edgeward variant compare hub-1"),
    Step("edgeward variant compare hub-1 --since 2026-11-24T08:00:00Z"),
    Step("edgeward variant stop hub-1"),
    Step("edgeward variant start hub-1 --model 1.0.1 --mode split --share 0.2"),
)
BACK = (
    Step(
        """edgeward rollback --thing hub-1 --reason "it calls every cat a dog" --by Ada""",
        also=("--yes",),
    ),
    Step(
        """edgeward rollback --thing porch --to 1.0.3 --reason "back to last week's" --by Ada """
        "--yes",
        instead={"porch": "hub-1", "1.0.3": "1.0.0"},
    ),
)
A_FLEET = (
    Step("edgeward device start hub-1 hub-2"),
    Step("edgeward device start hub-1"),
    Step("edgeward device start hub-2 hub-3 --nucleus lite", instead={"hub-2": "hub-4"}),
    Step("edgeward device list"),
    Step("edgeward group add porch hub-1 hub-2"),
    Step("edgeward deploy group/porch --component edgeward.ImageClassification=1.0.0"),
    Step("edgeward device logs hub-1 --lines 20"),
    Step("edgeward device offline hub-1"),
    Step("edgeward device online hub-1"),
    Step("edgeward deploy thing/hub-1 --component my.App=1.2.0"),
    Step(f"edgeward deploy thing/hub-1 --component my.App=1.2.0 --merge {LEVEL}"),
    Step(f'edgeward deploy group/porch --component "my.App=^1.0.0" --merge {LEVEL}'),
    Step("edgeward device simulate 50 --group everything", instead={"50": "2"}),
    Step("edgeward device simulate 200 --group everything", instead={"200": "2"}),
    Step(f"edgeward deploy group/everything {NEW_APP} --rate 10 --abort 20,5 --timeout 10"),
    Step(f"edgeward deploy group/everything {NEW_APP} --exponential 5,2,10 --abort 20,5 --no-wait"),
    Step(f"edgeward deploy group/all {NEW_APP} --rate 10 --abort 20,5 --timeout 10"),
    Step(f"edgeward deploy group/all {NEW_APP} --exponential 5,2,10 --no-wait"),
    Step("edgeward deployment list"),
    Step("edgeward deployment show ID"),
    Step(f"edgeward deployment show {SHOWN_DEPLOYMENT}"),
    Step("edgeward deployment cancel ID"),
    Step(f"edgeward deployment cancel {SHOWN_DEPLOYMENT}"),
    Step("edgeward monitor --group porch"),
    Step("edgeward monitor --fleet --json"),
    Step("edgeward group list"),
    Step("edgeward group remove porch hub-2"),
    Step("edgeward device stop hub-1"),
    Step("edgeward device start hub-1 --nucleus lite"),
)
DOWN = Step("edgeward down")
OF_PREFECT = (
    Step("prefect work-pool create edgeward --type process"),
    Step("prefect worker start --pool edgeward", until="started!"),
    Step("prefect deploy --all"),
    Step(
        """prefect deployment run cycle/manual --param plan='{"data": "folder:/data/pictures"}'"""
    ),
    Step("""prefect deployment run train/manual --param plan='{"run": "20261125-101500-1f3a"}'"""),
    Step("prefect deployment schedule pause watch/scheduled SCHEDULE-ID"),
)
STEPS = (
    *(*ALONE, *ONE_DEVICE, *VERDICTS, *LABELS, *TELEMETRY, *TWO_MODELS, *BACK, *A_FLEET, DOWN),
    *OF_PREFECT,
)
