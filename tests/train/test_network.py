"""A plain Keras model becomes the topology that it is, or is refused by name."""

import itertools
from dataclasses import replace
from functools import partial
from pathlib import Path

import keras
import numpy as np
import pytest
from networks import NETWORKS

from flow.data.features import FEATURES
from flow.errors import BadInput
from flow.task import read as read_task
from flow.topology import INPUT, Activation, Conv, Dense, Merge, Pool, Reshape, Scale, Topology
from flow.train.network import lower, read_network

L = keras.layers


def explicit(topology: Topology) -> Topology:
    """The same network, every layer naming its inputs."""
    layers = tuple(replace(layer, inputs=topology.sources[layer.name]) for layer in topology.layers)
    return Topology(layers, topology.input_shape)


def plain(topology: Topology) -> keras.Model:
    """The network as a user would write it."""
    values = {INPUT: keras.Input(topology.input_shape)}
    for layer in topology.layers:
        read = [values[name] for name in topology.sources[layer.name]]
        out = keras_layer(layer)(read if isinstance(layer, Merge) else read[0])
        if getattr(layer, "normalized", False) and not isinstance(layer, Scale):
            out = L.Activation(layer.activation)(L.BatchNormalization()(out))
        values[layer.name] = out
    return keras.Model(values[INPUT], values[topology.output])


def keras_layer(layer) -> keras.layers.Layer:
    match layer:
        case Dense():
            function = None if layer.normalized else layer.activation
            return L.Dense(layer.n_out, function, layer.bias and not layer.normalized, name=layer.name)
        case Conv():
            function = None if layer.normalized else layer.activation
            kinds = {(1, False): L.Conv1D, (2, False): L.Conv2D, (2, True): L.DepthwiseConv2D}
            kind = kinds[len(layer.window), layer.depthwise]
            kind = kind if layer.depthwise else partial(kind, layer.filters)
            return kind(
                layer.window, layer.strides, layer.padding, activation=function, use_bias=layer.bias, name=layer.name
            )
        case Scale():
            return L.BatchNormalization(name=layer.name)
        case Pool(flat=True):
            return getattr(L, f"Global{layer.operation.title()}Pooling{len(layer.window)}D")(name=layer.name)
        case Pool():
            kind = getattr(L, f"{layer.operation.title()}Pooling{len(layer.window)}D")
            return kind(layer.window, layer.strides, name=layer.name)
        case Merge():
            return {"add": L.Add, "concatenate": L.Concatenate}[layer.operation](name=layer.name)
        case Reshape():
            return L.Reshape(layer.shape, name=layer.name)
        case Activation():
            return L.Activation(layer.activation, name=layer.name)
    raise TypeError(layer)


def sequence(shape: tuple[int, ...], *layers, end: bool = True) -> keras.Model:
    """A sequential model, with a flattening and logits at the end."""
    last = [L.Flatten(name="flat"), L.Dense(3, name="out")] if end else []
    return keras.Sequential([keras.Input(shape), *layers, *last])


def read(shape: tuple[int, ...], *layers, end: bool = True, **more) -> Topology:
    return lower(sequence(shape, *layers, end=end), "network.py", **more)


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_is_read_as_what_it_is(name):
    fold = name != "scale"
    assert lower(plain(NETWORKS[name]), "network.py", fold) == explicit(NETWORKS[name])


def test_a_sequential_model_is_read():
    found = read((4,), L.Dense(6, "relu", name="fc0"), L.Dense(5, name="fc1"), L.Dense(3, name="out"), end=False)
    assert found == explicit(Topology((Dense("fc0", 4, 6, "relu"), Dense("fc1", 6, 5), Dense("out", 5, 3))))


def test_a_separable_convolution_is_two():
    layer = L.SeparableConv2D(5, (3, 2), (2, 2), "same", name="sep", use_bias=False)
    found = read((6, 6, 2), layer, L.BatchNormalization(), L.ReLU())
    first = Conv("sep_depthwise", (6, 6, 2), 2, (3, 2), (2, 2), "same", bias=False, depthwise=True)
    second = Conv("sep_pointwise", (3, 3, 2), 5, (1, 1), (1, 1), "valid", "relu", normalized=True)
    assert found == explicit(Topology((first, second, Reshape("flat", (45,)), Dense("out", 45, 3))))


@pytest.mark.parametrize("make", [partial(L.Activation, "relu"), L.ReLU])
def test_an_activation_goes_into_the_linear_layer_in_front(make):
    found = read((4,), L.Dense(6, name="fc0"), make(name="fc0_relu"))
    assert found["fc0"] == Dense("fc0", 4, 6, "relu", (INPUT,))
    assert found.sources["flat"] == ("fc0",)


