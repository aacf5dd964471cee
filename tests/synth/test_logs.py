"""Logs: how far a run came, how it ended, what ended it, and whether a licence was refused."""

import pytest
from synth.run_texts import (
    LOGS,
    VITIS_LOG,
    VITIS_RUN_LOG,
    VIVADO_HLS_LOG,
    VIVADO_LOG,
    VIVADO_LOG_WITH_REPORT,
)

from flow.synth import vendor
from flow.synth.parse import find, reports
from flow.synth.report import Report, Stage, Status
from flow.synth.vendor.logs import licence_refused, log_failure

_END = "INFO: [HLS 200-112] Total CPU"
_SYNTHESISED = "INFO: [VLOG 209-307]"


def parse(text: str) -> Report:
    return vendor.parse(text, "log")


def failed(words: str, at: str = _SYNTHESISED, text: str = VITIS_LOG) -> str:
    """A run that ends with these words in place of what came from `at` on, but for the tool's last ones."""
    begin, end = text.index(at), text.index(_END) if _END in text else text.index("INFO: [Common 17-206]")
    return text[:begin] + words + text[end:]


@pytest.mark.parametrize(
    "text, tool, version, stage",
    [
        (VITIS_LOG, "vitis_hls", "2022.2", Stage.CSYNTH),
        (VIVADO_HLS_LOG, "vivado_hls", "2019.2", Stage.CSYNTH),
        (VITIS_RUN_LOG, "vitis_hls", "2025.1", Stage.CSYNTH),
        (VIVADO_LOG, "vivado", "2020.1", Stage.ROUTE),
        (VIVADO_LOG_WITH_REPORT, "vivado", "2020.1", Stage.ROUTE),
    ],
)
def test_a_run_that_came_to_its_end(text, tool, version, stage):
    report = parse(text)
    assert (report.kind, report.tool, report.tool_version) == ("log", tool, version)
    assert (report.stage, report.status) == (stage, Status.OK)
    assert report.part == "xcvu13p-flga2577-2-e" and report.lut is None
    assert report.clock_target_ns == (None if tool == "vivado" else 5.0)
    assert report.design == (None if tool == "vivado_hls" else "tagger")
    assert log_failure(text) is None and licence_refused(text) is None


def test_an_error_that_the_run_went_on_from_is_a_message():
    assert parse(VITIS_LOG).messages == (
        "line 13: ERROR: [HLS 200-642] The 'config_array_partition -maximum_size' command is not supported.",
    )
    other = VITIS_LOG.replace(
        "[HLS 200-642] The 'config_array_partition -maximum_size' command is not supported.", "why"
    )
    assert parse(other).status is Status.OK  # whatever it says: the synthesis came to its end


@pytest.mark.parametrize("name", LOGS)
def test_a_log_that_stops_is_incomplete(name):
    text = LOGS[name]
    report = parse(text[: text.rindex("INFO: [Common 17-206]")])
    assert report.status is Status.INCOMPLETE and report.messages[-1] == "the log stops before the run's end"


def test_the_end_of_a_tool_that_was_called_is_not_the_end():
    text = VITIS_LOG.replace("Exiting vitis_hls at", "Exiting Vivado at")
    assert parse(text).status is Status.INCOMPLETE


def test_a_later_step_counts():
    text = VITIS_LOG.replace(_END, "INFO: [HLS 200-1510] Running: cosim_design\n" + _END)
    report = parse(text)
    assert report.stage is Stage.COSIM and report.status is Status.INCOMPLETE
    assert report.messages[-1] == "cosim has no good end"
    passed = text.replace(_END, "INFO: [COSIM 212-1000] *** C/RTL co-simulation finished: PASS ***\n" + _END)
    assert parse(passed).stage is Stage.COSIM and parse(passed).status is Status.OK


def test_a_run_without_a_step():
    start, end = VITIS_LOG.index("INFO: [HLS 200-1510] Running: csynth"), VITIS_LOG.index(_END)
    report = parse(VITIS_LOG[:start] + VITIS_LOG[end:])
    assert report.stage is None and report.status is Status.OK and report.messages[-1] == "no step was run"
    assert Report.from_json(report.to_json()) == report


def test_the_settings_of_the_last_step_count():
    text = VITIS_LOG.replace(
        "INFO: [HLS 200-1510] Running: csynth_design",
        "INFO: [HLS 200-1510] Running: set_part xcku115-flvb2104-2-e \n"
        "INFO: [HLS 200-1510] Running: create_clock -period 4 -name default \n"
        "INFO: [HLS 200-1510] Running: csynth_design",
    )
    assert (parse(text).part, parse(text).clock_target_ns) == ("xcku115-flvb2104-2-e", 4.0)


def test_a_frequency_is_no_period():
    given = VITIS_LOG.replace("-period 5 -name", "-period 200MHz -name")
    assert parse(given).clock_target_ns == 5.0  # as the tool says behind it
    said = "INFO: [SYN 201-201] Setting up clock 'default' with a period of 5ns.\n"
    assert parse(given.replace(said, "")).clock_target_ns is None
    again = said + "INFO: [HLS 200-1510] Running: create_clock -period 250MHz\n"
    assert parse(VITIS_LOG.replace(said, again)).clock_target_ns is None


