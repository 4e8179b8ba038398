"""`edgeward label …`: people say what pictures of devices show."""

import getpass
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from backends.errors import InvalidInputError

if TYPE_CHECKING:
    from backends.settings import Settings
    from tasks.labelling.batches import Batch
    from tasks.labelling.finishing import Labelled

Json = Annotated[
    bool, typer.Option("--json", help="Print the record, and nothing else, on stdout.")
]
BatchId = Annotated[str, typer.Option(help="The batch; without it, the oldest that waits.")]
By = Annotated[str, typer.Option(help="Who labels; it is recorded. Else: the user's name.")]


def add_to(app: typer.Typer, command: Callable[[Callable[..., None]], Callable[..., None]]) -> None:
    """`command` gives each function the command line's way of reporting errors."""
    group = typer.Typer(invoke_without_command=True)
    group.callback()(command(label))
    group.command("collect")(command(collect))
    group.command("export")(command(export))
    group.command("import")(command(import_labels))
    app.add_typer(group, name="label")


def label(
    context: typer.Context,
    batch: BatchId = "",
    by: By = "",
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Where the page is served; 0: any free port.")
    ] = 0,
    table: Annotated[
        Path | None,
        typer.Option("--set", help="Take labels from a CSV file, image_id,label, without a page."),
    ] = None,
    finish: Annotated[
        bool, typer.Option("--finish", help="The batch is done; what has no answer is left out.")
    ] = False,
    listed: Annotated[
        bool, typer.Option("--list", help="List the batches, or the pictures of --batch.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Serve a page on this machine on which pictures are labelled, until it is done or Ctrl-C.

    Examples:

        edgeward label

        edgeward label --list

        edgeward label --batch 20261125_101500_1f3a --set labels.csv --finish
    """
    if context.invoked_subcommand:
        return
    from backends.settings import load_settings

    settings = load_settings()
    with _news(settings) as tell:
        from tasks.labelling.finishing import finish_batch, finish_interrupted

        for done in finish_interrupted(settings.root, tell):
            _say_finished(done)
        if listed:
            _list(settings.root, batch, as_json)
            return
        chosen = _chosen(settings.root, batch)
        if table is None and not finish:
            _serve(settings.root, chosen, _person(by), port, tell)
            return
        if table is not None:
            _take(table, chosen, _person(by))
        if finish:
            labelled = finish_batch(settings.root, chosen, tell)
            _say_finished(labelled)


def collect(
    thing: Annotated[str, typer.Argument(metavar="NAME", help="The device's thing name.")],
    count: Annotated[int, typer.Option(min=1, max=100, help="At most so many.")] = 100,
    reason: Annotated[str, typer.Option(help="Shown to those who label.")] = (
        "a person asked for it"
    ),
) -> None:
    """Fetch pictures that a device's model was unsure of, where they may leave it; queue them.

    Examples:

        edgeward label collect hub-1

        edgeward label collect hub-1 --count 20 --reason "the first snow"
    """
    from backends.settings import load_settings
    from flows.prefect_server import prefect_server

    with prefect_server(load_settings().root) as await_server:
        from flows.console import show_our_lines
        from flows.labelling import CollectPlan
        from flows.labelling import collect as flow

        plan = CollectPlan(thing=thing, count=count, reason=reason)
        await_server()
        show_our_lines()
        batch = flow(plan)
    if batch:
        sys.stderr.write(f"They wait for labels: edgeward label --batch {batch}\n")
    else:
        sys.stderr.write(f"{thing}: no picture came that does not wait already\n")


def export(batch: BatchId = "", as_json: Json = False) -> None:
    """Put a batch into the account's bucket, as SageMaker Ground Truth reads it.

    Example:

        edgeward label export --batch 20261125_101500_1f3a
    """
    from dataclasses import asdict

    from backends.connect import account_objects
    from backends.settings import load_settings
    from tasks.labelling.ground_truth import export_batch

    settings = load_settings()
    objects = account_objects(settings)
    exported = export_batch(_chosen(settings.root, batch), objects)
    if as_json:
        sys.stdout.write(json.dumps(asdict(exported), indent=2) + "\n")
    else:
        sys.stdout.write(f"{exported.manifest}\n{exported.categories}\n")
    sys.stderr.write(
        f"{exported.pictures} pictures of batch {exported.batch} are in the bucket. Make an image "
        "classification job of the manifest; then: edgeward label import MANIFEST\n"
    )


def import_labels(
    manifest: Annotated[
        str, typer.Argument(metavar="MANIFEST", help="The job's output manifest: a file or s3://….")
    ],
    finish: Annotated[
        bool, typer.Option("--finish", help="The batch is done; what has no answer is left out.")
    ] = False,
) -> None:
    """Take the labels of a Ground Truth job into the batch that was exported.

    Example:

        edgeward label import s3://my-bucket/jobs/night/manifests/output/output.manifest --finish
    """
    import tempfile

    from backends.connect import account_objects
    from backends.settings import load_settings
    from tasks.labelling.answers import give_answers
    from tasks.labelling.batches import read_batch
    from tasks.labelling.ground_truth import batch_named_in, read_output

    settings = load_settings()
    objects = account_objects(settings)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(manifest)
        if manifest.startswith("s3://"):
            file = objects.get(manifest, Path(folder) / manifest.rpartition("/")[2])
        batch = read_batch(settings.root, batch_named_in(file))
        found = read_output(file, batch, objects)
    if found.answers:
        give_answers(batch, found.answers, f"Ground Truth: {found.job}")
    sys.stderr.write(
        f"{len(found.answers)} labels of job {found.job} are kept in batch {batch.id}; "
        f"{found.failed} failed, {found.by_machine} no person gave\n"
    )
    if finish:
        from tasks.labelling.finishing import finish_batch

        with _news(settings) as tell:
            _say_finished(finish_batch(settings.root, batch, tell))


@contextmanager
def _news(settings: "Settings") -> "Iterator[Callable[[Labelled], None]]":
    """Tells the Prefect server that lasts, if there is one: nobody would hear it elsewhere."""
    import os

    from flows.prefect_server import lasting_server, prefect_server

    if "PREFECT_API_URL" not in os.environ and not lasting_server(settings.root):
        yield lambda _labelled: None
        return
    with prefect_server(settings.root):
        from prefect.events.worker import EventsWorker

        from flows.labelling import tell_labelled

        yield tell_labelled
        EventsWorker.instance().drain()  # while there is a server to send it to


def _person(by: str) -> str:
    return by or getpass.getuser()


def _chosen(home: Path, name: str) -> "Batch":
    from tasks.labelling.batches import batches, read_batch

    if name:
        return read_batch(home, name)
    waiting = [batch for batch in batches(home) if not batch.finished]
    if not waiting:
        remedy = "`edgeward label collect NAME` fetches pictures of a device."
        raise InvalidInputError("--batch", "no picture waits for a label", remedy)
    return waiting[0]


def _serve(
    home: Path, batch: "Batch", by: str, port: int, tell: "Callable[[Labelled], None]"
) -> None:
    from tasks.labelling.finishing import finish_batch, read_labelled
    from tasks.labelling.page import LabellingPage

    if batch.finished:
        reason, remedy = "it is finished", "`edgeward label --list` names those that wait."
        raise InvalidInputError(f"batch {batch.id}", reason, remedy)
    with LabellingPage(batch, by, lambda done: finish_batch(home, done, tell), port) as page:
        sys.stderr.write(
            f"{len(batch.examples)} pictures of {batch.why.thing}: {batch.why.reason}\n"
            f"Open {page.url}\nCtrl-C ends it; every answer is kept at once.\n"
        )
        sys.stderr.flush()
        page.done.wait()
    _say_finished(read_labelled(batch))


def _take(table: Path, batch: "Batch", by: str) -> None:
    from tasks.labelling.answers import give_answers
    from tasks.labelling.tables import read_labels

    answers = read_labels(table, batch)
    if answers:
        give_answers(batch, answers, by)
    sys.stderr.write(f"{len(answers)} answers of {table} are kept in batch {batch.id}\n")


def _list(home: Path, name: str, as_json: bool) -> None:
    from tasks.labelling.batches import batches, read_batch

    one = [read_batch(home, name)] if name else []
    rows = [
        *map(_about, [] if name else batches(home)),
        *(row for b in one for row in _pictures(b)),
    ]
    if as_json:
        sys.stdout.write(json.dumps(rows, indent=2) + "\n")
        return
    for row in rows:
        sys.stdout.write("  ".join(str(value) for value in row.values()) + "\n")
    if not rows:
        sys.stderr.write("none yet: `edgeward label collect NAME` fetches pictures of a device\n")


def _about(batch: "Batch") -> dict[str, object]:
    from tasks.labelling.answers import given_answers

    said = [each for each in given_answers(batch).values() if each.answer.verdict != "none"]
    state = "finished" if batch.finished else "waits"
    return {
        "batch": batch.id,
        "state": state,
        "answered": len(said),
        "pictures": len(batch.examples),
        "thing": batch.why.thing,
        "reason": batch.why.reason,
    }


def _pictures(batch: "Batch") -> Sequence[dict[str, object]]:
    from tasks.labelling.answers import given_answers

    given = given_answers(batch)
    return [
        {
            "image_id": example.image_id,
            "label": said.answer.label if (said := given.get(example.image_id)) else "",
            "verdict": said.answer.verdict if said else "none",
            "by": said.by if said else "",
            "at": said.at if said else "",
            "guess": example.guess,
            "path": str(example.file),
        }
        for example in batch.examples
    ]


def _say_finished(labelled: "Labelled") -> None:
    counts = ", ".join(f"{count} {name}" for name, count in labelled.labels.items()) or "none"
    left = f"; {labelled.unusable} unusable, {labelled.open} left out"
    sys.stderr.write(
        f"batch {labelled.batch} is labelled: {counts}{left}\n"
        f"Next: edgeward retrain --thing {labelled.thing}\n"
    )
