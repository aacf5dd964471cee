"""A self-checking test bench of an RTL project, for simulators other than ours: ``tb/<top>_tb.v`` (and ``.vhd`` in a
VHDL project) with its vectors, one word a line in hexadecimal.

It drives the module with valid signals: all words as fast as they are taken, all again with gaps, and a reset while
words are on their way. Every answer is compared, and the cycle in which it comes.
"""

import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from flow.errors import BadInput
from flow.firmware.rtl import ports
from flow.firmware.rtl.layout import TEST_BENCH
from flow.firmware.settings import Language
from flow.firmware.simulate import describe

INPUTS, OUTPUTS = "inputs.hex", "outputs.hex"


def write(folder: Path, words: np.ndarray, outputs: np.ndarray) -> list[Path]:
    """Write the test bench of the RTL project in `folder` and return its files.

    `words` (n, n_in) are input words and `outputs` (n, n_out) the answers that are expected, both as values. Raises
    BadInput for another shape, no vectors, or a value that its port can't hold.
    """
    description = describe(folder)
    made = {INPUTS: _lines(words, description["inputs"], "input words")}
    made[OUTPUTS] = _lines(outputs, description["outputs"], "expected outputs")
    if len(words) != len(outputs) or len(words) == 0:
        raise BadInput(
            f"test bench: {len(words)} input words and {len(outputs)} expected outputs; as many of both, 1 up"
        )
    bench = f"{description['top']}_tb"
    made[f"{bench}.v"] = _filled(_VERILOG, description, len(words))
    if description["language"] == Language.VHDL:
        made[f"{bench}.vhd"] = _filled(_VHDL, description, len(words))
    return [_put(folder / TEST_BENCH / name, text) for name, text in made.items()]


