"""A QKeras model as a chain of links: logic that is unrolled, and layers that share their hardware.

Each link reads a row of values, those that leave the link before it, and gives another row. A value that is read
further behind is passed along, so that branches are chains too.
"""

import itertools
from dataclasses import dataclass, replace

import numpy as np

from flow.errors import BadInput
from flow.firmware import blocks
from flow.firmware.multiplexed.content import (
    Dense,
    Windows,
    dense,
    restricted,
    taken,
    used_inputs,
    windows,
)
from flow.firmware.multiplexed.formats import interval_of, kif_from, kif_of
from flow.firmware.multiplexed.reuse import factors, windowed
from flow.firmware.pipeline import Kif
from flow.firmware.settings import Target
from flow.formats import Fixed

Value = tuple[str, int]  # a layer, and an element of its flattened output


@dataclass(frozen=True)
class Unrolled:
    """Logic that is there once for each operation. `comb` gives the elements `live` of `row`."""

    name: str
    layers: tuple[str, ...]
    row: tuple[Value, ...]
    kifs: tuple[Kif, ...]
    comb: object
    live: tuple[int, ...]


@dataclass(frozen=True)
class Shared:
    """A layer that shares its hardware. `row` is what leaves the link: first what it passes along (`passed` are
    their positions in the row that it reads), then its own outputs."""

    name: str
    layers: tuple[str, ...]
    reuse: int
    row: tuple[Value, ...]
    kifs: tuple[Kif, ...]
    passed: tuple[int, ...]
    layer: Dense | Windows
    live: tuple[int, ...]


Link = Unrolled | Shared


@dataclass(frozen=True)
class Chain:
    """The links in the order of the data; the last one's `live` elements are the outputs."""

    links: tuple[Link, ...]
    n_in: int
    word: Fixed
    interval: int


def chain(model, word: Fixed, target: Target) -> Chain:
    """The links of a QKeras model whose input words have the format `word`. Raises BadInput as `blocks.trace`."""
    from alkaid.trace import fixed_variable

    from flow.train import qkeras_model

    spec = blocks.output_spec(model, word, target)
    fixed_variable.rd.seed(blocks.SEED)
    reuse = factors(model, target)
    sources = {layer.name: qkeras_model.sources(layer) for layer in model.layers[1:]}
    groups = list(_groups(model, sources, reuse))
    output = model.layers[-1].name
    last_reader = {name: i for i, (_, layers, _) in enumerate(groups) for x in layers for name in sources[x.name]}
    last_reader[output] = len(groups)
    n_in = int(model.input_shape[-1])
    values = {model.layers[0].name: blocks.symbols([(word.low, word.high, word.step)] * n_in, (1, n_in))}
    links: list[Link] = []
    for position, (name, layers, factor) in enumerate(groups):
        make = _unrolled if factor == 1 else _shared
        kept = {name for name, reader in last_reader.items() if reader > position}
        link, shapes = make(name, layers, factor, sources, values, kept)
        links.append(link)
        values, start = {}, 0
        for layer, shape in shapes.items():
            size = int(np.prod(shape))
            values[layer] = blocks.symbols([interval_of(kif) for kif in link.kifs[start : start + size]], shape)
            start += size
    if spec is not None:
        links.append(_output(str(target.output), spec, values))
    return Chain(_pruned(links), n_in, word, max(reuse.values(), default=1))


def _groups(model, sources, reuse: dict[str, int]):
    """(Name, layers, reuse factor): the blocks of `blocks.trace`, a layer that shares its hardware apart."""
    readers: dict[str, int] = {model.layers[-1].name: 1}
    for names in sources.values():
        for name in names:
            readers[name] = readers.get(name, 0) + 1
    for name, layers in blocks.grouped(model, sources):
        if name not in reuse:
            yield name, layers, 1
            continue
        alone = readers[name] == 1 and len(layers) > 1
        alone = alone and type(layers[1]).__name__ == "QActivation" and sources[layers[1].name] == (name,)
        cut = 2 if alone else 1
        yield name, layers[:cut], reuse[name]
        if layers[cut:]:
            yield name, layers[cut:], 1


