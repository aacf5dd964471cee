"""What the user asks for: one typed configuration, read from models/<task>/task.yaml.

Every key has a default, a unit and a sentence; `docs/task.md` is made from them. Whatever is wrong in
the file is said in one line before work starts.
"""

import difflib
import types
import typing
from pathlib import Path
from typing import Annotated, Literal

import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from flow.errors import BadInput
from flow.firmware import settings
from flow.firmware.settings import Backend, IoType, Language, Output, Strategy
from flow.formats import Fixed, parse
from flow.quantities import counted_in, number_in

Nanoseconds = Annotated[float, BeforeValidator(number_in("ns")), Field(gt=0, allow_inf_nan=False)]
Megahertz = Annotated[float, BeforeValidator(number_in("MHz")), Field(gt=0, allow_inf_nan=False)]
Seconds = Annotated[float, BeforeValidator(number_in("s")), Field(gt=0, allow_inf_nan=False)]
Gigabytes = Annotated[float, BeforeValidator(number_in("GB")), Field(gt=0, allow_inf_nan=False)]
Fraction = Annotated[float, Field(gt=0, lt=1)]
Positive = Annotated[int, Field(gt=0, strict=True)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=False)


class Data(_Part):
    """Where the events come from, how they are split, and the words that the firmware receives."""

    file: str = Field(
        "jets.parquet", description="Events: ARFF, Parquet, HDF5, NPZ or NPY; relative to the task's folder."
    )
    labels: str | None = Field(None, description="The labels' NPY file where `file` is an NPY.")
    features: tuple[str, ...] = Field(
        (), description="Features by name, in the network's order; empty = the 16 jet features."
    )
    classes: tuple[str, ...] = Field(
        ("g", "q", "t", "w", "z"), description="Classes by name, in the order of the logits."
    )
    limit: Positive | None = Field(
        None, description="Use at most so many events (the first ones of the file's classes in turn)."
    )
    train: Fraction = Field(0.6, description="Fraction of the events to train on.")
    validation: Fraction = Field(0.2, description="Fraction that the search sees; the rest is the test sample.")
    seed: int = Field(1, ge=0, description="Seed of the split.")
    word: str = Field("quantized_bits(13,5)", description="Fixed-point format of every input word.")
    scaling: Literal["each", "common", "none"] = Field(
        "each",
        description="'each': a power of two and an offset for every feature; 'common': one power of two for all and no"
        " offset, as pixels need; 'none': neither, words are the features as they are.",
    )
    offset_step: float = Field(
        0.25, gt=0, description="Grid of the offsets that the firmware subtracts; a power of two."
    )

    @field_validator("word")
    @classmethod
    def _word(cls, value: str) -> str:
        form = parse(value)
        if not isinstance(form, Fixed) or form != Fixed(form.bits, form.integer):
            raise ValueError("allowed: quantized_bits(bits,integer)")
        return value

    @field_validator("offset_step")
    @classmethod
    def _power(cls, value: float) -> float:
        if value.as_integer_ratio()[0] & (value.as_integer_ratio()[0] - 1) or value.as_integer_ratio()[1] & (
            value.as_integer_ratio()[1] - 1
        ):
            raise ValueError("allowed: a power of two")
        return value


class Operating(_Part):
    """The trigger's operating point."""

    signal: tuple[str, ...] = Field(("t", "w", "z"), description="Signal classes.")
    background: tuple[str, ...] = Field(("g", "q"), description="Background classes.")
    background_efficiency: Fraction = Field(1e-2, description="Background efficiency that the trigger can afford.")


class Target(_Part):
    """What the firmware is built for."""

    part: str = Field("xcvu9p-flga2104-2L-e", description="FPGA part.")
    clock: Megahertz = Field(200.0, description="Clock frequency (MHz).")
    interval: Positive = Field(
        1, description="Longest initiation interval (cycles) that the trigger can afford; 1 = an event every cycle."
    )
    backend: Backend = Field(Backend.VITIS, description="hls4ml backend of the HLS project.")
    tool: Literal["yosys", "vivado", "vitis", "vivado_hls"] = Field(
        "yosys",
        description="The tool whose reports close the loop: yosys and vivado read the Verilog, vitis and vivado_hls the"
        " HLS project; `flow tools` says which are here.",
    )
    stage: Literal["csynth", "cosim", "export", "synth", "route"] | None = Field(
        None, description="How far that tool goes; left out = what is usual for it."
    )

    @property
    def clock_ns(self) -> float:
        """Clock period in ns."""
        return 1e3 / self.clock


