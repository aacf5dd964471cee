"""How fast each way to compute a design is: `python benchmarks/emulate.py hls_projects/TASK/DIGEST [--json FILE]`.

Events a second on one thread of: hls4ml's C simulation compiled with its usual flags, the same with
-O3 -march=native, alkaid's interpreter, the simulated RTL, and the emulator with the vectors of each x86-64
generation. All are first compared on the same vectors, all bits. The project's vectors are repeated. Times are those of
the processor, of many events less those of a single one, so that starting up is left out; all sides take turns, and
the fastest of `--rounds` turns counts, since others may use the machine.
"""

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from flow.errors import FlowError
from flow.firmware import emulator, hls, rtl, simulate
from flow.firmware.blocks import _predict as interpret
from flow.firmware.gate import reading
from flow.firmware.project import top_name
from flow.process import run
from flow.store import versions

_NATIVE = ("-O3", "-march=native")
_NO_AVX512, _NO_AVX2 = 0x100, 0x200


@dataclass(frozen=True)
class Side:
    """`run` computes outputs (n, n_out) of words (n, n_in); `share` of the events is what it is timed on."""

    name: str
    run: Callable[[np.ndarray], np.ndarray]
    share: float


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("project", type=Path)
    parser.add_argument(
        "--events", type=int, default=1_000_000, metavar="N", help="of the fastest (default %(default)s)"
    )
    parser.add_argument("--rounds", type=int, default=7, metavar="N", help="turns of each side (default %(default)s)")
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args()
    try:
        rows = measure(options.project, options.events, options.rounds)
    except FlowError as error:
        print(f"emulate: {error}", file=sys.stderr)
        return error.exit_status
    base = rows[0]["events_per_s"]
    print("| | events a second, one thread | ns an event | times csim |\n| --- | ---: | ---: | ---: |")
    for row in rows:
        speed = row["events_per_s"]
        print(f"| {row['name']} | {speed:,.0f} | {1e9 / speed:,.0f} | {speed / base:.3g} |")
    if options.json:
        row = {"project": str(options.project), "sides": rows, "cpu": _cpu(), "versions": versions()}
        options.json.write_text(json.dumps(row, indent=1) + "\n")
    return 0


def measure(folder: Path, events: int, rounds: int) -> list[dict]:
    """A row for each side, hls4ml's C simulation first."""
    source = reading.read(folder)
    model = source.model()
    own, expected = source.vectors(model)
    with tempfile.TemporaryDirectory() as scratch:
        sides = _sides(source, model, Path(scratch))
        for side in sides:
            different = int(np.any(side.run(own) != expected, axis=1).sum())
            if different:
                raise SystemExit(f"{side.name}: {different} of {len(own)} vectors differ")
        words = np.ascontiguousarray(np.resize(own, (events, own.shape[1])))
        best = {side.name: float("inf") for side in sides}
        for _ in range(rounds):
            for side in sides:
                best[side.name] = min(best[side.name], _seconds(side, words[: max(1000, int(events * side.share))]))
    return [{"name": side.name, "events_per_s": 1 / best[side.name], "vectors_equal": len(own)} for side in sides]


def _seconds(side: Side, words: np.ndarray) -> float:
    """Processor seconds for an event, those of programs that were started among them."""
    start = _processor()
    side.run(words[:1])
    middle = _processor()
    side.run(words)
    end = _processor()
    return max((end - middle) - (middle - start), 1e-9) / (len(words) - 1)


def _processor() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(item.ru_utime + item.ru_stime for item in used)


def _sides(source: reading.Project, model, scratch: Path) -> list[Side]:
    folder, target = source.folder, source.target
    names = emulator.Names(top_name(source.task), source.design.digest)
    emulator.write_model(model, source.scaling.word, scratch, names, target)
    emulator.compile_library(scratch, names)
    library = emulator.load(scratch, names)
    traced = rtl.trace(model, source.scaling.word, target)

    def interpreted(words: np.ndarray) -> np.ndarray:
        for block in traced.blocks:
            words = interpret(block.whole, words)
        return words

    wide = [("AVX-512", 0)] if "avx512bw" in _cpu()["flags"] else []
    wide += [("AVX2", _NO_AVX512)] if "avx2" in _cpu()["flags"] else []
    emulators = [
        Side(f"emulator, {name}", lambda words, flags=flags: library.predict(words, flags=flags), 1.0)
        for name, flags in [*wide, ("x86-64 baseline", _NO_AVX512 | _NO_AVX2)]
    ]
    usual, native = hls.compile_sources(folder / "hls"), _native(folder / "hls", scratch)
    return [
        Side("csim, its usual flags (-O2)", lambda words: _csim(usual, words, scratch), 0.005),
        Side(f"csim, {' '.join(_NATIVE)}", lambda words: _csim(native, words, scratch), 0.005),
        Side("alkaid's interpreter", interpreted, 0.05),
        Side("simulated RTL (Verilator)", lambda words: simulate.simulate(folder / "rtl", words), 0.05),
        *emulators,
    ]


def _native(folder: Path, scratch: Path) -> Path:
    """The C simulation compiled for this machine."""
    program, log = scratch / "csim", scratch / "csim.log"
    flags = [flag for flag in hls.FLAGS if flag != "-O2"]
    command = [hls.COMPILER, *flags, *_NATIVE, "csim.cpp", *hls.units(folder), "-o", str(program)]
    if run(command, folder, log, 900):
        raise SystemExit(log.read_text())
    return program


def _csim(program: Path, words: np.ndarray, scratch: Path) -> np.ndarray:
    given, got = scratch / "in.bin", scratch / "out.bin"
    words.tofile(given)
    subprocess.run([str(program), "run", str(given), str(got), str(len(words)), "0"], check=True)
    return np.fromfile(got).reshape(len(words), -1)


def _cpu() -> dict:
    text = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    lines = dict(line.split(":", 1) for line in text.splitlines() if ":" in line)
    rows = {key.strip(): value.strip() for key, value in lines.items()}
    return {"model": rows.get("model name", platform.machine()), "flags": rows.get("flags", "").split()}


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    sys.exit(main())
