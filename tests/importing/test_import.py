"""A user's networks as tasks: the same function, the same formats, the same bytes each time."""

import json
import re
import shutil
from argparse import Namespace
from pathlib import Path

import numpy as np
import pytest
from designs import example_design, example_scaling
from networks import NETWORKS
from weights import example_weights

from flow.data.scaling import InputScaling
from flow.design import Design
from flow.errors import BadInput
from flow.importing.command import import_model, wanted
from flow.task import read
from flow.topology import INPUT, Topology, Weighted

pytest.importorskip("tensorflow")

from flow.train import backend, qkeras_model
from flow.train.network import read_network
from flow.train.network.start import read_parameters
from flow.train.parameters import deployed

backend.start()
import keras
import qkeras
from keras import layers


def imported(model, folder: Path, **options) -> dict:
    """What an import of a model tells; its task is in `folder`/net."""
    path = folder / "net.keras"
    model.save(path)
    return imported_file(path, folder / "net", **options)


def imported_file(path: Path, output: Path, **options) -> dict:
    names = ("data", "features", "classes", "word", "part", "clock", "out")
    given = Namespace(model=path, output=output, build=False, json=False, **dict.fromkeys(names))
    return import_model(wanted(Namespace(**vars(given) | options)))


def spread(model, seed: int = 0):
    """The model with weights that are not trivial, variances that are positive."""
    rng = np.random.default_rng(seed)
    for layer in model.layers:
        found = []
        for weight in layer.weights:
            values = rng.normal(0.0, 0.5, weight.shape)
            found.append(np.abs(values) + 0.1 if "variance" in weight.name else values)
        found = [np.asarray(v, w.numpy().dtype) for v, w in zip(found, layer.weights)]
        layer.set_weights(found)
    return model


def chain(*parts, shape=(6,)):
    return spread(keras.Sequential([keras.Input(shape), *parts]))


def branched():
    inputs = keras.Input((6, 6, 2))
    x = layers.Conv2D(4, 3, padding="same", use_bias=False, name="conv/0".replace("/", "-"))(inputs)
    x = layers.BatchNormalization(epsilon=1e-5, name="norm")(x)
    y = layers.ReLU(name="relu")(x)
    z = layers.DepthwiseConv2D(3, padding="same", name="depth")(y)
    x = layers.Add(name="sum")([y, z])
    x = layers.SpatialDropout2D(0.2)(layers.Activation("tanh", name="act")(x))
    x = layers.SeparableConv2D(3, 2, strides=2, activation="sigmoid", name="separable")(x)
    x = layers.Concatenate(name="both")([layers.GlobalMaxPooling2D(name="most")(x), layers.Flatten(name="flat")(x)])
    return spread(keras.Model(inputs, layers.Softmax(name="p")(layers.Dense(3, name="logits")(x))))


FLOAT = {
    "dense": lambda: chain(layers.Dense(5, "relu", name="fc"), layers.Dense(3, "softmax", name="out")),
    "dropout": lambda: chain(
        layers.Dense(
            5, "relu", kernel_regularizer=keras.regularizers.L2(0.1), kernel_constraint=keras.constraints.MaxNorm(2)
        ),
        layers.Dropout(0.3),
        layers.Dense(3),
        layers.Activation("sigmoid"),
    ),
    "normalizations": lambda: chain(
        layers.Normalization(mean=np.arange(6.0), variance=np.arange(1.0, 7.0)),
        layers.Dense(5, use_bias=False, name="fc"),
        layers.BatchNormalization(epsilon=1e-2, scale=False, name="a"),
        layers.Activation("relu", name="b"),
        layers.BatchNormalization(center=False, name="c"),
        layers.Dense(3, name="out"),
    ),
    "steps": lambda: chain(
        layers.Reshape((5, 2)),
        layers.Conv1D(4, 2, activation="relu"),
        layers.AveragePooling1D(2),
        layers.Flatten(),
        layers.Dense(3),
        shape=(10,),
    ),
    "branches": branched,
    "names of Python": lambda: chain(
        layers.Dense(4, "relu", name="lambda"),
        layers.Dense(4, "relu", name="keras"),
        layers.Dense(4, "relu", name="input"),
        layers.Dense(4, "relu", name="1st"),
        layers.Dense(3, name="inputs"),
    ),
}


