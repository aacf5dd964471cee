"""Tables of records: what can be used is read, the rest is named by file and line."""

import os
from pathlib import Path

import pytest

from flow.cost import hls, records
from flow.errors import BadInput

USUAL = {
    "arch": "16-64-5", "weight_bits": "8", "weight_int": "1", "data_bits": "16", "data_int": "6", "reuse_factor": "32",
    "strategy": "resource", "io_type": "io_parallel", "tool": "Vivado HLS", "tool_version": "2020.1",
    "part": "xcu250-figd2104-2L-e", "target_clk_ns": "5",
}  # fmt: skip
SEEN = {"csynth_LUT": "100", "csynth_BRAM18": "7", "vsynth_LUT": "50", "vsynth_BRAM36": "2.5", "lat_min": "9",
        "lat_max": "11", "ii_max": "3", "vsynth_stage": "synth (inferred)"}  # fmt: skip


def table(tmp_path: Path, *rows: dict, header=None) -> Path:
    names = header or list(dict.fromkeys(name for row in rows for name in row))
    lines = [",".join(names), *(",".join(f'"{row.get(name, "")}"' for name in names) for row in rows)]
    path = tmp_path / "records.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


def one(tmp_path: Path, **changes: str) -> records.Row:
    rows, problems = records.read(table(tmp_path, USUAL | changes))
    assert problems == []
    return rows[0]


def test_a_row_is_a_network(tmp_path):
    network = one(tmp_path, hls4ml_version="0.8.1", n_zeros="134").network
    first, last = network.layers
    assert (first.kind, first.n_in, first.n_out, first.activation) == (hls.Kind.DENSE, 16, 64, "relu")
    assert (last.n_in, last.n_out, last.activation) == (64, 5, None)
    assert (first.weight_bits, first.weight_int, first.data_bits, first.data_int) == (8, 1, 16, 6)
    assert (first.reuse_factor, first.strategy, first.zeros) == (32, hls.Strategy.RESOURCE, 134 / (16 * 64 + 64 * 5))
    assert (network.io_type, network.tool, network.tool_version) == (hls.IoType.PARALLEL, hls.Tool.VIVADO_HLS, "2020.1")
    assert (network.part, network.clock_ns, network.hls4ml_version) == ("xcu250-figd2104-2L-e", 5.0, "0.8.1")


def test_empty_fields_are_unknown(tmp_path):
    network = one(tmp_path, **dict.fromkeys(list(USUAL)[1:], "")).network
    assert set(network.layers[0].to_json()) == {"kind", "n_in", "n_out", "name", "activation"}
    assert (network.io_type, network.tool, network.tool_version, network.part, network.clock_ns) == (None,) * 5


def test_what_was_reported(tmp_path):
    row = one(tmp_path, **SEEN)
    assert row.observed["csynth"]["lut"] == 100
    assert row.observed["csynth"]["ff"] is None
    assert row.observed["synth"] | {"ff": 0} == {
        "lut": 50, "ff": 0, "dsp": None, "bram_18k": 5, "uram": None, "latency_cycles": 11, "interval_cycles": 3,
    }  # fmt: skip
    assert row.finished
    assert row.suspect is None


def test_memories_in_blocks_of_18_kbit_stay_so(tmp_path):
    row = one(tmp_path, **SEEN, notes="vsynth BRAM figure is in 18K units")
    assert row.observed["synth"]["bram_18k"] == 2.5


@pytest.mark.parametrize(
    ("text", "stage"), [("", "synth"), ("synth(export)", "synth"), ("routed", "route"), ("impl", "route")]
)
def test_the_stage_of_vivados_figures(tmp_path, text, stage):
    assert stage in one(tmp_path, **SEEN | {"vsynth_stage": text}).observed


def test_notes_mark_failures_and_suspects(tmp_path):
    assert not one(tmp_path, notes="synth_failed").finished
    for notes in ("Vivado optimised away the design", "design optimized away", "Vivado optimised the design away"):
        assert "optimised" in one(tmp_path, notes=notes).suspect
    assert "suspect" in one(tmp_path, notes="suspect: half of it is missing").suspect


def test_vitis_is_known_by_its_first_word(tmp_path):
    assert one(tmp_path, tool="Vitis HLS + Vivado").network.tool is hls.Tool.VITIS_HLS


