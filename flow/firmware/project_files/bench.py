"""The C++ test bench of the HLS project: reads vectors, runs the top function, fails where an output differs.

The C simulation by a plain compiler and the vendor's cosimulation run the same file. What differs from tool to tool
is how a vector goes in and out, and what `main` is called.
"""

import re
from dataclasses import dataclass

from flow.errors import BadInput
from flow.firmware.project_files.facts import Facts
from flow.firmware.settings import Backend, IoType

_TEXT = """// Runs the network on test vectors and compares every output word. Status: 0 all equal, 1 some differ, 2 unreadable.
//   {top}_test [INPUTS OUTPUTS]    integer words in plain text, a line for each vector; tb_data/ unless given
{includes}
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <map>
#include <string>
#include <vector>

namespace {{

const int n_in = {n_in};
const int n_out = {n_out};
const double in_step = {in_step};   // what an input's integer is multiplied with
const double out_step = {out_step};  // and an output's

// The network's outputs for one vector of inputs.
void evaluate(double *inputs, double *outputs) {{
{evaluate}}}

// The next row of integers; 0 at the end, -1 where a row is cut off or holds something else.
int next_row(std::ifstream &file, std::vector<long long> &row) {{
    for (size_t i = 0; i < row.size(); i++) {{
        if (!(file >> row[i])) return i == 0 && file.eof() ? 0 : -1;
    }}
    return 1;
}}

int compare(const std::string &inputs_name, const std::string &outputs_name) {{
    std::ifstream inputs(inputs_name.c_str()), outputs(outputs_name.c_str());
    if (!inputs || !outputs) {{
        std::cerr << "can't read " << (inputs ? outputs_name : inputs_name) << std::endl;
        return 2;
    }}
    std::vector<long long> words(n_in), expected(n_out);
    std::vector<double> in(n_in), out(n_out);
    long vectors = 0, different = 0;
    for (;; vectors++) {{
        int more = next_row(inputs, words), answered = next_row(outputs, expected);
        if (more < 0 || answered < 0 || more != answered) {{
            std::cerr << "vector " << vectors << ": " << inputs_name << " needs " << n_in << " integers, "
                      << outputs_name << " " << n_out << std::endl;
            return 2;
        }}
        if (more == 0) break;
        for (int i = 0; i < n_in; i++) in[i] = words[i] * in_step;
        evaluate(&in[0], &out[0]);
        bool same = true;
        for (int i = 0; i < n_out; i++) {{
            if (out[i] == expected[i] * out_step) continue;
            if (same && different < 5)
                std::cout << "vector " << vectors << ", output " << i << ": " << out[i] / out_step << ", expected "
                          << expected[i] << std::endl;
            same = false;
        }}
        different += !same;
    }}
    std::cout << vectors << " vectors, " << different << " differ" << std::endl;
    return different != 0 || vectors == 0;
}}

}} // namespace

{main} {{
    std::string inputs = argc > 2 ? argv[1] : "tb_data/inputs.txt";
    std::string outputs = argc > 2 ? argv[2] : "tb_data/outputs.txt";
    {end};
}}
"""

# Catapult's cosimulation has macros for the test bench's entry and exit; other compilers have a plain one.
_SCVERIFY = """
#if __has_include(<mc_scverify.h>)
#include <mc_scverify.h>
#else
#define CCS_MAIN int main
#define CCS_RETURN return
#endif"""

_TRACE = """
namespace nnet {
bool trace_enabled = false;
std::map<std::string, void *> *trace_outputs = NULL;
size_t trace_type_size = sizeof(double);
} // namespace nnet"""

_ARRAYS = """    input_t words[n_in];
    result_t result[n_out];
"""
_CALL = """    nnet::convert_data<double, input_t, n_in>(inputs, words);
    {top}(words, result);
    nnet::convert_data<result_t, double, n_out>(result, outputs);
"""

_ONEAPI_QUEUE = """#if FPGA_SIMULATOR
    static sycl::queue queue(sycl::ext::intel::fpga_simulator_selector_v, fpga_tools::exception_handler);
#elif FPGA_HARDWARE
    static sycl::queue queue(sycl::ext::intel::fpga_selector_v, fpga_tools::exception_handler);
#else
    static sycl::queue queue(sycl::ext::intel::fpga_emulator_selector_v, fpga_tools::exception_handler);
#endif
"""
_ONEAPI_CALL = """    nnet::convert_data<double, {into}, n_in>(queue, inputs);
    queue.single_task({kernel}{{}});
    nnet::convert_data_back<{out_of}, double, n_out>(queue, outputs);
    queue.wait();
"""


@dataclass(frozen=True)
class _Tool:
    """What a backend's tool needs: headers, its stream type, `main` and how that returns."""

    includes: tuple[str, ...]
    stream: str = ""
    main: str = "int main(int argc, char **argv)"
    end: str = "return compare(inputs, outputs)"
    before: str = ""  # behind the headers


_XILINX = _Tool(("firmware/{top}.h", "firmware/nnet_utils/nnet_helpers.h"), "hls::stream")
_TOOLS = {
    Backend.VITIS: _XILINX,
    Backend.VIVADO: _XILINX,
    Backend.CATAPULT: _Tool(
        ("firmware/{top}.h", "firmware/nnet_utils/nnet_helpers.h"),
        "ac_channel",
        "CCS_MAIN(int argc, char *argv[])",
        "CCS_RETURN(compare(inputs, outputs))",
        _SCVERIFY,
    ),
    Backend.ONEAPI: _Tool(("firmware/{top}.h", "firmware/nnet_utils/nnet_helpers.h", "exception_handler.hpp")),
}


def text(facts: Facts, header: str, in_fraction: int, out_fraction: int) -> str:
    """The test bench. `header` is the content of the top function's header; fractions are the words' own bits."""
    tool = _TOOLS[facts.target.backend]
    names = [name.format(top=facts.top) for name in tool.includes]
    includes = "\n".join(f'#include "{name}"' for name in names) + tool.before
    if facts.target.backend == Backend.ONEAPI:
        body = _ONEAPI_QUEUE + _ONEAPI_CALL.format(**_pipes(header, facts.top))
    else:
        includes += _TRACE
        body = _variables(tool, facts.target.io_type) + _CALL.format(top=facts.top)
    return _TEXT.format(
        top=facts.top, includes=includes, evaluate=body, main=tool.main, end=tool.end, n_in=facts.n_in,
        n_out=facts.n_out, in_step=_power(-in_fraction), out_step=_power(-out_fraction),
    )  # fmt: skip


def _variables(tool: _Tool, io_type: IoType) -> str:
    if io_type == IoType.PARALLEL:
        return _ARRAYS
    return f"    {tool.stream}<input_t> words;\n    {tool.stream}<result_t> result;\n"


def _power(exponent: int) -> str:
    """2 to a power, as C++ writes it exactly."""
    return f"std::ldexp(1.0, {exponent})"


def _pipes(header: str, top: str) -> dict[str, str]:
    """The names of a oneAPI kernel and of its pipes, from its header."""
    pipes = re.findall(r"^using (\w+Pipe) = ", header, re.MULTILINE)
    kernel = re.search(r"^struct (\w+) \{", header, re.MULTILINE)
    if len(pipes) != 2 or kernel is None:
        raise BadInput(f"hls/src/firmware/{top}.h: one kernel with a pipe in and one out was expected")
    return {"into": pipes[0], "out_of": pipes[1], "kernel": kernel[1]}