@pytest.mark.parametrize("name", FLOAT)
def test_float_networks_keep_their_function(name, tmp_path):
    model = FLOAT[name]()
    found = imported(model, tmp_path)
    assert found["design"] is None and not found["quantized"]
    assert found["proof"]["network"]["deviation"] < 1e-4
    task = read(tmp_path / "net")
    path = tmp_path / "net" / "network.py"
    topology = read_network(path, len(task.data.features), len(task.data.classes))
    weights = deployed(topology, read_parameters(path, topology))
    inputs = np.random.default_rng(3).normal(size=(50, topology.n_in)).astype(np.float32)
    ours = _answers(topology, weights, inputs)
    theirs = np.asarray(model(inputs.reshape(50, *topology.input_shape), training=False), np.float64)
    if "softmax" in json.dumps(found["notes"]):
        ours = np.exp(ours) / np.exp(ours).sum(axis=1, keepdims=True)
    elif "sigmoid behind" in json.dumps(found["notes"]):
        ours = 1 / (1 + np.exp(-ours))
    np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)


def _answers(topology: Topology, weights, inputs: np.ndarray) -> np.ndarray:
    """Logits of the deployed float weights: normalizations folded, as training starts from them."""
    from flow.train.ranges import hidden_values

    return hidden_values(topology, weights, inputs, [topology.output])[topology.output]


def bits(*arguments, **more):
    return qkeras.quantized_bits(*arguments, **{"alpha": 1} | more)


def quantized(kind, *arguments, kernel="kernel", **more):
    own = {f"{kernel}_quantizer": bits(4, 0), "bias_quantizer": bits(5, 1)}
    return kind(*arguments, **own | more)


QUANTIZED = {
    "dense": lambda: chain(
        qkeras.QActivation(bits(6, 2), name="grid"),
        quantized(qkeras.QDense, 5, activation=qkeras.quantized_relu(4, 1), name="fc"),
        quantized(qkeras.QDense, 4, kernel_quantizer=qkeras.ternary(alpha=1, threshold=0.5), name="fc1"),
        qkeras.QActivation(qkeras.quantized_tanh(5), name="fc1_tanh"),
        layers.Dropout(0.1),
        quantized(qkeras.QDense, 3, kernel_quantizer=bits(4, 0, alpha="auto_po2"), name="out"),
        layers.Activation("softmax"),
    ),
    "texts": lambda: chain(
        qkeras.QActivation("quantized_bits(6,2,alpha=1)"),
        qkeras.QDense(5, kernel_quantizer="quantized_bits(4,0,1,alpha=1)", bias_quantizer="quantized_bits(4)"),
        qkeras.QActivation("quantized_relu(4)"),
        qkeras.QDense(3, kernel_quantizer="quantized_po2(4)", bias_quantizer="quantized_bits(4,0)"),
    ),
    "grids inside": lambda: chain(
        qkeras.QActivation(bits(6, 2)),
        quantized(qkeras.QDense, 5, activation=bits(5, 2), name="fc"),
        quantized(qkeras.QDense, 3, name="out"),
        qkeras.QActivation(bits(8, 3)),
    ),
    "image": lambda: chain(
        qkeras.QActivation(bits(5, 1)),
        quantized(qkeras.QConv2D, 3, 3, padding="same", name="conv"),
        qkeras.QActivation(qkeras.quantized_relu(5, 2)),
        quantized(qkeras.QDepthwiseConv2D, 2, kernel="depthwise", name="depth"),
        qkeras.QActivation(qkeras.quantized_relu(4, 2)),
        layers.MaxPooling2D(),
        layers.Flatten(),
        quantized(qkeras.QDense, 3, name="out"),
        shape=(6, 6, 2),
    ),
    "folded": lambda: chain(
        qkeras.QActivation(bits(5, 1)),
        quantized(qkeras.QConv2DBatchnorm, 3, 3, name="conv"),
        qkeras.QActivation(qkeras.quantized_relu(5, 2)),
        layers.Flatten(),
        quantized(qkeras.QDenseBatchnorm, 4, activation=qkeras.quantized_relu(4, 1), use_bias=False, name="fc"),
        quantized(qkeras.QDenseBatchnorm, 3, name="out"),
        quantized(qkeras.QDense, 3, name="last"),
        shape=(5, 5, 2),
    ),
    "steps": lambda: chain(
        qkeras.QActivation(bits(5, 1)),
        quantized(qkeras.QConv1D, 4, 3, use_bias=False, bias_quantizer=None, name="conv"),
        qkeras.QActivation(qkeras.quantized_relu(5, 2)),
        layers.GlobalAveragePooling1D(),
        quantized(qkeras.QDense, 3, name="out"),
        shape=(10, 2),
    ),
}


