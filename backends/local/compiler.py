"""Compiles with TVM on this machine, in the jobs environment."""

import json

from backends.artifacts import CompiledModel, ModelInput, Platform, TrainedModel
from backends.compiled_folder import digest_of, size_of
from backends.errors import JobError
from backends.local.jobs import LocalJobs
from backends.ports import OnLine

PROGRAM = "compile.py"
HOST_CPU = "host"


class LocalCompiler:
    """Compiles for the devices of this machine.

    `cpu` is for linux-x86_64: "host" (the default: the local device is this machine) takes the
    vector instructions that this CPU has, empty the baseline that every device since 2013 has,
    anything else is LLVM's name of a CPU. The ARM platforms are always compiled for their
    baseline.
    """

    def __init__(self, jobs: LocalJobs, cpu: str = HOST_CPU) -> None:
        self._jobs = jobs
        self._cpu = cpu

    def compile(
        self,
        job: str,
        model: TrainedModel,
        platform: Platform,
        on_line: OnLine,
        takes: ModelInput = "model",
    ) -> CompiledModel:
        """Compile `model`; the same model and platform give the same bytes. Raises JobError."""
        hyperparameters = {
            "platform": platform,
            "width": str(model.width),
            "height": str(model.height),
            "classes": json.dumps(list(model.classes)),
            "mcpu": self._cpu if platform == "linux-x86_64" else "",
            "input": takes,
        }
        made = self._jobs.run(job, PROGRAM, hyperparameters, {"model": model.archive}, on_line)
        folder = made.folder / "model"
        try:
            meta = json.loads((folder / "compiled.meta").read_text(encoding="utf-8"))
            compiler = meta["Edgeward"]["compiler"]
            return CompiledModel(
                folder=folder,
                platform=platform,
                compiler=str(compiler["name"]),
                compiler_version=f"{compiler['version']} ({compiler['wheel']})",
                target=str(compiler["target"]),
                flags={str(name): str(value) for name, value in compiler["flags"].items()},
                seconds=made.seconds,
                bytes=size_of(folder),
                sha256=digest_of(folder),
            )
        except (OSError, ValueError, KeyError) as error:
            raise JobError(job, f"it left no compiled model: {error!r}") from error
