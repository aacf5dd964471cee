"""Where the loop's time goes: `python benchmarks/loop.py models/jet_tagger [--json FILE]`.

Runs the whole loop from nothing in a folder of its own, and prints wall-clock seconds by stage (stages
overlap where tools run beside the training) and the peak memory of all its processes together.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from flow.store import versions


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("task", type=Path)
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "out"
        start = time.monotonic()
        child = subprocess.Popen([sys.executable, "-m", "flow.cli", "run", str(options.task), "--out", str(out)])
        peak = _watch(child)
        status, wall = child.wait(), time.monotonic() - start
        again = time.monotonic()
        subprocess.run(
            [sys.executable, "-m", "flow.cli", "run", str(options.task), "--out", str(out)],
            check=status == 0,
            capture_output=True,
        )
        again = time.monotonic() - again
        seconds = json.loads((out / "result.json").read_text())["seconds"]
    for name, value in sorted(seconds.items(), key=lambda item: -item[1]):
        print(f"{value:8.1f} s  {name}")
    print(f"{wall:8.1f} s  from start to end, exit status {status}; {again:.1f} s when run again")
    print(f"{peak[0] / 2**30:8.2f} GB peak memory of all processes")
    if options.json:
        row = {"seconds": seconds, "wall_s": wall, "again_s": again, "peak_memory_mb": peak[0] / 2**20}
        options.json.write_text(json.dumps(row | {"cores": os.cpu_count(), "versions": versions()}, indent=1) + "\n")


def _watch(child: subprocess.Popen) -> list[int]:
    """A list whose only element becomes the largest resident memory (bytes) of the child and all below it."""
    peak = [0]

    def look() -> None:
        while child.poll() is None:
            peak[0] = max(peak[0], _resident(child.pid))
            time.sleep(0.5)

    threading.Thread(target=look, daemon=True).start()
    return peak


def _resident(root: int) -> int:
    parents, sizes = {}, {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rsplit(")", 1)[1].split()
        except OSError:
            continue  # it has just ended
        parents[int(path.parent.name)] = int(fields[1])
        sizes[int(path.parent.name)] = int(fields[21]) * os.sysconf("SC_PAGE_SIZE")
    total = 0
    for process in parents:
        ancestor = process
        while ancestor in parents and ancestor != root:
            ancestor = parents[ancestor]
        total += sizes[process] if ancestor == root else 0
    return total


if __name__ == "__main__":
    main()
