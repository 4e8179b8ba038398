"""The report tells every outcome, opens from disk alone, and lets no record do harm."""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from backends.errors import InvalidInputError
from backends.settings import PROJECT
from tasks.recording import VANISHED
from tasks.reporting import THUMBNAILS, write_report
from tests.tasks import records
from tests.tasks.records import Record

INLINE = {"a", "b", "code"}
VOID = {"meta", "img", "br", "hr", "link", "input"}
SELF_CLOSING_SVG = {"rect", "line", "path"}
SCRIPT = "<script>alert(1)</script>"
STYLE_SHEET = PROJECT / "tasks/templates/report.css"


@dataclass
class Element:
    tag: str
    attributes: dict[str, str]
    text: str = ""


@dataclass
class Page:
    """A parsed page: elements in order, the visible text, and whether each tag was closed."""

    elements: list[Element] = field(default_factory=list)
    text: str = ""
    faults: list[str] = field(default_factory=list)

    def all(self, tag: str, **attributes: str) -> list[Element]:
        wanted = {name.rstrip("_"): value for name, value in attributes.items()}
        return [
            element
            for element in self.elements
            if element.tag == tag and wanted.items() <= element.attributes.items()
        ]

    def ids(self) -> set[str]:
        return {e.attributes["id"] for e in self.elements if "id" in e.attributes}


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.page = Page()
        self._open: list[Element] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        element = Element(tag, {name: value or "" for name, value in attrs})
        self.page.elements.append(element)
        if tag not in VOID:
            self._open.append(element)
        self._part(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.page.elements.append(Element(tag, {name: value or "" for name, value in attrs}))
        if tag not in SELF_CLOSING_SVG:
            self.page.faults.append(f"<{tag}/> is no HTML")

    def handle_endtag(self, tag: str) -> None:
        if not self._open or self._open[-1].tag != tag:
            self.page.faults.append(f"</{tag}> closes {self._open[-1].tag if self._open else '-'}")
        else:
            self._open.pop()
        self._part(tag)

    def _part(self, tag: str) -> None:
        if tag not in INLINE:
            self.handle_data(" ")

    def handle_data(self, data: str) -> None:
        if any(element.tag in ("style", "title") for element in self._open):
            return
        self.page.text += data
        for element in self._open:
            element.text += data

    def read(self, page: Path) -> Page:
        self.feed(page.read_text(encoding="utf-8"))
        self.close()
        self.page.faults += [f"<{element.tag}> stays open" for element in self._open]
        self.page.text = _one_line(self.page.text)
        for element in self.page.elements:
            element.text = _one_line(element.text)
        return self.page


def _one_line(text: str) -> str:
    return " ".join(text.split())  # also of no-break spaces


def _report(folder: Path) -> Page:
    return _Reader().read(write_report(folder))


def _section(page: Page, name: str) -> str:
    return page.all("section", id=name)[0].text


@pytest.fixture(scope="module")
def deployed(tmp_path_factory: pytest.TempPathFactory) -> Page:
    folder = tmp_path_factory.mktemp("runs") / "deployed"
    return _report(records.make_full_run(folder, records.deployed()))


OUTCOMES: dict[str, Callable[[], Record]] = {
    "deployed": records.deployed,
    "refused": records.refused,
    "failed at once": records.failed_at_once,
    "empty": lambda: {"status": "failed", "data": {}},
    "killed": lambda: records.failed_at_once() | {"reason": VANISHED},
}


@pytest.mark.parametrize("outcome", OUTCOMES)
@pytest.mark.parametrize("make", [records.make_run, records.make_full_run])
def test_every_outcome_is_one_well_formed_page_that_asks_for_nothing(
    outcome: str, make: Callable[[Path, Record], Path], tmp_path: Path
) -> None:
    page = _report(make(tmp_path / "run", OUTCOMES[outcome]()))

    assert page.faults == []
    assert not page.all("script")
    for element in page.elements:
        for name in ("src", "href", "action", "data", "poster", "srcset"):
            address = element.attributes.get(name, "")
            assert not address or address.startswith(("#", "data:image/", "data-docs/"))
            assert not address.startswith("#") or address[1:] in page.ids()
    assert not re.search(r"url\(|@import|https?://", STYLE_SHEET.read_text(encoding="utf-8"))


def test_the_top_says_what_happened_how_good_it_is_and_what_to_do(deployed: Page) -> None:
    hero = deployed.all("section", class_="card hero deployed")[0].text

    assert "Deployed: hub-1 now runs model version 7." in hero
    assert "It is right on 90.0 % of 16 held-out pictures; 7 of 8 gates passed" in hero
    assert "not judged: data.drift" in hero
    for command in (
        "edgeward results --follow",
        "edgeward device status hub-1",
        "edgeward down",
    ):
        assert command in hero
    assert deployed.all("title")
    assert deployed.all("li", class_="done")[0].text == "Data ✓ done"
    assert len(deployed.all("li", class_="done")) == 8


def test_all_that_was_reached_has_its_section(deployed: Page) -> None:
    sections = {"device", "gates", "accuracy", "confusion", "curve", "costs", "data", "lineage"}

    assert sections <= deployed.ids()
    assert "missing" not in deployed.ids()
    assert "not reached" not in deployed.text.lower()


def test_what_the_device_saw_is_shown_with_pictures_and_disagreement_in_words(
    deployed: Page,
) -> None:
    seen = _section(deployed, "device")

    assert "For 4 of 5 pictures" in seen
    assert "person 87.4 % ✓ agrees: expected person" in seen
    assert "car 87.4 % ✕ differs: expected dog" in seen
    assert deployed.all("img", alt="Picture that the device called child")


def test_gates_show_measured_value_limit_and_verdict_in_words(deployed: Page) -> None:
    rows = {row.text for row in deployed.all("tr")}

    def row(name: str) -> str:
        return next(text for text in rows if name in text)

    assert "✓ passed 90.0 % at least 75.0 %" in row("model.accuracy")
    assert "? not judged" in row("data.drift")
    assert "no baseline" in row("data.drift")
    assert "child: 75.0 % at least 70.0 %" in row("model.recall")
    assert "largest difference: 1.8e-07 at most 0.001" in row("compiled.parity")
    assert "same label: 100.0 % at least 99.5 %" in row("compiled.parity")
    assert "2.31 ms at most 50 ms" in row("compiled.latency")


def test_accuracy_per_class_and_confusions_are_those_of_the_record(deployed: Page) -> None:
    accuracy = _section(deployed, "accuracy")
    heat = deployed.all("table", class_="heat")[0].text

    assert "child 75.0 % ✓ at least 70.0 % 100.0 % 4" in accuracy
    assert "empty n/a n/a 0" in accuracy
    assert "person 4 0 0 0 0 child 1 3 0 0 0 dog 0 0 3 1 0 car 0 0 0 4 0 empty 0 0 0 0 0" in heat
    assert "says person 80.0 % People labelled it empty" in accuracy
    bar = deployed.all("rect", class_="ours")[1]
    assert bar.attributes["width"] == "75.00"


def test_the_learning_curve_is_drawn_said_and_tabled(deployed: Page) -> None:
    plot = deployed.all("div", class_="plot")[0].attributes["aria-label"]
    line = deployed.all("path", class_="validation")[0].attributes["d"]

    assert plot.startswith("Epochs 0 to 7: train accuracy goes from 35.0% to 90.1%")
    assert len(re.findall("[ML]", line)) == 8
    assert "8 epochs in 1 min 24 s, 268 pictures per second" in _section(deployed, "curve")
    assert "0 33.0 % 35.0 % 10 s" in _section(deployed, "curve")


def test_the_compiled_model_is_compared_with_mxnet_honestly(deployed: Page) -> None:
    costs = _section(deployed, "costs")

    assert "Time a picture, p95 Compiled 2.31 ms MXNet 5.78 ms 2.5 times as fast" in costs
    assert "Size of what ships Compiled 4.2 MB MXNet 1.05 MB 4.0 times as much" in costs
    assert "the same label on 100.0 %, probabilities at most 1.8e-07 apart" in costs


def test_the_data_is_shown_by_class_statistic_finding_and_picture(deployed: Page) -> None:
    data = _section(deployed, "data")

    assert "person 8 train, 0 validation, 4 test 12" in data
    assert "class balance: smallest dog" in data
    assert len(deployed.all("svg", class_="histogram")) == 5
    assert len(deployed.all("img", alt="Sample of class dog")) == 4
    assert deployed.all("a", href="data-docs/index.html")


def test_lineage_leads_from_the_fingerprint_to_the_deployment(deployed: Page) -> None:
    lineage = _section(deployed, "lineage")
    facts = ["f1" * 32, "Version 7", "llvm -mtriple=x86_64-linux-gnu", "opt_level=3", "c0" * 32]
    facts += [
        "dlr 1.10.0",
        "dep-77",
        "edgeward.ImageClassification.Model 1.0.7",
        "train 1 min 31 s",
    ]

    places = [lineage.index(fact) for fact in facts]

    assert places == sorted(places)
    assert "num_layers 20" in lineage
    assert "prefect 3.8.8" in lineage


def test_thumbnails_are_small_and_few_and_pictures_that_are_gone_do_no_harm(
    deployed: Page, tmp_path: Path
) -> None:
    sources = {image.attributes["src"] for image in deployed.all("img")}
    folder = records.make_full_run(tmp_path / "gone", records.deployed())
    for picture in (folder / "pictures/child").iterdir():
        picture.unlink()

    page = _report(folder)

    assert 20 < len(sources) <= THUMBNAILS
    assert max(map(len, sources)) < 8_000
    assert not page.all("img", alt="Picture that the device called child")
    assert "picture not kept here child" in _section(page, "device")


def test_a_refusal_says_why_where_and_what_to_do(tmp_path: Path) -> None:
    page = _report(records.make_run(tmp_path / "run", records.refused()))
    hero = page.all("section", class_="card hero refused")[0].text

    assert "Refused: model.recall did not pass; nothing was deployed." in hero
    assert "recall of child 0.500 (at least 0.700 is asked)" in hero
    assert "Evaluate ✕ stopped here Compile not reached" in hero
    assert "Add pictures of the classes that are missed" in hero
    assert "--override model.recall" in hero
    assert "✕ refused" in _section(page, "gates")
    assert "Next: Add pictures" in _section(page, "gates")
    missing = _section(page, "missing")
    assert "What the device saw, Compiled against trained" in missing
    assert "costs" not in page.ids()


def test_a_refusal_after_the_deployment_does_not_claim_that_nothing_was_deployed(
    tmp_path: Path,
) -> None:
    gate = records.gate("device.first-result", False, 0.5, 1.0, "dog was called car")
    record = records.deployed() | {"status": "refused", "reason": "", "gates": [gate]}

    page = _report(records.make_run(tmp_path / "run", record))

    assert "nothing was deployed" not in page.text
    assert "hub-1 was given back what it ran before" in page.text
    assert "edgeward device logs hub-1" in page.text
    assert "First results ✕ stopped here" in page.text


def test_a_failure_after_the_deployment_says_where_it_stands(tmp_path: Path) -> None:
    record = records.deployed() | {"status": "failed", "reason": "disk full"}

    page = _report(records.make_run(tmp_path / "run", record))

    assert "the deployment to hub-1 stands at SUCCEEDED" in page.text
    assert "First results ✕ stopped here" in page.text


def test_a_package_for_another_platform_is_neither_deployed_nor_refused(tmp_path: Path) -> None:
    reason = "not executed: hub-1 is linux-x86_64, the package is for linux-aarch64"
    record = records.deployed() | {
        "status": "packaged",
        "reason": reason,
        "platform": "linux-aarch64",
        "deployment": None,
        "verification": records.verification() | {"executed": False, "reason": "no such CPU"},
    }

    page = _report(records.make_run(tmp_path / "run", record))

    assert "Packaged: model version 7 waits for a device that runs it." in page.text
    assert reason[1:] in page.text
    assert "--thing NAME to a device of linux-aarch64" in page.text
    assert "Verify not executed Deploy not reached First results not reached" in page.text
    assert "stopped here" not in page.text


def test_before_validation_the_findings_are_what_the_manifest_tells(tmp_path: Path) -> None:
    record = records.deployed() | {"data_findings": None}

    page = _report(records.make_full_run(tmp_path / "run", record))

    assert "not usable: truncated 1" in _section(page, "data")


def test_drift_and_label_gates_show_each_value_beside_its_own_limit(tmp_path: Path) -> None:
    drift = records.gate(
        "data.drift", False, {"brightness": 0.4, "label mix": 0.02}, {"psi": 0.25, "js": 0.2}, "it"
    )
    labels = records.gate(
        "data.labels", True, {"classes": 5, "missing": []}, {"classes": 2, "missing": []}, "good"
    )
    record = records.deployed() | {"gates": [drift, labels]}

    gates = _section(_report(records.make_run(tmp_path / "run", record)), "gates")

    assert "brightness: 0.4 at most 0.25 label mix: 0.02 at most 0.2" in gates
    assert "classes: 5 at least 2 classes without pictures: none" in gates


def test_the_time_of_a_run_is_from_its_start_to_its_end(tmp_path: Path) -> None:
    record = records.deployed() | {"ended_at": "2026-11-22T18:18:20+00:00"}

    page = _report(records.make_run(tmp_path / "run", record))

    assert "The run took 3 min 20 s" in page.text


def test_an_override_stays_visible(tmp_path: Path) -> None:
    gate = records.gate("model.recall", False, {"child": 0.5}, {"child": 0.7}, "child is missed")
    record = records.deployed() | {"gates": [gate | {"overridden": True}]}

    page = _report(records.make_run(tmp_path / "run", record))

    assert "overridden by hand: model.recall" in page.text
    assert "! overridden" in _section(page, "gates")


def test_a_run_that_failed_at_once_says_so_and_names_what_it_did_not_reach(tmp_path: Path) -> None:
    page = _report(records.make_run(tmp_path / "run", records.failed_at_once()))

    assert "Failed: the run ended with an error; nothing was deployed." in page.text
    assert "The jobs environment is missing: no python there. Run `make setup`." in page.text
    assert "edgeward doctor" in page.text
    for name in ("What the device saw", "Gates", "Accuracy", "Learning curve", "Data"):
        assert name in _section(page, "missing")
    assert _section(page, "lineage").count("not reached") == 5


SECTIONS = {
    "evaluation": ("accuracy", "Accuracy"),
    "learning_curve": ("curve", "Learning curve"),
    "verification": ("costs", "Compiled against trained"),
    "gates": ("gates", "Gates"),
    "first_results": ("device", "What the device saw"),
}


@pytest.mark.parametrize("section", SECTIONS)
def test_a_section_that_is_null_is_named_as_not_reached(section: str, tmp_path: Path) -> None:
    folder = records.make_full_run(tmp_path / "run", records.deployed())
    record = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    (folder / "run.json").write_text(json.dumps(record | {section: None}), encoding="utf-8")
    id_, name = SECTIONS[section]

    page = _report(folder)

    assert id_ not in page.ids()
    assert name in _section(page, "missing")


def test_what_could_not_be_executed_is_never_shown_as_measured(tmp_path: Path) -> None:
    verified = records.verification() | {
        "executed": False,
        "reason": "linux-armv7l does not run on x86_64",
        "max_abs_diff": None,
        "top1_agreement": None,
        "latency_ms": {"p50": None, "p95": None},
        "peak_rss_mb": None,
        "trained": None,
    }
    record = records.deployed() | {"verification": verified}

    costs = _section(_report(records.make_run(tmp_path / "run", record)), "costs")

    assert "Not executed: linux-armv7l does not run on x86_64" in costs
    assert "Time a picture" not in costs
    assert "Size of what ships Compiled 4.2 MB not compared" in costs


def test_no_text_of_a_record_becomes_markup(tmp_path: Path) -> None:
    folder = records.make_full_run(tmp_path / "run", records.deployed())
    text = (folder / "run.json").read_text(encoding="utf-8")
    harmful = _replaced(json.loads(text))
    harmful["data"]["root"] = json.loads(text)["data"]["root"]
    (folder / "run.json").write_text(json.dumps(harmful), encoding="utf-8")

    page = _report(folder)

    assert page.faults == []
    assert not page.all("script")
    assert not any(name.startswith("on") for e in page.elements for name in e.attributes)
    assert f"{SCRIPT}child" in page.text


def _replaced(value: Any) -> Any:
    """Every text of a record with a script before it and an attribute's end behind it."""
    if isinstance(value, dict):
        keep = {"name", "status", "run_id", "started_at", "image_id"}
        plain = {"per_class", "components", "hyperparameters", "versions", "child", "flags"}
        return {
            (f"{SCRIPT}{key}" if key in records.CLASSES else key): (
                item if key in keep - plain else _replaced(item)
            )
            for key, item in value.items()
        }
    if isinstance(value, list):
        return [_replaced(item) for item in value]
    return f"{SCRIPT}{value}\" onload='x' " if isinstance(value, str) else value


def test_a_data_docs_link_never_leaves_the_run(tmp_path: Path) -> None:
    (tmp_path / "outside.html").write_text("", encoding="utf-8")
    for name, given in {
        "up": "../outside.html",
        "script": "javascript:alert(1)",
        "absent": "data-docs/index.html",
    }.items():
        record = records.deployed() | {"data_docs": given}

        page = _report(records.make_run(tmp_path / name, record))

        assert "Data Docs" not in page.text


@pytest.mark.parametrize("name", ["manifest", "split", "predictions"])
def test_a_table_that_was_cut_off_does_not_cost_the_report(name: str, tmp_path: Path) -> None:
    folder = records.make_full_run(tmp_path / "run", records.deployed())
    table = folder / f"{name}.parquet"
    table.write_bytes(table.read_bytes()[:100])

    page = _report(folder)

    assert "Deployed: hub-1" in page.text
    assert "accuracy" in page.ids()


def test_two_hundred_classes_are_listed_by_what_is_weakest(tmp_path: Path) -> None:
    names = [f"class{i}" for i in range(200)]
    evaluation = records.evaluation() | {
        "per_class": {
            name: {"precision": 0.5, "recall": i / 200, "support": 2}
            for i, name in enumerate(names)
        },
        "confusion": [[int(j in (i, 7)) for j in range(200)] for i in range(200)],
    }
    record = records.deployed() | {"evaluation": evaluation}

    page = _report(records.make_run(tmp_path / "run", record))

    accuracy = _section(page, "accuracy")
    assert not page.all("table", class_="heat")
    assert "The 30 classes with the lowest recall; 170 more" in accuracy
    assert "class0 class7 1 50.0 %" in accuracy
    assert len((tmp_path / "run/report.html").read_bytes()) < 150_000


def test_a_folder_without_a_readable_record_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text('{"status": "fai', encoding="utf-8")

    with pytest.raises(InvalidInputError, match=r"run\.json: no readable run record"):
        write_report(tmp_path)

    assert not (tmp_path / "report.html").exists()


def _contrast(one: str, other: str) -> float:
    """WCAG 2.2, success criterion 1.4.3."""

    def luminance(colour: str) -> float:
        parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
def test_text_can_be_read_on_every_ground(scheme: int) -> None:
    sheet = STYLE_SHEET.read_text(encoding="utf-8")
    block = re.findall(r":root \{(.*?)\}", sheet, re.DOTALL)[scheme]
    colours = dict(re.findall(r"--([\w-]+): (#\w{6});", block))
    pairs = {
        "ink": ("card", "page", "well", "bad-wash"),
        "soft": ("card", "page", "well"),
        "good": ("card", "good-wash"),
        "bad": ("card", "bad-wash"),
        "warn": ("card", "warn-wash"),
        "link": ("card",),
    }

    contrasts = {
        (text, ground): _contrast(colours[text], colours[ground])
        for text, grounds in pairs.items()
        for ground in grounds
    }

    assert min(contrasts.values()) >= 4.5, contrasts


def test_every_picture_has_words_and_every_table_has_headers(deployed: Page) -> None:
    assert all(image.attributes["alt"] for image in deployed.all("img"))
    assert all(svg.attributes["aria-hidden"] == "true" for svg in deployed.all("svg"))
    assert all("scope" in header.attributes for header in deployed.all("th"))
    assert len(deployed.all("table")) == len(deployed.all("thead"))