@pytest.mark.parametrize("name", QUANTIZED)
def test_quantized_networks_become_exact_designs(name, tmp_path):
    found = imported(QUANTIZED[name](), tmp_path)
    assert found["no_design"] == [] and found["quantized"]
    assert found["proof"]["design"]["exact"], found["proof"]
    folder = tmp_path / "net"
    design = Design.from_json(json.loads((folder / "design.json").read_text()))
    word = f"quantized_bits({design.input.bits + 2},{design.input.integer + 2})"
    assert design.digest == found["design"] and found["word"] == word
    task = read(folder)
    assert task.train.weights == "weights.npz" and str(design.input) in task.space.input
    for layer, item in design.layers:
        for part in ("kernel", "bias", "activation"):
            form = getattr(item, part)
            assert form is None or str(form) in getattr(task.space.layers[layer], part)


@pytest.mark.parametrize("name", ["dense", "tanh", "scale", "residual", "concatenate", "global average"])
def test_a_model_of_this_program_is_the_design_that_it_was_made_of(name, tmp_path):
    topology = NETWORKS[name]
    design, given = example_design(topology, 1), example_scaling(topology)
    scaling = InputScaling(given.features, given.word, given.exponents, (0.0,) * topology.n_in)
    qkeras_model.save(qkeras_model.build(topology, design, scaling, example_weights(topology)), tmp_path / "net.keras")
    found = imported_file(tmp_path / "net.keras", tmp_path / "net", word="quantized_bits(8,3)")
    assert found["proof"]["design"]["exact"] and found["word"] == "quantized_bits(8,3)"
    again = Design.from_json(json.loads((tmp_path / "net" / "design.json").read_text()))
    assert again.input == design.input and [part for _, part in again.layers] == [part for _, part in design.layers]
    assert read(tmp_path / "net").train.fold_batchnorm is (name != "scale")


def test_long_sums_are_told_apart_from_wrong_ones(tmp_path):
    model = chain(
        qkeras.QActivation(bits(16, 3)),
        quantized(qkeras.QDense, 8, kernel_quantizer=bits(14, 2), bias_quantizer=bits(14, 2), name="fc"),
        quantized(qkeras.QDense, 3, kernel_quantizer=bits(10, 2), bias_quantizer=bits(14, 2), name="out"),
    )
    proof = imported(model, tmp_path)["proof"]["design"]
    assert not proof["exact"] and proof["float32_rounds"] and 0 < proof["deviation"] < 1e-2
    assert "longer than float32 holds" in (tmp_path / "net" / "README.md").read_text()


