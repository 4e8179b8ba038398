"""What TVM is told about each platform: triple, CPU and features, always spelt out.

The default triple of this TVM build is riscv64, so none is left to it.
"""

from __future__ import annotations

from pathlib import Path

from container import RefusedError

PLATFORMS = ("linux-x86_64", "linux-aarch64", "linux-armv7l")

# x86-64-v3 (AVX2 and FMA) runs on what fleets have: Haswell 2013, Zen 2017, Gracemont 2021.
BASELINE_CPU = "x86-64-v3"
HOST = "host"

SMALL = 10_000_000  # multiply-adds
HEAVY = 8_000_000  # bytes of weights

# Best first. Named after the oldest CPU with those features: later ones gain nothing measurable.
_HOST_CPUS = (
    ("skylake-avx512", {"avx512f", "avx512dq", "avx512bw", "avx512vl", "avx512cd"}),
    ("core-avx2", {"avx2", "fma", "bmi1", "bmi2", "f16c", "movbe"}),
    ("x86-64-v2", {"sse4_2", "ssse3", "popcnt", "cx16"}),
)


def tvm_target(platform: str, cpu: str = "", cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    """The TVM target string of `platform`.

    `cpu` is an LLVM CPU name, "host" for the best one that the machine of `cpuinfo` has, or empty
    for the platform's baseline. Raises RefusedError for an unknown platform, or "host" for another
    architecture than x86_64.
    """
    if platform == "linux-x86_64":
        name = _host_cpu(cpuinfo) if cpu == HOST else cpu or BASELINE_CPU
        return f"llvm -mtriple=x86_64-linux-gnu -mcpu={name}"
    if cpu == HOST:
        raise RefusedError(f"mcpu: 'host' is for linux-x86_64, not for {platform}")
    chosen = f" -mcpu={cpu}" if cpu else ""
    if platform == "linux-aarch64":
        return f"llvm -mtriple=aarch64-linux-gnu{chosen} -mattr=+neon"
    if platform == "linux-armv7l":
        attributes = "-mattr=+neon,+vfp4 -mfloat-abi=hard"
        return f"llvm -mtriple=armv7l-linux-gnueabihf{chosen} {attributes}"
    raise RefusedError(f"platform: {platform!r} is none of {', '.join(PLATFORMS)}")


def suitable_threads(multiply_adds: int) -> int:
    """How many threads to run a model of `multiply_adds` per picture on; 0: one per core.

    Threads meet after each of a network's operators, and wait for each other spinning. ResNet-20
    at 32x32 (41 million) took 0.47 ms on one x86 core, 0.35 ms on two idle ones and 2 to 7 ms on
    two busy ones (docs/adr/0009). In a much smaller network the meeting costs more than it gains.
    """
    return 1 if multiply_adds <= SMALL else 0


def are_linked(weights: int) -> bool:
    """Whether `weights` bytes go into compiled.so, which is mapped, instead of compiled.params.

    libdlr reads compiled.params into memory twice over. ResNet-18 (45 MB) at 224x224 peaked at
    131 MiB with them there and at 89 MiB with them linked, and was loaded in a third of the time.
    In compiled.so they are aligned to 16 bytes only, not 64: a run took 16.4 ms, not 15.8.
    """
    return weights >= HEAVY


def _host_cpu(cpuinfo: Path) -> str:
    flags: set[str] = set()
    for line in cpuinfo.read_text().splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "flags":
            flags = set(value.split())
            break
    return next((cpu for cpu, needs in _HOST_CPUS if needs <= flags), "x86-64")
