"""Small co-simulation reports, logs and reports of oneAPI, written for the tests of their parsers."""

import json

from synth.vendor_texts import TEXTS, UTILIZATION

_RULE = "+----------+----------+-----------------------------+-----------------------------+\n"
COSIM = (
    """Report time       : Mon Jan  6 10:00:00 2020.
Solution          : solution1.
Simulation tool   : xsim.

"""
    + _RULE
    + """|          |          |           Latency           |           Interval          |
+   RTL    +  Status  +-----------------------------+-----------------------------+
|          |          |   min   |   avg   |   max   |   min   |   avg   |   max   |
"""
    + _RULE
    + """|      VHDL|        NA|       NA|       NA|       NA|       NA|       NA|       NA|
|   Verilog|      Pass|       14|       15|       17|        3|        3|        4|
"""
    + _RULE
)
_WIDE = "+----------+----------+-----------------------------+-----------------------------+----------------------+\n"
COSIM_LATER = (
    """
================================================================
== Vitis HLS co-simulation of 'tagger'
================================================================
Simulation tool   : xsim.

"""
    + _WIDE
    + """|          |          |    Latency(Clock Cycles)    |   Interval(Clock Cycles)    | Total Execution Time |
+   RTL    +  Status  +-----------------------------+-----------------------------+    (Clock Cycles)    +
|          |          |   min   |   avg   |   max   |   min   |   avg   |   max   |                      |
"""
    + _WIDE
    + """|      VHDL|        NA|       NA|       NA|       NA|       NA|       NA|       NA|                    NA|
|   Verilog|      Pass|       14|       15|       17|        3|        3|        4|                   997|
"""
    + _WIDE
)

VITIS_LOG = """
****** Vitis HLS - High-Level Synthesis from C, C++ and OpenCL v2022.2 (64-bit)
  **** SW Build 1 on Oct 13 2022
    ** Copyright 1986-2022 Xilinx, Inc. All Rights Reserved.

source /opt/Vitis_HLS/2022.2/scripts/vitis_hls/hls.tcl -notrace
INFO: [HLS 200-10] Running '/opt/Vitis_HLS/2022.2/bin/unwrapped/lnx64.o/vitis_hls'
Sourcing Tcl script 'tcl/csynth.tcl'
INFO: [HLS 200-1510] Running: open_project -reset tagger_prj
INFO: [HLS 200-1510] Running: set_top tagger
INFO: [HLS 200-1510] Running: open_solution -reset solution1
INFO: [HLS 200-1510] Running: config_array_partition -maximum_size 4096
ERROR: [HLS 200-642] The 'config_array_partition -maximum_size' command is not supported.
INFO: [HLS 200-1510] Running: set_part xcvu13p-flga2577-2-e
INFO: [HLS 200-1611] Setting target device to 'xcvu13p-flga2577-2-e'
INFO: [HLS 200-1510] Running: create_clock -period 5 -name default
INFO: [SYN 201-201] Setting up clock 'default' with a period of 5ns.
INFO: [HLS 200-1510] Running: csynth_design
INFO: [HLS 200-10] Analyzing design file 'firmware/tagger.cpp' ...
INFO: [HLS 200-10] Starting code transformations ...
INFO: [VLOG 209-307] Generating Verilog RTL for tagger.
INFO: [HLS 200-111] Finished Command csynth_design CPU user time: 18.2 seconds. Elapsed time: 18.5 seconds.
INFO: [HLS 200-112] Total CPU user time: 18.4 seconds. Total elapsed time: 18.9 seconds; peak allocated memory: 1 GB.
INFO: [Common 17-206] Exiting vitis_hls at Mon Jan  6 10:00:19 2025...
"""
VIVADO_HLS_LOG = (
    VITIS_LOG.replace(
        "Vitis HLS - High-Level Synthesis from C, C++ and OpenCL v2022.2",
        "Vivado(TM) HLS - High-Level Synthesis from C, C++ and SystemC v2019.2",
    )
    .replace("vitis_hls at", "vivado_hls at")
    .replace("HLS 200-1611", "HLS 200-10")
)
VIVADO_HLS_LOG = "".join(line for line in VIVADO_HLS_LOG.splitlines(True) if "Running: " not in line)
VITIS_RUN_LOG = VITIS_LOG.replace(
    "Vitis HLS - High-Level Synthesis from C, C++ and OpenCL v2022.2", "vitis-run v2025.1"
).replace("Exiting vitis_hls", "Exiting vitis-run")

