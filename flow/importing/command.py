"""`flow import MODEL.keras`: a user's own network becomes a task, and a project where it is quantized."""

import json
import re
import shutil
import sys
from argparse import Namespace
from dataclasses import dataclass
from os.path import relpath
from pathlib import Path

from flow import parts, task
from flow.errors import BadInput
from flow.firmware import names
from flow.firmware.settings import Target
from flow.formats import Fixed, parse
from flow.importing import counts
from flow.importing import folder as folders
from flow.keras_file import archive as archives
from flow.keras_file import check, weights
from flow.store import file_digest

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
_MOST_BITS, _MOST_INTEGER = 53, 64  # of an input word, whose values are to be exact float64s


@dataclass(frozen=True)
class Wanted:
    """What the user asks for, checked as far as it can be without the network."""

    model: Path
    folder: Path
    data: Path | None
    part: str
    clock: float
    word: Fixed | None
    features: tuple[str, ...]
    classes: tuple[str, ...]
    build: bool
    out: Path

    @property
    def name(self) -> str:
        return self.folder.name


def run(options: Namespace) -> int:
    """The sub-command; returns the exit status."""
    found = import_model(wanted(options), _say)
    if options.json:
        print(json.dumps(found))
    else:
        print("\n".join(_lines(found)))
    return 0


def wanted(options: Namespace) -> Wanted:
    """The options, checked. Raises BadInput for one that can't be used."""
    model = options.model
    stem = re.sub(r"\W", "_", model.stem, flags=re.ASCII)
    folder = options.output or Path("models") / (stem if stem[:1].isalpha() else f"model_{stem}")
    if not _NAME.fullmatch(folder.name):
        raise BadInput(f"-o {folder}: {folder.name!r} names firmware too: letters, digits and _, a letter first")
    names.check(folder.name, "task")
    if not model.name.isprintable():
        raise BadInput(f"{model.name!r}: the file's name goes into the task: printable characters are needed")
    data = options.data
    if data is not None and not data.exists():
        raise BadInput(f"--data {data}: no such file")
    defaults = task.Target()
    try:
        target = task.Target(part=options.part or defaults.part, clock=options.clock or defaults.clock)
    except ValueError:
        raise BadInput(f"--clock {options.clock}: a frequency in MHz is needed, as 200 or '200 MHz'") from None
    parts.find(target.part)
    named = [
        _names(option, text) for option, text in (("--features", options.features), ("--classes", options.classes))
    ]
    out = options.out or Path("hls_projects") / folder.name
    word = None if options.word is None else _word(options.word)
    return Wanted(model, folder, data, target.part, target.clock, word, *named, options.build, out)


def _word(text: str) -> Fixed:
    try:
        form = parse(text)
    except ValueError as error:
        raise BadInput(f"--word {error}") from None
    if not isinstance(form, Fixed) or form != Fixed(form.bits, form.integer):
        raise BadInput(f"--word {text}: allowed: quantized_bits(bits,integer)")
    if form.bits > _MOST_BITS or abs(form.integer) > _MOST_INTEGER:
        raise BadInput(
            f"--word {text}: allowed: up to {_MOST_BITS} bits, -{_MOST_INTEGER} to {_MOST_INTEGER} integer bits"
        )
    return form


def _names(option: str, text: str | None) -> tuple[str, ...]:
    found = tuple(part.strip() for part in text.split(",")) if text else ()
    if len(set(found)) != len(found) or not all(found) or not all(name.isprintable() for name in found):
        raise BadInput(f"{option} {text}: different names with commas between them are needed")
    return found


def import_model(wanted: Wanted, say=lambda text: None) -> dict:
    """Make the task (and, with `build`, the project); returns what is to be told, as JSON has it.

    Everything about the file is checked before TensorFlow is imported, everything else before the task's folder is
    there. Raises BadInput for a file that can't be a task, Mismatch where a built project's sides differ.
    """
    folders.check_free(wanted.folder)
    folders.check_place(wanted.out)
    archive = archives.read(wanted.model)
    described = check.check(archive.config, wanted.model).config
    _require_counts(wanted, counts.inputs(described), counts.outputs(described))
    weights.check(archive.weights, wanted.model)
    if wanted.build:
        from flow.firmware import gate

        gate.check_tools()
    unfinished = folders.begin(wanted.folder)
    try:
        found = _import(wanted, unfinished, say)
        shutil.copyfile(wanted.model, unfinished / folders.MODEL)
        folders.finish(unfinished, wanted.folder)
    finally:
        folders.drop(unfinished)
    return found


