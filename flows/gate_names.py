"""The gates that can stop a run, by name; apart from the plan, so that the shell's Tab is quick."""

from typing import Literal, get_args

GateName = Literal[
    "cost.estimate",
    "data.schema",
    "data.integrity",
    "data.labels",
    "data.drift",
    "split.leakage",
    "model.accuracy",
    "model.recall",
    "model.champion",
    "model.champion-new",
    "compiled.parity",
    "compiled.latency",
    "compiled.memory",
    "compiled.size",
    "device.first-result",
    "device.rolled-back",
]
GATES: tuple[GateName, ...] = get_args(GateName)
