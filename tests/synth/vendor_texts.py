"""Small reports in the formats of Vivado HLS, Vitis HLS and Vivado, written for the tests of their parsers."""

import re

XML = """<profile>
<ReportVersion>
<Version>2019.2</Version>
</ReportVersion>
<UserAssignments>
<unit>ns</unit>
<Part>xcku040-ffva1156-2-e</Part>
<TopModelName>tagger</TopModelName>
<TargetClockPeriod>5.00</TargetClockPeriod>
</UserAssignments>
<PerformanceEstimates>
<PipelineType>dataflow</PipelineType>
<SummaryOfTimingAnalysis>
<unit>ns</unit>
<EstimatedClockPeriod>4.125</EstimatedClockPeriod>
</SummaryOfTimingAnalysis>
<SummaryOfOverallLatency>
<Best-caseLatency>14</Best-caseLatency>
<Worst-caseLatency>17</Worst-caseLatency>
<DataflowPipelineThroughput>
<range>
<min>3</min>
<max>4</max>
</range>
</DataflowPipelineThroughput>
<Interval-min>3</Interval-min>
<Interval-max>4</Interval-max>
</SummaryOfOverallLatency>
</PerformanceEstimates>
<AreaEstimates>
<Resources>
<BRAM_18K>7</BRAM_18K>
<DSP48E>31</DSP48E>
<FF>2040</FF>
<LUT>3105</LUT>
<URAM>0</URAM>
</Resources>
<AvailableResources>
<BRAM_18K>1200</BRAM_18K>
<DSP48E>1920</DSP48E>
<FF>484800</FF>
<LUT>242400</LUT>
<URAM>0</URAM>
</AvailableResources>
</AreaEstimates>
</profile>
"""

HLS = """
================================================================
== Vivado HLS Report for 'tagger'
================================================================
* Date:           Mon Jan  6 10:00:00 2020

* Version:        2018.3 (Build 1 on Thu Dec 06 23:56:15 MST 2018)
* Project:        tagger_prj
* Target device:  xc7z020clg400-1

================================================================
== Performance Estimates
================================================================
+ Timing (ns):
    * Summary:
    +--------+-------+----------+------------+
    |  Clock | Target| Estimated| Uncertainty|
    +--------+-------+----------+------------+
    |ap_clk  |   5.00|     5.250|        0.62|
    +--------+-------+----------+------------+

+ Latency (clock cycles):
    * Summary:
    +-----+-----+-----+-----+----------+
    |  Latency  |  Interval | Pipeline |
    | min | max | min | max |   Type   |
    +-----+-----+-----+-----+----------+
    |   14|   17|    3|    4| dataflow |
    +-----+-----+-----+-----+----------+

    + Detail:
        * Instance:
        +-----------+---------+-----+-----+-----+-----+---------+
        |           |         |  Latency  |  Interval | Pipeline|
        |  Instance |  Module | min | max | min | max |   Type  |
        +-----------+---------+-----+-----+-----+-----+---------+
        |dense_1_U0 |dense_1  |    9|    9|    3|    3|   none  |
        +-----------+---------+-----+-----+-----+-----+---------+

================================================================
== Utilization Estimates
================================================================
* Summary:
+-----------------+---------+-------+-------+-------+
|       Name      | BRAM_18K| DSP48E|   FF  |  LUT  |
+-----------------+---------+-------+-------+-------+
|FIFO             |        2|      -|     40|    105|
|Instance         |        5|     31|   2000|   3000|
+-----------------+---------+-------+-------+-------+
|Total            |        7|     31|   2040|   3105|
+-----------------+---------+-------+-------+-------+
|Available        |      280|    220| 106400|  53200|
+-----------------+---------+-------+-------+-------+

+ Detail:
    * Instance:
    +-----------+---------+---------+-------+-----+-----+
    |  Instance |  Module | BRAM_18K| DSP48E|  FF | LUT |
    +-----------+---------+---------+-------+-----+-----+
    |dense_1_U0 |dense_1  |        5|     30| 1500| 2400|
    |relu_2_U0  |relu_2   |        0|      1|  500|  600|
    +-----------+---------+---------+-------+-----+-----+
    |Total      |         |        5|     31| 2000| 3000|
    +-----------+---------+---------+-------+-----+-----+

    * DSP48:
    N/A
"""
LATER = (
    HLS.replace("Vivado HLS", "Vitis HLS")
    .replace("2018.3 (", "2022.1 (")
    .replace("DSP48E", "   DSP")
    .replace("   5.00|     5.250|        0.62|", "5.00 ns|  5.250 ns|     0.62 ns|")
)
LATER = re.sub(
    r"    \+-----\+-----\+-----\+-----\+----------\+\n    \|  Latency  .*?(?=\n\n)",
    """    +-----+-----+----------+----------+-----+-----+----------+
    |   Latency (cycles)  |  Latency (absolute) |  Interval | Pipeline |
    | min | max |    min   |    max   | min | max |   Type   |
    +-----+-----+----------+----------+-----+-----+----------+
    |    ?|    ?|         ?|         ?|    ?|    ?| dataflow |
    +-----+-----+----------+----------+-----+-----+----------+""",
    LATER,
    count=1,
    flags=re.DOTALL,
)

