"""Tiny projects, written by hand, for tests of tools: of RTL, and of HLS as hls4ml writes it."""

import json

PART = "xcvu13p-flga2577-2-e"
CLOCK_NS = 5.0


def hls(folder, top="tagger", backend="vitis", part=PART, clock_ns=CLOCK_NS, weights=8, built=False):
    """An HLS project; `weights` is how many there are. `built`: with the folders of a built project around it."""
    inside = folder / "hls" if built else folder
    firmware = inside / "firmware"
    (firmware / "weights").mkdir(parents=True)
    numbers = ", ".join(str(0.125 * i) for i in range(weights))
    (firmware / "weights" / "w2.h").write_text(f"weight_t w2[{weights}] = {{{numbers}}};\n")
    (firmware / "weights" / "w2.txt").write_text(numbers + "\n")
    (firmware / f"{top}.h").write_text(f"void {top}(input_t in[4], result_t out[2]);\n")
    (firmware / f"{top}.cpp").write_text(f'#include "{top}.h"\nvoid {top}(input_t in[4], result_t out[2]) {{}}\n')
    (firmware / "parameters.h").write_text("// fc0\nstruct config2 : nnet::dense_config {};\n")
    (inside / f"{top}_test.cpp").write_text("int main() { return 0; }\n")
    (inside / "tb_data").mkdir()
    (inside / "tb_data" / "tb_input_features.dat").write_text("0 1 2 3\n")
    settings = {
        "project_name": f'"{top}"', "backend": f'"{backend}"', "part": f'"{part}"', "clock_period": clock_ns,
        "clock_uncertainty": "27%" if backend == "vitis" else "12.5%", "version": '"1.0.0"', "maximum_size": 4096,
    }  # fmt: skip
    (inside / "project.tcl").write_text("".join(f"variable {k}\nset {k} {v}\n" for k, v in settings.items()))
    if built:
        (folder / "metadata.json").write_text("{}\n")
    return folder


def rtl(folder, top="tagger", part=PART, clock_ns=CLOCK_NS, lines=40, language="verilog"):
    """An RTL project of one stage, `lines` lines long; one in VHDL has its Verilog too."""
    verilog, vhdl = folder / "rtl" / "src", folder / "rtl" / "vhdl"
    verilog.mkdir(parents=True)
    rows = "".join(f"// {i}\n" for i in range(lines))
    (verilog / "fc0_s0.v").write_text(f"module fc0_s0(input clk);\n{rows}endmodule\n")
    (verilog / f"{top}.v").write_text(f"module {top}(input clk);\nfc0_s0 _inst_fc0_s0(.clk(clk));\nendmodule\n")
    (verilog / f"{top}.xdc").write_text(f"create_clock -period {clock_ns:g} -name clk [get_ports clk]\n")
    files = {"verilog": ["src/fc0_s0.v", f"src/{top}.v"]}
    if language == "vhdl":
        vhdl.mkdir()
        (vhdl / "fc0_s0.vhd").write_text(f"entity fc0_s0 is\n{rows.replace('//', '--')}end;\n")
        (vhdl / f"{top}.vhd").write_text(f"entity {top} is\nend;\n")
        files["vhdl"] = ["vhdl/fc0_s0.vhd", f"vhdl/{top}.vhd"]
    described = {
        "top": top, "part": part, "clock_ns": clock_ns, "latency_cycles": 2, "interval_cycles": 1,
        "blocks": {"fc0": {"modules": ["fc0_s0"], "registers": []}}, "language": language, "wrapper": f"{top}_valid",
        "files": files,
    }  # fmt: skip
    (folder / "rtl" / "rtl.json").write_text(json.dumps(described))
    return folder