class Firmware(_Part):
    """How a design becomes hardware; reuse factors and the output hold for the HLS project and for the Verilog."""

    strategy: Strategy = Field(Strategy.LATENCY, description="How hls4ml multiplies.")
    io_type: IoType = Field(IoType.PARALLEL, description="How values travel between hls4ml's layers.")
    reuse_factor: Positive = Field(
        1, description="Products that one multiplier of a layer computes in turn; the interval is the largest of all."
    )
    reuse: dict[str, Positive] = Field({}, description="Reuse factors of single layers, by name.")
    fifo_depth: Positive | None = Field(
        None, description="Depth of hls4ml's FIFOs, for io_stream; left out = hls4ml's own choice."
    )
    output: Output = Field(
        Output.LOGITS, description="What comes out: sums, the index of the largest, or a function of them by tables."
    )
    accuracy: float = Field(2.0**-8, gt=0, lt=1, description="Largest error of an output that tables give.")
    language: Language = Field(Language.VERILOG, description="Language of the RTL.")
    cycles: Positive | None = Field(
        None, description="Latency (cycles) that the RTL is pipelined to; left out = as few as the clock allows."
    )

    @property
    def interval(self) -> int:
        """Initiation interval in cycles: the largest reuse factor."""
        return max((self.reuse_factor, *self.reuse.values()))


class Budget(_Part):
    """What a design may use; a key left out is no limit."""

    lut: Annotated[int, BeforeValidator(counted_in("LUT")), Field(gt=0)] | None = Field(
        None, description="Look-up tables."
    )
    ff: Annotated[int, BeforeValidator(counted_in("FF")), Field(gt=0)] | None = Field(None, description="Flip-flops.")
    dsp: Annotated[int, BeforeValidator(counted_in("DSP")), Field(ge=0)] | None = Field(None, description="DSP blocks.")
    bram_18k: Annotated[int, BeforeValidator(counted_in("BRAM18")), Field(ge=0)] | None = Field(
        None, description="Block memories of 18 kbit."
    )
    latency: Nanoseconds | None = Field(None, description="Latency, cycles times clock period (ns).")

    def limits(self) -> dict[str, float]:
        """Figure name → limit, for the keys that are set."""
        named = {"lut": self.lut, "ff": self.ff, "dsp": self.dsp, "bram_18k": self.bram_18k, "latency_ns": self.latency}
        return {name: float(limit) for name, limit in named.items() if limit is not None}


def _texts(value):
    """A validator: one choice, or several, as text."""
    several = value if isinstance(value, (list, tuple)) else (value,)
    return tuple(f"{item:g}" if isinstance(item, float) else str(item) for item in several)


def _names(value):
    """A validator: one name, or several."""
    return (value,) if isinstance(value, str) else value


def _known_figures(names: tuple[str, ...]) -> tuple[str, ...]:
    """A validator: figures that the search knows of every trained design, each once."""
    for name in names:
        if name not in (*PHYSICS, *SCORES, *PRICED):
            raise ValueError(f"{name!r} is no figure of a trial; known: {', '.join((*PHYSICS, *SCORES, *PRICED))}")
    if not names or len(set(names)) < len(names):
        raise ValueError("at least one figure is needed, and none twice")
    return names


PHYSICS = ("accuracy", "mean_auc", "signal_efficiency", "background_efficiency")  # measured on the validation sample
SCORES = ("forgiving_score",)  # made of the metric and a price
PRICED = ("lut", "ff", "dsp", "bram_18k", "latency_cycles", "latency_ns", "bits", "ebops", "macs", "bops", "energy")
Figures = Annotated[tuple[str, ...], BeforeValidator(_names), AfterValidator(_known_figures)]


class Forgiving(_Part):
    """AutoQKeras' forgiving factor: what makes a smaller design's metric count for more."""

    goal: Literal["bits", "energy"] = Field("energy", description="The price that counts.")
    delta_p: float = Field(8.0, ge=0, le=100, description="Gain (%) of the metric for a price lower by `rate`.")
    delta_n: float = Field(8.0, ge=0, le=100, description="Loss (%) of the metric for a price higher by `rate`.")
    rate: float = Field(2.0, gt=1, allow_inf_nan=False, description="The factor in price that delta stands for.")
    stress: float = Field(1.0, gt=0, le=100, description="Factor on the reference price; below 1 asks for less.")
    reference: Literal["float", "uniform 8 bits"] = Field(
        "uniform 8 bits", description="The network whose price the reference is; float counts 32 bits a value."
    )


