"""Runs every benchmark in turn, each in a process of its own; JSON lines on standard output.

python -m benchmarks [NAME …]
"""

import subprocess
import sys

BENCHMARKS = (
    *("latency", "memory", "loop", "growth", "ingest", "overhead", "fleet"),
    *("telemetry", "false_alarms"),
)


def main() -> int:
    chosen = sys.argv[1:] or BENCHMARKS
    if unknown := sorted(set(chosen) - set(BENCHMARKS)):
        print(f"no benchmark {unknown[0]!r}: there are {', '.join(BENCHMARKS)}", file=sys.stderr)
        return 2
    failed = []
    for name in chosen:
        print(f"benchmark: {name}", file=sys.stderr)
        module = f"benchmarks.{name}"
        if subprocess.run([sys.executable, "-m", module], check=False).returncode != 0:
            failed.append(name)
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
