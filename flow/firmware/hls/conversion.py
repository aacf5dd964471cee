"""hls4ml at work on a list of layers: its passes, its writer, and what has to be put right around both.

What is put right is the same for every run of a backend: depths of FIFOs, traces for oneAPI, paths of this machine,
weights that Catapult's simulation would read from text files. Types are checked, not trusted.
"""

import contextlib
import io
import re
import shutil
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from flow.errors import BadInput, Storage, ToolFailed
from flow.firmware.hls import sycl
from flow.firmware.hls.csim_text import Kernel, Shown
from flow.firmware.outputs import hls_layer
from flow.firmware.precision import HlsType, StageTypes
from flow.firmware.settings import Backend, IoType, Target

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

_CATAPULT_EXTRAS = ("ac_math/lutgen", "ac_math/pdfdocs", "ac_math/tests", "ac_types/gdb", "ac_types/pdfdocs")
_LOADING = re.compile(r"#ifndef __SYNTHESIS__\n    static bool loaded_weights.*?#endif\n", re.DOTALL)
# hls4ml's hands the two rows on one behind the other, where the layer behind reads one row of both.
_CONCATENATE = re.compile(r"(void concatenate1d\([^)]*ac_channel<res_T> &res\) \{\n).*?\n\}\n", re.DOTALL)
_CONCATENATED = """    res_T out_data;
ConcatLoop1:
    for (int i = 0; i < CONFIG_T::n_elem1_0 / input1_T::size; i++) {
        input1_T in_data1 = data1.read();
        for (int j = 0; j < input1_T::size; j++) out_data[i * input1_T::size + j] = in_data1[j];
    }
ConcatLoop2:
    for (int i = 0; i < CONFIG_T::n_elem2_0 / input2_T::size; i++) {
        input2_T in_data2 = data2.read();
        for (int j = 0; j < input2_T::size; j++) out_data[CONFIG_T::n_elem1_0 + i * input2_T::size + j] = in_data2[j];
    }
    res.write(out_data);
}
"""
_FIRST_ROW = re.compile(
    r"CONFIG_T::n_elem1_0 / input2Size"
)  # counts the packets of the first row in those of the second
_WEIGHTS_DIR = re.compile(r'(s_weights_dir = )"[^"]*"')


@dataclass(frozen=True)
class Converted:
    """What the simulation needs to know: the layers that it can show, in network order, and oneAPI's kernel."""

    shown: tuple[Shown, ...]
    kernel: Kernel | None


def convert(
    layers: list[dict],
    options: dict,
    chosen: dict,
    types: Mapping[str, StageTypes],
    folder: Path,
    target: Target,
    log: Path,
) -> Converted:
    """Let hls4ml write the project of its `layers`, configured as `chosen` (`flow.firmware.hls.graph`), into `folder`.

    `options` set up its backend. Raises ToolFailed where hls4ml fails, its log then at `log`.
    """
    import yaml

    chatter = io.StringIO()
    try:
        with contextlib.redirect_stdout(chatter), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            graph = _passes(layers, options, chosen)
            _require_types(graph, types)
            _prepare(graph, target)
            converted = _converted(graph, types, target)
            _writer(graph.config.backend).write_hls(graph)
            _finish(graph, folder, target)
    except (BadInput, OSError) as error:
        raise error if isinstance(error, BadInput) else Storage(f"{folder}: {error}") from error
    except Exception as error:  # hls4ml raises bare Exceptions and asserts
        log.parent.mkdir(parents=True, exist_ok=True)
        log.write_text(f"{chatter.getvalue()}\n{type(error).__name__}: {error}\n")
        raise ToolFailed(f"hls4ml could not convert the model: {type(error).__name__}: {error}", log) from error
    said = f"What hls4ml said:\n{_without_paths(chatter.getvalue(), folder)}"
    if options["part"] != target.part:
        said += f"Built for {options['part']}: {target.part} is no part of this backend's vendor.\n"
    (folder / "conversion.txt").write_text(said)
    settings = {**graph.config.config, "OutputDir": "."}  # not the place where it happened to be written
    (folder / "hls4ml_config.yml").write_text(yaml.safe_dump(settings))
    return converted