class Objective(_Part):
    """What the search is for: the first metric decides which designs are built, the first cost is the front's axis."""

    maximize: Figures = Field(("accuracy",), description="Figures to maximise: one name, or a list.")
    minimize: Figures = Field(("lut",), description="Figures to minimise: one name, or a list.")
    forgiving: Forgiving = Field(Forgiving(), description="How forgiving_score is made.")

    @model_validator(mode="after")
    def _ways(self):
        for name in (*PHYSICS[:3], *SCORES):
            if name in self.minimize:
                raise ValueError(f"minimize: {name} is better when it is larger")
        for name in (*PHYSICS[3:], *PRICED):
            if name in self.maximize:
                raise ValueError(f"maximize: {name} is better when it is smaller")
        if not set(self.minimize) & set(PRICED):
            raise ValueError(f"minimize: a cost is needed: one of {', '.join(PRICED)}")
        return self

    @property
    def metric(self) -> str:
        """The physics metric that decides between designs."""
        return next((name for name in self.maximize if name in PHYSICS), "accuracy")

    @property
    def cost(self) -> str:
        """The cost on the front's axis."""
        return next(name for name in self.minimize if name in PRICED)


class Train(_Part):
    """How networks are trained."""

    float_epochs: Positive = Field(30, description="Epochs of the float network.")
    weights: str | None = Field(
        None,
        description="NPZ file that network() loads its weights from, relative to the folder: the float network starts"
        " from them; left out = from random ones.",
    )
    epochs: Positive = Field(12, description="Epochs of every design in the search.")
    final_epochs: Positive = Field(40, description="Epochs of the designs that are built.")
    batch: Positive = Field(1024, description="Events per training step.")
    learning_rate: float = Field(
        4e-3, gt=0, lt=1, description="Adam's learning rate at the start; it falls as a cosine."
    )
    population: Positive = Field(32, description="Designs trained together in one graph.")
    start: Literal["float", "nearest"] = Field(
        "float",
        description="Designs start from the float network's weights, or from those of the nearest trained design.",
    )
    importance: Literal["magnitude", "fisher"] = Field(
        "magnitude", description="What is pruned first: the smallest weights, or those that the loss misses least."
    )
    pruned_after: float = Field(
        0.2, gt=0, le=1, description="Fraction of the epochs after which kernels are as sparse as designs ask."
    )
    halving: Annotated[int, Field(ge=1, strict=True)] = Field(
        2,
        description="Successive halving of the search's designs: at each rung one in so many stays at least; 1 = off.",
    )
    patience: Positive | None = Field(
        None, description="A design stops training after so many epochs without a better metric."
    )
    distillation: Annotated[float, Field(ge=0, le=1)] = Field(
        0.0, description="Share of the float network's answers in the loss of designs; 0 = labels alone."
    )
    temperature: float = Field(2.0, ge=0.1, le=100, allow_inf_nan=False, description="Temperature of the distillation.")
    fold_batchnorm: bool = Field(True, description="Fold a batch normalization into the layer in front of it.")


Factor = Annotated[float, Field(gt=0, le=8)]


class LayerSpace(_Part):
    """Choices of one layer; a key left out takes the choices of `space`."""

    kernel: tuple[str, ...] | None = Field(None, description="Kernel formats.")
    bias: tuple[str, ...] | None = Field(None, description="Bias formats.")
    activation: tuple[str, ...] | None = Field(None, description="Formats of its activation, whatever its function.")
    keep: tuple[Annotated[float, Field(gt=0, le=1)], ...] | None = Field(None, description="Fractions of weights kept.")
    width: tuple[Factor, ...] | None = Field(None, description="Factors on its units or filters.")
    reuse: tuple[Positive, ...] | None = Field(None, description="Reuse factors.")


