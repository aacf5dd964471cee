"""The module around a network that knows which words are valid: ``<top>_valid``, in Verilog and in VHDL.

A chain of one bit a cycle runs beside the pipeline; the reset is synchronous, active high, and clears that chain
alone: words on their way are forgotten, and what stands in the registers of the pipeline is never seen as valid. At an
interval above 1 a counter tells when the next word may come; a word is taken where ``in_valid`` and ``in_ready`` are
both high. After a reset it waits for a whole interval, since the network may still be at work on the last word.
"""

from flow.firmware.rtl.naming import WRAPPER_SUFFIX
from flow.firmware.settings import Language


def name(top: str) -> str:
    return top + WRAPPER_SUFFIX


def text(
    language: Language, top: str, n_in_bits: int, n_out_bits: int, latency: int, interval: int, start: str | None
) -> str:
    """The source of ``<top>_valid``.

    Its ports are clk, rst, in_valid, model_inp, in_ready (interval > 1), out_valid and model_out. `start` is the port
    of `top` that is high while a word is taken, None where there is no such port.
    """
    make = {Language.VERILOG: _verilog, Language.VHDL: _vhdl}[language]
    return make(top, n_in_bits, n_out_bits, latency, interval, start)


def _verilog(top: str, n_in: int, n_out: int, latency: int, interval: int, start: str | None) -> str:
    ready = "    output wire in_ready,\n" if interval > 1 else ""
    shifted = f"{{valid[{latency - 2}:0], taken}}" if latency > 1 else "taken"
    begun = f"        .{start}(taken),\n" if start else ""
    return f"""`timescale 1 ns / 1 ps

// {top} with valid signals: {latency} cycles from in_valid to out_valid, a word every {_every(interval)}.
module {name(top)} (
    input wire clk,
    input wire rst,
    input wire in_valid,
    input wire [{n_in - 1}:0] model_inp,
{ready}    output wire out_valid,
    output wire [{n_out - 1}:0] model_out
);

    reg [{latency - 1}:0] valid;
    wire taken;
    initial valid = {latency}'b0;
    assign out_valid = valid[{latency - 1}];

    always @(posedge clk) begin
        if (rst) valid <= {latency}'b0;
        else valid <= {shifted};
    end

{_verilog_ready(interval)}
    {top} network (
        .clk(clk),
{begun}        .model_inp(model_inp),
        .model_out(model_out)
    );

endmodule
"""


def _verilog_ready(interval: int) -> str:
    if interval == 1:
        return "    assign taken = in_valid;\n"
    bits, longest = _bits(interval - 1), interval - 1
    return f"""    // cycles until the next word may come
    reg [{bits - 1}:0] wait_for;
    initial wait_for = {bits}'d0;
    assign in_ready = (wait_for == {bits}'d0) && !rst;
    assign taken = in_valid && in_ready;

    always @(posedge clk) begin
        if (rst || taken) wait_for <= {bits}'d{longest};
        else if (wait_for != {bits}'d0) wait_for <= wait_for - {bits}'d1;
    end
"""


def _vhdl(top: str, n_in: int, n_out: int, latency: int, interval: int, start: str | None) -> str:
    ready = "    in_ready: out std_logic;\n" if interval > 1 else ""
    shifted = f"valid({latency - 2} downto 0) & taken" if latency > 1 else "(0 => taken)"
    begun = f"        {start} => taken,\n" if start else ""
    declared, logic = _vhdl_ready(interval)
    return f"""library ieee;
use ieee.std_logic_1164.all;

-- {top} with valid signals: {latency} cycles from in_valid to out_valid, a word every {_every(interval)}.
entity {name(top)} is port(
    clk: in std_logic;
    rst: in std_logic;
    in_valid: in std_logic;
    model_inp: in std_logic_vector({n_in - 1} downto 0);
{ready}    out_valid: out std_logic;
    model_out: out std_logic_vector({n_out - 1} downto 0)
);
end entity {name(top)};

architecture rtl of {name(top)} is
    signal valid: std_logic_vector({latency - 1} downto 0) := (others => '0');
    signal taken: std_logic;
{declared}begin
    out_valid <= valid({latency - 1});

    process(clk) begin
        if rising_edge(clk) then
            if rst = '1' then
                valid <= (others => '0');
            else
                valid <= {shifted};
            end if;
        end if;
    end process;

{logic}
    network: entity work.{top} port map(
        clk => clk,
{begun}        model_inp => model_inp,
        model_out => model_out
    );

end architecture rtl;
"""


def _vhdl_ready(interval: int) -> tuple[str, str]:
    """Declarations and logic."""
    if interval == 1:
        return "", "    taken <= in_valid;\n"
    declared = f"""    signal wait_for: integer range 0 to {interval - 1} := 0; -- cycles until the next word may come
    signal ready: std_logic;
"""
    return (
        declared,
        f"""    ready <= '1' when wait_for = 0 and rst = '0' else '0';
    in_ready <= ready;
    taken <= in_valid and ready;

    process(clk) begin
        if rising_edge(clk) then
            if rst = '1' or taken = '1' then
                wait_for <= {interval - 1};
            elsif wait_for /= 0 then
                wait_for <= wait_for - 1;
            end if;
        end if;
    end process;
""",
    )


def _bits(number: int) -> int:
    return max(1, number.bit_length())


def _every(interval: int) -> str:
    return "cycle" if interval == 1 else f"{interval} cycles"
