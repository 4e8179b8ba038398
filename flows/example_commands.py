"""`edgeward examples …`: hard examples, fetched from devices that may give them."""

import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Annotated

import typer

from backends.errors import BackendUnavailableError, DeviceRefusedError
from backends.local.example_requests import MAX_COUNT, Examples, Progress, StoredExample
from flows import completion
from flows.streams import redraws

ANSWER_SECONDS = 60.0
"""How long a device may say nothing before the command ends; it may still answer later."""

_POLL_SECONDS = 0.2

Thing = Annotated[
    str, typer.Argument(help="The device's thing name.", autocompletion=completion.things)
]
Json = Annotated[
    bool, typer.Option("--json", help="Print the record, and nothing else, on stdout.")
]


def fetch(
    name: Thing,
    count: Annotated[
        int, typer.Option(min=1, max=MAX_COUNT, help="At most so many, newest first.")
    ] = 20,
    as_json: Json = False,
) -> None:
    """Ask a device for hard examples that are not here yet, and wait for them.

    Example:

        edgeward examples fetch hub-1 --count 50
    """
    from flows.terminal import fleet

    devices = fleet()
    devices.device(name)
    devices.ensure_cloud()
    examples = devices.examples
    progress = _await_end(examples, name, examples.ask(name, count))
    if progress.status == "refused":
        raise DeviceRefusedError(name, progress.reason)
    came = [each for each in examples.stored(name) if each.image_id in progress.images]
    if as_json:
        record = {**asdict(progress), "images": [_table(example) for example in came]}
        sys.stdout.write(json.dumps(record, indent=2) + "\n")
    else:
        _show(came)
    sys.stderr.write(
        f"{name}: {len(came)} hard examples came; it holds {progress.held}"
        + (f", {progress.staying} of them may not leave" if progress.staying else "")
        + "\n"
    )


def list_examples(name: Thing, as_json: Json = False) -> None:
    """List the hard examples that were fetched from a device.

    Example:

        edgeward examples list hub-1
    """
    from backends.local.core_devices import check_thing
    from flows.terminal import fleet

    found = fleet().examples.stored(check_thing(name))
    if as_json:
        sys.stdout.write(json.dumps([_table(example) for example in found], indent=2) + "\n")
        return
    _show(found)
    if not found:
        fleet().device(name)
        sys.stderr.write(f"none yet: `edgeward examples fetch {name}` asks for them\n")


def _await_end(examples: Examples, name: str, request: str) -> Progress:
    """Raises BackendUnavailableError when the device says nothing for ANSWER_SECONDS."""
    seen, heard_at = None, time.monotonic()
    say = _teller()
    while True:
        progress = examples.progress(request)
        if progress is not None and progress.status in ("done", "refused"):
            say("")
            return progress
        if progress is not None and progress != seen:
            seen, heard_at = progress, time.monotonic()
            say(_told(name, progress))
        if time.monotonic() - heard_at > ANSWER_SECONDS:
            reason = f"it has said nothing for {ANSWER_SECONDS:g} s; is it running and online?"
            remedy = f"It answers when it is back: see `edgeward examples list {name}` then."
            raise BackendUnavailableError(f"the device {name}", reason, remedy)
        time.sleep(_POLL_SECONDS)


def _told(name: str, progress: Progress) -> str:
    if progress.status in ("asked", "sent"):
        return f"{name}: asked"
    return f"{name}: {len(progress.images)} came, part {progress.part} of {progress.parts}"


def _teller() -> Callable[[str], None]:
    """Progress on one line of a terminal; silence where nobody looks."""
    if not redraws():
        return lambda _text: None

    def say(text: str) -> None:
        sys.stderr.write(f"\r\x1b[K{text}")
        sys.stderr.flush()

    return say


def _show(found: Sequence[StoredExample]) -> None:
    for example in found:
        result = example.result
        score = result.get("score")
        sys.stdout.write(
            f"{result.get('taken_at', ''):<27}  {result.get('label', '?'):<12}"
            f" {format(score, '.3f') if isinstance(score, float) else '?':>5}"
            f"  model {result.get('model_version', '?')}  {example.path}\n"
        )


def _table(example: StoredExample) -> dict[str, object]:
    return {
        "thing": example.thing,
        "image_id": example.image_id,
        "path": str(example.path),
        "result": example.result,
    }
