"""Instances of reports are put to the layers that they are of."""

from pathlib import Path

from flow.metrics import Implementation
from flow.synth.layers import attributed
from flow.synth.report import Report, Stage
from flow.synth.subject import Subject

PARAMETERS = """// input_offset
struct config2 : nnet::batchnorm_config {
};

// fc0
struct config4 : nnet::dense_config {
};

// fc0_relu
struct relu_config5 : nnet::activ_config {
};

// my_relu
struct relu_config15 : nnet::activ_config {
};
"""


def report(rows):
    return Report("x", "vitis_hls", "2023.2", "csynth.xml", Stage.CSYNTH, "part", by_layer=rows)


def test_hls_instances_by_the_number_of_their_configuration(tmp_path: Path):
    (tmp_path / "firmware").mkdir()
    (tmp_path / "firmware" / "parameters.h").write_text(PARAMETERS)
    read = Subject(tmp_path, "x", Implementation.HLS4ML, "top", "part", 5.0, ("firmware/parameters.h",))
    rows = {
        "normalize_ap_fixed_config2_s": {"lut": 1},
        "grp_dense_latency_ap_fixed_8_2_5_3_0_config4_s_fu_95": {"lut": 10},
        "grp_relu_relu_config5_s_fu_101": {"lut": 100},
        "relu_relu_config15_s": {"lut": 1000},
        "dense_config9_s": {"lut": 5},
        "shared": {"lut": 7},
    }
    assert attributed(report(rows), read).by_layer == {
        "input": {"lut": 1},
        "fc0": {"lut": 110},
        "my_relu": {"lut": 1000},
        "dense_config9_s": {"lut": 5},
        "shared": {"lut": 7},
    }


def test_verilog_instances_by_the_modules_of_the_block(tmp_path: Path):
    details = {"blocks": {"fc0": {"modules": ["fc0_s1", "fc0_s2"]}, "logits": {"modules": ["logits_s2"]}}}
    read = Subject(tmp_path, "x", Implementation.RTL, "top", "part", 5.0, (), details)
    rows = {"_inst_fc0_s1": {"lut": 3}, "_inst_fc0_s2": {"lut": 4}, "_inst_logits_s2": {"lut": 5}, "mux": {"lut": 1}}
    assert attributed(report(rows), read).by_layer == {"fc0": {"lut": 7}, "logits": {"lut": 5}, "mux": {"lut": 1}}
    named = {"fc0": {"lut": 3}, "shared": {"lut": 1}}
    assert attributed(report(named), read).by_layer == named