VIVADO_LOG = """#-----------------------------------------------------------
# Vivado v2020.1 (64-bit)
# SW Build 1 on Wed May 27 19:54:49 MDT 2020
# Start of session at: Mon Jan  6 10:00:00 2020
# Command line: vivado -mode batch -source build_vivado.tcl
#-----------------------------------------------------------
source build_vivado.tcl
Command: synth_design -top tagger -part xcvu13p-flga2577-2-e -mode out_of_context
Starting synth_design
Attempting to get a license for feature 'Synthesis' and/or device 'xcvu13p'
INFO: [Common 17-349] Got license for feature 'Synthesis' and/or device 'xcvu13p'
INFO: [Device 21-403] Loading part xcvu13p-flga2577-2-e
synth_design completed successfully
Command: opt_design
opt_design completed successfully
Command: place_design
INFO: [Place 30-611] Multithreading enabled for place_design using a maximum of 2 CPUs
place_design completed successfully
Command: route_design
INFO: [Route 35-16] Router Completed Successfully
route_design completed successfully
INFO: [Common 17-206] Exiting Vivado at Mon Jan  6 10:10:00 2020...
"""
# What the tool prints of its reports stays part of the log.
VIVADO_LOG_WITH_REPORT = VIVADO_LOG.replace("Command: opt_design\n", UTILIZATION + "Command: opt_design\n")

_ROWS = [
    {"name": "Kernel Summary", "summary_type": "performanceSummary", "columns": ["Kernel Name", "Kernel Type"]},
    {"name": "dense", "parent": "performanceSummary", "data": ["Single work-item", "No"]},
    {
        "name": "Estimated Resource Usage",
        "summary_type": "estimatedResources",
        "dsp_packing_factor": 2,
        "columns": ["Kernel Name", "ALUTs ", "FFs  ", "RAMs ", "DSPs ", "MLABs", "Frac. DSPs"],
    },
    {"name": "dense", "parent": "estimatedResources", "data": [1000, 800, 5, 1, 3, 20]},
    {"name": "dense", "parent": "estimatedResources", "data": [1500, 700, 2, 0, 4, 10]},
    {"name": "Kernel Subtotal", "parent": "estimatedResources", "classes": ["high"], "data": [2500, 1500, 7, 1, 7, 30]},
    {"name": "Pipe resources", "parent": "estimatedResources", "classes": ["high"], "data": [500, 40, 0, 0, 0, 0]},
    {"name": "Total", "parent": "estimatedResources", "classes": ["high"], "data": [3000, 1540, 7, 1, 7, 30]},
    {"name": "Available", "parent": "estimatedResources", "classes": ["high"], "data": ["974400", "1", "1", "1", "1"]},
    {"name": "Compile Warnings", "summary_type": "compileWarnings"},
]


def ndjson(rows: list[dict]) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


ONEAPI_SUMMARY = ndjson(_ROWS)
ONEAPI_LOOPS = ndjson(
    [
        {"name": "loop_attributes", "id": 9, "nodes": [1, 2]},
        {"name": "dense", "id": 1, "fmax": "480.00", "type": "kernel", "children": [3]},
        {"name": "dense.B1", "id": 3, "af": "480.00", "ii": "2", "lt": "176.000000", "mi": "n/a", "type": "loop"},
        {"name": "Tagger", "id": 2, "fmax": "400.00", "type": "kernel", "children": [4]},
        {"name": "Tagger.B0", "id": 4, "af": "400.00", "ii": "1", "lt": "17.000000", "mi": "n/a", "type": "bb"},
    ]
)
ONEAPI_QUARTUS = json.dumps(
    {
        "quartusFitClockSummary": {
            "nodes": [{"name": "Clock", "type": "system", "id": 1, "clock": "400.00", "clock fmax": "412.50"}]
        },
        "quartusFitResourceUsageSummary": {
            "nodes": [
                {"type": "system", "name": "Image", "alm": "901.5", "alut": "1802", "reg": "900", "dsp": "5",
                 "ram": "12", "mlab": "4"},
                {"type": "kernel", "name": "Tagger", "alm": "900.5", "alut": "1801", "reg": "900", "dsp": "4",
                 "ram": "11", "mlab": "3"},
            ]
        },
    }
)  # fmt: skip
ACL_QUARTUS = """ALUTs: 1801
Registers: 12,900
Logic utilization: 1,900 / 487,200 ( < 1 % )
I/O pins: 0 / 800 ( 0 % )
DSP blocks: 4 / 4,510 ( < 1 % )
Memory bits: 100,000 / 145,612,800 ( < 1 % )
RAM blocks: 11 / 7,110 ( < 1 % )
Actual clock freq: 400.0
Kernel fmax: 412.5
1x clock fmax: 412.5
2x clock fmax: Unlimited
Highest non-global fanout: 900
"""

LOGS = {
    "log of Vitis HLS": VITIS_LOG,
    "log of Vivado HLS": VIVADO_HLS_LOG,
    "log of vitis-run": VITIS_RUN_LOG,
    "log of Vivado": VIVADO_LOG,
    "log of Vivado with a report": VIVADO_LOG_WITH_REPORT,
}
ALL = {
    **TEXTS,
    "cosim": COSIM,
    "cosim of later versions": COSIM_LATER,
    "oneAPI summary": ONEAPI_SUMMARY,
    "oneAPI loops": ONEAPI_LOOPS,
    "oneAPI quartus": ONEAPI_QUARTUS,
    "acl_quartus_report.txt": ACL_QUARTUS,
    **LOGS,
}
