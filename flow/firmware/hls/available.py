"""What hls4ml (1.3.0) has not: combinations of backend, strategy, io type, reuse factor and layer, refused by name.

The table was made by reading hls4ml's templates and passes and by running every network of the tests on every
backend; what is not in it is written, compiled where that is possible, and compared.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from flow.cost.hls import reuse
from flow.errors import BadInput
from flow.firmware import outputs
from flow.firmware.precision import Linear, Pool, Quantize, Stage, StageTypes
from flow.firmware.settings import Backend, IoType, Strategy, Target
from flow.topology import Conv, Dense, Scale

_COPIES = 7  # that hls4ml makes of a stream at most

# Strategies that a backend has.
STRATEGIES: dict[Backend, tuple[Strategy, ...]] = {
    Backend.VITIS: tuple(Strategy),
    Backend.VIVADO: tuple(Strategy),
    Backend.ONEAPI: (Strategy.RESOURCE,),
    Backend.CATAPULT: (Strategy.LATENCY, Strategy.RESOURCE),
}

_CAVEATS = {
    Backend.ONEAPI: (
        "the sources are compiled by g++ with Siemens' ac_types, in place of Intel's copy of them, and with stand-ins"
        " for SYCL's pipes and tasks: icpx has compiled nothing, neither emulation nor report nor hardware"
    ),
    Backend.CATAPULT: "the sources are compiled by g++; Catapult has compiled nothing",
}


def require(target: Target, stages: Sequence[Stage]) -> None:
    """Raise one BadInput with every reason why hls4ml can't write `stages` for `target`."""
    reasons = unavailable(target, stages)
    if reasons:
        raise BadInput("; ".join(reasons))


def unavailable(target: Target, stages: Sequence[Stage]) -> list[str]:
    """Every reason why hls4ml can't write these stages for `target`, each naming the layer or setting; [] if it can."""
    reasons = [*_settings(target, stages)]
    for stage in stages:
        reasons += _layer(target, stage)
    if target.io_type == IoType.STREAM:
        readers = Counter(name for stage in stages for name in stage.inputs)
        reasons += [
            f"layer {name}: {times} layers read it; as a stream at most {_COPIES} can (io_parallel: any)"
            for name, times in readers.items()
            if times > _COPIES
        ]
    return reasons


def adjusted(types: Mapping[str, StageTypes], stages: Sequence[Stage], target: Target) -> dict[str, StageTypes]:
    """The types of all stages as the backend needs them.

    The maximum over a whole stream starts, in oneAPI, from a word with only its highest bit set, the lowest value
    of a signed type alone: its accumulator is signed.
    """
    found = dict(types)
    if target.backend == Backend.ONEAPI and target.io_type == IoType.STREAM:
        for stage in stages:
            accum = types[stage.name].accum
            if isinstance(stage, Pool) and stage.operation == "max" and accum is not None and not accum.signed:
                signed = replace(accum, width=accum.width + 1, integer=accum.integer + 1, signed=True)
                found[stage.name] = replace(types[stage.name], accum=signed)
    return found


def csim_unavailable(target: Target) -> str | None:
    """Why no C simulation of a project for `target` can run with a C++ compiler alone; None where it can, as for all.

    Whether this machine has the compiler is another question, which the simulation itself answers.
    """
    return None


def csim_caveat(target: Target) -> str | None:
    """What the C simulation for `target` does not show of the vendor's own; None where it runs the vendor's types."""
    return _CAVEATS.get(target.backend)


def _settings(target: Target, stages: Sequence[Stage]) -> Iterator[str]:
    allowed = STRATEGIES[target.backend]
    if target.strategy not in allowed:
        yield f"backend {target.backend} has no strategy {target.strategy} in hls4ml; it has: {', '.join(allowed)}"
    without = outputs.unavailable(target)
    if without is not None:
        yield without
    if target.fifo_depth is not None and target.io_type != IoType.STREAM:
        yield f"fifo_depth {target.fifo_depth}: there are no FIFOs in {target.io_type}; io_stream has them"
    if target.fifo_depth is not None and target.backend == Backend.CATAPULT:
        yield f"fifo_depth {target.fifo_depth}: hls4ml sets no depths for Catapult, whose tool sizes its FIFOs"
    multiplying = [stage.owner for stage in stages if _multiplies(stage)]
    unknown = [name for name, _ in target.reuse if name not in multiplying]
    if unknown:
        yield f"reuse: no layer with a kernel is called {', '.join(unknown)}; there are: {', '.join(multiplying)}"


def _layer(target: Target, stage: Stage) -> Iterator[str]:
    if _multiplies(stage):
        yield from _reuse(target, stage)
    layer = getattr(stage, "layer", None)
    if isinstance(layer, Conv) and layer.depthwise:
        yield from _depthwise(target, layer)
    averaged = isinstance(stage, Pool) and stage.operation == "average"
    if target.backend == Backend.CATAPULT and averaged and not (stage.flat and target.io_type == IoType.STREAM):
        yield f"layer {stage.name}: hls4ml's average for Catapult loses bits, except a global one in io_stream"
    if target.backend == Backend.ONEAPI and isinstance(stage, Quantize) and stage.type.width == 1:
        yield f"layer {stage.name}: rounds to one bit; oneAPI's fixed-point types have at least two"


def _reuse(target: Target, stage: Linear) -> Iterator[str]:
    factor, layer = target.reuse_of(stage.owner), stage.layer
    n_in, n_out = stage.kernel.reshape(-1, stage.kernel.shape[-1]).shape
    if target.strategy == Strategy.DISTRIBUTED_ARITHMETIC:
        if factor != 1:
            yield f"layer {stage.name}: reuse factor {factor}; distributed arithmetic shares nothing: 1 alone"
        return
    if isinstance(layer, Conv) and layer.depthwise:
        return
    if target.strategy == Strategy.LATENCY and factor <= n_in * n_out:
        return
    if not reuse.is_legal(n_in, n_out, factor):
        factors = reuse.legal(n_in, n_out)
        nearest = [f for f in factors if f < factor][-1:] + [f for f in factors if f > factor][:1]
        yield (
            f"layer {stage.name}: reuse factor {factor} of {n_in} x {n_out} weights;"
            f" the nearest that hls4ml takes: {' and '.join(map(str, nearest))}"
        )


def _depthwise(target: Target, layer: Conv) -> Iterator[str]:
    where = f"layer {layer.name}: a depthwise convolution"
    if target.backend == Backend.ONEAPI:
        if target.io_type == IoType.STREAM:
            yield f"{where} needs io_parallel in hls4ml's oneAPI"
        return
    if target.strategy != Strategy.LATENCY:
        yield f"{where} needs the strategy Latency in hls4ml"
    if target.backend == Backend.CATAPULT and target.io_type == IoType.PARALLEL:
        if len(layer.window) == 1:
            yield f"{where} in one dimension needs io_stream in hls4ml's Catapult"
        elif layer.padding != "valid" or set(layer.strides) != {1}:
            yield f"{where} with padding or strides needs io_stream in hls4ml's Catapult"


def _multiplies(stage: Stage) -> bool:
    """Whether a stage has a kernel whose multipliers can be shared."""
    return isinstance(stage, Linear) and isinstance(stage.layer, (Dense, Conv)) and not isinstance(stage.layer, Scale)
