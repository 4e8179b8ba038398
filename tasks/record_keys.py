"""What each key of a run record holds, in Markdown: the reference is written from this."""

from collections.abc import Mapping

RECORD: Mapping[str, str] = {
    "run_id": "Sorts by time, e.g. `20261122-191914-2599`.",
    "status": "`deployed`; `packaged` (published, but the device has another CPU); `waiting` (for "
    "a person's approval); `open` (a phase was run alone, and the next can go on); `refused` (a "
    "gate); `failed`; `rolled back` (deployed, and taken back since).",
    "reason": "Why; empty for `deployed`.",
    "started_at": "UTC, ISO 8601.",
    "ended_at": "Likewise.",
    "objective": "Of the targets, in words.",
    "targets": "The limits that were asked for.",
    "platform": "What the device is.",
    "thing": "The device.",
    "versions": "`edgeward`, `prefect`, `great-expectations`, `pandas`, `numpy`, `dlr`.",
    "data": "`source`, `root` (absolute folder of the pictures), `images`, `classes`, "
    "`fingerprint` (SHA-256 over image and label pairs).",
    "data_docs": "Great Expectations' pages, relative to the run's folder.",
    "data_findings": "`files`, `images`, `problems`, `converted`, `classes`, `exact_duplicates`, "
    "`near_duplicates`, `alike_under_two_labels`, `drift`, `collected` (`images`, `batches`, "
    "`classes`, `new_classes`, `drift`; empty without any).",
    "gates": "A list, in the order in which they were judged: `name`, `passed`, `measured`, "
    "`limit`, `reason`, `overridden`.",
    "split": "`train`, `validation`, `test`, `aside` (pictures), `classes`, `fingerprint`.",
    "training": "`seconds`, `images_per_second`, `epochs`, `hyperparameters`, `billable_seconds` "
    "(what SageMaker charges for; none on this machine), `archive` (the trained model, absolute).",
    "learning_curve": "A list of `epoch`, `train_accuracy`, `validation_accuracy`, `seconds`.",
    "evaluation": "`top1`, `top5`, `per_class` (`precision`, `recall`, `support`), `confusion` "
    "(row: truth, column: answer), `calibration_error`, `images`.",
    "compilation": "`compiler`, `compiler_version`, `target`, `flags`, `platform`, `seconds`, "
    "`bytes`, `sha256`.",
    "verification": "`executed`, `reason`, `runtime`, `runtime_version`, `images`, "
    "`max_abs_diff`, `top1_agreement`, `latency_ms` (`p50`, `p95`: the model alone), "
    "`picture_p95_ms` (decoding and resizing counted in), `peak_rss_mb`, `package_mb`, `trained` "
    "(the same costs in MXNet: `latency_ms`, `peak_rss_mb`, `archive_mb`).",
    "approval": "`asked_at`, `flow_run` (Prefect's id); once answered `answered_at`, `approver`, "
    "`reason`, `approve`.",
    "deployment": "`id`, `thing`, `status`, `detailed_status`, `reason`, `components` (name to "
    "version).",
    "first_results": "A list of `image_id`, `label`, `expected`, `score`, `latency_ms`, "
    "`taken_at`, `agrees`.",
    "rollback": "Of a run that was rolled back: `id`, `thing`, `run`, `from_version`, "
    "`to_version`, `before` (deployments since then were undone), `reason`, `by`, `decided_at`, "
    "`figures` (each check, with its figures before and after).",
    "stages": "Seconds by stage: `ingest`, `validate`, `split`, `pack`, `train`, `evaluate`, "
    "`compile`, `verify`, `publish`, `deploy`, `first-results`, `conclude`.",
    "model_version": "Version of the model component.",
    "tracked": "The run's id in MLflow.",
}
