"""Writes component versions as the component store keeps them, also ones that it would refuse."""

import base64
import hashlib
import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any


class Store:
    """Recipes at `<home>/components/<name>/<version>.json`, artifacts under `<home>/objects`."""

    def __init__(self, home: Path) -> None:
        self.components = home / "components"
        self.objects = home / "objects"

    def add(
        self,
        name: str,
        version: str,
        lifecycle: Mapping[str, Any],
        *,
        defaults: Mapping[str, Any] | None = None,
        needs: Mapping[str, Any] | None = None,
        files: Mapping[str, str] | None = None,
        artifact: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        """`files` go into an artifact `code.zip`; `artifact` overrides that artifact's entry."""
        recipe: dict[str, Any] = {
            "RecipeFormatVersion": "2020-01-25",
            "ComponentName": name,
            "ComponentVersion": version,
            "ComponentConfiguration": {"DefaultConfiguration": dict(defaults or {})},
            "ComponentDependencies": dict(needs or {}),
            "Manifests": [
                {
                    "Platform": {"os": "linux", "runtime": "*"},
                    "Lifecycle": dict(lifecycle),
                    "Artifacts": [self._zip(name, version, files, artifact)] if files else [],
                }
            ],
        }
        self.write(recipe)
        return recipe

    def write(self, recipe: Mapping[str, Any]) -> None:
        folder = self.components / recipe["ComponentName"]
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{recipe['ComponentVersion']}.json").write_text(json.dumps(recipe))

    def _zip(
        self,
        name: str,
        version: str,
        files: Mapping[str, str],
        artifact: Mapping[str, Any] | None,
    ) -> dict[str, Any]:
        path = self.objects / "edgeward/components" / name / version / "code.zip"
        path.parent.mkdir(parents=True, exist_ok=True)
        with zipfile.ZipFile(path, "w") as archive:
            for file, content in files.items():
                archive.writestr(file, content)
        digest = base64.b64encode(hashlib.sha256(path.read_bytes()).digest()).decode()
        return {
            "Uri": f"s3://edgeward/components/{name}/{version}/code.zip",
            "Unarchive": "ZIP",
            "Digest": digest,
            "Algorithm": "SHA-256",
            **(artifact or {}),
        }