def test_an_activation_behind_a_pooling_or_another_activation_stands_alone():
    layers = (L.Conv1D(2, 3, activation="relu", name="conv"), L.MaxPooling1D(2, name="pool"))
    found = read((10, 3), *layers, L.Activation("tanh", name="bent"), L.Activation("sigmoid", name="again"))
    assert found["conv"].activation == "relu"
    assert found["bent"] == Activation("bent", (4, 2), "tanh", ("pool",))
    assert found["again"] == Activation("again", (4, 2), "sigmoid", ("bent",))


def test_a_layer_that_two_read_takes_nothing_over():
    start = keras.Input((4,))
    fc0 = L.Dense(6, name="fc0")(start)
    bent = L.Activation("relu", name="bent")(fc0)
    normal = L.BatchNormalization(name="normal")(fc0)
    found = lower(keras.Model(start, L.Dense(3, name="out")(L.Add(name="sum")([bent, normal]))), "network.py")
    assert found["fc0"] == Dense("fc0", 4, 6, "linear", (INPUT,))
    assert found["bent"] == Activation("bent", (6,), "relu", ("fc0",))
    assert found["normal"] == Scale("normal", (6,), inputs=("fc0",))


def test_batch_normalization_is_folded_once_and_only_where_it_can_be():
    layers = (L.Dense(6, use_bias=False, name="fc0"), L.BatchNormalization(name="one"))
    assert read((4,), *layers)["fc0"] == Dense("fc0", 4, 6, "linear", (INPUT,), True, True)
    kept = read((4,), *layers, fold_batchnorm=False)
    assert kept["fc0"] == Dense("fc0", 4, 6, "linear", (INPUT,), bias=False)
    assert kept["one"] == Scale("one", (6,), inputs=("fc0",))
    twice = read((4,), *layers, L.BatchNormalization(name="two"), L.ReLU(name="bent"))
    assert twice["fc0"].normalized
    assert twice["two"] == Scale("two", (6,), "relu", ("fc0",))
    behind = read((4,), L.Dense(6, "relu", name="fc0"), L.BatchNormalization(name="two"))
    assert behind["two"] == Scale("two", (6,), inputs=("fc0",))


CONVOLUTIONS = list(itertools.product((1, 2, 3), (1, 2, 3), ("valid", "same")))


@pytest.mark.parametrize("window,stride,padding", CONVOLUTIONS)
def test_shapes_of_convolutions_are_those_of_keras(window, stride, padding):
    rng = np.random.default_rng([window, stride, padding == "same"])
    rows, columns = (int(n) for n in rng.integers(3, 9, 2))
    kinds = {
        (rows, 2): L.Conv1D(4, window, stride, padding, name="conv"),
        (rows, columns, 2): L.Conv2D(4, (window, 2), stride, padding, name="conv"),
        (columns, rows, 3): L.DepthwiseConv2D((2, window), stride, padding, name="conv"),
    }
    for shape, layer in kinds.items():
        conv = read(shape, layer)["conv"]
        assert conv.shape == layer.output.shape[1:]
        assert conv.kernel_shape == layer.get_weights()[0].shape


@pytest.mark.parametrize("window,stride", list(itertools.product((1, 2, 4), (None, 1, 2, 3))))
def test_shapes_of_poolings_are_those_of_keras(window, stride):
    for rows, columns in ((4, 7), (8, 5), (6, 6)):
        kinds = {
            (rows, 3): (L.MaxPooling1D(window, stride, name="pool"), L.AveragePooling1D(window, stride, name="pool")),
            (rows, columns, 3): (
                L.MaxPooling2D((window, 3), stride, name="pool"),
                L.AveragePooling2D((window, 2), stride, name="pool"),
            ),
        }
        for shape, layers in kinds.items():
            for layer in layers:
                assert read(shape, layer)["pool"].shape == layer.output.shape[1:]


def test_a_same_pooling_that_fits_is_a_valid_one():
    assert read((6, 6, 2), L.MaxPooling2D(2, padding="same", name="pool"))["pool"] == Pool(
        "pool", (6, 6, 2), (2, 2), (2, 2), inputs=(INPUT,)
    )


