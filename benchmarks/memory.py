"""Peak memory of a process that classifies: DLR against MXNet and ONNX Runtime, for two networks.

JSON lines; `ratio` is the peer's peak over ours, above 1 we win. The peak (VmHWM) counts the
interpreter, the imports, loading the model and 40 inferences.
"""

from benchmarks.contest import (
    CANDIDATES,
    CONFIGURATION,
    PEERS,
    built,
    competitors,
    networks,
    report,
)

INFERENCES = 40


def main() -> None:
    for network in networks():
        with built(network) as folder, competitors(folder, network.side) as running:
            for kind in CANDIDATES:
                running[kind].ask(f"run {INFERENCES}")
            peaks = {kind: float(running[kind].ask("memory")) for kind in CANDIDATES}
        for peer in PEERS:
            report(
                benchmark=f"memory.{peer}",
                network=network.name,
                ratio=round(peaks[peer] / peaks["dlr"], 3),
                peer_mb=round(peaks[peer], 1),
                ours_mb=round(peaks["dlr"], 1),
                peer=CONFIGURATION[peer],
                weights="random",
            )


if __name__ == "__main__":
    main()
