"""Where the component finds itself: thing, work folder, and the model's pointer file."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Mapping

from edge.contract import (
    CHALLENGER_COMPONENT,
    MODEL_COMPONENT,
    MODEL_LOCATION,
    RUNTIME_COMPONENT,
    RUNTIME_PYTHON,
)


@dataclass(frozen=True)
class Surroundings:
    """What the environment tells. `folder` is the component's own work folder."""

    thing: str
    folder: Path
    model_pointer: Path

    @property
    def outbox(self) -> Path:
        return self.folder / "outbox.sqlite"

    @property
    def accepted_configuration(self) -> Path:
        return self.folder / "accepted-configuration.json"

    @property
    def last_good_model(self) -> Path:
        return self.folder / "last-good-model.json"

    @property
    def challenger_pointer(self) -> Path:
        return self.folder.parent / CHALLENGER_COMPONENT / MODEL_LOCATION

    @property
    def interpreter(self) -> Path:
        return self.folder.parent / RUNTIME_COMPONENT / RUNTIME_PYTHON

    @property
    def alerts(self) -> Path:
        return self.folder / "alerts.json"

    @property
    def hard_examples(self) -> Path:
        return self.folder / "hard-examples"

    @property
    def stuck(self) -> Path:
        return self.folder / "stuck.json"

    @classmethod
    def read(cls, environment: Mapping[str, str], folder: Path) -> Surroundings:
        """`folder` is the working directory; the model component's work folder lies beside it."""
        beside = folder.parent / MODEL_COMPONENT / MODEL_LOCATION
        return cls(
            thing=environment.get("AWS_IOT_THING_NAME") or socket.gethostname(),
            folder=folder,
            model_pointer=Path(environment.get("EDGEWARD_MODEL_LOCATION") or beside),
        )