D = partial(L.Dense, 3, name="fc0")
REFUSED = {
    "an unknown layer": ((4,), [L.Dropout(0.1, name="drop")], "layer drop: Dropout is not supported; supported: Dense"),
    "a model inside": ((4,), [keras.Sequential([keras.Input((4,)), L.Dense(2)], name="inner")], "layer inner: Sequ"),
    "a dense layer on steps": ((5, 3), [D()], r"layer fc0: Dense reads the shape \(5, 3\).*Conv1D with a window of 1"),
    "a dense layer on pixels": ((5, 3, 2), [D()], "layer fc0: .*Conv2D with a window of 1"),
    "an unknown activation": ((4,), [D(activation="gelu")], "layer fc0: activation 'gelu'.*linear, relu, tanh, sig"),
    "a function of the user's": ((4,), [D(activation=lambda x: x)], "layer fc0: activation '<lambda>'"),
    "a softmax": ((4,), [L.Dense(3, "softmax", name="fc0")], "layer fc0: the network gives logits"),
    "a bounded relu": ((4,), [D(), L.ReLU(6.0, name="bent")], "layer bent: max_value 6.0"),
    "a sloped relu": ((4,), [D(), L.ReLU(negative_slope=0.1, name="bent")], "layer bent: negative_slope 0.1"),
    "a raised relu": ((4,), [D(), L.ReLU(threshold=1.0, name="bent")], "layer bent: threshold 1.0"),
    "dilation": ((9, 9, 1), [L.Conv2D(2, 3, dilation_rate=2, name="conv")], r"layer conv: dilation_rate \(2, 2\)"),
    "groups": ((9, 2), [L.Conv1D(2, 3, groups=2, name="conv")], "layer conv: groups 2"),
    "a causal convolution": ((9, 2), [L.Conv1D(2, 3, padding="causal", name="conv")], "layer conv: padding 'causal'"),
    "depthwise in one dimension": ((9, 2), [L.DepthwiseConv1D(3, name="conv")], "layer conv: DepthwiseConv1D is not"),
    "separable in one dimension": ((9, 2), [L.SeparableConv1D(2, 3, name="conv")], "layer conv: SeparableConv1D is n"),
    "several filters a channel": ((9, 9, 2), [L.DepthwiseConv2D(3, depth_multiplier=2, name="conv")], "conv: depth_mu"),
    "channels first": ((2, 9), [L.Flatten("channels_first", name="row")], "layer row: data_format 'channels_first'"),
    "a padded pooling": ((5, 2), [L.MaxPooling1D(2, padding="same", name="pool")], "layer pool: padding 'same'"),
    "a mean of nine": ((6, 6, 2), [L.AveragePooling2D(3, name="pool")], "layer pool: it averages 9 values.*power of t"),
    "a mean of all": ((6, 2), [L.GlobalAveragePooling1D(name="pool")], "layer pool: it averages 6 values"),
    "kept dimensions": ((6, 2), [L.GlobalMaxPooling1D(keepdims=True, name="pool")], "layer pool: keepdims True"),
    "normalized steps": ((6, 2), [L.BatchNormalization(axis=1, name="norm")], "layer norm: axis 1"),
    "a name of ours": ((4,), [L.Dense(3, name="input_grid")], "layer input_grid: .*'input_grid'.*every network"),
    "the input's name": ((4,), [L.Dense(3, name="input")], "layer input: .*choose another"),
    "the same name": ((4,), [D(), L.Dense(3, name="FC0")], "layer FC0: .*'FC0' is also that of layer fc0"),
    "a name that we make": ((4,), [D(activation="relu"), L.Dense(3, name="fc0_relu")], "also that of layer fc0's act"),
    "a made name twice": (
        (6, 6, 2),
        [L.Conv2D(2, 1, name="s_depthwise"), L.SeparableConv2D(2, 1, name="s")],
        "layer s: it makes a layer s_depthwise",
    ),
    "a name with a dash": ((4,), [L.Dense(3, name="fc-0")], "layer 'fc-0': letters"),
    "four sizes": ((2, 2, 2, 2), [], r"input has the shape \(2, 2, 2, 2\)"),
    "open sizes": ((None, 2), [L.Conv1D(2, 1, name="conv"), L.GlobalMaxPooling1D()], "leaves a size open"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_not_supported_is_refused_by_name(case):
    shape, layers, message = REFUSED[case]
    with pytest.raises(BadInput, match=message) as caught:
        read(shape, *layers)
    assert str(caught.value).startswith("network.py: ") and "\n" not in str(caught.value)


ENDS = {
    "a pooling": ([L.Conv1D(3, 3, name="conv"), L.GlobalMaxPooling1D(name="pool")], "layer pool is the last one"),
    "a relu": ([L.Flatten(), L.Dense(3, "relu", name="out")], "layer out: activation 'relu' on the last layer"),
    "a softmax": ([L.Flatten(), L.Dense(3), L.Softmax(name="soft")], "layer soft: the network gives logits"),
    "a linear activation": ([L.Flatten(), L.Dense(3), L.Activation("linear", name="grid")], "layer grid is the last"),
}


@pytest.mark.parametrize("case", ENDS)
def test_the_last_layer_gives_logits(case):
    layers, message = ENDS[case]
    with pytest.raises(BadInput, match=message):
        read((6, 2), *layers, end=False)


def _shared(start):
    layer = L.Dense(4, name="fc0")
    return layer(layer(start))


def _three(start):
    return L.Add(name="sum")([L.Dense(4)(start), L.Dense(4)(start), start])


GRAPHS = {
    "a shared layer": (_shared, "layer fc0: it is called more than once"),
    "three summands": (_three, "layer sum: it reads .*; supported: two"),
    "a layer and itself": (lambda start: L.Add(name="sum")([start, start]), "layer sum: it reads input, input"),
    "unequal summands": (lambda start: L.Add(name="sum")([L.Dense(1)(start), start]), "layer sum: it adds the shapes"),
    "a concatenation of steps": (
        lambda start: L.Concatenate(1, name="both")([L.Reshape((2, 2), name="a")(start), L.Reshape((2, 2))(start)]),
        "layer both: axis 1",
    ),
    "an operation": (lambda start: keras.ops.exp(start), "layer exp.*: Exp is not supported"),
}


@pytest.mark.parametrize("case", GRAPHS)
def test_graphs_that_are_not_supported_are_refused(case):
    make, message = GRAPHS[case]
    start = keras.Input((4,))
    with pytest.raises(BadInput, match=message):
        lower(keras.Model(start, L.Dense(3)(L.Flatten()(make(start)))), "network.py")


def test_models_that_are_no_graph_of_one_input_and_output_are_refused():
    first, second = keras.Input((4,)), keras.Input((4,))
    out = L.Dense(3)(L.Add()([first, second]))
    for model, message in (
        (keras.Model([first, second], out), "2 inputs"),
        (keras.Model(first, [L.Dense(3)(first), L.Dense(3)(first)]), "2 outputs"),
        (keras.Sequential([L.Dense(3)]), "begins with keras.Input"),
        (keras.Model(first, first), "has no layer"),
    ):
        with pytest.raises(BadInput, match=message):
            lower(model, "network.py")


def test_a_class_of_the_users_is_not_taken_for_one_of_keras():
    class Dense(L.Dense):
        def call(self, inputs):
            return 2 * super().call(inputs)

    with pytest.raises(BadInput, match="layer fc0: Dense is not supported"):
        read((4,), Dense(3, name="fc0"))


TEXT = """import keras
def network():
    return keras.Sequential([keras.Input({shape}), keras.layers.Flatten(), keras.layers.Dense(3, name="out")])
"""


@pytest.fixture
def write(tmp_path: Path):
    def written(text: str) -> Path:
        path = tmp_path / "network.py"
        path.write_text(text)
        return path

    return written


def test_a_file_is_read_and_must_fit_the_data(write):
    path = write(TEXT.format(shape=(4, 2)))
    assert read_network(path, 8, 3).input_shape == (4, 2)
    with pytest.raises(BadInput, match="network.py: the network takes 4 x 2 inputs; data.features names 7"):
        read_network(path, 7, 3)
    with pytest.raises(BadInput, match="network.py: the network has 3 outputs; data.classes names 5"):
        read_network(path, 8, 5)


@pytest.mark.parametrize(
    "task,multiplications", [("tiny", [48, 40]), ("jet_tagger", [1024, 2048, 1024, 160]), ("digits", [648, 2048, 640])]
)
def test_the_tasks_here_have_networks_that_fit_them(task, multiplications):
    folder = Path(__file__).parents[2] / "models" / task
    data = read_task(folder).data
    topology = read_network(folder / "network.py", len(data.features or FEATURES), len(data.classes))
    assert [layer.multiplications for layer in topology.weighted] == multiplications


@pytest.mark.parametrize(
    "text,message",
    [
        ("def network(:\n", "network.py, line 1: SyntaxError"),
        ("\ndef network():\n    return 1 / 0\n", "network.py, line 3: ZeroDivisionError: division by zero"),
        ("import sys\nsys.exit(7)\n", "network.py, line 2: SystemExit: 7"),
        ("x = 1\n", "defines no function network"),
        ("def network():\n    return 1\n", "returned int, not a Keras model"),
    ],
)
def test_what_the_users_code_does_wrong_is_told_by_file_and_line(write, text, message):
    with pytest.raises(BadInput, match=message):
        read_network(write(text), 4, 3)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(BadInput, match=r"nothing.py: no such file"):
        read_network(tmp_path / "nothing.py", 4, 3)


@pytest.mark.parametrize("setting", [{"epsilon": 0.5}, {"center": False}, {"scale": False}])
def test_settings_of_a_normalization_that_training_does_not_follow_are_refused(setting):
    with pytest.raises(BadInput, match=next(iter(setting))):
        read((4,), L.Dense(6, name="fc0"), L.BatchNormalization(name="norm", **setting), L.ReLU())


def test_a_regularizer_is_refused():
    with pytest.raises(BadInput, match="kernel_regularizer"):
        read((4,), L.Dense(6, name="fc0", kernel_regularizer="l2"))
