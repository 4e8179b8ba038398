"""A deployment to many devices that one process plays: seconds and memory for each thing.

The component has an Install script and a Run script that stays. Memory is that of the process that
plays the devices (resident set); what the scripts need themselves stands beside it.

    python -m benchmarks.fleet [THINGS]
"""

import json
import sys
import tempfile
import time
from pathlib import Path

import psutil

from backends.local.deployment_request import new_request
from backends.local.fleet import LocalFleet
from backends.local.targets import Target
from backends.settings import Settings

THINGS = 200
GROUP = "everything"
RECIPE = {
    "RecipeFormatVersion": "2020-01-25",
    "ComponentName": "bench.Sleeper",
    "ComponentVersion": "1.0.0",
    "Manifests": [
        {
            "Platform": {"os": "linux", "runtime": "*"},
            "Lifecycle": {"Install": "echo installed > here", "Run": "exec sleep 100000"},
        }
    ],
}
MEGABYTE = 1e6
LIMIT_SECONDS = 600.0


def main() -> int:
    things = int(sys.argv[1]) if len(sys.argv) > 1 else THINGS
    with tempfile.TemporaryDirectory(prefix="edgeward-") as folder:
        home = Path(folder, "home")
        recipe = home / "components" / "bench.Sleeper" / "1.0.0.json"
        recipe.parent.mkdir(parents=True)
        recipe.write_text(json.dumps(RECIPE))
        fleet = LocalFleet(Settings(home=home))
        try:
            print(json.dumps(_measured(fleet, things)), flush=True)
        finally:
            began = time.monotonic()
            fleet.stop_everything()
            print(f"fleet: stopped in {time.monotonic() - began:.1f} s", file=sys.stderr)
    return 0


def _measured(fleet: LocalFleet, things: int) -> dict[str, object]:
    began = time.monotonic()
    names = fleet.simulate(things, "bench", GROUP)
    started = time.monotonic()
    process = psutil.Process(fleet.device(names[0]).pid)
    empty = process.memory_info().rss
    print(f"fleet: {things} things started in {started - began:.1f} s", file=sys.stderr)
    request = new_request(Target("thinggroup", GROUP), {"bench.Sleeper": "1.0.0"}, {}, {})
    cpu = _cpu(process)
    deployed = time.monotonic()
    record = fleet.start_deployment(request)
    while (progress := fleet.deployments.progress(record.id)).status == "ACTIVE":
        if time.monotonic() - deployed > LIMIT_SECONDS:
            raise SystemExit(f"not done in {LIMIT_SECONDS:g} s: {progress.reason}")
        time.sleep(0.1)
    seconds = time.monotonic() - deployed
    succeeded = sum(one.status == "SUCCEEDED" for one in progress.executions.values())
    if succeeded != things:
        raise SystemExit(f"{succeeded} of {things} succeeded: {progress.reason}")
    resident = process.memory_info().rss
    scripts = sum(_private(child) for child in process.children(recursive=True))
    return {
        "benchmark": "fleet.things",
        "things": things,
        "seconds": round(seconds, 2),
        "seconds_per_thing": round(seconds / things, 4),
        "mb_per_thing": round(resident / things / MEGABYTE, 3),
        "start_seconds": round(started - began, 2),
        "process_mb": round(resident / MEGABYTE, 1),
        "process_mb_before": round(empty / MEGABYTE, 1),
        "scripts_mb_per_thing": round(scripts / things / MEGABYTE, 3),
        "process_cpu_seconds": round(_cpu(process) - cpu, 2),
        "threads": process.num_threads(),
        "files": process.num_fds(),
    }


def _cpu(process: psutil.Process) -> float:
    """Of the devices themselves, without their scripts."""
    times = process.cpu_times()
    return float(times.user + times.system)


def _private(process: psutil.Process) -> int:
    """What only this process has in memory, in bytes; a script that has just ended has nothing."""
    try:
        return int(process.memory_full_info().uss)
    except psutil.NoSuchProcess:
        return 0


if __name__ == "__main__":
    sys.exit(main())