UNFORMATTED = {
    "a plain layer": (lambda: chain(qkeras.QActivation(bits(6, 2)), layers.Dense(4, "relu", name="plain"),
                                    quantized(qkeras.QDense, 3)), "plain: Dense has no quantizers"),
    "no bias quantizer": (lambda: chain(qkeras.QActivation(bits(6, 2)),
                                        quantized(qkeras.QDense, 3, bias_quantizer=None, name="out")),
                          "out: its bias has no quantizer"),
    "no input": (lambda: chain(quantized(qkeras.QDense, 3)), "--word gives the format of its input"),
    "a plain function": (lambda: chain(qkeras.QActivation(bits(6, 2)), quantized(qkeras.QDense, 4, name="fc"),
                                       layers.Activation("relu", name="r"), quantized(qkeras.QDense, 3)),
                         "r: its activation relu has no quantizer"),
    "a scale that is learnt": (lambda: chain(qkeras.QActivation(bits(6, 2)),
                                             quantized(qkeras.QDense, 3, kernel_quantizer=bits(4, 0, alpha="auto"))),
                               "kernel: the quantizer .*auto"),
    "a normalization": (lambda: chain(qkeras.QActivation(bits(6, 2)), quantized(qkeras.QDense, 4),
                                      qkeras.QBatchNormalization(name="n"), quantized(qkeras.QDense, 3)),
                        "n: QBatchNormalization quantizes mean and variance"),
    "an activation of powers": (lambda: chain(qkeras.QActivation(bits(6, 2)), quantized(qkeras.QDense, 4, name="fc"),
                                              qkeras.QActivation(qkeras.quantized_relu_po2(4)),
                                              quantized(qkeras.QDense, 3)), "firmware does not follow"),
}  # fmt: skip


