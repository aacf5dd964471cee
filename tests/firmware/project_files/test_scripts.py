"""The scripts that tools read."""

import shutil
import subprocess
from dataclasses import replace

import pytest
from projects import TARGET

from flow.errors import BadInput
from flow.firmware.project_files import makefile, scripts
from flow.firmware.project_files.facts import Facts
from flow.firmware.settings import Backend

FACTS = Facts("t", "net", "0", TARGET, 3, 1, "", "", (2,), 2, 1, (), ("src/net.v",))


def test_a_part_that_yosys_knows_not_is_mapped_to_plain_luts():
    known, other = FACTS, replace(FACTS, target=replace(TARGET, part="Agilex7"))
    assert "synth_xilinx -top net -family xcup" in scripts.yosys(known) and "-lut 6" not in scripts.yosys(known)
    assert "synth -top net -flatten -lut 6" in scripts.yosys(other) and "xilinx" not in scripts.yosys(other)
    assert "make vivado" in makefile.text(known) and "make vivado" not in makefile.text(other)


@pytest.mark.skipif(shutil.which("make") is None, reason="needs make")
def test_a_simulation_that_is_not_there_says_why(tmp_path):
    text = makefile.text(replace(FACTS, csim_missing="the compiler isn't $free"))
    (tmp_path / "Makefile").write_text(text)
    done = subprocess.run(["make", "csim"], cwd=tmp_path, check=False, capture_output=True, text=True, timeout=300)
    assert done.returncode != 0 and "no C simulation with a plain compiler: the compiler isn't $free" in done.stderr


def test_catapult_needs_a_place_for_its_vectors(tmp_path):
    facts = replace(FACTS, target=replace(TARGET, backend=Backend.CATAPULT))
    (tmp_path / "build_prj.tcl").write_text("go analyze\n")
    with pytest.raises(BadInput, match="build_prj.tcl of hls4ml: .* found 0 times"):
        scripts.adapt(tmp_path, facts)
