"""Before the rounds: events, network, float reference, space, baselines."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from flow.data.scaling import Centred, InputScaling
from flow.design import Design, LayerDesign
from flow.errors import BadInput, BudgetMissed
from flow.firmware.followed import check_form
from flow.firmware.reuse import check_choices
from flow.formats import Format, best_integer, parse
from flow.loop import pricing
from flow.loop.context import Context, scaling_of
from flow.metrics import Figure
from flow.search.nearest import nearest
from flow.search.pricing import beyond
from flow.space import SearchSpace, build_space, check_space, formats, least_design
from flow.store import Step, file_digest
from flow.synth import cache
from flow.synth.jobs.call import call
from flow.synth.jobs.run import folder_of
from flow.synth.jobs.settings import Needs, System
from flow.topology import Topology, Weighted
from flow.train.designs import (
    Physics,
    Sample,
    Start,
    figures_of,
    member_parameters,
    member_weights,
    train_designs,
)
from flow.train.evaluate import OperatingPoint, Truth
from flow.train.schedule import Distillation, Halving, Importance, Pruning, Schedule
from flow.width import widest

BASELINES = {"uniform 6 bits": 6, "uniform 16 bits": 16}
BASELINE_KINDS = {  # of a uniform design's activations, by function
    "relu": "quantized_relu",
    "tanh": "quantized_tanh",
    "sigmoid": "quantized_sigmoid",
    "linear": "quantized_bits",
}
TRAINING_GB, TRAINING_S = 8.0, 4 * 3600.0  # what a batch system is asked for, for a population
RANGE_EVENTS = 20_000  # events on which ranges of activations are taken

# What training starts from: the key of the step that made it, and parameters by name (None = random).
Origin = tuple[str, Mapping[str, np.ndarray] | None]
RANDOM: Origin = ("random", None)


@dataclass(frozen=True)
class Ground:
    """What stands before the first round."""

    topology: Topology
    data: Step
    floating: Step
    space: SearchSpace
    physics: Physics

    @cached_property
    def scaling(self) -> InputScaling:
        return scaling_of(self.data.result)

    def sample(self, part: str) -> Sample:
        """Centred values and truth of "train", "validation" or "test"."""
        arrays = self.data.arrays
        values = Centred(arrays[f"{part}.words"], self.scaling)
        if not isinstance(arrays[f"{part}.words"], np.memmap):
            values = values[:]  # it fits into memory
        return Sample(values, Truth.of(arrays[f"{part}.labels"], arrays[f"{part}.events"]))

    def words(self, part: str) -> np.ndarray:
        return self.data.arrays[f"{part}.words"].astype(np.float64)

    @cached_property
    def train(self) -> Sample:
        return self.sample("train")

    @cached_property
    def validation(self) -> Sample:
        return self.sample("validation")

    @cached_property
    def float_weights(self):
        """The float network's deployed weights: layer → kernel, bias."""
        return member_weights(self.topology, self.floating.arrays, 0)

    @cached_property
    def start(self) -> Origin:
        """The float network, as what designs are trained from."""
        return self.floating.key, member_parameters(self.floating.arrays, 0)

    @cached_property
    def wide(self) -> Topology | None:
        """The widest network of the space, which holds all its designs; None where no width is to choose."""
        if self.space is None:
            return None
        widths = self.space.numbers("width")
        return widest(self.topology, widths) if widths else None

    @property
    def float_figures(self) -> dict[str, Figure]:
        return figures_of(self.floating.result["members"][0]["figures"])


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


def check_files(context: Context) -> None:
    """Raise BadInput where a file that the task names is missing."""
    from flow.data.prepare import sources

    for path in sources(context.task.data, context.folder):
        if not path.exists():
            raise BadInput(f"{context.path}: data.file: {path}: no such file")
    weights = context.task.train.weights
    if weights is not None and not (context.folder / weights).is_file():
        raise BadInput(f"{context.path}: train.weights: {context.folder / weights}: no such file")


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


def train_on(
    context: Context,
    ground: Ground,
    name: str,
    designs: Sequence[Design | None],
    starts: Sequence[Origin],
    epochs: int,
    costs: Sequence[float] | None = None,
) -> Step:
    """Train designs as a step on the ground that was laid; None stands for the float network.

    With `costs`, one for each design, successive halving takes out those that another one beats at no more cost.
    """
    settings, point = context.task.train, ground.physics.point
    schedule = _schedule(context, designs, epochs, costs is not None)
    teacher = ground.start if schedule.distillation else RANDOM
    wide = None if None in designs else ground.wide
    inputs = {
        "data": ground.data.key,
        "topology": ground.topology.to_json(),
        "designs": [None if design is None else design.to_json() for design in designs],
        "schedule": schedule.to_json(),
        "point": [list(point.signal), list(point.background), point.background_efficiency],
        "maximize": ground.physics.maximize,
        "starts": [key for key, _ in starts],
        "costs": None if schedule.halving is None else list(costs),
        "teacher": teacher[0],
    } | ({} if wide is None else {"wide": wide.to_json()})

    def compute():
        prices = [0.0] * len(designs) if costs is None else costs
        begins = [Start(parameters, cost) for (_, parameters), cost in zip(starts, prices, strict=True)]
        with context.stage(f"training {name}"):
            if context.jobs.system is not System.LOCAL:
                return _timed(_train_elsewhere, context, ground, designs, begins, schedule, teacher[1], wide)
            return _timed(
                train_designs,
                ground.topology,
                designs,
                begins,
                ground.train,
                ground.validation,
                ground.physics,
                schedule,
                context.progress("epochs"),
                teacher[1],
                settings.population,
                context.say,
                wide,
            )

    return context.store.step(name.replace(" ", "-"), inputs, compute)


