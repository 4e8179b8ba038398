"""Where a core device keeps its things: Greengrass's own folders under one root."""

import base64
import hashlib
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Layout:
    root: Path

    def create(self) -> None:
        folders = (self.recipes, self.config, self.logs, self.deployments, self.root / "work")
        for folder in folders:
            folder.mkdir(parents=True, exist_ok=True)

    def sweep(self) -> None:
        """Forgets files that a device which was killed had begun to write."""
        begun = (f".{self.state.name}-*", f".{self.status.name}-*", ".*.status.json-*")
        for folder, pattern in zip((self.config, self.root, self.deployments), begun, strict=True):
            for path in folder.glob(pattern):
                path.unlink(missing_ok=True)

    @property
    def recipes(self) -> Path:
        return self.root / "packages/recipes"

    @property
    def config(self) -> Path:
        return self.root / "config"

    @property
    def logs(self) -> Path:
        return self.root / "logs"

    @property
    def state(self) -> Path:
        """Components, targets and configuration: what a restart brings back."""
        return self.config / "state.json"

    @property
    def damaged_state(self) -> Path:
        """A state that could not be read; it stays until somebody deletes it."""
        return self.config / "state.json.damaged"

    @property
    def device(self) -> Path:
        """Who the device is, and where its cloud side lies; written by who starts it."""
        return self.config / "device.json"

    @property
    def offline(self) -> Path:
        """While this file is there, the device has no network."""
        return self.config / "offline"

    @property
    def deployments(self) -> Path:
        """Where local deployments arrive."""
        return self.root / "deployments"

    @property
    def status(self) -> Path:
        """What the device does right now; for people and for `edgeward device`."""
        return self.root / "status.json"

    @property
    def spool(self) -> Path:
        return self.root / "work/aws.greengrass.Nucleus/spool.sqlite"

    def recipe(self, name: str, version: str) -> Path:
        digest = base64.urlsafe_b64encode(hashlib.sha256(name.encode()).digest()).decode()
        return self.recipes / f"{digest.rstrip('=')}@{version}.recipe.yaml"

    def artifacts(self, name: str, version: str) -> Path:
        return self.root / "packages/artifacts" / name / version

    def unarchived(self, name: str, version: str) -> Path:
        return self.root / "packages/artifacts-unarchived" / name / version

    def work(self, name: str) -> Path:
        return self.root / "work" / name

    def log(self, name: str) -> Path:
        return self.logs / f"{name}.log"