def _unrolled(name, layers, _, sources, values, kept):
    from alkaid.trace import trace as to_comb

    found = blocks.followed(layers, sources, values)
    leaving = {layer: row for layer, row in found.items() if layer in kept}
    comb = to_comb(blocks.flat_row(values), blocks.flat_row(leaving))
    row = tuple((layer, i) for layer, array in leaving.items() for i in range(array.size))
    kifs = tuple(kif_from(interval) for interval in comb.out_qint)
    link = Unrolled(name, tuple(layer.name for layer in layers), row, kifs, comb, tuple(range(len(row))))
    return link, {layer: array.shape for layer, array in leaving.items()}


def _output(name: str, spec, values) -> Unrolled:
    """What the firmware puts out behind the logits, which are all of `values`."""
    block = blocks.output_block(name, spec, values)
    row = tuple((name, i) for i in range(len(block.live)))
    return Unrolled(name, (name,), row, tuple(kif_from(one) for one in block.comb.out_qint), block.comb, block.live)


def _shared(name, layers, factor, sources, values, kept):
    layer, activation = layers[0], layers[1] if len(layers) > 1 else None
    positions, size = {}, 0
    for source, array in values.items():
        positions[source] = tuple(range(size, size + array.size))
        size += array.size
    row_in = [value for source, array in values.items() for value in array.ravel()]
    (read,) = sources[layer.name]
    make = windows if windowed(layer) else dense
    content, own_kifs = make(layer, activation, values[read], np.array(positions[read]), row_in)
    passed = [source for source in values if source in kept]
    kifs = tuple(kif_of(value) for source in passed for value in values[source].ravel())
    own = layers[-1].name
    row = tuple((source, i) for source in passed for i in range(values[source].size))
    row += tuple((own, i) for i in range(len(own_kifs)))
    shapes = {source: values[source].shape for source in passed} | {own: (1, *map(int, layers[-1].output.shape[1:]))}
    link = Shared(
        name,
        tuple(one.name for one in layers),
        factor,
        row,
        kifs + own_kifs,
        tuple(itertools.chain.from_iterable(positions[source] for source in passed)),
        content,
        tuple(range(len(row))),
    )
    return link, shapes


def _pruned(links: list[Link]) -> tuple[Link, ...]:
    """The links without what nothing behind depends on."""
    result: list[Link] = []
    live = links[-1].live
    for position in range(len(links) - 1, -1, -1):
        link = links[position]
        if not live:
            raise BadInput(
                f"the logits do not depend on the input: nothing behind layer {link.layers[-1]} reads its outputs"
                " (all weights of a layer are zero, or a layer is constant), so that there is nothing to share; give every"
                " layer the reuse factor 1"
            )
        link = replace(link, live=live, kifs=tuple(link.kifs[i] for i in live))
        if isinstance(link, Unrolled):
            link = replace(link, comb=restricted(link.comb, live))
            live = taken(link.comb)
        else:
            live = tuple(sorted(_read(link)))
        result.insert(0, link)
    return tuple(result)


def own_outputs(link: Shared) -> tuple[int, ...]:
    """Which outputs of the layer leave the link, as elements of the layer."""
    return tuple(i - len(link.passed) for i in link.live if i >= len(link.passed))


def filters(link: Shared) -> tuple[int, ...]:
    """The filters of a convolution that some output of is used."""
    return tuple(sorted({i % link.layer.comb.shape[1] for i in own_outputs(link)}))


def _read(link: Shared) -> set[int]:
    """Positions of the row in front of a link that it needs."""
    found = {link.passed[i] for i in link.live if i < len(link.passed)}
    layer, own = link.layer, own_outputs(link)
    if isinstance(layer, Dense):
        needed = {layer.inputs[i] for i in used_inputs(layer, own)}
    else:
        taps = taken(restricted(layer.comb, filters(link))) if own else ()
        places = sorted({i // layer.comb.shape[1] for i in own})
        needed = {int(i) for i in layer.sources[np.ix_(places, taps)].ravel() if i >= 0}
    constant = not sum(sum(kif) for i, kif in zip(link.live, link.kifs) if i >= len(link.passed))
    if own and (constant or not needed):
        raise BadInput(
            f"layer {link.name}: its outputs do not depend on its inputs (its weights are zero, or its activation"
            " always saturates), so that it has nothing to share; give it the reuse factor 1"
        )
    return found | needed
