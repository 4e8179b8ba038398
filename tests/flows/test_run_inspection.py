"""What a person sees in Prefect's UI, looked at in a real browser.

A run that was deployed, a run that was refused and a look at a device that sees the night, all by
the command line against one server. Screenshots are kept where SCREENSHOTS says, if it is set.
"""

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.browser import PROGRAM, Page, browser
from tests.flows.test_cycle import Person, draw_patterns, left_running
from tests.tasks.windows import seen, store

pytestmark = [
    pytest.mark.slow,
    pytest.mark.browser,
    pytest.mark.usefixtures("jobs_python", "device_python"),
    pytest.mark.skipif(PROGRAM is None, reason="no Chromium on this machine"),
]

WHOLE = """
document.images.length >= {number} &&
[...document.images].every(image => image.complete && image.naturalWidth > 0)
"""


@dataclass(frozen=True)
class Seen:
    """Prefect's UI in a browser, beside the API that it shows."""

    api: str
    page: Page
    screenshots: Path

    def run(self, name: str) -> dict[str, Any]:
        """The newest flow run in a state of this name."""
        wanted = {"flow_runs": {"state": {"name": {"any_": [name]}}}}
        (run, *_) = self.found("flow_runs", wanted | {"sort": "START_TIME_DESC"})
        return run

    def shows(self, run: dict[str, Any], key: str, *texts: str, pictures: int = 0) -> None:
        """Open an artifact of a run: it has these texts, and whole pictures."""
        wanted = {"flow_runs": {"id": {"any_": [run["id"]]}}, "artifacts": {"key": {"any_": [key]}}}
        (artifact, *_) = self.found("artifacts", wanted)
        self.page.open(f"{self.ui}/artifacts/artifact/{artifact['id']}")
        self.page.wait_for(f"location.pathname.includes({json.dumps(artifact['id'])})")
        for text in texts:
            self.page.wait_for_text(text)
        self.page.wait_for(WHOLE.format(number=pictures))
        self.page.screenshot(self.screenshots / f"{run['state']['name'].lower()}-{key}.png")

    def opens(self, run: dict[str, Any], *texts: str) -> None:
        self.page.open(f"{self.ui}/runs/flow-run/{run['id']}")
        for text in texts:
            self.page.wait_for_text(text)
        self.page.screenshot(self.screenshots / f"{run['state']['name'].lower()}-run.png")

    @property
    def ui(self) -> str:
        return self.api.removesuffix("/api")

    def found(self, what: str, wanted: dict[str, Any]) -> list[dict[str, Any]]:
        answer = httpx.post(f"{self.api}/{what}/filter", json=wanted, timeout=30)
        found: list[dict[str, Any]] = answer.raise_for_status().json()
        assert found, f"no {what} for {wanted}"
        return found


@pytest.fixture(scope="module")
def looked_at(api: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seen]:
    """All three runs, made once."""
    folder = tmp_path_factory.mktemp("person")
    draw_patterns(folder / "pictures", 48)
    person = Person(folder / "home", folder / "pictures")
    strict = folder / "strict.toml"
    strict.write_text("[device]\nmax_package_mb = 0.001\n")
    shots = Path(os.environ.get("SCREENSHOTS") or tmp_path_factory.mktemp("screenshots"))
    shots.mkdir(parents=True, exist_ok=True)
    try:
        deployed = person.runs(PREFECT_API_URL=api)
        assert deployed.status == 0, deployed.err
        refused = person.runs("--targets", str(strict), PREFECT_API_URL=api)
        assert refused.status == 3, refused.err
        version = deployed.record["model_version"]
        store(person.home, seen(300, brightness=0.02, model_version=version))
        assert person.does("monitor", "--json", PREFECT_API_URL=api).status == 0
        with browser() as page:
            page.look(1280, 1000)
            yield Seen(api, page, shots)
    finally:
        person.does("down")
    assert left_running(person.home) == []


def test_a_deployed_run_is_told_in_pictures_and_tables(looked_at: Seen) -> None:
    (run,) = [
        run
        for run in looked_at.found("flow_runs", {"flows": {"name": {"any_": ["cycle"]}}})
        if run["state"]["name"] == "Completed"
    ]

    looked_at.opens(
        run,
        "pictures to hub-1",
        "Completed",
        "thing:hub-1",
        "data:pictures",
        "model:1.0.0",
        "deployed",
    )
    looked_at.shows(run, "data-report", "Pictures per class", pictures=3)
    looked_at.shows(run, "data-checks", "Great Expectations")
    looked_at.shows(run, "learning-curve", "Training: 6 epochs", pictures=1)
    looked_at.shows(run, "accuracy", "held-out pictures", "Recall per class", pictures=2)
    looked_at.shows(run, "package-costs", "same label as the trained model", pictures=1)
    looked_at.shows(run, "gates", "compiled.parity")
    looked_at.shows(run, "deployment-hub-1", "SUCCEEDED")
    looked_at.shows(run, "first-results-hub-1", "as expected", pictures=6)
    looked_at.shows(run, "decision", "hub-1 now runs model version 1.0.0")


def test_a_refused_run_says_which_gate_and_why_wherever_one_looks(looked_at: Seen) -> None:
    run = looked_at.run("Refused")

    looked_at.opens(run, "Refused", "refused")
    looked_at.shows(run, "gates", "compiled.size", "REFUSED")
    looked_at.shows(
        run, "decision", "nothing was deployed", "is above 0.001 MB", "--override compiled.size"
    )
    assert run["state"]["message"].startswith("compiled.size: the package's size")


def test_a_device_that_sees_the_night_has_a_drift_report(looked_at: Seen) -> None:
    (run,) = looked_at.found("flow_runs", {"flows": {"name": {"any_": ["monitor"]}}})

    looked_at.shows(
        run, "drift-hub-1", "hub-1: drift", "input.brightness", "What to do now", pictures=1
    )
    assert run["state"]["message"].startswith("drift in input.brightness")


def test_the_ui_asks_nobody_but_its_own_server(looked_at: Seen) -> None:
    strangers = {
        address
        for address in looked_at.page.asked
        if not address.startswith((looked_at.ui, "data:", "blob:" + looked_at.ui))
    }

    assert looked_at.page.asked
    assert strangers == set()