SUMMARY = """
================================================================
== Synthesis Summary Report of 'tagger'
================================================================
+ General Information:
    * Date:           Mon Jan  6 10:00:00 2025
    * Version:        2023.2 (Build 1 on Oct 11 2023)
    * Target device:  xcvu13p-flga2577-2-e

+ Performance & Resource Estimates:

    PS: '+' for module; 'o' for loop; '*' for dataflow
    +-------------------+-------+------+---------+---------+---------+---------+---------+----------+------------+-----+
    |      Modules      | Issue |      | Latency | Latency |         |         |         |          |            |     |
    |      & Loops      |  Type | Slack| (cycles)|   (ns)  | Interval|   BRAM  |   DSP   |    FF    |     LUT    | URAM|
    +-------------------+-------+------+---------+---------+---------+---------+---------+----------+------------+-----+
    |+ tagger*          | Timing| -0.07|       17|   85.000|        4|  7 (~0%)|  31 (1%)| 2040 (2%)| 3105 (504%)|    -|
    | + dense_1         |     II|  0.33|        9|   45.000|        1|        -|  15 (1%)|  750 (1%)|  1200 (90%)|    -|
    | + dense_1         |     II|  0.33|        9|   45.000|        1|        -|  15 (1%)|  750 (1%)|  1200 (90%)|    -|
    |  + dense_latency  |     II|  0.33|        6|   30.000|        1|        -|  15 (1%)|  700 (1%)|  1100 (80%)|    -|
    |   o MultLoop      |      -|  2.45|        5|   25.000|        1|        -|        -|         -|           -|    -|
    | + relu_2          |      -|  0.33|        0|    0.000|        1|        -|  1 (~0%)|  500 (1%)|   600 (30%)|    -|
    +-------------------+-------+------+---------+---------+---------+---------+---------+----------+------------+-----+

================================================================
== HW Interfaces
================================================================
"""

EXPORT = """
Implementation tool: Xilinx Vivado v.2020.1
Project:             tagger_prj
Solution:            solution1
Device target:       xcku115-flvb2104-2-e
Report date:         Mon Jan 06 10:00:00 UTC 2020

#=== Post-Implementation Resource usage ===
CLB:            800
LUT:           3000
FF:            1900
DSP:             31
BRAM:            63
SRL:             12
#=== Final timing ===
CP required:    5.000
CP achieved post-synthesis:    3.100
CP achieved post-implementation:    5.100
Timing not met
"""

