"""Before the rounds: what is refused before any training, and the designs that others are measured by."""

import numpy as np
import pytest
from designs import example_scaling, example_words
from networks import NETWORKS

from flow.design import check
from flow.errors import BadInput
from flow.loop.checks import check_followed
from flow.loop.context import Context
from flow.loop.prepare import BASELINES, uniform_design
from flow.train.initial import random_weights
from flow.train.ranges import hidden_values


def context_of(folder, text: str = "") -> Context:
    (folder / "task.yaml").write_text(text)
    return Context.of(folder, folder / "out", quiet=True)


@pytest.mark.parametrize("name", NETWORKS)
def test_firmware_follows_the_default_space(name, tmp_path):
    check_followed(context_of(tmp_path), NETWORKS[name])


@pytest.mark.parametrize(
    "text, words",
    [
        (
            'space: {activation: ["quantized_relu(4)", "quantized_relu_po2(4)"]}',
            ["conv.activation", "quantized_relu_po2"],
        ),
        ("space: {input: [\"quantized_bits(6,2,0,alpha='auto_po2')\"]}", ["space: input", "auto_po2"]),
    ],
)
def test_what_firmware_cannot_follow_is_said(text, words, tmp_path):
    with pytest.raises(BadInput) as caught:
        check_followed(context_of(tmp_path, text), NETWORKS["max pooling"])
    assert all(word in str(caught.value) for word in [*words, str(tmp_path / "task.yaml")])


@pytest.mark.parametrize("bits", BASELINES.values())
@pytest.mark.parametrize("name", NETWORKS)
def test_uniform_designs_fit_every_network(name, bits):
    topology = NETWORKS[name]
    scaling, weights = example_scaling(topology), random_weights(topology, 0)
    values = scaling.centred(example_words(topology, scaling))
    samples = {"input": values} | hidden_values(topology, weights, values, topology.names)
    design = uniform_design(topology, weights, samples, bits, scaling.word.bits)
    check(design, topology)
    assert design.input.bits == min(bits + 2, scaling.word.bits)
    for _, part in design.layers:
        assert {form.bits for form in (part.kernel, part.bias, part.activation) if form is not None} <= {bits}
        assert part.keep == 1.0
    kernels = [(part.kernel, weights[name][0]) for name, part in design.layers if part.kernel is not None]
    error = max(float(np.abs(form.quantize(kernel) - kernel).max()) for form, kernel in kernels)
    assert error < (0.2 if bits == 6 else 1e-3)
