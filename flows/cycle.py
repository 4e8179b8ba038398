"""The full cycle: from pictures to a device that was seen to answer rightly."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from shutil import copyfile
from typing import Any

from prefect import flow

from backends.artifacts import (
    ComponentVersion,
    Dataset,
    Gate,
    PackedData,
    Predictions,
    Split,
    TrainedModel,
    Verification,
)
from backends.connect import connect
from backends.cost import estimate
from backends.ports import Backend, Source
from backends.settings import Settings, load_settings
from backends.sources import parse_source
from backends.sources.collected import CollectedSource
from edge.contract import MODEL_COMPONENT
from flows.announcing import announce
from flows.approval import await_approval
from flows.outcome_state import ends_saying
from flows.plan import CyclePlan
from tasks.accepted_data import accepted_folder, source_name
from tasks.artifacts import tag_run
from tasks.champion import collected_batches, compare, judge_new, judge_old
from tasks.costs import judge_cost
from tasks.data_preparation import check_leakage, pack_data, prepare_pictures, split_data
from tasks.data_understanding import ingest_pictures
from tasks.data_validation import accept_dataset, data_limits, new_classes, validate_dataset
from tasks.deployment import (
    Package,
    compile_model,
    gather_wheels,
    publish_components,
    verify_package,
)
from tasks.drift.baseline import build_baseline
from tasks.evaluation import evaluate, judge_accuracy, require
from tasks.first_results import (
    await_first_results,
    choose_scene,
    deploy_components,
    expected_labels,
    give_camera_back,
    judge_first_results,
    now,
    place_pictures,
    restore_device,
)
from tasks.handover import hand_over
from tasks.job_names import job_name
from tasks.labelling.finishing import collected_folder
from tasks.modeling import predict_model, train_model
from tasks.outcome import headline
from tasks.quality.former import keep_former
from tasks.quality.rollbacks import judge_version
from tasks.recipes import VARIANT_DLR
from tasks.recording import Run, new_run_id, note, note_gates, read_record, recorded, stage
from tasks.registry import (
    digest_of,
    earlier_weights,
    log_epoch,
    promote_candidate,
    register_candidate,
    score_champion,
    track_run,
)
from tasks.reporting import write_report
from tasks.run_artifacts import (
    show_accuracy,
    show_costs,
    show_data,
    show_decision,
    show_device,
    show_model,
    show_split,
    show_training,
)
from tasks.self_test import TOLERANCE, choose_self_test
from tasks.verification import judge_package, list_held_out


@dataclass(frozen=True, slots=True)
class Cycle:
    """What every phase of one run needs to know."""

    plan: CyclePlan
    settings: Settings
    backend: Backend
    run: Run

    @property
    def home(self) -> Path:
        return self.settings.root

    def accepted(self, dataset: Dataset) -> Path:
        """Where the baseline of this source lies; its name is also the model's in the registry."""
        return accepted_folder(self.home / "accepted", dataset.source)

    def held_out(self, dataset: Dataset) -> Path:
        """Where it is kept which pictures of this source judge for ever."""
        return self.home / "held-out" / source_name(dataset.source)

    def collected(self, source: str) -> Path:
        """Where the pictures lie that devices collected for a source, and people labelled."""
        return collected_folder(self.home, source_name(source))

    def pass_gates(self, *gates: Gate) -> None:
        """Record gates; stop the run at one that refuses and that nobody overrode."""
        require(note_gates(self.run, gates, self.plan.override))


def outcome(run_id: str) -> str:
    """What a run came to, in a sentence."""
    return headline(read_record(Run(run_id, load_settings().root / "runs" / run_id)))


