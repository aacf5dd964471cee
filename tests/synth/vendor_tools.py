"""What the stand-ins of `vendor_standins` do with a script: the commands of the HLS tools and of Vivado."""

import json
import os
import re
import sys
import time

from synth import small_tcl, vendor_texts
from synth.vendor_standins import break_off, cycles_of, size_of, start_text, swapped

_CUT = ("truncated", "disk")

_BORDER = "+----------+------+\n"
_BLACK_BOXES = f"9. Black Boxes\n--------------\n\n{_BORDER}| Ref Name | Used |\n{_BORDER}{{}}\n\n"


def run(name, version, behaviour, script, given, seconds):
    """The exit status of a script. What ends a run in its middle does so at its first long command."""
    tool = (_Vivado if name == "vivado" else _Hls)(name, version, behaviour, seconds)
    print(start_text(name, version))
    if behaviour == "harmless":
        print("ERROR: [HLS 200-642] The 'config_array_partition -maximum_size' command is not supported.")
    tcl = small_tcl.Tcl(tool.commands())
    tool.tcl = tcl
    tcl.frames[0]["argv"] = " ".join(given)
    status = 0
    try:
        tcl.source(script)
    except small_tcl.Exit as done:
        status = done.args[0]
    except small_tcl.TclError as error:
        print(f'ERROR: {error}\n    while executing\n"source {script}"')
        status = 1
    program = {"vitis-run": "vitis_hls"}.get(name, name)
    print(f"INFO: [Common 17-206] Exiting {program} at Mon Jan  6 10:00:00 2025...")
    return 1 if behaviour == "late" and status == 0 else status


