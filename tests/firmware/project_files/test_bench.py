"""The C++ test bench of the tools that have no g++ simulation of their own kind here: it compiles, and it compares."""

import shutil
import subprocess
from dataclasses import replace

import pytest

pytest.importorskip("hls4ml")
pytest.importorskip("alkaid")

from projects import TARGET, build

from flow.errors import BadInput
from flow.firmware.project_files import bench
from flow.firmware.project_files.facts import Facts
from flow.firmware.settings import Backend, IoType, Strategy

# What the bench needs of SYCL beyond what the C simulation's stand-in has: queues of a chosen device.
_QUEUE = """struct exception_list {};
struct queue {
    queue() {}
    template <class Device, class Handler> queue(Device, Handler) {}
    template <class Kernel> void single_task(Kernel kernel) { kernel(); }
    void wait() {}
};
namespace ext { namespace intel { inline int fpga_emulator_selector_v = 0; } }
"""
_HANDLER = "namespace fpga_tools { inline int exception_handler = 0; }\n"
FACTS = Facts("t", "net", "0", replace(TARGET, backend=Backend.ONEAPI), 1, 1, "", "", (2,), 2, 1, (), ())


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="needs g++")
def test_oneapi(tmp_path):
    target = replace(TARGET, backend=Backend.ONEAPI, strategy=Strategy.RESOURCE, io_type=IoType.STREAM)
    hls = build(tmp_path, target) / "hls"
    sycl = hls / "standin/sycl/sycl.hpp"
    assert "struct queue {};" in sycl.read_text()
    sycl.write_text(sycl.read_text().replace("struct queue {};", _QUEUE))
    (hls / "src/exception_handler.hpp").write_text(_HANDLER)
    units = '#define FLOW_CSIM\n#include "firmware/tiny_jets.cpp"\n#undef constexpr\n#include "tiny_jets_test.cpp"\n'
    (hls / "src/both.cpp").write_text(units)
    command = ["g++", "-std=c++17", "-w", "-Istandin", "-Isrc/firmware/nnet_utils", "src/both.cpp", "-o", "bench"]
    subprocess.run(command, cwd=hls, check=True, timeout=300)

    def run():
        return subprocess.run(["./bench"], cwd=hls, check=False, capture_output=True, text=True, timeout=300)

    done = run()
    assert done.returncode == 0 and "75 vectors, 0 differ" in done.stdout
    outputs = hls / "tb_data/outputs.txt"
    first, rest = outputs.read_text().split(" ", 1)
    outputs.write_text(f"{int(first) + 1} {rest}")
    done = run()
    assert done.returncode == 1 and "75 vectors, 1 differ" in done.stdout


def test_the_pipes_are_read_from_the_header():
    header = "using APipe = x;\nusing BPipe = y;\nstruct Net {\n};\n"
    text = bench.text(FACTS, header, 3, 4)
    assert "convert_data<double, APipe, n_in>" in text and "single_task(Net{})" in text
    with pytest.raises(BadInput, match="one kernel with a pipe in and one out"):
        bench.text(FACTS, "using APipe = x;\nstruct Net {\n};\n", 3, 4)
