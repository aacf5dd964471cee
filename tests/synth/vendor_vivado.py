"""The stand-in of Vivado: what each command of a script does."""

import json
import os
import re

from synth import small_tcl, vendor_texts
from synth.vendor_standins import size_of, swapped
from synth.vendor_tools import Tool, fill, option, put

_BORDER = "+----------+------+\n"
_BLACK_BOXES = f"9. Black Boxes\n--------------\n\n{_BORDER}| Ref Name | Used |\n{_BORDER}{{}}\n\n"


class Vivado(Tool):
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
        self.clock = float(option(words, "-period"))

    def do_get_ports(self, words):
        return words[0]

    def do_synth_design(self, words):
        print(f"Command: synth_design -top {option(words, '-top')} -part {option(words, '-part')}")
        self.work()
        top = option(words, "-top")
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
            "top": top, "part": option(words, "-part"), "clock": self.clock, "rows": rows, "state": "synth",
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
        put(self.behaviour, option(words, "-file"), "Report DRC\n")

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
        path = option(words, "-file")
        state = {"Fully Placed": self.STATES[self.design["state"]]}
        if "-hierarchical" in words:
            return put(self.behaviour, path, self._hierarchy(state))
        total = self._totals()
        values = {
            "| 3000 |": f"| {total['lut']} |",
            "| CLB Registers              | 1900": f"| CLB Registers | {total['ff']}",
            "31.5 |": f"{total['bram_18k'] / 2} |",
            "| URAM              |    2": "| URAM              |    0",
            "|     LUT as Shift Register  |   10": "|     LUT as Shift Register  |    0",
            "| DSPs           |   31": f"| DSPs | {total['dsp']}",
        }
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
        put(self.behaviour, option(words, "-file"), text)

    def do_report_power(self, words):
        _, _, clock, _ = self._asked()
        dynamic = self._totals()["lut"] / 10000
        values = {
            "| 3.250 ": f"| {dynamic + 2.5:.3f} ", "| 0.750 ": f"| {dynamic:.3f} ",
            "|             5.0 |": f"| {clock:.3f} |", "routed": self.STATES[self.design["state"]].lower(),
        }  # fmt: skip
        put(self.behaviour, option(words, "-file"), fill(vendor_texts.POWER, {**self._head(), **values}))