class Space(_Part):
    """The candidates. A width without integer bits takes them from the float network's ranges."""

    input: tuple[str, ...] = Field(
        tuple(f"quantized_bits({b})" for b in (4, 5, 6, 7, 8)), description="Formats of the network's input."
    )
    kernel: tuple[str, ...] = Field(
        ("binary", "ternary", *(f"quantized_bits({b})" for b in (2, 3, 4, 5, 6))), description="Kernel formats."
    )
    bias: tuple[str, ...] = Field(
        ("quantized_bits(4)", "quantized_bits(6)", "quantized_bits(8)"), description="Bias formats."
    )
    activation: tuple[str, ...] = Field(
        tuple(f"quantized_relu({b})" for b in (2, 3, 4, 5, 6)), description="Activation formats behind relu."
    )
    tanh: tuple[str, ...] = Field(
        tuple(f"quantized_tanh({b})" for b in (3, 4, 5, 6)), description="Activation formats behind tanh."
    )
    sigmoid: tuple[str, ...] = Field(
        tuple(f"quantized_sigmoid({b})" for b in (3, 4, 5, 6)), description="Activation formats behind sigmoid."
    )
    linear: tuple[str, ...] = Field(
        tuple(f"quantized_bits({b})" for b in (3, 4, 5, 6)),
        description="Formats of a linear activation that stands on its own.",
    )
    keep: tuple[Annotated[float, Field(gt=0, le=1)], ...] = Field(
        (0.2, 0.3, 0.45, 0.65, 1.0), description="Fractions of a kernel's weights that pruning leaves."
    )
    width: tuple[Factor, ...] = Field(
        (1.0,), description="Factors on the units of dense layers and the filters of convolutions."
    )
    width_by: Literal["layer", "block", "none"] = Field(
        "layer",
        description="'layer': every layer has a width factor of its own; 'block': one for each of `blocks`; 'none': none.",
    )
    reuse: tuple[Positive, ...] = Field(
        (), description="Reuse factors of the layers to choose from; empty = the task's `firmware` says them."
    )
    layers: dict[str, LayerSpace] = Field({}, description="Choices of single layers, by name.")
    blocks: dict[str, tuple[str, ...]] = Field(
        {}, description="Layers that are searched together, by a name of yours; left out = every layer for itself."
    )
    groups: dict[str, tuple[str, ...]] = Field(
        {},
        description="What shares one choice, by a name of yours: layers (fc1, fc2: all their choices), or parameters"
        " (fc1.kernel, fc2.kernel).",
    )
    forbidden: tuple[dict[str, Annotated[tuple[str, ...], BeforeValidator(_texts)]], ...] = Field(
        (), description="Combinations that no design may have: parameter and the choice, or the choices."
    )


class Search(_Part):
    """How candidates are proposed, and how often reports steer."""

    strategy: str = Field("evolve", description="Who proposes; `flow strategies` lists them.")
    rounds: Positive = Field(2, description="Rounds of propose, train, build, synthesise, calibrate.")
    trials: Positive = Field(64, description="Designs trained in each round.")
    builds: Positive = Field(3, description="Designs built and synthesised in each round.")
    patience: Positive | None = Field(
        None, description="Stop when the chosen design has not improved for so many rounds."
    )
    seed: int = Field(1, ge=0, description="Seed of proposals and training.")
    parallel: Positive = Field(
        1,
        description="Batches in flight: a batch is proposed without waiting for the `parallel` - 1 before it, so that as"
        " many `flow search` at once have work.",
    )
    storage: str = Field(
        "",
        description="Optuna's storage of the study: empty = study.db (SQLite) with the results; sqlite:///FILE,"
        " postgresql://..., mysql://..., or journal:FILE.",
    )
    options: dict[str, dict[str, str | float | int | bool | list[str]]] = Field(
        {}, description="Settings of strategies, by strategy; `flow strategies` lists them."
    )


class Synth(_Part):
    """Limits of the tool runs."""

    ebops_limit: Positive = Field(200_000, description="Designs of more EBOPs are traced only, not synthesised.")
    timeout: Seconds = Field(900.0, description="Time limit of one tool run (s).")
    memory: Gigabytes | None = Field(None, description="Memory limit of one tool run (GB); left out = none.")
    at_once: Positive | None = Field(
        None, description="Tool runs at the same time; left out = as many as cores and memory allow."
    )
    retries: Annotated[int, Field(ge=0, strict=True)] = Field(
        3,
        description="How often a run is tried again that failed for want of a licence, disk or worker, or was killed from outside.",
    )
    licences: dict[str, Positive] = Field(
        {}, description="Runs of a tool at the same time among all who share the cache: its licences, by tool."
    )


class Task(_Part):
    """The whole of task.yaml."""

    network: str = Field(
        "network.py", description="Python file with `network()`, a plain Keras model; relative to the folder."
    )
    calibration: str = Field(
        "calibration.json",
        description="Reports that the cost models have learned from (`flow calibrate`), relative to the folder; used"
        " where it is there.",
    )
    data: Data = Field(Data(), description="Events and input words.")
    operating_point: Operating = Field(Operating(), description="The trigger's operating point.")
    target: Target = Field(Target(), description="Part, clock, tools.")
    firmware: Firmware = Field(Firmware(), description="How designs become hardware.")
    budget: Budget = Field(Budget(), description="What a design may use.")
    objective: Objective = Field(Objective(), description="What is maximised and minimised.")
    train: Train = Field(Train(), description="Training.")
    space: Space = Field(Space(), description="Candidates.")
    search: Search = Field(Search(), description="Search.")
    synth: Synth = Field(Synth(), description="Synthesis.")


