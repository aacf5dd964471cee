"""What is written into an imported task's folder besides the network: task.yaml and README.md."""

import textwrap
from dataclasses import dataclass

from flow.formats import Fixed, Format, Relu, parse
from flow.importing.design import Quantized
from flow.importing.pieces import Network
from flow.importing.prove import Proof
from flow.topology import Topology, Weighted

DEFAULT_WORD = "quantized_bits(16,6)"
_ROOM = 2  # integer bits


def roomy(word: Fixed) -> Fixed:
    """Words on the grid of a file's first quantizer with room above its range: events may lie beyond it, and it is for
    the quantizer to saturate them."""
    return Fixed(word.bits + _ROOM, word.integer + _ROOM)


@dataclass(frozen=True)
class Facts:
    """What the texts tell."""

    name: str
    source: str
    part: str
    clock: str
    word: str
    data: str | None
    features: tuple[str, ...]
    classes: tuple[str, ...]
    fold: bool
    network: Network
    topology: Topology
    quantized: Quantized | None
    reasons: tuple[str, ...]
    float_proof: Proof
    design_proof: Proof | None


def task_yaml(facts: Facts) -> str:
    """The task; `flow run` takes it as it stands once data.file is there."""
    data = facts.data or "events.npz"
    said = (
        ""
        if facts.data
        else "          # put your events here: arrays X (n, features) and y, or any kind of docs/task.md"
    )
    signal, background = facts.classes[-1], facts.classes[:-1]
    lines = [
        f"# Imported from {facts.source} by `flow import`. `flow keys` lists every key.",
        "network: network.py",
        "",
        "data:",
        f"  file: {_quoted(data)}{said}",
        f"  features: {_list(facts.features)}",
        f"  classes: {_list(facts.classes)}  # in the order of the logits: give them their names",
        f"  word: {facts.word}",
        "  scaling: none               # the words are the network's inputs as it was trained on them",
        "",
        "operating_point:              # which classes are signal is yours to say",
        f"  signal: {_list((signal,))}",
        f"  background: {_list(background)}",
        "",
        "target:",
        f"  part: {facts.part}",
        f"  clock: {facts.clock} MHz",
        "",
        "train:",
        "  weights: weights.npz        # the float network starts from the imported weights ...",
        "  float_epochs: 5             # ... so a few epochs are enough",
        "  learning_rate: 1.0e-3",
    ]
    if not facts.fold:
        lines.append("  fold_batchnorm: false       # the file quantizes its normalizations on their own")
    if facts.network.quantized:
        lines += ["", "space:                        # the file's own formats, and their neighbours", *_space(facts)]
    return "\n".join(lines) + "\n"


def readme(facts: Facts) -> str:
    """What was imported, what was taken off, and how far it is proven."""
    shape = " x ".join(map(str, facts.topology.input_shape))
    weights = sum(layer.multiplications for layer in facts.topology.weighted)
    lines = [
        f"# {facts.name}",
        "",
        (
            f"Imported from `{facts.source}` (kept as `model.keras`): {len(facts.topology.layers)} layers, {shape}"
            f" inputs, {facts.topology.n_out} logits, {weights} multiplications."
        ),
        "",
        "| file | what it is |",
        "| --- | --- |",
        "| `network.py`, `weights.npz` | the network in plain Keras, and its weights |",
        "| `task.yaml` | the task for `flow run` |",
        "| `model.keras` | the file that was imported |",
    ]
    if facts.quantized:
        lines.append("| `design.json` | the file's own number formats, as a design |")
    lines += ["", "## Proven", ""]
    quantizers = ", quantizers taken off," if facts.network.quantized else ""
    lines.append(
        f"- `network.py` answers as the file{quantizers} does on {facts.float_proof.inputs} random inputs; largest"
        f" difference {facts.float_proof.deviation:.3g}."
    )
    if facts.design_proof:
        lines.append(f"- {_design_said(facts.design_proof)}")
    if facts.reasons:
        lines += ["", "## No design yet", "", *(f"- {reason}" for reason in facts.reasons)]
    if facts.network.notes:
        lines += ["", "## Taken off, or changed", "", *(f"- {note}" for note in facts.network.notes)]
    return "\n".join(lines) + "\n"


def _design_said(proof: Proof) -> str:
    if proof.exact:
        return (
            "`design.json` with these weights answers as the file does, to the last bit, on"
            f" {proof.inputs} words of the input grid."
        )
    return (
        f"`design.json` with these weights is the file bit for bit in float32 ({proof.inputs} words of the input grid)."
        " Its sums are longer than float32 holds: the exact ones, which firmware computes, differ by up to"
        f" {proof.deviation:.3g}."
    )


def _space(facts: Facts) -> list[str]:
    """The choices of each layer: the imported formats among narrower and wider ones."""
    lines = []
    if facts.network.word is not None and not facts.network.word.auto:
        most = parse(facts.word).bits  # a wider format has nothing to tell apart
        lines.append(f"  input: {_list(tuple(t for t, bits in _around(facts.network.word) if bits <= most))}")
    forms = _forms(facts)
    if forms:
        lines.append("  layers:")
    for name, parts in forms.items():
        lines.append(f"    {name}:")
        lines += [f"      {part}: {_list(tuple(t for t, _ in _around(form)))}" for part, form in parts.items()]
    return lines or ["  {}"]


def _forms(facts: Facts) -> dict[str, dict[str, Format]]:
    if facts.quantized is None:
        return {}
    found = {}
    for name, item in facts.quantized.design.layers:
        layer = facts.topology[name]
        kernel = {"kernel": item.kernel, "bias": item.bias} if isinstance(layer, Weighted) else {}
        parts = kernel | {"activation": item.activation}
        found[name] = {part: form for part, form in parts.items() if form is not None}
    return found


def _around(form: Format) -> tuple[tuple[str, int], ...]:
    """A format with those of its kind that are a little narrower and wider, narrowest first, each with its bits."""
    if not isinstance(form, (Fixed, Relu)) or form.auto:
        return ((str(form), form.bits),)
    least = 1 + form.signed
    near = [bits for bits in (form.bits - 2, form.bits - 1, form.bits + 1) if least <= bits <= 31]
    found = [(f"{form.kind}({bits})", bits) for bits in near] + [(str(form), form.bits)]
    return tuple(sorted(found, key=lambda item: item[1]))


def _list(items: tuple[str, ...]) -> str:
    """A YAML list, on several lines where it is long."""
    whole = f"[{', '.join(map(_quoted, items))}]"
    return whole if len(whole) < 100 else "[\n" + textwrap.fill(whole[1:-1], 112, initial_indent="    ",
        subsequent_indent="    ", break_long_words=False, break_on_hyphens=False) + "\n  ]"  # fmt: skip


def _quoted(text: str) -> str:
    """A YAML scalar: quoted, with backslashes and quotes escaped."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