def _put(path: Path, text: str) -> Path:
    path.parent.mkdir(exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    beside.write_text(text)
    os.replace(beside, path)
    return path


def _lines(values: np.ndarray, rows: list[dict], what: str) -> str:
    """Values (n, elements) as packed words in hexadecimal, one a line."""
    values = np.asarray(values, dtype=np.float64)
    if values.ndim != 2 or values.shape[1] != len(rows):
        raise BadInput(f"test bench: {what} have the shape {values.shape}; the network has (n, {len(rows)})")
    digits = -(-ports.width(rows) // 4)
    packed = [0] * len(values)
    for element, row in enumerate(rows):
        for i, number in enumerate(_integers(values[:, element], row, f"{what}, element {element}")):
            packed[i] |= number << row["low_bit"]
    return "".join(f"{word:0{digits}x}\n" for word in packed)


def _integers(column: np.ndarray, row: Mapping, what: str) -> list[int]:
    """The bits of an element's values, as integers from 0 on."""
    bits, exact = row["bits"], column * 2.0 ** row["fraction"]
    low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if row["signed"] and bits else (0, 2**bits - 1)
    bad = (exact != np.rint(exact)) | (exact < low) | (exact > high)
    if bad.any():
        i = int(np.argmax(bad))
        raise BadInput(f"test bench: {what} of vector {i} is {column[i]:g}, which {ports.type_name(row)} can't hold")
    return [int(number) & ((1 << bits) - 1) for number in exact]


def _filled(text: str, description: dict, n_vectors: int) -> str:
    interval = description["interval_cycles"]
    ready = {
        _VERILOG: ("wire in_ready;", "        .in_ready(in_ready),\n"),
        _VHDL: ("", "        in_ready => in_ready,\n"),
    }
    free = {_VERILOG: ("wire in_ready = 1'b1;", ""), _VHDL: (" := '1'", "")}
    declared, connected = (ready if interval > 1 else free)[text]
    marks = {
        "TOP": description["top"],
        "WRAPPER": description["wrapper"],
        "N_IN": ports.width(description["inputs"]),
        "N_OUT": ports.width(description["outputs"]),
        "VECTORS": n_vectors,
        "LATENCY": description["latency_cycles"],
        "INTERVAL": interval,
        "HALF": f"{description['clock_ns'] / 2:g}",
        "READY_DECLARED": declared,
        "READY_PORT": connected,
    }
    for mark, value in marks.items():
        text = text.replace(f"@{mark}@", str(value))
    return text


_VERILOG = r"""`timescale 1 ns / 1 ps

// Feeds the words of inputs.hex to @WRAPPER@ and compares its answers with outputs.hex: first as fast as
// words are taken, then with gaps; at last a reset while words are on their way. Run it in this folder:
//   $ verilator --binary --timing -CFLAGS -std=c++20 -Wno-fatal -Wno-lint --top-module @TOP@_tb @TOP@_tb.v ../src/*.v && obj_dir/V@TOP@_tb
//   $ iverilog -g2012 -s @TOP@_tb -o @TOP@_tb.vvp @TOP@_tb.v ../src/*.v && vvp @TOP@_tb.vvp
//   $ xvlog -sv @TOP@_tb.v ../src/*.v && xelab @TOP@_tb -s @TOP@_tb && xsim @TOP@_tb -runall
// It ends with PASS, or with FAIL and an exit status that is not 0 (xsim's always is 0).
module @TOP@_tb;

    parameter VECTORS = @VECTORS@;
    parameter LATENCY = @LATENCY@;
    parameter INTERVAL = @INTERVAL@;
    parameter SHOWN = 10; // mismatches that are printed

    reg [@N_IN@-1:0] words [0:VECTORS-1];
    reg [@N_OUT@-1:0] expected [0:VECTORS-1];

    reg clk = 1'b0;
    reg rst = 1'b1;
    reg in_valid = 1'b0;
    reg [@N_IN@-1:0] model_inp = {@N_IN@{1'b0}};
    @READY_DECLARED@
    wire out_valid;
    wire [@N_OUT@-1:0] model_out;

    @WRAPPER@ dut (
        .clk(clk),
        .rst(rst),
        .in_valid(in_valid),
        .model_inp(model_inp),
@READY_PORT@        .out_valid(out_valid),
        .model_out(model_out)
    );

    always #(@HALF@) clk = ~clk;

    integer cycle = 0;      // number of this cycle
    integer pass = 0;       // 0: without gaps, 1: with gaps, 2: reset
    integer sent = 0;       // words taken in this pass
    integer received = 0;   // answers seen in this pass
    integer checked = 0;
    integer differ = 0;
    integer late = 0;       // answers in another cycle than LATENCY tells, missing or unasked for
    integer since = 0;      // cycles since the last word or answer of this pass
    integer taken_at [0:VECTORS-1];
    reg [31:0] random = 32'h2545f491;

    initial begin
        $readmemh("inputs.hex", words);
        $readmemh("outputs.hex", expected);
    end

    // All that happens between two rising edges, half a cycle after the first of them.
    always @(negedge clk) begin
        cycle = cycle + 1;
        since = since + 1;
        random = random ^ (random << 13);
        random = random ^ (random >> 17);
        random = random ^ (random << 5);
        if (out_valid !== 1'b0 && cycle > 3) answer;
        if (cycle < 3) rst = 1'b1;
        else if (pass < 2) begin
            rst = 1'b0;
            offer(cycle > 3 && sent < VECTORS && (pass == 0 || random[2:0] < 3'd3));
            if (sent == VECTORS && received == sent || since > 2 * (LATENCY + INTERVAL) + 200) next_pass;
        end else reset_pass;
    end

    // Offer a word; one that is not taken stays.
    task offer(input want);
        begin
            in_valid = want;
            if (want) model_inp = words[sent];
            else model_inp = {@N_IN@{1'bx}};
            if (want && in_ready) begin
                taken_at[sent] = cycle;
                sent = sent + 1;
                since = 0;
            end
        end
    endtask

    task answer;
        begin
            if (pass == 2 || received >= sent) begin
                late = late + 1;
                if (late <= SHOWN) $display("cycle %0d: out_valid is high without a word", cycle);
            end else begin
                if (cycle - taken_at[received] != LATENCY) begin
                    late = late + 1;
                    if (late <= SHOWN)
                        $display("vector %0d: %0d cycles, not %0d", received, cycle - taken_at[received], LATENCY);
                end
                checked = checked + 1;
                if (model_out !== expected[received]) begin
                    differ = differ + 1;
                    if (differ <= SHOWN)
                        $display("vector %0d: got %h, expected %h", received, model_out, expected[received]);
                end
                received = received + 1;
                since = 0;
            end
        end
    endtask

    task next_pass;
        begin
            late = late + (VECTORS - received);
            if (received < VECTORS) $display("pass %0d: %0d answers never came", pass, VECTORS - received);
            pass = pass + 1;
            sent = 0;
            received = 0;
            since = 0;
            in_valid = 1'b0;
        end
    endtask

    // One word, a reset in the cycle behind it, and as many cycles as an answer would take.
    task reset_pass;
        begin
            rst = since == 2;
            if (since == 1) begin
                in_valid = 1'b1;
                model_inp = words[0];
            end else in_valid = 1'b0;
            if (since > 2 * (LATENCY + INTERVAL)) finish;
        end
    endtask

    task finish;
        begin
            $display("%0d vectors, %0d differ", checked, differ);
            if (differ == 0 && late == 0 && checked == 2 * VECTORS) begin
                $display("PASS");
                $finish;
            end else begin
                $display("FAIL: %0d answers differ, %0d are early, late, missing or unasked for", differ, late);
                $fatal(1, "FAIL");
            end
        end
    endtask

endmodule
"""

_VHDL = r"""-- The Verilog bench in VHDL: feeds the words of inputs.hex to @WRAPPER@ and compares its answers with
-- outputs.hex, first as fast as words are taken, then with gaps; at last a reset while words are on their way.
-- Run it in this folder, the sources in the order of ../rtl.json (files, vhdl):
--   $ ghdl -a --std=08 <sources> @TOP@_tb.vhd && ghdl --elab-run --std=08 @TOP@_tb --ieee-asserts=disable
--   $ xvhdl -2008 <sources> @TOP@_tb.vhd && xelab @TOP@_tb -s @TOP@_tb && xsim @TOP@_tb -runall
-- It ends with PASS, or with FAIL and an exit status that is not 0 (xsim's always is 0).
library ieee;
use ieee.std_logic_1164.all;
use std.textio.all;

entity @TOP@_tb is
end entity @TOP@_tb;

architecture bench of @TOP@_tb is
    constant VECTORS: integer := @VECTORS@;
    constant LATENCY: integer := @LATENCY@;
    constant INTERVAL: integer := @INTERVAL@;
    constant SHOWN: integer := 10; -- mismatches that are printed

    type inputs_t is array (0 to VECTORS - 1) of std_logic_vector(@N_IN@ - 1 downto 0);
    type outputs_t is array (0 to VECTORS - 1) of std_logic_vector(@N_OUT@ - 1 downto 0);
    type cycles_t is array (0 to VECTORS - 1) of integer;

    signal clk: std_logic := '0';
    signal rst: std_logic := '1';
    signal in_valid: std_logic := '0';
    signal in_ready: std_logic@READY_DECLARED@;
    signal model_inp: std_logic_vector(@N_IN@ - 1 downto 0) := (others => '0');
    signal out_valid: std_logic;
    signal model_out: std_logic_vector(@N_OUT@ - 1 downto 0);
    signal done: boolean := false;

    -- The next line of a file of hexadecimal numbers, its lowest bits.
    procedure read_word(file source: text; word: out std_logic_vector) is
        variable row: line;
        variable digit: character;
        variable number: integer;
        variable wide: std_logic_vector(word'length + 3 downto 0) := (others => '0');
        variable four: std_logic_vector(3 downto 0);
    begin
        readline(source, row);
        while row'length > 0 loop
            read(row, digit);
            if digit >= '0' and digit <= '9' then
                number := character'pos(digit) - character'pos('0');
            else
                number := character'pos(digit) - character'pos('a') + 10;
            end if;
            for bit_number in 0 to 3 loop
                if (number / 2 ** bit_number) mod 2 = 1 then
                    four(bit_number) := '1';
                else
                    four(bit_number) := '0';
                end if;
            end loop;
            wide := wide(wide'high - 4 downto 0) & four;
        end loop;
        deallocate(row);
        word := wide(word'length - 1 downto 0);
    end procedure;
begin
    dut: entity work.@WRAPPER@ port map(
        clk => clk,
        rst => rst,
        in_valid => in_valid,
        model_inp => model_inp,
@READY_PORT@        out_valid => out_valid,
        model_out => model_out
    );

    clk <= not clk after @HALF@ ns when not done else '0';

    -- All that happens between two rising edges, half a cycle after the first of them.
    process
        file inputs_file: text open read_mode is "inputs.hex";
        file outputs_file: text open read_mode is "outputs.hex";
        variable words: inputs_t;
        variable expected: outputs_t;
        variable taken_at: cycles_t;
        variable word: std_logic_vector(@N_IN@ - 1 downto 0);
        variable answer: std_logic_vector(@N_OUT@ - 1 downto 0);
        variable cycle, pass, sent, received, checked, differ, late, since: integer := 0;
        variable random: integer := 1;
        variable want: boolean;
    begin
        for i in 0 to VECTORS - 1 loop
            read_word(inputs_file, word);
            words(i) := word;
            read_word(outputs_file, answer);
            expected(i) := answer;
        end loop;
        while pass < 3 loop
            wait until falling_edge(clk);
            cycle := cycle + 1;
            since := since + 1;
            random := (random * 75 + 74) mod 65537;
            if out_valid /= '0' and cycle > 3 then
                if pass = 2 or received >= sent then
                    late := late + 1;
                    assert late > SHOWN report "cycle " & integer'image(cycle) & ": out_valid is high without a word"
                        severity warning;
                else
                    if cycle - taken_at(received) /= LATENCY then
                        late := late + 1;
                        assert late > SHOWN report "vector " & integer'image(received) & ": "
                            & integer'image(cycle - taken_at(received)) & " cycles" severity warning;
                    end if;
                    checked := checked + 1;
                    if model_out /= expected(received) then
                        differ := differ + 1;
                        assert differ > SHOWN report "vector " & integer'image(received) & ": got "
                            & to_hstring(model_out) & ", expected " & to_hstring(expected(received)) severity warning;
                    end if;
                    received := received + 1;
                    since := 0;
                end if;
            end if;
            if cycle < 3 then
                rst <= '1';
            elsif pass < 2 then
                rst <= '0';
                want := cycle > 3 and sent < VECTORS and (pass = 0 or random mod 8 < 3);
                model_inp <= (others => 'X');
                in_valid <= '0';
                if want then
                    in_valid <= '1';
                    model_inp <= words(sent);
                end if;
                if want and in_ready = '1' then
                    taken_at(sent) := cycle;
                    sent := sent + 1;
                    since := 0;
                end if;
                if (sent = VECTORS and received = sent) or since > 2 * (LATENCY + INTERVAL) + 200 then
                    late := late + VECTORS - received;
                    pass := pass + 1;
                    sent := 0;
                    received := 0;
                    since := 0;
                    in_valid <= '0';
                end if;
            else
                -- one word, a reset in the cycle behind it, and as many cycles as an answer would take
                rst <= '0';
                in_valid <= '0';
                if since = 1 then
                    in_valid <= '1';
                    model_inp <= words(0);
                elsif since = 2 then
                    rst <= '1';
                elsif since > 2 * (LATENCY + INTERVAL) then
                    pass := 3;
                end if;
            end if;
        end loop;
        done <= true;
        report integer'image(checked) & " vectors, " & integer'image(differ) & " differ" severity note;
        assert differ = 0 and late = 0 and checked = 2 * VECTORS report "FAIL: " & integer'image(differ)
            & " answers differ, " & integer'image(late) & " are early, late, missing or unasked for" severity failure;
        report "PASS" severity note;
        wait;
    end process;
end architecture bench;
"""