IMPLEMENTED = """
================================================================
== Vivado Place & Route Results
================================================================
+ General Information:
    * Version:         2024.2 (Build 1 on Nov 08 2024)
    * Project:         tagger
    * Solution:        hls (Vivado IP Flow Target)
    * Target device:   xcvu13p-flga2577-2-e

================================================================
== Place & Route Resource Summary
================================================================
LUT:              3000
FF:               1900
DSP:              31
BRAM:             63
URAM:             2
SRL:              12


================================================================
== Place & Route Timing Summary
================================================================
* Timing was NOT met
+----------------+-------------+
| Timing         | Period (ns) |
+----------------+-------------+
| Target         | 5.000       |
| Post-Synthesis | 3.100       |
| Post-Route     | 5.100       |
+----------------+-------------+
"""

HEAD = """Copyright 1986-2020 Xilinx, Inc. All Rights Reserved.
----------------------------------------------------------
| Tool Version : Vivado v.2022.2 (lin64) Build 1
| Date         : Mon Jan  6 10:00:00 2025
| Command      : report
| Design       : tagger
| Device       : xcvu13p-flga2577-2-e
| Design State : Fully Placed
----------------------------------------------------------
"""

UTILIZATION = (
    HEAD
    + """
Utilization Design Information

Table of Contents
-----------------
1. CLB Logic
2. BLOCKRAM

1. CLB Logic
------------

+----------------------------+------+-------+------------+-----------+-------+
|          Site Type         | Used | Fixed | Prohibited | Available | Util% |
+----------------------------+------+-------+------------+-----------+-------+
| CLB LUTs*                  | 3000 |     0 |          1 |   1728000 |  0.17 |
|   LUT as Logic             | 2990 |     0 |          1 |   1728000 |  0.17 |
|   LUT as Memory            |   10 |     0 |          1 |    791040 | <0.01 |
|     LUT as Shift Register  |   10 |     0 |            |           |       |
| CLB Registers              | 1900 |     0 |          1 |   3456000 |  0.05 |
|   Register as Flip Flop    | 1900 |     0 |          1 |   3456000 |  0.05 |
| CARRY8                     |   44 |     0 |          1 |    216000 |  0.02 |
+----------------------------+------+-------+------------+-----------+-------+
* Warning! The Final LUT count is typically lower.

2. BLOCKRAM
-----------

+-------------------+------+-------+------------+-----------+-------+
|     Site Type     | Used | Fixed | Prohibited | Available | Util% |
+-------------------+------+-------+------------+-----------+-------+
| Block RAM Tile    | 31.5 |     0 |          0 |      2688 |  1.17 |
|   RAMB36/FIFO*    |   31 |     0 |          0 |      2688 |  1.15 |
|   RAMB18          |    1 |     0 |          0 |      5376 |  0.02 |
| URAM              |    2 |     0 |          0 |      1280 |  0.16 |
+-------------------+------+-------+------------+-----------+-------+

3. ARITHMETIC
-------------

+----------------+------+-------+------------+-----------+-------+
|    Site Type   | Used | Fixed | Prohibited | Available | Util% |
+----------------+------+-------+------------+-----------+-------+
| DSPs           |   31 |     0 |          0 |     12288 |  0.25 |
|   DSP48E2 only |   31 |       |            |           |       |
+----------------+------+-------+------------+-----------+-------+

13. SLR CLB Logic and Dedicated Block Utilization
-------------------------------------------------

+-----------+------+------------+-----------+-------+------+------+
| SLR Index | CLBs | Total LUTs | Registers | BRAMs | URAM | DSPs |
+-----------+------+------------+-----------+-------+------+------+
| SLR0      |    9 |          9 |         9 |     9 |    9 |    9 |
+-----------+------+------------+-----------+-------+------+------+
"""
)
SEVEN = (
    UTILIZATION.replace("CLB LUTs* ", "Slice LUTs*")
    .replace("CLB Registers  ", "Slice Registers")
    .replace(" Prohibited |", "")
    .replace("------------+-----------+-------+", "-----------+-------+")
    .replace("|          1 |", "|")
    .replace("|          0 |", "|")
    .replace("|            |           |       |", "|           |       |")
    .replace("| URAM              |    2 |     0 |      1280 |  0.16 |\n", "")
    .replace("Fully Placed", "Synthesized")
    .replace("xcvu13p-flga2577-2-e", "7z020clg400-1")
)

