"""The default data: pictures of a driveway that we draw, seeded, at camera size.

They are drawings. They exercise everything that photographs would, with no download and no licence.
"""

import contextlib
import functools
import hashlib
import shutil
import tempfile
from pathlib import Path
from random import Random

from backends.artifacts import Pictures
from backends.ports import Progress
from backends.sources.plan import CLASSES, NEW_CLASS, DrivewayPlan
from backends.workers import Workers, map_in_order

_VERSION = 1  # raise it when the same plan would draw other pictures
_NEW_SHARE = 0.25  # of the pictures, at full strength, show the new class


class DrivewaySource:
    """Draws into `<home>/sources/driveway-<plan>/<class>/NNNNN.jpg`, once per plan."""

    def __init__(self, home: Path, plan: DrivewayPlan, workers: Workers = 0) -> None:
        self._home = home
        self._plan = plan
        self._workers = workers

    def fetch(self, progress: Progress) -> Pictures:
        text = f"{_VERSION} {self._plan.model_dump_json()}"
        name = f"driveway-{hashlib.sha256(text.encode()).hexdigest()[:16]}"
        root = self._home / "sources" / name
        if not root.is_dir():
            _draw_all(root, self._plan, self._workers, progress)
        progress(self._plan.images, self._plan.images)
        return Pictures(source="driveway", root=root)


def labels(plan: DrivewayPlan) -> list[str]:
    """Which class each picture of a plan shows, by its number."""
    new = 0
    if plan.drift == "new-class":
        new = max(1, round(plan.images * _NEW_SHARE * plan.drift_strength))
    return [
        NEW_CLASS if number >= plan.images - new else CLASSES[number % len(CLASSES)]
        for number in range(plan.images)
    ]


def picture(plan: DrivewayPlan, number: int, label: str) -> bytes:
    """Draw the JPEG with this number; it depends on the plan's seed, drift and the number only."""
    from backends.sources.camera import Taking, draw, encode

    rng = Random(f"{plan.seed}/{number}")  # noqa: S311 - drawings, no secrets
    return encode(draw(label, rng, Taking(plan.drift, plan.drift_strength)), rng)


def _draw_all(root: Path, plan: DrivewayPlan, workers: Workers, progress: Progress) -> None:
    """Draw into a folder beside `root`, which takes the name when it is complete."""
    root.parent.mkdir(parents=True, exist_ok=True)
    unfinished = Path(tempfile.mkdtemp(prefix=f".{root.name}-", dir=root.parent))
    try:
        wanted = labels(plan)
        for label in set(wanted):
            (unfinished / label).mkdir()
        paint = functools.partial(_draw_one, unfinished, plan)
        drawn = map_in_order(
            paint,
            enumerate(wanted),
            workers,
            what="draw the driveway",
            preload=["backends.sources.camera"],
        )
        with contextlib.closing(drawn) as numbers:
            for number in numbers:
                progress(number + 1, plan.images)
        unfinished.chmod(0o755)
        with contextlib.suppress(OSError):  # another run was quicker, with the same pictures
            unfinished.replace(root)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _draw_one(folder: Path, plan: DrivewayPlan, item: tuple[int, str]) -> int:
    number, label = item
    (folder / label / f"{number:05d}.jpg").write_bytes(picture(plan, number, label))
    return number
