"""The C++ of a project's C simulation: one program around hls4ml's top function, which a C++ compiler alone builds.

What calls the top function differs by backend: hls4ml's own bridge, or, for oneAPI, a call of the kernel between
the pipes of the stand-in for SYCL (`flow.firmware.hls.sycl`).
"""

from collections.abc import Sequence
from dataclasses import dataclass

_PROGRAM = """// Runs the C simulation of this folder's sources on many vectors; needs a C++ compiler and nothing else.
//   csim run IN OUT N TRACED    IN: N x {n_in} float64; OUT: float64, the outputs of the N vectors,
//                               then layer by layer the outputs of the first TRACED vectors
//   csim check WORDS OUTPUTS    integer words in plain text, a line for each vector; status 1 where an output differs
{calls}
#include <cmath>
#include <cstring>

static const size_t kInputs = {n_in}, kOutputs = {n_out};
static const double kInputStep = std::ldexp(1.0, {input_exponent}), kOutputStep = std::ldexp(1.0, {output_exponent});
struct Layer {{ const char *name; size_t size; }};
static const std::vector<Layer> kLayers = {{{layers}}};

static int run(const char *in_name, const char *out_name, size_t n, size_t traced) {{
    std::vector<double> in(n * kInputs), out(n * kOutputs);
    FILE *file = fopen(in_name, "rb");
    if (!file || fread(in.data(), sizeof(double), in.size(), file) != in.size()) return 2;
    fclose(file);
    std::vector<std::vector<double>> traces;
    for (const Layer &layer : kLayers) traces.emplace_back(traced * layer.size);
    if (traced) allocate_trace_storage(sizeof(double));
    for (size_t i = 0; i < n; i++) {{
        nnet::trace_enabled = i < traced;
        {name}_double(&in[i * kInputs], &out[i * kOutputs]);
        for (size_t k = 0; i < traced && k < kLayers.size(); k++)
            memcpy(&traces[k][i * kLayers[k].size], (*nnet::trace_outputs)[kLayers[k].name],
                   kLayers[k].size * sizeof(double));
    }}
    file = fopen(out_name, "wb");
    if (!file || fwrite(out.data(), sizeof(double), out.size(), file) != out.size()) return 2;
    for (const auto &trace : traces)
        if (fwrite(trace.data(), sizeof(double), trace.size(), file) != trace.size()) return 2;
    return fclose(file) ? 2 : 0;
}}

static int check(const char *words_name, const char *outputs_name) {{
    std::ifstream words(words_name), outputs(outputs_name);
    if (!words || !outputs) return std::cerr << "can't read the vectors" << std::endl, 2;
    size_t n = 0, different = 0;
    for (long word; words >> word; n++) {{
        double in[kInputs], out[kOutputs];
        in[0] = word * kInputStep;
        for (size_t i = 1; i < kInputs && words >> word; i++) in[i] = word * kInputStep;
        {name}_double(in, out);
        bool same = true;
        for (size_t i = 0; i < kOutputs; i++) same = (outputs >> word) && out[i] == word * kOutputStep && same;
        different += !same;
    }}
    std::cout << n << " vectors, " << different << " differ" << std::endl;
    return different != 0 || n == 0;
}}

int main(int argc, char **argv) {{
    if (argc == 6 && !strcmp(argv[1], "run")) return run(argv[2], argv[3], atol(argv[4]), atol(argv[5]));
    if (argc == 4 && !strcmp(argv[1], "check")) return check(argv[2], argv[3]);
    return std::cerr << "usage: csim run IN OUT N TRACED | csim check WORDS OUTPUTS" << std::endl, 2;
}}
"""

_BRIDGE = '#include "{name}_bridge.cpp"'

_KERNEL = """#define FLOW_CSIM
#include "src/firmware/{name}.cpp"  // standin/ has stand-ins for the headers of SYCL
#undef constexpr
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <vector>

namespace nnet {{
bool trace_enabled = false;
std::map<std::string, void *> *trace_outputs = new std::map<std::string, void *>;
size_t trace_type_size = sizeof(double);
}} // namespace nnet

static void allocate_trace_storage(size_t element_size) {{
{allocations}
}}

static void {name}_double(double *in, double *out) {{
    static sycl::queue queue;
    csim::start(nnet::trace_enabled);
    nnet::convert_data<double, {pipe_in}, {n_in}>(queue, in);
    {kernel}{{}}();
    nnet::convert_data_back<{pipe_out}, double, {n_out}>(queue, out);
    if (!nnet::trace_enabled) return;
{traces}
}}"""


@dataclass(frozen=True)
class Shown:
    """A layer whose output the simulation shows; `pipe` is its output's pipe (oneAPI alone)."""

    name: str
    size: int
    pipe: str = ""


@dataclass(frozen=True)
class Kernel:
    """oneAPI's kernel class, and the pipes of its input and output."""

    name: str
    pipe_in: str
    pipe_out: str


def program(
    name: str,
    n_in: int,
    n_out: int,
    steps: tuple[int, int],
    shown: Sequence[Shown],
    kernel: Kernel | None,
    stream: bool,
) -> str:
    """The text of `csim.cpp` for the top function `name`.

    `steps`: exponents of two that are the least significant bits of inputs and outputs. `kernel`: oneAPI's, None
    for the others; `stream`: whether layers hand values on through pipes (io_stream).
    """
    return _PROGRAM.format(
        name=name,
        n_in=n_in,
        n_out=n_out,
        layers=", ".join(f'{{"{layer.name}", {layer.size}}}' for layer in shown),
        input_exponent=steps[0],
        output_exponent=steps[1],
        calls=_BRIDGE.format(name=name) if kernel is None else _kernel_calls(name, n_in, n_out, shown, kernel, stream),
    )


def _kernel_calls(name: str, n_in: int, n_out: int, shown: Sequence[Shown], kernel: Kernel, stream: bool) -> str:
    allocate = '    (*nnet::trace_outputs)["{0}"] = malloc({1} * element_size);'
    trace = '    csim::take{2}("{0}", static_cast<double *>((*nnet::trace_outputs)["{0}"]), {1});'
    return _KERNEL.format(
        name=name,
        n_in=n_in,
        n_out=n_out,
        kernel=kernel.name,
        pipe_in=kernel.pipe_in,
        pipe_out=kernel.pipe_out,
        allocations="\n".join(allocate.format(row.name, row.size) for row in shown),
        traces="\n".join(trace.format(row.name, row.size, f"<{row.pipe}>" if stream else "") for row in shown),
    )