@flow(name="cycle", flow_run_name="{plan.source_name} to {plan.thing}")
@ends_saying(outcome)
def cycle(plan: CyclePlan = CyclePlan()) -> str:
    """Ingest, validate, split, train, evaluate, compile, verify, deploy, check; give back the run.

    Raises GateRefusedError and the other errors of backends/errors.py; the record says the same.
    """
    settings = load_settings()
    run_id = plan.run_id or new_run_id()
    run = open_run(settings, run_id)
    with recorded(run, about(plan)):
        this = begin(plan, settings, run)
        dataset = understand_data(this)
        hand_over(run, dataset=dataset)
        split, packed = prepare(this, dataset)
        hand_over(run, split=split, packed=packed)
        model = this.accepted(dataset).name
        trained, version = train(this, model, packed, split)
        hand_over(run, trained=trained, version=version)
        predictions = judge(this, model, trained, packed, split)
        hand_over(run, predictions=predictions)
        package = make_package(this, trained, dataset, split, predictions)
        hand_over(run, package=package)
        if components := release(this, package, dataset, split, predictions):
            conclude(this, model, version, components, dataset, predictions)
    return run.id


def open_run(settings: Settings, run_id: str) -> Run:
    """The run, with what happens once its outcome is known: its report, and the news of it."""
    return Run(run_id, settings.root / "runs" / run_id, [show_decision, announce, _report])


def begin(plan: CyclePlan, settings: Settings, run: Run) -> Cycle:
    """Connect the backend for a run that is being recorded, and keep the plan for later phases."""
    hand_over(run, plan=plan)
    tag_run(f"thing:{plan.thing}", f"data:{plan.source_name}")
    backend = connect(settings, plan.targets.cost.max_usd, run.folder)
    run.closing.append(partial(_close, backend))
    this = Cycle(plan, settings, backend, run)
    if settings.backend.kind == "aws":
        this.pass_gates(judge_cost(estimate(settings.aws), plan.targets.cost))
    return this


def understand_data(this: Cycle) -> Dataset:
    """CRISP-DM 2: ingest, and validate against what was last accepted."""
    plan, run = this.plan, this.run
    workers = this.settings.workers
    source: Source = parse_source(plan.data, this.home, plan.driveway, workers)
    if plan.collected:
        source = CollectedSource(source, this.collected, this.home, new_classes(plan.targets))
    with stage(run, "ingest"):
        dataset = ingest_pictures(source, this.home / "cache", run.folder, workers)
        note(run, data=_facts(dataset, "manifest"))
    with stage(run, "validate"):
        limits, docs = data_limits(plan.targets), run.folder / "data-docs"
        verdict = validate_dataset(dataset, this.accepted(dataset), limits, docs)
        note(run, data_docs=verdict.data_docs.relative_to(run.folder))
        note(run, data_findings=verdict.findings)
        show_data(run, verdict.checks)
    this.pass_gates(*verdict.gates)
    return dataset


def prepare(this: Cycle, dataset: Dataset) -> tuple[Split, PackedData]:
    """CRISP-DM 3: split without leaks, and pack as SageMaker's algorithm reads it."""
    plan, run = this.plan, this.run
    with stage(run, "split"):
        split = split_data(dataset, plan.split, run.folder, this.held_out(dataset))
        note(run, split=_facts(split, "table"))
        show_split(run)
    this.pass_gates(check_leakage(dataset, split))
    width, height = plan.training.width, plan.training.height
    with stage(run, "pack"):
        cache, workers = this.home / "cache", this.settings.workers
        job = job_name("pack", dataset.fingerprint, plan.split, split.fingerprint, width, height)
        lists = prepare_pictures(
            dataset, split, width, height, cache, cache / "lists" / job, workers
        )
        packed = pack_data(
            this.backend.packer, job, lists, split, width, height, cache / "packed" / job
        )
    return split, packed


