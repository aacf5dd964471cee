"""A QKeras model as an hls4ml project, and the project's compiled C simulation.

The project's bytes depend on nothing but the model and the arguments. Its weights are in headers alone, so that
the C simulation and C synthesis read the same numbers. The simulation compiles what lies in the folder, edits
included, into a program of its own: a crash there can't take this process along.
"""

import contextlib
import hashlib
import io
import json
import os
import shutil
import tempfile
import warnings
from pathlib import Path

import numpy as np

from flow import process
from flow.errors import BadInput, Storage, ToolFailed
from flow.firmware import hls4ml_qkeras, hls_graph, precision
from flow.formats import Fixed

BACKENDS = ("Vitis", "Vivado")
STRATEGIES = ("Latency", "Resource")
IO_TYPES = ("io_parallel", "io_stream")
TRACED_VECTORS = 1000  # of how many vectors the hidden layers' outputs are kept

COMPILER = "g++"
# With exceptions on, GCC takes four times as long over the weights' initialisers.
FLAGS = ("-std=c++17", "-O2", "-fno-exceptions", "-w", "-Ifirmware/ap_types")
_COMPILE_SECONDS, _RUN_SECONDS = 900, 3600

# What `build_prj.tcl` does for Vitis: C synthesis; the C simulation is `csim`, which needs no vendor tool.
_BUILD_OPTIONS = """array set opt {
    reset      1
    csim       0
    synth      1
    cosim      0
    validation 0
    export     0
    vsynth     0
    fifo_opt   0
}
"""

