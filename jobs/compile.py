"""Compiles a trained MXNet classifier into a DLR model folder with TVM.

A job under the SageMaker container contract. Channel `model`: a folder with model.tar.gz.
Hyperparameters: platform, width, height, classes (JSON list of labels),
mcpu (LLVM's name of a CPU; "host": the best one this machine has; empty: the platform's baseline),
input ("model", or "public-component": what AWS's own inference component feeds).

model/ receives compiled.so, compiled_model.json, compiled.params, compiled.meta, synset.txt, and
libdlr.so for x86_64. The same input gives the same bytes. The model's input is `data`
[1, 3, height, width], RGB, float32 0..255, or [1, 224, 224, 3], BGR, for the public component; its
output the probabilities [1, labels].
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from container import Container, RefusedError, run
from linking import FLAGS, link
from model_metadata import INPUTS, MODEL, PUBLIC_COMPONENT, Compiled, write_metadata
from public_input import with_public_input
from runtime_library import NAME, VERSION, copy_runtime
from targets import are_linked, suitable_threads, tvm_target

if TYPE_CHECKING:
    from model_files import Model

OPT_LEVEL = 3
MAX_SIDE = 4096  # pixels


@dataclass(frozen=True)
class Request:
    """What to compile for; sides in pixels."""

    platform: str
    width: int
    height: int
    labels: tuple[str, ...]
    mcpu: str
    takes: str

    @classmethod
    def read(cls, hyperparameters: Mapping[str, str]) -> Request:
        """Check the hyperparameters. Raises RefusedError that names the one that is wrong."""
        known = {"platform", "width", "height", "classes", "mcpu", "input"}
        for name in hyperparameters:
            if name not in known:
                raise RefusedError(
                    f"{name}: unknown hyperparameter, expected {', '.join(sorted(known))}"
                )
        for name in sorted(known - {"mcpu", "input"}):
            if name not in hyperparameters:
                raise RefusedError(f"{name}: missing")
        platform, mcpu = hyperparameters["platform"], hyperparameters.get("mcpu", "")
        tvm_target(platform, mcpu)
        takes = hyperparameters.get("input", MODEL)
        if takes not in INPUTS:
            raise RefusedError(f"input: {takes!r} is none of {', '.join(INPUTS)}")
        return cls(
            platform=platform,
            width=_side("width", hyperparameters["width"]),
            height=_side("height", hyperparameters["height"]),
            labels=_labels(hyperparameters["classes"]),
            mcpu=mcpu,
            takes=takes,
        )


def main(job: Container) -> None:
    request = Request.read(job.hyperparameters())
    from model_files import load  # noqa: PLC0415 - MXNet takes seconds; refusals need none of it

    print(f"Compiling for {request.platform}, input 3x{request.height}x{request.width}", flush=True)
    with tempfile.TemporaryDirectory() as scratch:
        model = load(job.channel("model"), Path(scratch))
    compiler = compile_model(model, request, job.model)
    print(f"Compiled with {compiler['wheel']}, target {compiler['target']}", flush=True)


def compile_model(model: Model, request: Request, into: Path) -> dict[str, Any]:
    """Compile `model` into the folder `into`; what compiled it, as compiled.meta records it.

    Raises RefusedError when the model is of another shape, or its outputs are not as many as there
    are labels.
    """
    shape = (1, 3, request.height, request.width)
    if model.shape != shape[1:]:
        raise RefusedError(
            f"width, height: the model was trained for {model.shape}, not {shape[1:]}"
        )
    output = _output_shape(model.symbol, shape)
    if output != (1, len(request.labels)):
        raise RefusedError(
            f"classes: the model's output is {output}, for {len(request.labels)} labels"
        )
    into.mkdir(parents=True, exist_ok=True)
    compiler, threads = _build(model, request, into)
    digest = copy_runtime(request.platform, into)
    runtime = {"name": NAME, "version": VERSION, "sha256": digest, "threads": threads}
    write_metadata(
        Compiled(
            platform=request.platform,
            width=request.width,
            height=request.height,
            labels=request.labels,
            output=output,
            compiler=compiler,
            runtime=runtime,
            takes=request.takes,
        ),
        into,
    )
    return compiler


def _output_shape(symbol: Any, shape: tuple[int, ...]) -> tuple[int, ...]:
    if "data" not in symbol.list_inputs():
        raise RefusedError(
            f"the model has no input 'data', but {', '.join(symbol.list_inputs()[:3])}"
        )
    _, outputs, _ = symbol.infer_shape_partial(data=shape)
    if not outputs or len(outputs) != 1:
        raise RefusedError(f"the model has {len(outputs or ())} outputs where one is expected")
    return tuple(outputs[0])


def _build(model: Model, request: Request, into: Path) -> tuple[dict[str, Any], int]:
    """Compile into the folder `into`; what compiled it, and how many threads suit the model."""
    os.environ["TOPHUB_LOCATION"] = "NONE"  # TVM would download tuning logs
    import tvm  # noqa: PLC0415 - after mxnet, or it crashes, and after TOPHUB_LOCATION
    from tvm import relay  # noqa: PLC0415

    target = tvm_target(request.platform, request.mcpu)
    shape = (1, 3, request.height, request.width)
    module, constants = relay.frontend.from_mxnet(
        model.symbol, {"data": shape}, arg_params=model.arguments, aux_params=model.auxiliaries
    )
    if request.takes == PUBLIC_COMPONENT:
        module = with_public_input(module, request.width, request.height)
    typed = relay.transform.InferType()(module)
    threads = suitable_threads(relay.analysis.get_total_mac_number(typed["main"]))
    linked = are_linked(sum(weights.numpy().nbytes for weights in constants.values()))
    executor = relay.backend.Executor("graph", {"link-params": linked})
    with tvm.transform.PassContext(opt_level=OPT_LEVEL):
        library = relay.build(
            module, target=tvm.target.Target(target), executor=executor, params=constants
        )
    library.get_lib().export_library(str(into / "compiled.so"), fcompile=link)
    (into / "compiled_model.json").write_text(library.get_graph_json(), encoding="utf-8")
    (into / "compiled.params").write_bytes(relay.save_param_dict(library.get_params()))
    compiler = {
        "name": "tvm",
        "version": tvm.__version__,
        "wheel": f"hhb-tvm=={version('hhb-tvm')}",
        "target": target,
        "flags": {
            "opt_level": str(OPT_LEVEL),
            "link-params": str(linked),
            "link": f"ld.lld {' '.join(FLAGS)}",
        },
    }
    return compiler, threads


def _side(name: str, value: str) -> int:
    if not value.isdecimal() or not 1 <= int(value) <= MAX_SIDE:
        raise RefusedError(f"{name}: {value!r} is not a whole number from 1 to {MAX_SIDE}")
    return int(value)


def _labels(value: str) -> tuple[str, ...]:
    try:
        labels = json.loads(value)
    except ValueError as error:
        raise RefusedError(f"classes: is not JSON: {error}") from error
    if not isinstance(labels, list) or not labels or not all(_is_name(name) for name in labels):
        raise RefusedError("classes: must be a JSON list of names")
    if len(set(labels)) != len(labels):
        raise RefusedError("classes: names a class twice")
    return tuple(labels)


def _is_name(value: object) -> bool:
    return isinstance(value, str) and bool(value)


if __name__ == "__main__":
    run(main)