def train(this: Cycle, model: str, packed: PackedData, split: Split) -> tuple[TrainedModel, str]:
    """CRISP-DM 4: train a candidate; every epoch shows in the log and in the tracker."""
    plan, run, backend = this.plan, this.run, this.backend
    hyperparameters = plan.training.hyperparameters(packed)
    with stage(run, "train"):
        identity = track_run(backend.tracker, model, run, hyperparameters)
        earlier = earlier_weights(backend.tracker, model) if plan.training.starts_earlier else None
        begins = (digest_of(earlier),) if earlier else ()
        job = job_name("train", packed.root.name, hyperparameters, *begins)
        follow = partial(log_epoch, backend.tracker, identity)
        trained = train_model(backend.trainer, job, packed, plan.training, earlier, follow)
        note(run, training=_training_facts(trained), learning_curve=trained.epochs)
        learnt = collected_batches(split)
        version = register_candidate(backend.tracker, model, identity, trained, learnt)
        show_training(run)
    return trained, version


def judge(
    this: Cycle, model: str, trained: TrainedModel, packed: PackedData, split: Split
) -> Predictions:
    """CRISP-DM 5: is it good enough, as good as the champion, and better on what is new?"""
    plan, run, backend = this.plan, this.run, this.backend
    with stage(run, "evaluate"):
        job = job_name("predict", digest_of(trained.archive), packed.root.name)
        predictions = predict_model(backend.predictor, job, trained.archive, packed)
        copyfile(predictions.table, run.folder / "predictions.parquet")
        evaluation = evaluate(predictions)
        note(run, evaluation=evaluation)
        show_accuracy(run)
        champion = score_champion(backend.tracker, backend.predictor, model, packed)
        old, new = compare(predictions, champion, split)
    this.pass_gates(
        *judge_accuracy(evaluation, plan.targets.accuracy),
        judge_old(old, champion.missing, plan.targets.accuracy),
        judge_new(new, champion.missing, plan.targets.retraining),
    )
    return predictions


def make_package(
    this: Cycle, trained: TrainedModel, dataset: Dataset, split: Split, predictions: Predictions
) -> Package:
    """CRISP-DM 6, first half: compile, and verify the very package that ships."""
    plan, run, backend = this.plan, this.run, this.backend
    digest = digest_of(trained.archive)
    with stage(run, "compile"):
        job = job_name("compile", digest, plan.platform)
        tolerance = max(TOLERANCE, plan.targets.parity.max_abs_diff)
        known = choose_self_test(predictions, split, dataset.root, tolerance)
        package = compile_model(backend.compiler, job, trained, plan.platform, known, run.folder)
        note(run, compilation=_facts(package.compiled, "folder"))
    with stage(run, "verify"):
        pictures = list_held_out(split, dataset, run.folder / "held-out.jsonl")
        job = job_name("verify", digest, plan.platform, run.id)
        verified = verify_package(backend.verifier, job, package, pictures, predictions)
        note(run, verification=_verification_facts(verified, trained, predictions))
        show_costs(run)
    this.pass_gates(*judge_package(verified, plan.targets.parity, plan.targets.device))
    return package


def release(
    this: Cycle, package: Package, dataset: Dataset, split: Split, predictions: Predictions
) -> Mapping[str, ComponentVersion]:
    """CRISP-DM 6, second half: publish, deploy, and believe it when the device shows it.

    Gives back the components that the device runs; none where the device cannot run the package,
    or where nobody has approved it yet.
    """
    plan, run, backend = this.plan, this.run, this.backend
    with stage(run, "publish"):
        wheels = gather_wheels(backend.wheels, plan.platform, plan.device.wheels_for)
        variant = plan.device.runtime == VARIANT_DLR
        components = publish_components(backend.components, package, run.folder, variant, wheels)
        note(run, model_version=components[MODEL_COMPONENT].version)
        show_model(run)
    if (has := backend.fleet.platform_of(plan.thing)) != plan.platform:
        reason = f"not executed: {plan.thing} is {has}, the package is for {plan.platform}"
        note(run, status="packaged", reason=reason)
        this.pass_gates(Gate("device.first-result", None, None, None, reason))
        return {}
    version = components[MODEL_COMPONENT].version
    if (gate := judge_version(this.home, plan.thing, version)).refuses:
        this.pass_gates(gate)
    if not await_approval(run, plan.targets.release, f"model {version} to {plan.thing}"):
        return {}
    expected = expected_labels(predictions, plan.device.known_pictures)
    with stage(run, "deploy"):
        scene = choose_scene(split, expected, plan.device.scene_pictures)
        shown = [dataset.root / path for path in scene]
        since = now()  # a device that runs already answers for new pictures at once
        folder = place_pictures(backend.fleet, plan.thing, shown)
        versions = {name: component.version for name, component in components.items()}
        merge = plan.device.merge(folder, backend.device_python, plan.data)
        begun = {"thing": plan.thing, "status": "IN_PROGRESS", "components": versions}
        note(run, deployment=begun | {"began_at": since})
        deployment = deploy_components(backend.fleet, plan.thing, versions, merge)
        note(run, deployment=asdict(deployment) | {"began_at": since})
    with stage(run, "first-results"):
        seconds = plan.device.answer_seconds
        first = await_first_results(backend.fleet, plan.thing, since, version, expected, seconds)
        note(run, first_results=first)
        share = plan.targets.parity.min_top1_agreement
        (gate,) = note_gates(run, (judge_first_results(first, expected, share),), plan.override)
        show_device(run)
        restore_device(backend.fleet, plan.thing, since, gate)
    require((gate,))
    give_camera_back(backend.fleet, plan.thing)
    return components