@pytest.mark.parametrize(
    "words, said",
    [
        ("ERROR: [HLS 200-70] Pre-synthesis failed.\n", "ERROR: [HLS 200-70] Pre-synthesis failed."),
        (
            "ERROR: [HLS 207-3776] use of undeclared identifier 'x'\nERROR: [HLS 200-1715] Encountered problem\n",
            "ERROR: [HLS 207-3776] use of undeclared identifier 'x'",
        ),
        ('ERROR: [HLS 200-101] bad\n    while executing\n"csynth_design"\n', "ERROR: [HLS 200-101] bad"),
        ('invalid command name "frob"\n    while executing\n"frob"\n', 'invalid command name "frob"'),
        ("Abnormal program termination (11)\nPlease check 'hs_err.log'\n", "Abnormal program termination (11)"),
        ("Segmentation fault (core dumped)\n", "Segmentation fault (core dumped)"),
        ("terminate called after throwing an instance of 'std::bad_alloc'\n", "terminate called after throwing"),
        ("ERROR: [HLS 200-101] 'config_op': Unknown option '-x'.\n    while executing\n\"config_op -x\"\n", "ERROR: "),
        ("ERROR: [HLS 200-101] 'config_op': Unknown option '-x'.\n", "ERROR: [HLS 200-101]"),
        ("ERROR: the script's own words\n", "ERROR: the script's own words"),
    ],
)
@pytest.mark.parametrize("at", [_SYNTHESISED, "INFO: [HLS 200-10] Starting code"])
def test_what_ended_a_run(words, said, at):
    text = failed(words, at)
    line, found = log_failure(text)
    assert found.startswith(said) and text.split("\n")[line - 1].strip() == found
    report = parse(text)
    assert report.status is Status.FAILED and report.stage is Stage.CSYNTH
    assert f"line {line}: {found}" in report.messages


def test_an_error_of_the_settings_alone_is_a_failure_where_nothing_followed():
    text = failed("", "INFO: [HLS 200-1510] Running: set_part")
    assert log_failure(text)[1].startswith("ERROR: [HLS 200-642]")


def test_what_ended_vivado():
    words = (
        "ERROR: [Place 30-640] Place Check : This design requires more LUTs than are available.\n"
        "ERROR: [Common 17-39] 'place_design' failed due to earlier errors.\n\n"
        '    while executing\n"place_design"\n'
    )
    report = parse(failed(words, "INFO: [Place 30-611]", VIVADO_LOG))
    assert report.stage is Stage.PLACE and report.status is Status.FAILED
    assert log_failure(failed(words, "INFO: [Place 30-611]", VIVADO_LOG))[1].startswith("ERROR: [Place 30-640]")


@pytest.mark.parametrize(
    "words, said",
    [
        (
            "[ 50%] Building CXX\nmain.cpp:3:10: error: unknown type name 'x'\nmake: *** [all] Error 2\n",
            "main.cpp:3:10",
        ),
        ("CMake Error at CMakeLists.txt:3 (find_package):\n", "CMake Error at"),
        ("icpx: error: fpga compiler command failed with exit code 1\n", "icpx: error"),
        ("Info: begun\nError (170011): Design contains 5 blocks of type DSP.\n", "Error (170011)"),
        ("all went well\nwarning: an error: is a word\n", None),
        ("", None),
    ],
)
def test_what_ended_other_tools(words, said):
    found = log_failure(words)
    assert (found is None) if said is None else found[1].startswith(said)


@pytest.mark.parametrize(
    "words",
    [
        "ERROR: [Common 17-345] A valid license was not found for feature 'Synthesis' and/or device 'xcvu13p'.",
        "WARNING: [Common 17-348] Failed to get the license for feature 'Synthesis' and/or device 'xcvu13p'",
        "@E [HLS-72] Failed to get license: HLS",
        "ERROR: [HLS 200-1722] Vitis HLS: license check out failed",
        "FlexNet Licensing error:-4,132. System Error: 11",
        "Licensed number of users already reached. (-4,132)",
        "Error (292000): FLEXlm software error: Cannot connect to license server system.",
        "ERROR: no valid licence is left",
    ],
)
def test_a_licence_that_was_refused(words):
    assert (
        licence_refused(VIVADO_LOG.replace("INFO: [Common 17-349] Got", f"{words}\n#").split("synth_design comp")[0])
        == 11
    )
    assert licence_refused(f"a\n{words}\n") == 2


@pytest.mark.parametrize(
    "words",
    [
        "INFO: [Common 17-1223] The version limit for your license is '2026.01' and will expire in 30 days.",
        "Attempting to get a license for feature 'Implementation' and/or device 'xcvu13p'",
        "Slack -4,132 ns",
        "INFO: [Common 17-86] Your Synthesis license expires in 12 day(s)",
        "ERROR: [Place 30-640] This design requires more LUTs than are available.",
    ],
)
def test_other_words_of_licences_are_no_refusal(words):
    assert licence_refused(f"a\n{words}\n") is None


def test_a_licence_that_was_got_at_the_second_try():
    refused = "WARNING: [Common 17-348] Failed to get the license for feature 'Synthesis'\n"
    assert licence_refused(refused + "INFO: [Common 17-349] Got license for feature 'Synthesis'\n") is None
    assert licence_refused("INFO: Got license for feature 'Synthesis'\n" + refused) == 2


def test_a_line_of_any_length_takes_no_time_to_speak_of():
    """It would be hours were each word held against the rest of its line."""
    text = "FLEXlm " * 500_000 + "\nERROR: " + "licence " * 500_000
    assert licence_refused(text) is None and log_failure(text)[0] == 2


def test_logs_are_listed_and_are_no_reports_of_figures(tmp_path):
    (tmp_path / "vitis_hls.log").write_text(VITIS_LOG)
    (tmp_path / "log.txt").write_text(VITIS_LOG)
    (tmp_path / "other.log").write_text("hello\n")
    assert find(tmp_path) == []
    assert [report.kind for report in reports(tmp_path)] == ["log", "log"]
