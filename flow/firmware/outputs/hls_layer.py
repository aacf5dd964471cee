"""The output as a layer of our own in hls4ml: its description, its configuration in C++, its call.

The functions are in `nnet_flow_output.h`, which hls4ml copies into the project; the tables are written as its weights
are, as whole numbers.
"""

from functools import lru_cache
from pathlib import Path

import numpy as np

from flow.firmware.outputs import BACKENDS, Argmax, Softmax, Spec, Table

KIND = "FlowOutput"
HEADER = Path(__file__).with_name("nnet_flow_output.h")


def description(spec: Spec, n_in: int) -> dict:
    """hls4ml's description of the layer behind `n_in` logits. Makes the layer known to hls4ml."""
    register()
    row = {"class_name": KIND, "n_in": n_in, "n_out": spec.n_out, "spec": spec}
    return row | {f"{name}_data": np.array(values) for name, values in _tables(spec).items()}


def _tables(spec: Spec) -> dict[str, tuple[int, ...]]:
    match spec:
        case Table():
            return {"entries": spec.entries}
        case Softmax():
            return {"powers": spec.powers, "inverse": spec.inverse}
    return {}


@lru_cache(maxsize=1)
def register() -> None:
    """Make the layer known to hls4ml, once."""
    from hls4ml.backends import get_backend
    from hls4ml.backends.template import FunctionCallTemplate, LayerConfigTemplate
    from hls4ml.model.layers import Layer, register_layer
    from hls4ml.model.types import IntegerPrecisionType

    class FlowOutput(Layer):
        def initialize(self):
            self.add_output_variable([self.get_attr("n_out")])
            for name, values in _tables(self.get_attr("spec")).items():
                width, signed = _integer(values)
                self.add_weights_variable(name, precision=IntegerPrecisionType(width, signed))

    class FlowOutputConfigTemplate(LayerConfigTemplate):
        def __init__(self):
            super().__init__(FlowOutput)

        def format(self, node):
            return _configuration(node)

    class FlowOutputFunctionTemplate(FunctionCallTemplate):
        def __init__(self):
            super().__init__(FlowOutput, include_header=["nnet_utils/nnet_flow_output.h"])

        def format(self, node):
            return _call(node, self._default_function_params(node))

    register_layer(KIND, FlowOutput)
    for name in BACKENDS:
        backend = get_backend(str(name))
        backend.register_template(FlowOutputConfigTemplate)
        backend.register_template(FlowOutputFunctionTemplate)
        backend.register_source(HEADER)


def _call(node, names: dict) -> str:
    spec = node.get_attr("spec")
    function = {Argmax: "argmax", Table: "table", Softmax: "softmax"}[type(spec)]
    arguments = [names["input"], names["output"], *(node.get_weights(table).name for table in _tables(spec))]
    types = f"{names['input_t']}, {names['output_t']}, {names['config']}"
    return f"nnet::flow_{function}<{types}>({', '.join(arguments)});"


def _configuration(node) -> str:
    """The struct with the constants of the arithmetic and the types of its values."""
    spec, index = node.get_attr("spec"), node.index
    integer = _ac_int if node.model.config.backend.name == "Catapult" else _ap_int
    source, result = (v.type.precision for v in (node.get_input_variable(), node.get_output_variable()))
    signed = bool(source.signed)
    constants = {
        "n_in": node.get_attr("n_in"),
        "reuse_factor": 1,
        "word_bits": source.width,
        "result_bits": result.width,
    }
    types = {"word_t": integer(source.width, signed), "result_word_t": integer(result.width, bool(result.signed))}
    match spec:
        case Table():
            # one bit more than any index, first or last needs, and a sign: their difference is formed in it
            reach = max(abs(spec.first), abs(spec.last)).bit_length()
            types["index_t"] = integer(max(source.width, reach) + 2, True)
            constants |= {"shift": spec.shift, "first": spec.first, "last": spec.last}
            constants["n_entries"] = len(spec.entries)
        case Softmax():
            largest, most = max(spec.powers), max(spec.inverse)
            constants |= {
                "shift": spec.shift, "n_powers": len(spec.powers), "n_inverse": len(spec.inverse),
                "sum_shift": spec.sum_shift, "sum_first": spec.sum_first, "half": 1 << (spec.drop - 1),
                "drop": spec.drop, "top": spec.top,
            }  # fmt: skip
            reach = max(source.width, spec.last.bit_length())
            types |= {
                "gap_t": integer(reach + 1, False),
                "sum_t": integer((spec.n * largest).bit_length(), False),
                "product_t": integer((largest * most + constants["half"]).bit_length(), False),
            }
    types |= {f"{name}_t": integer(*_integer(values)) for name, values in _tables(spec).items()}
    lines = [f"    typedef {kind} {name};" for name, kind in types.items()]
    lines += [
        f"    static const {'int' if name in ('first', 'last') else 'unsigned'} {name} = {value};"
        for name, value in constants.items()
    ]
    return "\n".join([f"struct config{index} {{", *lines, "};"]) + "\n"


def _integer(values: tuple[int, ...]) -> tuple[int, bool]:
    """Width and sign of the narrowest whole number that holds every one of `values`."""
    low, high = min(values), max(values)
    signed = low < 0
    return max((-low - 1).bit_length() if signed else 0, high.bit_length()) + signed, signed


def _ap_int(width: int, signed: bool) -> str:
    return f"ap_{'' if signed else 'u'}int<{width}>"


def _ac_int(width: int, signed: bool) -> str:
    return f"ac_int<{width}, {str(signed).lower()}>"