def read(folder: Path) -> Task:
    """The task of a folder. Raises BadInput with one line on the first thing that is wrong."""
    path = folder / "task.yaml"
    if not folder.is_dir():
        raise BadInput(f"{folder}: no such task folder; a task is a folder with a task.yaml and a network.py")
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"{path}: can't be read ({getattr(error, 'strerror', None) or 'no UTF-8 text'})") from None
    return parse_text(text, path)


def parse_text(text: str, path: Path) -> Task:
    """The task that a YAML text says; `path` names it in messages."""
    try:
        raw = yaml.safe_load(text) or {}
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark else ""
        raise BadInput(f"{path}{where}: no YAML ({getattr(error, 'problem', None) or 'unreadable'})") from None
    if not isinstance(raw, dict):
        raise BadInput(f"{path}: a mapping of keys is expected, not {type(raw).__name__}")
    try:
        task = Task.model_validate(raw)
    except ValidationError as error:
        raise BadInput(f"{path}: {_one_line(error)}") from None
    _check_classes(task, path)
    _check_interval(task, path)
    if task.data.train + task.data.validation >= 1:
        raise BadInput(
            f"{path}: data.train + data.validation = {task.data.train + task.data.validation:g} leaves no test sample"
        )
    return task


def target(task: Task) -> settings.Target:
    """What a task's projects are built for."""
    firmware = dict(task.firmware)
    reuse = tuple(firmware.pop("reuse").items())
    return settings.Target(task.target.part, task.target.clock_ns, task.target.backend, **firmware, reuse=reuse)


def table(model: type[BaseModel] = Task, prefix: str = "") -> list[tuple[str, str, str]]:
    """Rows of (key, default, sentence) of the whole configuration, for the docs."""
    rows = []
    for name, info in model.model_fields.items():
        nested = _nested(info.annotation)
        if nested is not None:
            rows += table(nested, f"{prefix}{name}.")
        else:
            rows.append((prefix + name, _shown(info.default), info.description or ""))
    return rows


def _nested(annotation) -> type[BaseModel] | None:
    return annotation if isinstance(annotation, type) and issubclass(annotation, BaseModel) else None


def _shown(value) -> str:
    if value is None or value == {} or value == ():
        return "none"
    return ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _check_classes(task: Task, path: Path) -> None:
    known = task.data.classes
    if len(set(known)) != len(known) or len(known) < 2:
        raise BadInput(f"{path}: data.classes: {', '.join(known) or 'none'}; at least two different names are needed")
    for key in ("signal", "background"):
        names = getattr(task.operating_point, key)
        for name in names:
            if name not in known:
                raise BadInput(
                    f"{path}: operating_point.{key}: {name!r} is no class; data.classes has {', '.join(known)}"
                )
        if not names:
            raise BadInput(f"{path}: operating_point.{key}: no class named; data.classes has {', '.join(known)}")
    both = set(task.operating_point.signal) & set(task.operating_point.background)
    if both:
        raise BadInput(f"{path}: operating_point: {', '.join(sorted(both))} can't be signal and background at once")


def _check_interval(task: Task, path: Path) -> None:
    if task.firmware.interval > task.target.interval:
        raise BadInput(
            f"{path}: firmware.reuse_factor or firmware.reuse asks for a reuse factor of {task.firmware.interval}, and"
            f" target.interval allows {task.target.interval} cycles between events; at most that is allowed"
        )


def _one_line(error: ValidationError) -> str:
    first = error.errors()[0]
    location = [str(part) for part in first["loc"]]
    key = ".".join("***" if "@" in part or ":" in part else part for part in location)  # a URL without its key
    if first["type"] == "extra_forbidden":
        allowed = _keys_at(location[:-1])
        guess = difflib.get_close_matches(location[-1], allowed, 1)
        hint = f"did you mean {guess[0]!r}?" if guess else f"allowed: {', '.join(allowed)}"
        return f"unknown key {key!r}; {hint}"
    message = first["msg"].removeprefix("Value error, ").removeprefix("Input should be ")
    shown = repr(first.get("input"))
    shown = shown if len(shown) < 60 else shown[:57] + "..."
    if location[0] == "search" and location[1:2] in ([], ["storage"]):
        shown = "what it says"  # there may be a password in it
    return f"{key}: {shown} is not allowed; {message}"


def _keys_at(location: list[str]) -> list[str]:
    model: type[BaseModel] = Task
    for part in location:
        info = model.model_fields.get(part)
        inner = None if info is None else _nested(info.annotation)
        if inner is None and info is not None and typing.get_origin(info.annotation) in (dict, types.GenericAlias):
            inner = LayerSpace
        model = inner or model
    return list(model.model_fields)