def _import(wanted: Wanted, unfinished: Path, say) -> dict:
    from flow.importing import code, texts
    from flow.importing.pieces import read
    from flow.importing.prove import logits_model, prove_network
    from flow.train import qkeras_model
    from flow.train.network.user_file import call

    say(f"[{wanted.name}] reading {wanted.model}")
    original = qkeras_model.load(wanted.model)
    network = read(original, wanted.model)
    folders.write_network(unfinished, network, code.network_text(network, f"{wanted.name}: imported, logits out."))
    made = call(unfinished / folders.NETWORK)
    features, classes = _interface(wanted, network.shape, int(made.outputs[0].shape[-1]))
    logits = logits_model(original, network)
    topology, fold, quantized, reasons = _topology(wanted, made, network)
    rebuilt = proof = None
    if quantized is not None:
        rebuilt, proof = _prove(wanted, logits, network, topology, quantized, features)
        folders.write_design(unfinished, quantized)
    elif wanted.build:
        raise BadInput(f"{wanted.model}: --build needs a network with formats for everything: {'; '.join(reasons)}; "
                       "without --build a task is made of it, and `flow run` finds formats")  # fmt: skip
    float_proof = prove_network(original, logits, network, made, wanted.model)
    word = wanted.word or (texts.roomy(quantized.word) if quantized else parse(texts.DEFAULT_WORD))
    facts = texts.Facts(
        wanted.name, wanted.model.name, wanted.part, f"{wanted.clock:g}", _word_text(word), _data(wanted), features,
        classes, fold, network, topology, quantized, tuple(reasons) if network.quantized else (), float_proof, proof,
    )  # fmt: skip
    _write_texts(unfinished, facts)
    row = {
        "task": wanted.name, "folder": str(wanted.folder), "inputs": list(topology.input_shape),
        "outputs": topology.n_out, "layers": [layer.name for layer in topology.layers],
        "word": _word_text(word), "quantized": network.quantized,
        "design": quantized.design.digest if quantized else None, "no_design": list(reasons),
        "notes": list(network.notes), "built": None,
        "proof": {"network": float_proof.to_json(), "design": proof.to_json() if proof else None},
    }  # fmt: skip
    if wanted.build:
        from flow.importing.build import build

        target = Target(wanted.part, 1e3 / wanted.clock)
        digest = file_digest(wanted.model)
        row["built"] = build(wanted.name, digest, topology, quantized, rebuilt, features, target, wanted.out, say)
    return row


def _topology(wanted: Wanted, made, network):
    """The topology of the made network, whether normalizations are folded in it, its design, or why there is none."""
    from flow.importing.design import design_of
    from flow.train.network import lower

    plain = lower(made, wanted.model, True)
    own = any(piece.kind == "BatchNormalization" and piece.forms for piece in network.pieces)
    topology = lower(made, wanted.model, False) if own else plain
    quantized, reasons = design_of(network, topology, wanted.word)
    if quantized is None:
        return plain, True, None, reasons
    return topology, not own, quantized, []


def _prove(wanted: Wanted, logits, network, topology, quantized, features):
    from flow.importing.prove import prove_design, scaling_of
    from flow.train import qkeras_model

    scaling = scaling_of(quantized.word, features)
    rebuilt = qkeras_model.build(topology, quantized.design, scaling, quantized.weights)
    return rebuilt, prove_design(logits, network, topology, quantized, rebuilt, wanted.model)


def _interface(wanted: Wanted, shape: tuple[int, ...], n_out: int) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The names of features and classes; BadInput where they are not as many as the network has."""
    n_in = 1
    for size in shape:
        n_in *= int(size)
    if n_out < 2:
        raise BadInput(
            f"{wanted.model}: the network has one output; a task tells at least two classes apart, by a logit each"
        )
    _require_counts(wanted, n_in, n_out)
    features = wanted.features or tuple(f"x{i}" for i in range(n_in))
    return features, wanted.classes or tuple(f"class{i}" for i in range(n_out))


def _require_counts(wanted: Wanted, n_in: int | None, n_out: int | None) -> None:
    """Raise BadInput where the names are not as many as the network's inputs and outputs, as far as those are known."""
    for option, given, count in (("--features", wanted.features, n_in), ("--classes", wanted.classes, n_out)):
        if given and count is not None and len(given) != count:
            raise BadInput(f"{option}: {len(given)} names; the network has {count}")


def _word_text(word: Fixed) -> str:
    return f"quantized_bits({word.bits},{word.integer})"


def _data(wanted: Wanted) -> str | None:
    """The events' place, as seen from the task's folder."""
    return None if wanted.data is None else Path(relpath(wanted.data, wanted.folder)).as_posix()


def _write_texts(unfinished: Path, facts) -> None:
    from flow.importing import texts

    text = texts.task_yaml(facts)
    task.parse_text(text, unfinished / folders.TASK)  # what is written is a task
    (unfinished / folders.TASK).write_text(text, encoding="utf-8")
    (unfinished / folders.README).write_text(texts.readme(facts), encoding="utf-8")


def _say(text: str) -> None:
    print(text, file=sys.stderr)


def _lines(row: dict) -> list[str]:
    """What was made, for people."""
    shape = " x ".join(map(str, row["inputs"]))
    proof = row["proof"]
    lines = [f"{row['folder']}: a task of {len(row['layers'])} layers, {shape} inputs, {row['outputs']} logits"]
    lines += [f"  {note}" for note in row["notes"]]
    lines.append(f"  network.py equals the file on {proof['network']['inputs']} random inputs"
                 f" (largest difference {proof['network']['deviation']:.3g})")  # fmt: skip
    if row["design"]:
        deviation = proof["design"]["deviation"]
        rounded = f"bit for bit in float32, whose rounding takes it up to {deviation:.3g} off its exact sums"
        how = "to the last bit" if proof["design"]["exact"] else rounded
        lines.append(
            f"  design {row['design']} equals the file on {proof['design']['inputs']} words of the grid, {how}"
        )
    elif row["quantized"]:
        lines += ["  no design.json:", *(f"    {reason}" for reason in row["no_design"])]
    if row["built"]:
        from flow.importing.build import figure_lines

        return lines + [f"  {line}" for line in figure_lines(row["built"])]
    return [*lines, f"  `flow run {row['folder']}` searches formats, once data.file of its task.yaml is there"]