def _passes(layers: list[dict], options: dict, chosen: dict):
    """The graph behind all of hls4ml's passes for its backend."""
    import hls4ml
    from hls4ml.model import ModelGraph

    config = hls4ml.utils.config.create_config(**options)
    graph = ModelGraph.from_layer_list({**config, "HLSConfig": chosen}, layers)
    graph.apply_flow(graph.config.backend.get_default_flow())
    return graph


def _require_types(graph, types: Mapping[str, StageTypes]) -> None:
    """Give each layer the accumulator that was asked for, and raise where another type is not the one asked for."""
    for layer in graph.get_layers():
        item = types.get(layer.name)
        if item is None:
            continue
        accum = layer.get_attr("accum_t")
        if accum is not None and item.accum is not None:
            # Catapult's backend widens those of poolings by guesswork
            accum.precision.width, accum.precision.integer = item.accum.width, item.accum.integer
        found = {"result": layer.get_output_variable().type.precision}
        found |= {kind: weights.type.precision for kind, weights in layer.weights.items()}
        for kind, precision in found.items():
            wanted = {"result": item.result, "bias": item.bias}.get(kind, item.weight)
            if wanted is not None and not _same(precision, wanted):
                raise BadInput(f"layer {layer.name}: hls4ml made its {kind} {precision}, not {wanted}")


def _same(precision, wanted: HlsType) -> bool:
    """Whether hls4ml's type is the one that was asked for; a whole number's may be an integer type."""
    given = (precision.width, getattr(precision, "integer", precision.width), bool(precision.signed))
    rounding = getattr(precision, "rounding_mode", wanted.rounding)
    overflow = getattr(precision, "saturation_mode", wanted.overflow)
    modes = str(rounding), str(overflow)
    return (*given, *modes) == (wanted.width, wanted.integer, wanted.signed, wanted.rounding, wanted.overflow)


def _prepare(graph, target: Target) -> None:
    """Put right what the passes left, before anything is written."""
    _set_depths(graph, target)
    if target.backend == Backend.CATAPULT:
        _keep_one_bit(graph)
    if target.backend == Backend.ONEAPI:
        _fit_arrays(graph)
    graph.config.trace_output = target.backend != Backend.ONEAPI  # whose traces don't compile
    graph.config.config["Stamp"] = "csim"  # one made by hls4ml is random


def _set_depths(graph, target: Target) -> None:
    if target.fifo_depth is None:
        return
    for layer in graph.get_layers():
        for variable in layer.get_variables():
            if isinstance(variable.pragma, tuple) and variable.pragma[0] == "stream":
                variable.pragma = ("stream", target.fifo_depth)


def _keep_one_bit(graph) -> None:
    """Types of one bit as such: hls4ml writes two bits for each, which oneAPI needs and Catapult does not."""
    for layer in graph.get_layers():
        for item in layer.get_layer_precision().values():
            precision = item.precision
            if precision.width == 1 and hasattr(precision, "rounding_mode"):
                modes = f"AC_{precision.rounding_mode},AC_{precision.saturation_mode}"
                text = f"ac_fixed<1,{precision.integer},{str(precision.signed).lower()},{modes}>"
                precision.definition_cpp = partial(str, text)


def _fit_arrays(graph) -> None:
    """Arrays as long as the weights in them: for oneAPI hls4ml pads those of large layers, and not their type."""
    for layer in graph.get_layers():
        for weights in layer.weights.values():
            weights.type.n_elem = weights.data.size