@pytest.mark.parametrize("name", UNFORMATTED)
def test_without_all_formats_there_is_a_task_but_no_design(name, tmp_path):
    make, reason = UNFORMATTED[name]
    found = imported(make(), tmp_path)
    assert found["design"] is None and not (tmp_path / "net" / "design.json").exists()
    assert any(re.search(reason, text) for text in found["no_design"]), found["no_design"]
    shutil.rmtree(tmp_path / "net")
    with pytest.raises(BadInput, match="--build needs a network with formats for everything"):
        imported(make(), tmp_path, build=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["net.keras"]


def test_a_word_makes_up_for_a_quantizer_in_front(tmp_path):
    found = imported(chain(quantized(qkeras.QDense, 3)), tmp_path, word="quantized_bits(7,2)")
    assert found["proof"]["design"]["exact"] and found["word"] == "quantized_bits(7,2)"
    assert str(Design.from_json(json.loads((tmp_path / "net" / "design.json").read_text())).input).startswith(
        "quantized_bits(7,2"
    )


def shared():
    inputs, fc = keras.Input((4,)), layers.Dense(4, name="fc")
    return keras.Model(inputs, layers.Dense(3)(fc(fc(inputs))))


def two_inputs():
    inputs = [keras.Input((4,)), keras.Input((4,))]
    return keras.Model(inputs, layers.Dense(3)(layers.Add()(inputs)))


REFUSED = {
    "a shared layer": (shared, "it is called 2 times"),
    "two inputs": (two_inputs, "the network has 2 inputs"),
    "one output": (lambda: chain(layers.Dense(1, "sigmoid")), "the network has one output"),
    "an open size": (lambda: keras.Sequential([keras.Input((None, 2)), layers.GlobalMaxPooling1D(), layers.Dense(3)]),
                     "leaves a size open"),
    "settings of several layers": (
        lambda: chain(layers.Conv2D(2, 2, dilation_rate=2, name="a"),
                      layers.DepthwiseConv2D(2, depth_multiplier=2, name="b"), layers.ReLU(max_value=6, name="c"),
                      layers.Flatten(), layers.Dense(3), shape=(6, 6, 2)),
        r"3 layers can't be imported: a \(Conv2D\): dilated.*; b \(DepthwiseConv2D\): depth_.*; c \(ReLU\): max_value"),
    "a rectifier at the end": (lambda: chain(layers.Dense(3, "relu")), "activation 'relu' on the last layer"),
    "an average of three": (lambda: chain(layers.AveragePooling1D(3), layers.Flatten(), layers.Dense(3), shape=(6, 2)),
                            "it averages 3 values"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_networks_without_a_place(name, tmp_path):
    make, reason = REFUSED[name]
    with pytest.raises(BadInput, match=reason) as caught:
        imported(make(), tmp_path)
    assert "\n" not in str(caught.value)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["net.keras"]


def test_weights_of_other_shapes_are_refused(tmp_path):
    from keras_file.files import dense, sequential, weights, write

    content = weights((np.ones((5, 3), np.float32), np.zeros(3, np.float32)))
    with pytest.raises(BadInput, match="can't be read as a .keras model: .*fc"):
        imported_file(write(tmp_path / "net.keras", sequential(dense()), content), tmp_path / "net")


@pytest.mark.slow
def test_the_same_file_gives_the_same_bytes_and_keeps_the_file(tmp_path):
    model = QUANTIZED["folded"]()
    imported(model, tmp_path, features=",".join(f"pixel {i}" for i in range(50)), classes="b,c,light")
    first = {path.name: path.read_bytes() for path in (tmp_path / "net").iterdir()}
    shutil.rmtree(tmp_path / "net")
    path = tmp_path / "net.keras"
    imported_file(path, tmp_path / "net", features=",".join(f"pixel {i}" for i in range(50)), classes="b,c,light")
    assert {path.name: path.read_bytes() for path in (tmp_path / "net").iterdir()} == first
    assert sorted(first) == ["README.md", "design.json", "model.keras", "network.py", "task.yaml", "weights.npz"]
    assert first["model.keras"] == path.read_bytes()
    task = read(tmp_path / "net")
    assert task.data.classes == ("b", "c", "light") and task.data.features[49] == "pixel 49"
    for content in first.values():
        assert str(tmp_path).encode() not in content


def test_names_must_be_as_many_as_the_network_has(tmp_path):
    for option, reason in (({"classes": "a,b"}, "--classes: 2 names; the network has 3"),
                           ({"features": "a"}, "--features: 1 names; the network has 6")):  # fmt: skip
        with pytest.raises(BadInput, match=reason):
            imported(FLOAT["dense"](), tmp_path, **option)


def test_parameters_of_a_network_start_its_training(tmp_path):
    imported(FLOAT["normalizations"](), tmp_path)
    path = tmp_path / "net" / "network.py"
    for fold in (True, False):
        topology = read_network(path, 6, 3, fold)
        parameters = read_parameters(path, topology)
        assert all(values.dtype == np.float32 for values in parameters.values())
        assert {name.split(".")[0] for name in parameters} == {layer.name for layer in topology.weighted}
        assert all(isinstance(layer, Weighted) for layer in topology.weighted) and INPUT not in parameters


def test_qkeras_evaluates_no_text_of_a_file(tmp_path, monkeypatch):
    from keras_file.files import layer, qdense, sequential, weights, write

    asked = []
    evaluate = qkeras.quantizers.safe_eval
    monkeypatch.setattr(qkeras.quantizers, "safe_eval", lambda text, *more: asked.append(text) or evaluate(text, *more))
    texts = {"kernel_quantizer": "quantized_bits(4,0,alpha=1)", "bias_quantizer": "quantized_bits(4)"}
    rows = [
        layer("QActivation", "qkeras.qlayers", name="grid", activation="quantized_bits(6,2)"),
        qdense("fc", 3, activation="quantized_relu(4)", **texts),
        qdense("out", 3, **texts),
    ]
    ones = [(np.ones((n, 3), np.float32), np.zeros(3, np.float32)) for n in (4, 3)]
    path = write(tmp_path / "net.keras", sequential(*rows), weights(*ones, names=("q_dense", "q_dense_1")))
    model = qkeras_model.load(path)
    assert asked == ["linear"]  # a word of a closed set, and no expression
    assert [str(model.get_layer("fc").activation), model.get_layer("grid").activation.bits] == [
        "quantized_relu(4,0)",
        6,
    ]
    assert imported_file(path, tmp_path / "net")["proof"]["design"]["exact"]


def test_a_model_that_got_its_shape_when_it_was_called(tmp_path):
    model = keras.Sequential([layers.Dense(4, activation=keras.activations.relu), layers.Dense(3)])
    model(np.zeros((1, 5), np.float32))
    model.compile("adam", "mse")
    found = imported(model, tmp_path)
    assert found["inputs"] == [5] and found["proof"]["network"]["deviation"] < 1e-5
