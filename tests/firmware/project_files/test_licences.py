"""The licences of what is copied into a project."""

import importlib.util
from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("hls4ml")
pytest.importorskip("alkaid")

from projects import TARGET, build

from flow.errors import BadInput
from flow.firmware.project_files import licences
from flow.firmware.settings import Backend, IoType, Language, Output, Strategy


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    folder = tmp_path_factory.mktemp("projects")
    targets = {
        "xilinx": replace(TARGET, language=Language.VHDL, output=Output.ARGMAX),
        "catapult": replace(TARGET, backend=Backend.CATAPULT),
        "oneapi": replace(TARGET, backend=Backend.ONEAPI, strategy=Strategy.RESOURCE, io_type=IoType.STREAM),
        "adders": replace(TARGET, strategy=Strategy.DISTRIBUTED_ARITHMETIC),
    }
    return {name: build(folder / name, target) for name, target in targets.items()}


def _table(project) -> str:
    return (project / "LICENSES/README.md").read_text()


def test_every_copy_of_alkaid_is_named(built):
    source = Path(importlib.util.find_spec("alkaid").origin).parent / "codegen/rtl"
    operators = {path.name for kind in ("verilog", "vhdl") for path in (source / kind / "source").iterdir()}
    copies = [path for path in (built["xilinx"] / "rtl").rglob("*.v*") if path.name in operators]
    assert {path.suffix for path in copies} == {".v", ".vhd"}
    row = next(line for line in _table(built["xilinx"]).splitlines() if "(alkaid)" in line)
    assert "LGPL-3.0-or-later" in row
    for path in copies:
        assert f"`{path.relative_to(built['xilinx']).as_posix()}`" in row


def test_full_texts_are_there(built):
    for project in built.values():
        texts = {path.name: path.read_text() for path in (project / "LICENSES").iterdir()}
        assert set(texts) == {"README.md", "Apache-2.0.txt", "LGPL-3.0-or-later.txt", "GPL-3.0.txt"}
        assert "Apache License" in texts["Apache-2.0.txt"] and "END OF TERMS AND CONDITIONS" in texts["Apache-2.0.txt"]
        assert "GNU LESSER GENERAL PUBLIC LICENSE" in texts["LGPL-3.0-or-later.txt"]
        assert texts["GPL-3.0.txt"].lstrip().startswith("GNU GENERAL PUBLIC LICENSE")
        assert texts["GPL-3.0.txt"].rstrip().endswith("END OF TERMS AND CONDITIONS")


def test_types_are_their_makers(built):
    assert "`hls/firmware/ap_types/` (14 files)" in _table(built["xilinx"]) and "Xilinx, Inc." in _table(
        built["xilinx"]
    )
    for name in ("catapult", "oneapi"):
        assert "Mentor Graphics" in _table(built[name]) and "Xilinx, Inc." not in _table(built[name])


def test_no_file_is_said_to_be_another_ones(built):
    for project in built.values():
        text = _table(project)
        own = [line for line in text.splitlines() if line.startswith("| `")]
        for name in ("csim.cpp", "_test.cpp", "tcl/", "nnet_flow_output.h", "tiny_jets.v`"):
            assert not any(name in line for line in own), name
        written = text.split("comes from this network:\n")[1].splitlines()[0]
        assert "tiny_jets.cpp" in written and "csim.cpp" not in written and "nnet_flow_output.h" not in written


def test_a_folder_without_copies_is_no_project(tmp_path):
    (tmp_path / "hls").mkdir()
    (tmp_path / "hls/own.cpp").write_text("int main() {}\n")
    with pytest.raises(BadInput, match="no file of hls4ml's"):
        licences.write(tmp_path)