def test_a_network_that_is_named_instead_of_described(tmp_path):
    row = one(tmp_path, arch="", notes="layer sizes: model KERAS_digit_recognizer_mlp")
    assert [layer.n_in for layer in row.network.layers] == [784, 16]


NONSENSE = {
    "arch": ["", "a-b", "16", "16-", "-16-5", "16--5", "0-5", "16-0", "1e3-5", "99999999-5", "1000000-1000000", "١٦-٥"],
    "weight_bits": ["-8", "0", "8.5", "nan", "inf", "1e300", "eight", "65"],
    "weight_int": ["x", "1000", "1.5"],
    "data_bits": ["-1", "NaN", "1e300"],
    "reuse_factor": ["0", "-1", "1.5", "1e12", "inf"],
    "strategy": ["fast"],
    "io_type": ["io_serial"],
    "tool": ["Quartus"],
    "target_clk_ns": ["0", "-5", "nan", "1e300", "fast"],
    "csynth_LUT": ["-3", "nan", "1e300", "many"],
    "n_zeros": ["-1", "99999"],
}  # fmt: skip


@pytest.mark.parametrize(("column", "value"), [(name, value) for name, values in NONSENSE.items() for value in values])
def test_nonsense_is_named_by_line_and_left_out(tmp_path, column, value):
    path = table(tmp_path, USUAL | {"csynth_LUT": "1", "n_zeros": "0"}, USUAL | {column: value}, USUAL)
    rows, problems = records.read(path)
    assert [row.line for row in rows] == [2, 4]
    assert len(problems) == 1
    assert problems[0].startswith(f"{path}, line 3: ")
    assert column in problems[0]
    assert "\n" not in problems[0]


def test_lines_are_counted_through_quoted_newlines(tmp_path):
    path = table(tmp_path, USUAL | {"notes": "two\nlines"}, USUAL | {"arch": "x"}, USUAL)
    rows, problems = records.read(path)
    assert [row.line for row in rows] == [2, 5]
    assert problems[0].startswith(f"{path}, line 4: ")


@pytest.mark.parametrize("column", USUAL)
def test_a_missing_column_is_named(tmp_path, column):
    rows, problems = records.read(table(tmp_path, USUAL, header=[name for name in USUAL if name != column]))
    assert rows == []
    assert "line 1" in problems[0]
    assert f"no column {column}" in problems[0]


def test_rows_of_another_length_and_empty_lines(tmp_path):
    path = table(tmp_path, USUAL)
    path.write_text(path.read_text() + "\n1,2,3\n" + path.read_text().splitlines()[1] + "\n")
    rows, problems = records.read(path)
    assert [row.line for row in rows] == [2, 5]
    assert "line 4: 3 fields" in problems[0]


def test_a_byte_order_mark_and_spaces_do_no_harm(tmp_path):
    path = table(tmp_path, {name: f" {value} " for name, value in USUAL.items()})
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert len(records.read(path)[0]) == 1


def test_what_is_no_table_is_refused(tmp_path):
    with pytest.raises(BadInput, match="none.csv: can't be read"):
        records.read(tmp_path / "none.csv")
    (tmp_path / "binary.csv").write_bytes(b"\xff\xfe\x00\x01")
    with pytest.raises(BadInput, match="UTF-8"):
        records.read(tmp_path / "binary.csv")
    (tmp_path / "empty.csv").write_text("")
    assert "line 1" in records.read(tmp_path / "empty.csv")[1][0]


def test_pairs_need_no_network(tmp_path):
    path = table(
        tmp_path, SEEN | {"arch": "a convolution"}, {"csynth_LUT": "5", "vsynth_LUT": ""}, SEEN | {"lat_max": "?"}
    )
    found = records.pairs(path)
    assert len(found) == 1
    assert (found[0]["csynth"]["lut"], found[0]["synth"]["lut"]) == (100, 50)


FOLDER = os.environ.get("FLOW_SYNTH_RECORDS")


@pytest.mark.skipif(not FOLDER, reason="FLOW_SYNTH_RECORDS names no folder of records")
def test_the_records_are_read():
    rows, problems = records.read(Path(FOLDER) / "dense.csv")
    assert (len(rows), problems) == (840, [])
    failed, problems = records.read(Path(FOLDER) / "dense_never_finished.csv")
    assert (len(failed), problems) == (1200, [])
    assert not any(row.finished for row in failed)
    assert all(row.observed for row in rows)
    assert len(records.pairs(Path(FOLDER) / "conv.csv")) > 10
