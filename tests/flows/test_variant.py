"""Two models on a real device by the command line: started, compared on live pictures, stopped."""

import json
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from backends.artifacts import DeviceResult
from backends.errors import InvalidInputError
from edge.contract import (
    CHALLENGER_COMPONENT,
    INFERENCE_COMPONENT,
    MODEL_COMPONENT,
    RUNTIME_COMPONENT,
)
from flows.variant import ComparisonPlan, VariantPlan, compare_variants, start_variant, stop_variant
from tasks.packaging import package_model
from tasks.recipes import model_recipe
from tasks.variant_comparison import VariantLimits
from tests.command_line import edgeward
from tests.site import THING, Site, now
from tests.tiny_model import Compile, TinyModel

pytestmark = [
    pytest.mark.slow,
    pytest.mark.jobs,
    pytest.mark.device,
    pytest.mark.usefixtures("prefect_server"),
]


@pytest.fixture
def site(home: Path, device_python: Path) -> Iterator[Site]:
    made = Site(home, device_python)
    yield made
    made.fleet.stop_everything()


def hears(site: Site, wanted: Callable[[DeviceResult], bool]) -> DeviceResult:
    """The next result of this kind; each look waits for a new one, 30 seconds at most."""
    for _ in range(40):
        (result,) = site.results(now())
        if wanted(result):
            return result
    raise AssertionError(result.payload)


def remarked(package: Path, into: Path) -> Path:
    """The same model with another note in its metadata: a version of its own."""
    into.mkdir()
    changed = into / package.name
    with zipfile.ZipFile(package) as old, zipfile.ZipFile(changed, "w") as new:
        for name in old.namelist():
            content = old.read(name)
            if name == "compiled.meta":
                meta: dict[str, Any] = json.loads(content)
                meta["Edgeward"]["remark"] = "another one"
                content = json.dumps(meta).encode()
            new.writestr(name, content)
    return changed


def test_a_challenger_is_started_compared_and_stopped_beside_the_one_that_serves(
    site: Site, compile_for: Compile, tiny_model: TinyModel, tmp_path: Path
) -> None:
    package = package_model(compile_for("linux-x86_64"), tmp_path / "a", tiny_model.known)
    version = site.deploy(package)
    other = site.store.publish(
        model_recipe(["linux-x86_64"]), [remarked(package, tmp_path / "b")]
    ).version
    limits = VariantLimits(min_pictures=3, min_agreement=0.5)
    hears(site, lambda result: result.payload["variant"] == "champion")
    process = site.serving()

    start_variant(VariantPlan(thing=THING, model=other))
    result = hears(site, lambda result: "shadow" in result.payload)
    assert result.model_version == version
    assert result.payload["shadow"]["model_version"] == other
    assert result.payload["shadow"]["label"] == result.label
    assert site.states()[CHALLENGER_COMPONENT].endswith("FINISHED")
    site.results(now(), 8)
    comparison = compare_variants(ComparisonPlan(thing=THING, limits=limits))
    stop_variant(THING)
    hears(site, lambda result: "shadow" not in result.payload)

    assert comparison.mode == "shadow"
    assert comparison.agreement is not None
    assert comparison.agreement.value == 1.0
    assert comparison.challenger is not None
    assert comparison.challenger.model_version == other
    assert comparison.recommendation == "challenger", comparison.reason
    assert set(site.states()) == {MODEL_COMPONENT, INFERENCE_COMPONENT, RUNTIME_COMPONENT}
    assert site.serving() == process, "nothing of this may restart what serves"
    with pytest.raises(InvalidInputError, match="runs that very version"):
        start_variant(VariantPlan(thing=THING, model=version))
    with pytest.raises(InvalidInputError, match=f"Published: {version}, {other}"):
        start_variant(VariantPlan(thing=THING, model="7.0.0"))
    with pytest.raises(InvalidInputError, match="runs no variant"):
        stop_variant(THING)


def test_a_model_challenges_only_where_one_serves(home: Path) -> None:
    with pytest.raises(InvalidInputError, match="hub-1: runs no model yet"):
        start_variant(VariantPlan(thing="hub-1", model="1.0.1"))


def test_the_command_prints_the_comparison_alone(site: Site) -> None:
    site.fleet.start_device(THING)

    answer = edgeward("variant", "compare", THING, "--json")

    assert answer.returncode == 0, answer.stderr
    assert json.loads(answer.stdout)["recommendation"] == "more data"
    assert f"no challenger answered on {THING}" in answer.stderr
