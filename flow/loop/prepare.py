"""Before the rounds: events, network, float reference, space, baselines."""

from collections.abc import Mapping

import numpy as np

from flow.design import Design, LayerDesign
from flow.errors import BadInput
from flow.formats import Format, best_integer
from flow.loop.checks import check_budget, check_files, check_firmware, check_followed
from flow.loop.context import Context, scaling_of
from flow.loop.ground import RANDOM, Ground, Origin
from flow.loop.training import train_on
from flow.space import SearchSpace, build_space, check_space
from flow.store import Step, file_digest
from flow.topology import Topology, Weighted
from flow.train.designs import Physics, member_weights
from flow.train.evaluate import OperatingPoint

BASELINES = {"uniform 6 bits": 6, "uniform 16 bits": 16}
BASELINE_KINDS = {  # of a uniform design's activations, by function
    "relu": "quantized_relu",
    "tanh": "quantized_tanh",
    "sigmoid": "quantized_sigmoid",
    "linear": "quantized_bits",
}
RANGE_EVENTS = 20_000  # events on which ranges of activations are taken


def lay_ground(context: Context) -> Ground:
    """Events, network, float reference and space; everything wrong with the task is said here, before training."""
    from flow.search import check_here, check_settings, strategy

    task = context.task
    strategy(task.search.strategy, f"{context.path}: search.strategy")
    check_settings(task.search.options, f"{context.path}: search.options", metric=task.objective.maximize[0])
    check_here(task.search.strategy, task.search.options, f"{context.path}: search.strategy")
    check_files(context)
    topology = read_topology(context)
    check_space(task.space, topology, context.path)
    check_followed(context, topology)
    check_budget(context, topology)
    check_firmware(context, topology)
    data = read_data(context)
    classes = task.data.classes
    point = OperatingPoint(
        tuple(classes.index(name) for name in task.operating_point.signal),
        tuple(classes.index(name) for name in task.operating_point.background),
        task.operating_point.background_efficiency,
    )
    physics = Physics(point, classes, task.objective.metric)
    floating = _train_float(context, topology, data, physics)
    space = _space(context, topology, data, floating)
    return Ground(topology, data, floating, space, physics)


def read_data(context: Context) -> Step:
    """The step that holds the task's events."""
    from flow.data.prepare import prepare, sources

    task = context.task
    check_files(context)
    digests = [file_digest(p) if p.is_file() else str(p) for p in sources(task.data, context.folder)]
    inputs = {"files": digests, "data": task.data.model_dump(mode="json")}

    def compute():
        with context.stage("reading events"):
            return prepare(task.data, context.folder)

    return context.store.step("data", inputs, compute)


def read_topology(context: Context) -> Topology:
    from flow.data.features import FEATURES

    path = context.folder / context.task.network
    if not path.is_file():
        raise BadInput(f"{context.path}: network: {path}: no such file")
    features, classes = context.task.data.features or FEATURES, context.task.data.classes
    fold = context.task.train.fold_batchnorm
    inputs = {"network": file_digest(path), "n_in": len(features), "n_out": len(classes), "fold_batchnorm": fold}

    def compute():
        from flow.train.network import read_network

        with context.stage("reading the network"):
            return {"layers": read_network(path, len(features), len(classes), fold).to_json()}, {}

    return Topology.from_json(context.store.step("network", inputs, compute).result["layers"])


def uniform_design(topology: Topology, weights: Mapping, samples: Mapping, bits: int, word_bits: int) -> Design:
    """Every kernel, bias and activation of one width, nothing pruned; the input has two bits more, up to its words'.

    Integer bits suit `weights` (layer → kernel, bias) and `samples` ("input" and layer → what it puts out).
    """

    def suited(values: np.ndarray | None, kind: str = "quantized_bits") -> Format | None:
        return None if values is None else best_integer(values, bits, kind)

    layers = []
    for layer in topology.designed:
        kernel, bias = weights[layer.name] if isinstance(layer, Weighted) else (None, None)
        activation = None
        if topology.quantized(layer):
            activation = suited(samples[layer.name], BASELINE_KINDS[layer.activation])
        layers.append((layer.name, LayerDesign(suited(kernel), suited(bias), activation)))
    return Design(best_integer(samples["input"], min(bits + 2, word_bits), "quantized_bits"), tuple(layers))


def baseline_designs(ground: Ground) -> dict[str, Design]:
    """Uniform designs of 6 and 16 bits, integer bits from the float network's ranges."""
    samples = range_samples(ground.topology, ground.data, ground.float_weights)
    word = ground.scaling.word.bits
    return {
        name: uniform_design(ground.topology, ground.float_weights, samples, bits, word)
        for name, bits in BASELINES.items()
    }


def train_baselines(context: Context, ground: Ground) -> Step:
    """The uniform designs, trained as long as designs that are built; members in the order of BASELINES."""
    designs = list(baseline_designs(ground).values())
    starts = [ground.start] * len(designs)
    return train_on(context, ground, "baselines", designs, starts, context.task.train.final_epochs)


def _train_float(context: Context, topology: Topology, data: Step, physics: Physics) -> Step:
    bare = Ground(topology, data, data, None, physics)
    start = _float_start(context, topology)
    step = train_on(context, bare, "float", [None], [start], context.task.train.float_epochs)
    failed = step.result["members"][0]["failed"]
    if failed:
        raise BadInput(
            f"{context.path}: train.learning_rate: {context.task.train.learning_rate:g} is too high: the loss or the"
            f" weights of the float network were no numbers any more in epoch {failed}"
        )
    return step


def _float_start(context: Context, topology: Topology) -> Origin:
    """What the float network is trained from: random weights, or those that network() has of the file train.weights."""
    if context.task.train.weights is None:
        return RANDOM
    path = context.folder / context.task.network
    inputs = {
        "network": file_digest(path),
        "weights": file_digest(context.folder / context.task.train.weights),
        "topology": topology.to_json(),
    }

    def compute():
        from flow.train.network.start import read_parameters

        return {}, read_parameters(path, topology)

    step = context.store.step("weights", inputs, compute)
    return step.key, step.arrays


def range_samples(topology: Topology, data: Step, weights) -> dict[str, np.ndarray]:
    """What ranges are taken from: the centred inputs and what each designed layer of the float network puts out."""
    from flow.train.ranges import hidden_values

    scaling = scaling_of(data.result)
    values = scaling.centred(data.arrays["train.words"][:RANGE_EVENTS].astype(np.float64))
    return {"input": values} | hidden_values(topology, weights, values, topology.names)


def _space(context: Context, topology: Topology, data: Step, floating: Step) -> SearchSpace:
    inputs = {
        "float": floating.key,
        "space": context.task.space.model_dump(mode="json"),
        "topology": topology.to_json(),
    }

    def compute():
        weights = member_weights(topology, floating.arrays, 0)
        samples = range_samples(topology, data, weights)
        return build_space(context.task.space, topology, weights, samples, context.path).to_json(), {}

    return SearchSpace.from_json(context.store.step("space", inputs, compute).result)