def put(behaviour, path, text):
    """Write a report, or what a behaviour leaves of it."""
    if behaviour == "no_report":
        return
    os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
    with open(path, "w", encoding="utf-8") as stream:
        stream.write(text[: 2 * len(text) // 3] if behaviour in _CUT else text)


def fill(text, values):
    """A text with other values; each old one must be in it."""
    for old in values:
        assert old in text, f"the text has no {old!r}"
    pattern = "|".join(re.escape(old) for old in sorted(values, key=len, reverse=True))
    return re.sub(pattern, lambda match: values[match.group()], text)


class _Tool:
    def __init__(self, name, version, behaviour, seconds):
        self.name, self.version, self.behaviour, self.seconds = name, version, behaviour, seconds

    def commands(self):
        own = {name[3:]: getattr(self, name) for name in dir(self) if name.startswith("do_")}
        return {name: self._told(name, does) for name, does in own.items()}

    def _told(self, name, does):
        def command(words):
            print(
                f"INFO: [HLS 200-1510] Running: {name} {' '.join(words)}"
                if self.name != "vivado"
                else f"Command: {name}"
            )
            sys.stdout.flush()
            return does(words)

        return command

    def work(self):
        """Whatever takes long, or goes wrong."""
        time.sleep(self.seconds)
        if self.behaviour == "disk":
            print("ERROR: [Common 17-70] write error: No space left on device")
        status = break_off(self.behaviour)
        if status is not None:
            raise small_tcl.Exit(status)

    def end(self):
        """What follows once the reports are written."""
        if self.behaviour == "disk":
            raise small_tcl.Exit(1)


def _option(words, name, default=None):
    return words[words.index(name) + 1] if name in words else default


class _Hls(_Tool):
    """Vivado HLS and Vitis HLS. A project that is opened again is what was left of it."""

    @property
    def older(self):
        return self.name == "vivado_hls"

    def do_open_project(self, words):
        self.folder = words[-1]
        kept = os.path.join(self.folder, "project.json")
        self.kept = kept
        fresh = {"files": [], "benches": []}
        if "-reset" not in words and os.path.exists(kept):
            with open(kept) as stream:
                fresh = json.load(stream)
        self.project = fresh

    def do_set_top(self, words):
        self.project["top"] = words[0]

    def do_add_files(self, words):
        path = words[1] if words[0] == "-tb" else words[0]
        if not os.path.exists(path):
            raise small_tcl.TclError(f"[HLS 200-70] Cannot find source file {path}")
        self.project["benches" if words[0] == "-tb" else "files"].append(path)

    def do_open_solution(self, words):
        self.solution = os.path.join(self.folder, words[-1])
        os.makedirs(self.solution, exist_ok=True)

    def do_config_array_partition(self, words):
        if not self.older:
            print("ERROR: [HLS 200-642] The 'config_array_partition -maximum_size' command is not supported.")
            raise small_tcl.TclError("Unknown option '-maximum_size'")

    def do_config_compile(self, words): ...

    def do_config_schedule(self, words): ...

    def do_set_part(self, words):
        self.project["part"] = words[0]
        print(f"INFO: [HLS 200-1611] Setting target device to '{words[0]}'")

    def do_create_clock(self, words):
        self.project["clock"] = float(_option(words, "-period"))
        print(f"INFO: [SYN 201-201] Setting up clock 'default' with a period of {_option(words, '-period')}ns.")

    def do_set_clock_uncertainty(self, words):
        self.project["uncertainty"] = words[0]

    def do_csynth_design(self, words):
        print("***** C/RTL SYNTHESIS *****")
        self.work()
        size = size_of(self._sources())
        self.project["size"] = size
        with open(self.kept, "w") as stream:
            json.dump(self.project, stream)
        self._write_csynth(size)
        self._write_verilog(size)
        self.end()
        print("***** C/RTL SYNTHESIS COMPLETED IN 0h0m1s *****")

    def _sources(self):
        """The files that were added and what they include, but for libraries."""
        found = []
        for path in self.project["files"]:
            folder = os.path.dirname(path)
            for root, folders, names in os.walk(folder):
                folders[:] = sorted(set(folders) - {"nnet_utils", "ap_types"})
                found += [os.path.join(root, name) for name in sorted(names) if name.endswith((".cpp", ".h"))]
        return found

    def _asked(self):
        return swapped(self.behaviour, self.project["top"], self.project["part"], self.project["clock"], self.version)

    def _write_csynth(self, size):
        top, part, clock, version = self._asked()
        figures = {"LUT": 5 * size, "FF": 3 * size, "DSP48E": size // 20, "BRAM_18K": size // 100}
        cycles = cycles_of(size)
        slow = clock * (1.1 if self.behaviour == "slow" else 0.8)
        xml = fill(
            vendor_texts.XML,
            {
                "2019.2": version, "xcku040-ffva1156-2-e": part, "tagger": top, ">5.00<": f">{clock:.2f}<",
                "4.125": f"{slow:.3f}", "<Best-caseLatency>14": f"<Best-caseLatency>{cycles}",
                "<Worst-caseLatency>17": f"<Worst-caseLatency>{cycles}",
                "<Interval-min>3": "<Interval-min>1", "<Interval-max>4": "<Interval-max>1",
                "<BRAM_18K>7<": f"<BRAM_18K>{figures['BRAM_18K']}<", "<DSP48E>31<": f"<DSP48E>{figures['DSP48E']}<",
                "<FF>2040<": f"<FF>{figures['FF']}<", "<LUT>3105<": f"<LUT>{figures['LUT']}<",
            },
        )  # fmt: skip
        if not self.older:
            xml = xml.replace("DSP48E>", "DSP>")
        folder = f"{self.solution}/syn/report"
        put(self.behaviour, f"{folder}/csynth.xml", xml)
        if self.older:
            put(self.behaviour, f"{folder}/{self.project['top']}_csynth.rpt", self._module(figures, cycles, slow))
        else:
            put(self.behaviour, f"{folder}/csynth.rpt", self._summary(figures, cycles))

    def _module(self, figures, cycles, slow):
        top, part, clock, version = self._asked()
        return fill(
            vendor_texts.HLS,
            {
                "'tagger'": f"'{top}'", "2018.3 (": f"{version} (", "xc7z020clg400-1": part,
                "|   5.00|     5.250|": f"|{clock:7.2f}|{slow:10.3f}|",
                "|   14|   17|    3|    4| dataflow |": f"|{cycles:5}|{cycles:5}|    1|    1| dataflow |",
                "|Total            |        7|     31|   2040|   3105|":
                    f"|Total            |{figures['BRAM_18K']}|{figures['DSP48E']}|{figures['FF']}|{figures['LUT']}|",
                "|dense_1_U0 |dense_1  |        5|     30| 1500| 2400|": "|dense_1_U0 |dense_1  |        0|      0|   15|   24|",
                "|relu_2_U0  |relu_2   |        0|      1|  500|  600|": "|relu_2_U0  |relu_2   |        0|      0|    5|    6|",
            },
        )  # fmt: skip

    def _summary(self, figures, cycles):
        top, part, _, version = self._asked()
        row = (
            f"    |+ {top}* | -| 0.10| {cycles}| 1e+2| 1| {figures['BRAM_18K']} (~0%)| {figures['DSP48E']} (1%)"
            f"| {figures['FF']} (2%)| {figures['LUT']} (5%)| -|\n"
        )
        layer = "    | + dense_1 | -| 0.33| 1| 5.000| 1| -| -| 7 (1%)| 12 (9%)| -|\n"
        head, body = vendor_texts.SUMMARY.split("    |+ tagger*")
        return (
            fill(head, {"'tagger'": f"'{top}'", "2023.2 (": f"{version} (", "xcvu13p-flga2577-2-e": part})
            + row + layer + body[body.index("    +--") :]
        )  # fmt: skip

    def _write_verilog(self, size):
        """A module with a memory beside it, as big as the project."""
        top = self.project["top"]
        folder = f"{self.solution}/syn/verilog"
        os.makedirs(folder, exist_ok=True)
        with open(f"{folder}/{top}.v", "w") as stream:
            stream.write(f'module {top}(input ap_clk);\ninitial $readmemh("./{top}_w2.dat", ram0);\n')
            stream.writelines(f"// {row}\n" for row in range(size))
            stream.write("endmodule\n")
        with open(f"{folder}/{top}_w2.dat", "w") as stream:
            stream.write("0a\n")

    def do_cosim_design(self, words):
        self.work()
        for bench in (f"{self.project['top']}_test.cpp",):
            if bench not in self.project["benches"]:
                raise small_tcl.TclError("[COSIM 212-7] No test bench file")
        cycles = cycles_of(self.project["size"]) + 1
        numbers = {"failed_test": ["NA"] * 6, "no_cycles": ["NA"] * 6}.get(self.behaviour, [cycles] * 3 + [1] * 3)
        word = "Fail" if self.behaviour == "failed_test" else "Pass"
        border = "+----------+----------+" + "-" * 47 + "+" + "-" * 47 + "+\n"
        cells = "".join(f"{number:>15}|" for number in numbers)
        text = (
            "Report time       : Mon Jan 06 10:00:00 UTC 2025.\nSolution          : solution1.\n"
            f"Simulation tool   : xsim.\n\n{border}"
            f"|          |          |{'Latency':^47}|{'Interval':^47}|\n"
            f"+   RTL    +  Status  +{'-' * 47}+{'-' * 47}+\n"
            f"|          |          |{''.join(f'{n:^15}|' for n in ('min', 'avg', 'max') * 2)}\n{border}"
            f"|      VHDL|        NA|{'             NA|' * 6}\n|   Verilog|{word:>10}|{cells}\n{border}"
        )
        put(self.behaviour, f"{self.solution}/sim/report/{self.project['top']}_cosim.rpt", text)
        self.end()
        if word == "Fail":
            raise small_tcl.TclError("[COSIM 212-4] *** C/RTL co-simulation finished: FAIL ***")
        print("INFO: [COSIM 212-1000] *** C/RTL co-simulation finished: PASS ***")

    def do_export_design(self, words):
        self.work()
        if "-flow" not in words:
            return
        top, part, clock, version = self._asked()
        size = self.project["size"]
        values = {
            "3000": str(2 * size), "1900": str(3 * size), "31\n": f"{size // 20}\n", "63\n": f"{size // 100}\n",
            "5.000": f"{clock:.3f}", "3.100": f"{clock * 0.6:.3f}", "5.100": f"{clock * 0.9:.3f}",
        }  # fmt: skip
        folder = f"{self.solution}/impl/report/verilog"
        if self.older or self.version < "2022.1":
            values |= {"v.2020.1": f"v.{version}", "xcku115-flvb2104-2-e": part, "Timing not met": "Timing met"}
            put(self.behaviour, f"{folder}/{self.project['top']}_export.rpt", fill(vendor_texts.EXPORT, values))
        else:
            values |= {"2024.2 (": f"{version} (", "xcvu13p-flga2577-2-e": part, "was NOT met": "was met"}
            values |= {"tagger": top}
            put(self.behaviour, f"{folder}/export_impl.rpt", fill(vendor_texts.IMPLEMENTED, values))
        self.end()


class _Vivado(_Tool):
    """Vivado without a project on disk. A checkpoint holds what is known of the design."""

    STATES = {"synth": "Synthesized", "place": "Fully Placed", "route": "Routed"}

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.sources, self.memories, self.clock, self.design = [], [], None, {}

    def do_create_project(self, words): ...

    def do_add_files(self, words):
        for path in words[-1].split():
            (self.sources if path.endswith((".v", ".sv", ".vhd")) else self.memories).append(self._there(path))

    def do_read_verilog(self, words):
        self.sources.append(self._there(words[-1]))

    do_read_vhdl = do_read_verilog

    def do_read_mem(self, words):
        self.memories.append(self._there(words[-1]))

    @staticmethod
    def _there(path):
        if not os.path.exists(path):
            raise small_tcl.TclError(f"[Common 17-55] '{path}' does not exist")
        return path

    def do_read_xdc(self, words):
        self.tcl.source(self._there(words[-1]))

    def do_create_clock(self, words):
        self.clock = float(_option(words, "-period"))

    def do_get_ports(self, words):
        return words[0]

    def do_synth_design(self, words):
        print(f"Command: synth_design -top {_option(words, '-top')} -part {_option(words, '-part')}")
        self.work()
        top = _option(words, "-top")
        if not any(re.search(rf"(?im)^\s*(module|entity)\s+{top}\b", self._text(path)) for path in self.sources):
            raise small_tcl.TclError(f"[Synth 8-439] module '{top}' not found")
        if self.clock is None:
            print("WARNING: [Timing 38-313] There are no user specified timing constraints.")
        missing = [name for path in self.sources for name in self._memories_missing(path)]
        for name in missing:
            print(
                f"CRITICAL WARNING: [Synth 8-4445] could not open $readmem data file '{name}'; please make sure the "
                "file is added to project and has read permission, ignoring [a.v:2]"
            )
        rows = {
            os.path.splitext(os.path.basename(path))[0]: size_of([path]) for path in self.sources if not missing
        } or {top: 100}
        self.design = {
            "top": top, "part": _option(words, "-part"), "clock": self.clock, "rows": rows, "state": "synth",
        }  # fmt: skip
        print("synth_design completed successfully")

    @staticmethod
    def _text(path):
        with open(path, encoding="utf-8", errors="replace") as stream:
            return stream.read()

    def _memories_missing(self, path):
        known = {os.path.basename(name) for name in self.memories}
        for name in re.findall(r'\$readmem[hb]\("([^"]+)"', self._text(path)):
            if os.path.basename(name) not in known:
                yield name

    def do_opt_design(self, words): ...

    def do_place_design(self, words):
        self.work()
        self.design["state"] = "place"
        print("place_design completed successfully")

    def do_phys_opt_design(self, words): ...

    def do_route_design(self, words):
        self.design["state"] = "route"
        print("route_design completed successfully")

    def do_write_checkpoint(self, words):
        with open(words[-1], "w") as stream:
            json.dump(self.design, stream)
        self.end()

    def do_open_checkpoint(self, words):
        with open(self._there(words[0])) as stream:
            self.design = json.load(stream)

    def do_get_timing_paths(self, words):
        return "path"

    def do_get_property(self, words):
        return "0.125"

    def do_report_drc(self, words):
        put(self.behaviour, _option(words, "-file"), "Report DRC\n")

    # reports

    def _asked(self):
        return swapped(
            self.behaviour, self.design["top"], self.design["part"], self.design["clock"] or 1.0, self.version
        )

    def _head(self, hyphens=False):
        """How a head is filled in; Vivado leaves out "xc" and hyphens for the 7 series in some reports."""
        top, part, _, version = self._asked()
        if part.startswith("xc7"):
            part = part.removeprefix("xc")
            name, _, grade = part.rpartition("-")
            part = name if hyphens else f"{name.replace('-', '')}-{grade}"
        return {"v.2022.2": f"v.{version}", "tagger": top, "xcvu13p-flga2577-2-e": part}

    def _figures(self, rows):
        scale = {"synth": 1.0, "place": 0.9, "route": 0.9}[self.design["state"]]
        lut, ff = int(2 * rows * scale), 3 * rows
        return {"lut": lut, "ff": ff, "bram_18k": rows // 50, "dsp": rows // 40}

    def do_report_utilization(self, words):
        path = _option(words, "-file")
        state = {"Fully Placed": self.STATES[self.design["state"]]}
        if "-hierarchical" in words:
            return put(self.behaviour, path, self._hierarchy(state))
        total = self._totals()
        values = {
            "| 3000 |": f"| {total['lut']} |", "| CLB Registers              | 1900": f"| CLB Registers | {total['ff']}",
            "31.5 |": f"{total['bram_18k'] / 2} |", "| URAM              |    2": "| URAM              |    0",
            "|     LUT as Shift Register  |   10": "|     LUT as Shift Register  |    0", "| DSPs           |   31": f"| DSPs | {total['dsp']}",
        }  # fmt: skip
        text = fill(vendor_texts.UTILIZATION, {**self._head(), **values, **state})
        at = text.index("13. SLR")
        rows = f"| ip_core  |    1 |\n{_BORDER}" if self.behaviour == "black_box" else ""
        put(self.behaviour, path, text[:at] + _BLACK_BOXES.format(rows) + text[at:])

    def _totals(self):
        parts = [self._figures(size) for size in self.design["rows"].values()]
        return {name: sum(part[name] for part in parts) for name in parts[0]}

    def _hierarchy(self, state):
        top = self._asked()[0]
        rows = {"tagger": ("(top)", self._totals())}
        for name, size in self.design["rows"].items():
            own = name == self.design["top"]
            rows["  (tagger)" if own else f"  _inst_{name}"] = ("(top)" if own else name, self._figures(size))
        lines = [
            f"| {name} | {module} | {row['lut']} | {row['lut']} | 0 | 0 | {row['ff']} | {row['bram_18k'] // 2} "
            f"| {row['bram_18k'] % 2} | 0 | {row['dsp']} |\n"
            for name, (module, row) in rows.items()
        ]
        text = vendor_texts.HIERARCHY
        head, body = text.split("| tagger      |")
        tail = body[body.index("+---") :]
        lines = [line.replace("tagger", top) for line in lines]
        return fill(head, {**self._head(), **state}) + "".join(lines) + tail

    def do_report_timing_summary(self, words):
        _, _, clock, version = self._asked()
        state = self.design["state"]
        slack = -0.25 if self.behaviour == "slow" else 0.125
        verdict = {"All user specified timing constraints are met": "Timing constraints are not met"}
        nets = {"synth": "unplaced", "place": "estimated", "route": "routed"}[state]
        values = {
            "      0.000        0.000 ": f"     {slack:.3f}        0.000 ", "(fo=2, routed)": f"(fo=2, {nets})",
            "{0.000 2.500}        5.000  ": f"{{0.000 {clock / 2:.3f}}}        {clock:.3f}  ",
            **(verdict if slack < 0 else {}),
        }  # fmt: skip
        text = fill(vendor_texts.TIMING, {**self._head(hyphens=True), **values})
        if version >= "2020":
            text = text.replace("| Device  ", f"| Design State : {self.STATES[state]}\n| Device  ", 1)
        put(self.behaviour, _option(words, "-file"), text)

    def do_report_power(self, words):
        _, _, clock, _ = self._asked()
        dynamic = self._totals()["lut"] / 10000
        values = {
            "| 3.250 ": f"| {dynamic + 2.5:.3f} ", "| 0.750 ": f"| {dynamic:.3f} ",
            "|             5.0 |": f"| {clock:.3f} |", "routed": self.STATES[self.design["state"]].lower(),
        }  # fmt: skip
        put(self.behaviour, _option(words, "-file"), fill(vendor_texts.POWER, {**self._head(), **values}))