def conclude(
    this: Cycle,
    model: str,
    version: str,
    components: Mapping[str, ComponentVersion],
    dataset: Dataset,
    predictions: Predictions,
) -> None:
    """What was seen to work becomes what the next run is compared with."""
    component = components[MODEL_COMPONENT].version
    with stage(this.run, "conclude"):
        keep_former(this.backend.tracker, model, version, this.accepted(dataset), this.run)
        build_baseline(dataset.manifest, predictions, component, this.home / "baselines")
        accept_dataset(dataset, this.accepted(dataset))
        promote_candidate(this.backend.tracker, model, version, component)


def _close(backend: Backend, run: Run) -> None:
    """Unless the device was seen to answer rightly, leave it and this machine as they were."""
    record = read_record(run)
    if record["status"] == "deployed":
        return
    if record["status"] == "failed" and record["deployment"]:  # a refused one is rolled back
        backend.fleet.roll_back(record["thing"], record["deployment"]["began_at"])
    backend.fleet.stop_started()


def _report(run: Run) -> None:
    write_report(run.folder)


def about(plan: CyclePlan) -> dict[str, Any]:
    """What the record of a run says from its beginning."""
    return {
        "objective": plan.targets.objective,
        "platform": plan.platform,
        "thing": plan.thing,
        "targets": plan.targets.model_dump(mode="json"),
        "data": {"source": plan.data, "images": 0, "classes": [], "fingerprint": ""},
    }


def _facts(value: Any, *without: str) -> dict[str, Any]:
    return {name: fact for name, fact in asdict(value).items() if name not in without}


def _training_facts(trained: TrainedModel) -> dict[str, Any]:
    return {
        "seconds": trained.seconds,
        "images_per_second": trained.images_per_second,
        "epochs": len(trained.epochs),
        "hyperparameters": trained.hyperparameters,
        "billable_seconds": trained.billable_seconds,
        "archive": trained.archive,
    }


def _verification_facts(
    verified: Verification, trained: TrainedModel, predictions: Predictions
) -> dict[str, Any]:
    latency = {"p50": verified.latency_p50_ms, "p95": verified.latency_p95_ms}
    facts = _facts(verified, "latency_p50_ms", "latency_p95_ms", "table")
    return facts | {"latency_ms": latency, "trained": _trained_facts(trained, predictions)}


def _trained_facts(trained: TrainedModel, predictions: Predictions) -> dict[str, Any] | None:
    """What the model costs in the framework that trained it, to compare with what ships."""
    if (cost := predictions.cost) is None:
        return None
    return {
        "latency_ms": {"p50": cost.latency_p50_ms, "p95": cost.latency_p95_ms},
        "peak_rss_mb": cost.peak_rss_mb,
        "archive_mb": trained.archive.stat().st_size / 1e6,
    }