def _converted(graph, types: Mapping[str, StageTypes], target: Target) -> Converted:
    oneapi, stream = target.backend == Backend.ONEAPI, target.io_type == IoType.STREAM
    shown = []
    for layer in graph.get_layers():
        function = layer.get_attr("stream_function_cpp" if oneapi and stream else "function_cpp")
        if not (function and layer.get_attr("trace")) or layer.name not in types or layer.class_name == "Reshape":
            continue  # reshaping is a matter of indices
        variable = layer.get_output_variable()
        shown.append(Shown(layer.name, types[layer.name].low.size, variable.pipe_name if oneapi else ""))
        if oneapi and not stream:
            show = f'#ifdef FLOW_CSIM\n    csim::show("{layer.name}", {variable.name});\n#endif'
            layer.set_attr("function_cpp", f"{function}\n{show}")
    if not oneapi:
        return Converted(tuple(shown), None)
    from hls4ml.utils.string_utils import convert_to_pascal_case

    (words,), (output,) = graph.get_input_variables(), graph.get_output_variables()
    name = convert_to_pascal_case(graph.config.get_project_name())
    return Converted(tuple(shown), Kernel(name, words.pipe_name, output.pipe_name))


def _writer(backend):
    """The backend's writer; Catapult's without an archive, and with the weights in headers alone."""
    if backend.name != Backend.CATAPULT:
        return backend.writer
    writer = type(backend.writer)()
    writer.print_array_to_cpp = partial(writer.print_array_to_cpp, write_txt_file=False)
    writer.write_tar = lambda graph: None
    return writer


def _finish(graph, folder: Path, target: Target) -> None:
    """Put right what the backend's writer left in the project."""
    if not any(layer.class_name == hls_layer.KIND for layer in graph.get_layers()):
        # which hls4ml copies into every project from the first on that needs it
        (folder / "firmware" / "nnet_utils" / hls_layer.HEADER.name).unlink(missing_ok=True)
    match target.backend:
        case Backend.VITIS:
            (folder / "build_opt.tcl").write_text(_BUILD_OPTIONS)
        case Backend.ONEAPI:
            sycl.write(folder, _templates() / "catapult" / "ac_types")
            merges = folder / "src" / "firmware" / "nnet_utils" / "nnet_merge_stream.h"
            merges.write_text(_replaced(_FIRST_ROW, "CONFIG_T::n_elem1_0 / input1Size", merges))
        case Backend.CATAPULT:
            _finish_catapult(graph, folder)


def _finish_catapult(graph, folder: Path) -> None:
    name = graph.config.get_project_name()
    for extra in _CATAPULT_EXTRAS:
        shutil.rmtree(folder / "firmware" / extra, ignore_errors=True)
    top = folder / "firmware" / f"{name}.cpp"
    top.write_text(_replaced(_LOADING, "", top))
    merges = folder / "firmware" / "nnet_utils" / "nnet_merge_stream.h"
    merges.write_text(_replaced(_CONCATENATE, rf"\1{_CONCATENATED}", merges))
    bridge, bench = folder / f"{name}_bridge.cpp", folder / f"{name}_test.cpp"
    bridge.write_text(_replaced(_WEIGHTS_DIR, r'\1"firmware/weights"', bridge))
    for path in (bridge, bench):  # where the weights were to be loaded into
        declared = {f"{w.definition_cpp()};" for layer in graph.get_layers() for w in layer.get_weights()}
        lines = path.read_text().splitlines(keepends=True)
        path.write_text("".join(line for line in lines if line.strip() not in declared))


def _replaced(pattern: re.Pattern, by: str, path: Path) -> str:
    text, count = pattern.subn(by, path.read_text())
    if count != 1:
        raise ValueError(f"{path.name}: {pattern.pattern} is there {count} times, not once")
    return text


def _templates() -> Path:
    import hls4ml

    return Path(hls4ml.__file__).parent / "templates"


def _without_paths(text: str, folder: Path) -> str:
    return text.replace(str(_templates().parent), "hls4ml").replace(str(folder), ".")
