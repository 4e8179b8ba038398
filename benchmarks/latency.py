"""Latency of the compiled model in DLR against MXNet and ONNX Runtime, for two networks.

JSON lines; `ratio` is the peer's median over ours, above 1 we win. Weights are random: they do
not change how long a ResNet takes.
"""

import statistics

from benchmarks.contest import (
    CANDIDATES,
    CONFIGURATION,
    PEERS,
    built,
    competitors,
    networks,
    report,
)

ROUNDS = 15
BURST = 6  # the first of each is dropped: the process has just been woken


def main() -> None:
    for network in networks():
        with built(network) as folder, competitors(folder, network.side) as running:
            samples: dict[str, list[float]] = {kind: [] for kind in CANDIDATES}
            for _ in range(ROUNDS):
                for kind in CANDIDATES:
                    samples[kind] += running[kind].ask(f"run {BURST}")[1:]
        medians = {kind: statistics.median(values) for kind, values in samples.items()}
        for peer in PEERS:
            report(
                benchmark=f"latency.{peer}",
                network=network.name,
                ratio=round(medians[peer] / medians["dlr"], 3),
                peer_ms=round(medians[peer], 3),
                ours_ms=round(medians["dlr"], 3),
                samples=len(samples["dlr"]),
                peer=CONFIGURATION[peer],
                weights="random",
            )


if __name__ == "__main__":
    main()