def _timed(train, *arguments):
    """What a training returns, and how long it took (s)."""
    begun = time.monotonic()
    result, arrays = train(*arguments)
    return result | {"seconds": round(time.monotonic() - begun, 3)}, arrays


def _train_elsewhere(context: Context, ground: Ground, designs, starts, schedule: Schedule, teacher, wide):
    """As `train_designs`, on a worker of the job system."""
    from flow.loop.elsewhere import Training, train

    population = context.task.train.population
    job = Training(
        ground.topology, tuple(designs), tuple(starts), ground.data.folder.resolve(), ground.physics, schedule, teacher,
        population, wide,
    )  # fmt: skip
    needs = Needs(1, TRAINING_GB, TRAINING_S)
    return call(train, job, settings=context.jobs, folder=folder_of(cache.root()), needs=needs, say=context.say)


def _schedule(context: Context, designs: Sequence[Design | None], epochs: int, halved: bool) -> Schedule:
    """The task's schedule; a float network has all its epochs and no teacher."""
    settings, floating = context.task.train, None in designs
    return Schedule(
        epochs,
        settings.batch,
        settings.learning_rate,
        context.task.search.seed,
        Pruning(Importance(settings.importance), settings.pruned_after),
        None if floating else settings.patience,
        Halving(settings.halving) if halved and settings.halving > 1 else None,
        Distillation(settings.distillation, settings.temperature) if settings.distillation and not floating else None,
    )


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


def check_followed(context: Context, topology: Topology) -> None:
    """Raise BadInput where firmware can't follow a choice of the space."""
    for key, role, text, form in formats(context.task.space, topology, context.path):
        try:
            check_form(role, form)
        except ValueError as error:
            raise BadInput(f"{context.path}: space: {key}: {text!r}: {error}") from None


def check_firmware(context: Context, topology: Topology) -> None:
    """Raise BadInput where the network can't be built as the task asks for it."""
    space, word = context.task.space, parse(context.task.data.word)
    choices = build_space(space, topology, None, None, context.path)
    try:
        check_choices(
            topology,
            context.target,
            choices.numbers("reuse"),
            choices.numbers("width"),
            context.task.target.interval,
        )
    except BadInput as error:
        raise BadInput(f"{context.path}: space: {error}") from None
    least = least_design(space, topology, context.path)
    inputs = {"topology": topology.to_json(), "design": least.to_json(), "word": str(word)}

    def compute():
        from flow.firmware.rehearsal import require

        try:
            require(topology, least, word, context.target, context.name)
        except BadInput as error:
            raise BadInput(f"{context.path}: target, firmware: {error}") from None
        return {}, {}

    context.store.step("rehearsal", inputs | {"target": context.target.to_json(), "name": context.name}, compute)


def check_budget(context: Context, topology: Topology) -> None:
    """Raise BudgetMissed where every design of the space is predicted far outside the budget, with the nearest one.

    Nothing is said of what the closed form does not price.
    """
    from flow.loop.problem import Prices

    if not pricing.priced(context):
        return
    space, word = build_space(context.task.space, topology, None, None, context.path), parse(context.task.data.word)
    model, limits = pricing.start(context), context.limits

    def excess(designs: Sequence[Mapping[str, str]]) -> np.ndarray:
        prices = Prices(context, model, topology, [space.design(chosen) for chosen in designs], word)
        return np.maximum([beyond(prices[name], limit) for name, limit in limits.items()], 0.0).sum(0)

    if not limits:
        return
    chosen = nearest(space.parameters, space.forbidden, excess)
    figures = pricing.predict(context, model, topology, space.design(chosen), word)
    for name, limit in limits.items():
        figure = figures[name]
        if figure.value - 3 * (figure.error or 0.0) > limit:
            key = "latency" if name == "latency_ns" else name
            raise BudgetMissed(
                f"{context.path}: budget.{key}: {limit:g} {figure.unit} can't be met: the nearest design of the space needs"
                f" about {figure.value:.0f} ± {figure.error or 0:.0f} {figure.unit} (model):"
                f" {', '.join(f'{name} {text}' for name, text in chosen.items())}; raise it, or widen the space"
            )