HIERARCHY = (
    HEAD
    + """
Utilization Design Information

Table of Contents
-----------------
1. Utilization by Hierarchy

1. Utilization by Hierarchy
---------------------------

+-------------+---------+------------+------------+---------+------+------+--------+--------+------+------------+
|   Instance  |  Module | Total LUTs | Logic LUTs | LUTRAMs | SRLs |  FFs | RAMB36 | RAMB18 | URAM | DSP Blocks |
+-------------+---------+------------+------------+---------+------+------+--------+--------+------+------------+
| tagger      |   (top) |       3000 |       2990 |       0 |   10 | 1900 |     31 |      1 |    0 |         31 |
|   (tagger)  |   (top) |        100 |        100 |       0 |    0 |  400 |      0 |      0 |    0 |          0 |
|   dense_1   | dense_1 |       2300 |       2290 |       0 |   10 | 1000 |     31 |      0 |    0 |         30 |
|     mult    |    mult |       2000 |       2000 |       0 |    0 |  900 |      0 |      0 |    0 |         30 |
|   relu_2    |  relu_2 |        600 |        600 |       0 |    0 |  500 |      0 |      1 |    0 |          1 |
+-------------+---------+------------+------------+---------+------+------+--------+--------+------+------------+
"""
)

TIMING = (
    HEAD.replace("| Design State : Fully Placed\n", "")
    + """
Timing Summary Report

------------------------------------------------------------------------------------------------
| Design Timing Summary
| ---------------------
------------------------------------------------------------------------------------------------

    WNS(ns)      TNS(ns)  TNS Failing Endpoints  TNS Total Endpoints      WHS(ns)      THS(ns)  THS Failing Endpoints \
 THS Total Endpoints     WPWS(ns)     TPWS(ns)  TPWS Failing Endpoints  TPWS Total Endpoints
    -------      -------  ---------------------  -------------------      -------      -------  --------------------- \
 -------------------     --------     --------  ----------------------  --------------------
      0.000        0.000                      0                 1000        0.033        0.000                      0 \
                1000        2.100        0.000                       0                  400


All user specified timing constraints are met.

------------------------------------------------------------------------------------------------
| Clock Summary
| -------------
------------------------------------------------------------------------------------------------

Clock   Waveform(ns)         Period(ns)      Frequency(MHz)
-----   ------------         ----------      --------------
ap_clk  {0.000 2.500}        5.000           200.000


Slack (MET) :             0.000ns  (required time - arrival time)
                         net (fo=2, routed)           0.206     0.399    tagger/p[0]
"""
)

POWER = (
    HEAD.replace("Fully Placed", "routed")
    + """
Power Report

1. Summary
----------

+--------------------------+--------------+
| Total On-Chip Power (W)  | 3.250        |
| Design Power Budget (W)  | Unspecified* |
| Dynamic (W)              | 0.750        |
| Device Static (W)        | 2.500        |
| Junction Temperature (C) | 27.1         |
| Confidence Level         | Medium       |
+--------------------------+--------------+

2.2 Clock Constraints
---------------------

+--------+--------+-----------------+
| Clock  | Domain | Constraint (ns) |
+--------+--------+-----------------+
| ap_clk | ap_clk |             5.0 |
+--------+--------+-----------------+
"""
)

TEXTS = {
    "csynth.xml": XML,
    "csynth.rpt": HLS,
    "csynth.rpt of Vitis HLS": LATER,
    "summary": SUMMARY,
    "hls export": EXPORT,
    "hls export of later versions": IMPLEMENTED,
    "vivado utilization": UTILIZATION,
    "7 series": SEVEN,
    "by hierarchy": HIERARCHY,
    "vivado timing": TIMING,
    "vivado power": POWER,
}
