"""A second model beside the one that serves: there on probation, and let go when it misbehaves.

Its pointer file is written as the model component's is. A process of its own loads it first, while
pictures go on being answered. A component that ended again and again with it does without it.
"""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import time
from pathlib import Path
from typing import Optional, Tuple, Union

from edge.classifier import Classifier
from edge.model_folder import ModelFolderError
from edge.serving import Location, read_location, sign

TRIAL_SECONDS = 120.0
PROVEN = 100
"""Answers after which an end of the component is no longer held against it."""
MOST_ENDS = 2
"""The third end in a row would leave the component BROKEN."""

log = logging.getLogger(__name__)


class Challenger:
    """The challenger, if one is wanted and sound. Nothing that it does raises."""

    def __init__(self, pointer: Path, folder: Path) -> None:
        """`folder` is the component's own work folder."""
        self._pointer = pointer
        self._suspicion = folder / "challenger-on-probation.json"
        self._signature: Union[str, Tuple[int, int, int], None] = "not looked at"
        self._location: Optional[Location] = None
        self._trial: Optional[_Trial] = None
        self._answers = 0
        self.classifier: Optional[Classifier] = None
        """None: there is none that can answer."""
        self.problem: Optional[str] = None
        """Why there is none, though one is wanted; or what it could not answer last."""

    @property
    def version(self) -> str:
        """Its version as a model; empty without one."""
        return self._location.version if self._location and self.classifier else ""

    def follow(self, wanted: bool) -> bool:
        """Load it, change it or let it go, as it is due; True when another one answers now."""
        if not wanted:
            return self._let_go()
        signature = sign(self._pointer)
        if signature != self._signature:
            self._signature = signature
            self._begin_trial()
        if self._trial is None or not self._trial.is_over:
            return False
        trial, self._trial = self._trial, None
        return self._take(trial)

    def answered(self) -> None:
        """It gave an answer; with enough of them, it has proven itself."""
        self.problem = None
        self._answers += 1
        if self._answers == PROVEN:
            self._suspicion.unlink(missing_ok=True)

    def failed(self, problem: str) -> None:
        """It could not answer; said once for the same reason."""
        if problem != self.problem:
            log.warning("Challenger %s: %s", self.version, problem)
        self.problem = problem

    def close(self) -> None:
        """The component ends as it should: nothing is held against the challenger."""
        self._let_go()

    def _begin_trial(self) -> None:
        if self._trial is not None:
            self._trial.stop()
            self._trial = None
        try:
            location = read_location(self._pointer)
            self._trial = _Trial(location)
        except (ModelFolderError, OSError) as error:
            self._refuse(str(error))

    def _take(self, trial: _Trial) -> bool:
        """Load what passed its trial, and note that it is loaded."""
        ends = self._ends_with(trial.location)
        problem = trial.problem()
        if problem is None and ends >= MOST_ENDS:
            problem = f"the component ended {ends} times with it: it is not loaded again"
        if problem is not None:
            self._refuse(problem)
            return False
        self._note(trial.location, ends + 1)
        try:
            self.classifier = Classifier(trial.location.folder, self._suspicion.parent)
        except ModelFolderError as error:
            self._refuse(str(error))
            return False
        self._location, self._answers, self.problem = trial.location, 0, None
        log.info("Challenger %s is there", self.version)
        return True

    def _refuse(self, problem: str) -> None:
        self.problem = problem
        kept = f"; {self.version} stays" if self.classifier else ""
        log.error("The challenger is not taken: %s%s", problem, kept)

    def _let_go(self) -> bool:
        if self._trial is not None:
            self._trial.stop()
        had_one = self.classifier is not None
        if had_one:
            self._suspicion.unlink(missing_ok=True)
        self._trial, self.classifier, self.problem = None, None, None
        self._signature = "not looked at"
        return had_one

    def _ends_with(self, location: Location) -> int:
        """How often this component ended without a word while that model was on probation."""
        try:
            noted = json.loads(self._suspicion.read_bytes())
            same = noted["folder"] == str(location.folder) and noted["version"] == location.version
            return int(noted["ends"]) if same else 0
        except (OSError, ValueError, KeyError, TypeError):  # none, or damaged
            return 0

    def _note(self, location: Location, ends: int) -> None:
        noted = {"folder": str(location.folder), "version": location.version, "ends": ends}
        temporary = self._suspicion.with_suffix(".new")
        try:
            temporary.write_text(json.dumps(noted), encoding="utf-8")
            temporary.replace(self._suspicion)
        except OSError as error:
            log.warning("The challenger cannot be noted: %s", error)


class _Trial:
    """edge.check_model in a process of its own: what kills it there does no harm."""

    def __init__(self, location: Location) -> None:
        self.location = location
        self._deadline = time.monotonic() + TRIAL_SECONDS
        command = [sys.executable, "-m", "edge.check_model", "--model", str(location.folder)]
        self._process = subprocess.Popen(  # noqa: S603  (our own program)
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )

    @property
    def is_over(self) -> bool:
        """Whether it has ended, or had its time."""
        return self._process.poll() is not None or time.monotonic() > self._deadline

    def problem(self) -> Optional[str]:
        """Why the model is not sound; None: it is. Only once it is over."""
        if self._process.poll() is None:
            self.stop()
            return f"its check did not end within {TRIAL_SECONDS:g} s"
        _, errors = self._process.communicate()
        if self._process.returncode == 0:
            return None
        if self._process.returncode < 0:
            return f"its library ended the check with signal {-self._process.returncode}"
        said = errors.decode(errors="replace").strip().splitlines()
        return said[-1] if said else f"its check ended with status {self._process.returncode}"

    def stop(self) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self._process.communicate()
