"""The stand-ins of Vitis HLS and Vivado HLS: what each command of a script does."""

import json
import os
import re

from synth import small_tcl, vendor_texts
from synth.vendor_standins import cycles_of, size_of, swapped
from synth.vendor_tools import Tool, fill, option, put

_COLUMNS = ("BRAM_18K", "DSP48E", "FF", "LUT")


class Hls(Tool):
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
        self.project["clock"] = float(option(words, "-period"))
        print(f"INFO: [SYN 201-201] Setting up clock 'default' with a period of {option(words, '-period')}ns.")

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

    def _layers(self, figures):
        """Name -> figures of what the top module instantiates: a function for each configuration of the project."""
        path = "firmware/parameters.h"
        text = ""
        if os.path.exists(path):
            with open(path, encoding="utf-8", errors="replace") as stream:
                text = stream.read()
        numbers = re.findall(r"^struct (?:\w+_)?config(\d+)\b", text, re.MULTILINE)
        names = [f"layer_ap_fixed_config{number}_s" for number in dict.fromkeys(numbers)] or ["dense_1", "relu_2"]
        return {name: {key: count // (len(names) + 1) for key, count in figures.items()} for name in names}

    def _module(self, figures, cycles, slow):
        top, part, clock, version = self._asked()
        layers = self._layers(figures)
        total = {key: sum(row[key] for row in layers.values()) for key in figures}
        rows = {f"{name}_U0 |{name} ": row for name, row in layers.items()} | {"Total      |         ": total}
        texts = [f"    |{name}|{'|'.join(str(row[key]) for key in _COLUMNS)}|\n" for name, row in rows.items()]
        text = fill(
            vendor_texts.HLS,
            {
                "'tagger'": f"'{top}'", "2018.3 (": f"{version} (", "xc7z020clg400-1": part,
                "|   5.00|     5.250|": f"|{clock:7.2f}|{slow:10.3f}|",
                "|   14|   17|    3|    4| dataflow |": f"|{cycles:5}|{cycles:5}|    1|    1| dataflow |",
                "|Total            |        7|     31|   2040|   3105|":
                    f"|Total            |{'|'.join(str(figures[key]) for key in _COLUMNS)}|",
            },
        )  # fmt: skip
        start, end = text.index("    |dense_1_U0 |dense_1  |        5|"), text.index("    * DSP48:")
        border = "    +-----------+---------+---------+-------+-----+-----+\n"
        return text[:start] + "".join(texts[:-1]) + border + texts[-1] + border + "\n" + text[end:]

    def _summary(self, figures, cycles):
        top, part, _, version = self._asked()
        lines = "".join(
            f"    |{mark} {name} | -| 0.10| {took}| 1e+2| 1| {row['BRAM_18K']} (~0%)| {row['DSP48E']} (1%)"
            f"| {row['FF']} (2%)| {row['LUT']} (5%)| -|\n"
            for mark, name, took, row in (
                ("+", f"{top}*", cycles, figures),
                *((" +", name, 1, row) for name, row in self._layers(figures).items()),
            )
        )
        head, body = vendor_texts.SUMMARY.split("    |+ tagger*")
        return (
            fill(head, {"'tagger'": f"'{top}'", "2023.2 (": f"{version} (", "xcvu13p-flga2577-2-e": part})
            + lines + body[body.index("    +--") :]
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
