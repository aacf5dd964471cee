"""The FPGA parts known by name: family and totals of resources, from the vendor's product tables."""

import difflib
import re
from dataclasses import dataclass

from flow.errors import BadInput


@dataclass(frozen=True)
class Part:
    """A device, whatever its package and speed grade. `bram_18k` counts blocks of 18 kbit."""

    prefix: str
    family: str
    lut: int
    ff: int
    dsp: int
    bram_18k: int
    uram: int

    @property
    def yosys_family(self) -> str:
        """What ``synth_xilinx -family`` calls the family."""
        return YOSYS_FAMILIES[self.family]


YOSYS_FAMILIES = {"ultrascale+": "xcup", "ultrascale": "xcu", "7series": "xc7"}

_TABLE = (
    Part("xcvu9p", "ultrascale+", 1_182_240, 2_364_480, 6_840, 4_320, 960),
    Part("xcvu13p", "ultrascale+", 1_728_000, 3_456_000, 12_288, 5_376, 1_280),
    Part("xcvu35p", "ultrascale+", 871_680, 1_743_360, 5_952, 2_688, 640),
    Part("xcvu37p", "ultrascale+", 1_303_680, 2_607_360, 9_024, 4_032, 960),
    Part("xcku15p", "ultrascale+", 522_720, 1_045_440, 1_968, 1_968, 128),
    Part("xcu50", "ultrascale+", 871_680, 1_743_360, 5_952, 2_688, 640),
    Part("xcu200", "ultrascale+", 1_182_240, 2_364_480, 6_840, 4_320, 960),
    Part("xcu250", "ultrascale+", 1_728_000, 3_456_000, 12_288, 5_376, 1_280),
    Part("xcu280", "ultrascale+", 1_303_680, 2_607_360, 9_024, 4_032, 960),
    Part("xczu3eg", "ultrascale+", 70_560, 141_120, 360, 432, 0),
    Part("xczu7ev", "ultrascale+", 230_400, 460_800, 1_728, 624, 96),
    Part("xczu9eg", "ultrascale+", 274_080, 548_160, 2_520, 1_824, 0),
    Part("xcku040", "ultrascale", 242_400, 484_800, 1_920, 1_200, 0),
    Part("xcku060", "ultrascale", 331_680, 663_360, 2_760, 2_160, 0),
    Part("xcku115", "ultrascale", 663_360, 1_326_720, 5_520, 4_320, 0),
    Part("xc7vx690t", "7series", 433_200, 866_400, 3_600, 2_940, 0),
    Part("xc7k325t", "7series", 203_800, 407_600, 840, 890, 0),
    Part("xc7a100t", "7series", 63_400, 126_800, 240, 270, 0),
    Part("xc7z020", "7series", 53_200, 106_400, 220, 280, 0),
    Part("xc7z007s", "7series", 14_400, 28_800, 66, 100, 0),
)

PARTS: dict[str, Part] = {part.prefix: part for part in _TABLE}


def find(part: str) -> Part:
    """The device of a full part name such as ``xcvu9p-flga2104-2-e`` or ``xc7z020clg400-1``.

    Raises BadInput, naming the devices that are known, for any other.
    """
    name = str(part).strip().lower()
    for known in PARTS.values():
        # behind the device: nothing, "-package...", or a package without the hyphen, as the 7 series and reports have it;
        # Vivado leaves out the "xc" in some reports
        match = re.match(rf"(?:xc)?{known.prefix[2:]}(?:$|-|[a-z]{{2,4}}\d{{3,4}}(?:$|-))", name)
        if match:
            return known
    near = difflib.get_close_matches(name.split("-")[0], PARTS, n=1)
    guess = f" Did you mean {near[0]}?" if near else ""
    raise BadInput(f"part {part!r} is not known.{guess} Known: {', '.join(PARTS)}")