_CSIM = """// Runs the C simulation of this folder's sources on many vectors; needs a C++ compiler and nothing else.
//   csim run IN OUT N TRACED    IN: N x {n_in} float64; OUT: float64, the outputs of the N vectors,
//                               then layer by layer the outputs of the first TRACED vectors
//   csim check WORDS OUTPUTS    integer words in plain text, a line for each vector; status 1 where an output differs
#include "{name}_bridge.cpp"
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


def write(
    model,
    word: Fixed,
    folder: Path,
    name: str,
    part: str,
    clock_ns: float,
    backend: str = "Vitis",
    strategy: str = "Latency",
    io_type: str = "io_parallel",
    reuse_factor: int = 1,
    failure_log: Path | None = None,
) -> None:
    """Write the hls4ml project of a QKeras model, whose input words have the format `word`, into a new `folder`.

    `name` is the top function's. Raises BadInput for what is not supported, ToolFailed where hls4ml fails, its log
    then at `failure_log` (beside `folder` unless given).
    """
    _check_settings(name, backend, strategy, io_type, reuse_factor)
    if folder.exists():
        raise BadInput(f"{folder}: a project is written into a new folder, and this one exists")
    stages = hls4ml_qkeras.stages(model)
    hls_graph.check(stages, io_type, strategy)
    n_in = model.inputs[0].shape[-1]
    types = precision.types(stages, word, n_in)
    options = {
        "output_dir": str(folder),
        "project_name": name,
        "part": part,
        "clock_period": clock_ns,
        "backend": backend,
        "io_type": io_type,
        "write_weights_txt": False,
    }
    settings = {"Strategy": strategy, "ReuseFactor": reuse_factor}
    shown = {layer.name for layer in model.layers}
    log = failure_log or folder.with_name(f"{folder.name}.hls4ml.log")
    traced = _convert(
        hls_graph.layers(stages, n_in), options, hls_graph.config(types, word, settings, shown), folder, log
    )
    traced = [(layer, types[layer].low.size) for layer in traced if layer in types]
    _write_csim(folder, name, n_in, word, types[stages[-1].name], traced)


def simulate(folder: Path, words: np.ndarray, layers: bool) -> dict[str, np.ndarray]:
    """The C simulation's outputs for input words (n, n_in), by layer name, in network order, in float64.

    The last layer's outputs come for all vectors; with `layers` also every layer's for the first 1,000.
    Compiles the sources in the folder unless that was done before for the same bytes; the log is `csim.log`.
    """
    folder = Path(folder)
    interface = _interface(folder)
    words = np.ascontiguousarray(words, dtype=np.float64)
    if words.ndim != 2 or words.shape[1] != interface["inputs"]:
        raise BadInput(f"{folder}: input words of shape (n, {interface['inputs']}) are needed, not {words.shape}")
    program = compile_sources(folder)
    n, traced = len(words), min(len(words), TRACED_VECTORS) if layers else 0
    with tempfile.TemporaryDirectory() as scratch:
        source, target = Path(scratch, "in.bin"), Path(scratch, "out.bin")
        words.tofile(source)
        command = [str(program), "run", str(source), str(target), str(n), str(traced)]
        _run(command, folder, folder / "csim_run.log", _RUN_SECONDS)
        values = np.fromfile(target, dtype=np.float64)
    shapes = [(n, interface["outputs"])] + [(traced, size) for _, size in interface["layers"]]
    ends = np.cumsum([rows * size for rows, size in shapes])
    if values.size != ends[-1]:
        raise ToolFailed(f"{program.name} wrote {values.size} numbers, not {ends[-1]}", folder / "csim_run.log")
    logits, *hidden = (part.reshape(shape) for part, shape in zip(np.split(values, ends[:-1]), shapes))
    names = [layer for layer, _ in interface["layers"]]
    outputs = dict(zip(names[:-1], hidden[:-1])) if layers else {}
    return {**outputs, names[-1]: logits}


def compile_sources(folder: Path, compiler: str = COMPILER) -> Path:
    """The simulation program of the sources in `folder`, compiled where no program of the same bytes is there."""
    found = shutil.which(compiler)
    if found is None:
        raise BadInput(f"{compiler} was not found: the C simulation needs a C++ compiler (Debian, Ubuntu: package g++)")
    program = folder.resolve() / f"csim-{_digest(folder, found)}"
    if not program.exists():
        unfinished = program.with_suffix(f".{os.getpid()}")
        _run(
            [found, *FLAGS, "csim.cpp", *units(folder), "-o", str(unfinished)],
            folder,
            folder / "csim.log",
            _COMPILE_SECONDS,
        )
        for old in folder.glob("csim-*"):
            if not old.suffix:
                old.unlink(missing_ok=True)
        os.replace(unfinished, program)
    return program


def _check_settings(name: str, backend: str, strategy: str, io_type: str, reuse_factor: int) -> None:
    hls4ml_qkeras.check_name(name, "project")
    for what, value, allowed in (
        ("backend", backend, BACKENDS),
        ("strategy", strategy, STRATEGIES),
        ("io_type", io_type, IO_TYPES),
    ):
        if value not in allowed:
            raise BadInput(f"{what} {value!r} is not supported; supported: {', '.join(allowed)}")
    if reuse_factor < 1:
        raise BadInput(f"reuse_factor {reuse_factor}: at least 1")


def _convert(graph: list[dict], options: dict, chosen: dict, folder: Path, log: Path) -> list[str]:
    """Let hls4ml write the project of its layers `graph`; the names of those it can trace, in network order."""
    import hls4ml
    import yaml
    from hls4ml.model import ModelGraph

    chatter = io.StringIO()
    try:
        with contextlib.redirect_stdout(chatter), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            config = hls4ml.utils.config.create_config(**options)
            graph = ModelGraph.from_layer_list({**config, "HLSConfig": chosen}, graph)
            backend = graph.config.backend
            graph.apply_flow(backend.get_default_flow())
            graph.config.trace_output = True
            graph.config.config["Stamp"] = "csim"  # one made by hls4ml is random
            backend.writer.write_hls(graph)
    except (BadInput, OSError) as error:
        raise error if isinstance(error, BadInput) else Storage(f"{folder}: {error}") from error
    except Exception as error:  # hls4ml raises bare Exceptions and asserts
        log.parent.mkdir(parents=True, exist_ok=True)
        log.write_text(f"{chatter.getvalue()}\n{type(error).__name__}: {error}\n")
        raise ToolFailed(f"hls4ml could not convert the model: {type(error).__name__}: {error}", log) from error
    (folder / "conversion.txt").write_text(f"What hls4ml said:\n{chatter.getvalue()}")
    settings = {**graph.config.config, "OutputDir": "."}  # not the place where it happened to be written
    (folder / "hls4ml_config.yml").write_text(yaml.safe_dump(settings))
    if (folder / "build_opt.tcl").exists():
        (folder / "build_opt.tcl").write_text(_BUILD_OPTIONS)
    return [layer.name for layer in graph.get_layers() if layer.get_attr("function_cpp") and layer.get_attr("trace")]


def _write_csim(
    folder: Path, name: str, n_in: int, word: Fixed, last: precision.StageTypes, layers: list[tuple[str, int]]
) -> None:
    rows = ", ".join(f'{{"{layer}", {size}}}' for layer, size in layers)
    text = _CSIM.format(
        name=name,
        n_in=n_in,
        n_out=last.low.size,
        layers=rows,
        input_exponent=-word.fraction,
        output_exponent=-last.result.fraction,
    )
    (folder / "csim.cpp").write_text(text)
    interface = {
        "top": name,
        "inputs": n_in,
        "input_type": str(precision.word_type(word)),
        "outputs": last.low.size,
        "output_type": str(last.result),
        # hls4ml leaves out a last layer that changes no value: its output is then that of the layer in front of it.
        "layers": [*layers[:-1], (last.name, last.low.size)],
    }
    (folder / "csim.json").write_text(json.dumps(interface, indent=1) + "\n")


def _interface(folder: Path) -> dict:
    try:
        return json.loads((folder / "csim.json").read_text())
    except (OSError, json.JSONDecodeError) as error:
        raise BadInput(f"{folder / 'csim.json'}: no project for the C simulation ({error})") from None


def units(folder: Path) -> list[str]:
    """The project's compilation units beside `csim.cpp`, relative to `folder`."""
    return sorted(str(path.relative_to(folder)) for path in (folder / "firmware").glob("*.cpp"))


def _digest(folder: Path, compiler: str) -> str:
    """Sixteen hexadecimal digits of everything that decides what the program does."""
    total = hashlib.sha256("\0".join((compiler, *FLAGS)).encode())
    inside = [path for path in (folder / "firmware").rglob("*") if path.is_file()]
    for path in sorted([*folder.glob("*.cpp"), *inside]):
        total.update(f"\0{path.relative_to(folder)}\0".encode() + hashlib.sha256(path.read_bytes()).digest())
    return total.hexdigest()[:16]


def _run(command: list[str], folder: Path, log: Path, seconds: float) -> None:
    """Run a tool in `folder`, its output in `log`; raises ToolFailed with the first line that speaks of an error."""
    status = process.run(command, folder, log, seconds)
    if status == 0:
        return
    lines = log.read_text(errors="replace").splitlines()
    line = next((number for number, text in enumerate(lines, 1) if "error" in text.lower()), None)
    said = f": {lines[line - 1].strip()}" if line else ""
    raise ToolFailed(f"{Path(command[0]).name} ended with status {status}{said}", log, line)
