"""hls4ml configurations and Keras descriptions, read without either."""

import json
import re
import subprocess
import sys
import zipfile
from pathlib import Path
from zipfile import ZipFile

import pytest

from flow.cost import hls
from flow.cost.hls.settings import Type, parse_type
from flow.errors import BadInput

CONFIG = """
Backend: Vivado
ClockPeriod: 4
IOType: io_stream
Part: xcku115-flvb2104-2-i
ProjectName: example
KerasModel: !keras_model '/gone/keras_model.keras'
HLSConfig:
  Model: {Precision: {default: 'fixed<16,6>'}, ReuseFactor: 2, Strategy: Latency}
  LayerType:
    Dense: {Strategy: Resource}
  LayerName:
    fc: {Precision: {weight: 'ap_fixed<7,1>', result: auto, accum: 'ap_fixed<20,8>'}, ReuseFactor: 6}
    fc_relu: {Precision: {result: 'ap_ufixed<5,2,AP_RND_CONV,AP_SAT>'}}
    out: {Precision: 'ap_fixed<9,3>', ReuseFactor: 10}
"""


def keras(*layers: tuple[str, dict], shape=(6,)) -> dict:
    """A sequential model as Keras writes it."""
    first = {"class_name": "InputLayer", "config": {"batch_shape": [None, *shape], "name": "x"}}
    rest = [{"class_name": kind, "config": config} for kind, config in layers]
    return {"class_name": "Sequential", "config": {"layers": [first, *rest]}}


MODEL = keras(
    ("Dense", {"name": "fc", "units": 8, "activation": "relu"}), ("Dense", {"name": "out", "units": 5, "activation": "softmax"})
)  # fmt: skip


def saved(path: Path, model: dict) -> Path:
    with ZipFile(path, "w") as archive:
        archive.writestr("config.json", json.dumps(model))
    return path


def of(model: dict, **settings) -> tuple[hls.Layer, ...]:
    return hls.from_config({"HLSConfig": settings} if settings else {}, model=model).layers


def test_a_configuration_as_hls4ml_writes_it(tmp_path):
    (tmp_path / "hls4ml_config.yml").write_text(CONFIG)
    saved(tmp_path / "keras_model.keras", MODEL)
    network = hls.read_network(tmp_path)
    assert network == hls.read_network(tmp_path / "hls4ml_config.yml")
    assert (network.tool, network.io_type, network.clock_ns) == (hls.Tool.VIVADO_HLS, hls.IoType.STREAM, 4.0)
    assert (network.part, network.name) == ("xcku115-flvb2104-2-i", "example")
    fc, out = network.layers
    assert (fc.n_in, fc.n_out, fc.weight_bits, fc.weight_int, fc.result_bits) == (6, 8, 7, 1, 20)
    assert (fc.data_bits, fc.reuse_factor, fc.strategy, fc.activation) == (16, 6, hls.Strategy.RESOURCE, "relu")
    assert (out.data_bits, out.data_int, out.weight_bits, out.reuse_factor, out.activation) == (5, 2, 9, 10, "softmax")


def test_a_configuration_as_json_and_what_is_wanted_goes_first(tmp_path):
    row = {"Backend": "Vitis", "KerasModel": str(saved(tmp_path / "m.keras", MODEL)), "HLSConfig": {}}
    (tmp_path / "c.json").write_text(json.dumps(row))
    wanted = {"part": "xcvu9p", "clock_ns": 2.5, "reuse_factor": 4, "strategy": hls.Strategy.RESOURCE, "tool": None}
    network = hls.read_network(tmp_path / "c.json", wanted)
    assert (network.part, network.clock_ns, network.tool) == ("xcvu9p", 2.5, hls.Tool.VITIS_HLS)
    assert {(layer.reuse_factor, layer.strategy) for layer in network.layers} == {(4, hls.Strategy.RESOURCE)}


def test_a_keras_file_and_its_json_are_the_same(tmp_path):
    saved(tmp_path / "m.keras", MODEL)
    (tmp_path / "m.json").write_text(json.dumps(MODEL))
    assert hls.read_network(tmp_path / "m.keras") == hls.read_network(tmp_path / "m.json")


def test_types_that_hls4ml_infers_hold_any_sum():
    fc, out = of(MODEL)
    assert (fc.data_bits, fc.weight_bits, fc.result_bits) == (16, 16, 35)
    assert out.data_bits == 16  # behind an activation: the default


def test_quantizers_decide_the_types():
    quantized = {"class_name": "quantized_bits", "config": {"bits": 4, "integer": 0, "alpha": 1}}
    model = keras(
        ("QDense", {"name": "fc", "units": 8, "kernel_quantizer": quantized, "activation": "linear"}),
        ("QActivation", {"name": "relu", "activation": "quantized_relu(5,2)"}),
        ("QDense", {"name": "out", "units": 5, "kernel_quantizer": "ternary(alpha=1)"}),
    )
    fc, relu, out = of(model)
    assert (fc.weight_bits, fc.weight_int, fc.weights) == (4, 1, hls.Weights.FIXED)
    assert (relu.kind, relu.activation) == (hls.Kind.ACTIVATION, "relu")
    assert (out.data_bits, out.data_int, out.weight_bits, out.weights) == (5, 2, 2, hls.Weights.TERNARY)


def test_shapes_of_convolutions_and_poolings():
    model = keras(
        ("Conv2D", {"name": "c", "filters": 8, "kernel_size": [3, 3], "strides": [1, 1], "padding": "valid"}),
        ("BatchNormalization", {"name": "bn"}),
        ("Activation", {"name": "a", "activation": "relu"}),
        ("MaxPooling2D", {"name": "p", "pool_size": [2, 2], "strides": [2, 2]}),
        ("DepthwiseConv2D", {"name": "d", "kernel_size": [3, 3], "strides": [1, 1], "padding": "same"}),
        ("SeparableConv2D", {"name": "s", "filters": 4, "kernel_size": 2}),
        ("GlobalAveragePooling2D", {"name": "g"}),
        ("Dense", {"name": "out", "units": 3}),
        shape=(12, 12, 3),
    )
    found = {layer.name: layer for layer in of(model)}
    assert list(found) == ["c", "a", "p", "d", "s_depthwise", "s", "g", "out"]  # the normalization is fused
    assert (found["c"].n_in, found["c"].n_out, found["c"].positions, found["c"].buffer_values) == (27, 8, 100, 72)
    assert (found["p"].n_in, found["p"].n_out, found["p"].positions) == (4, 8, 25)
    assert (found["d"].kind, found["d"].n_in, found["d"].n_out, found["d"].positions) == (
        hls.Kind.DEPTHWISE2D,
        9,
        8,
        25,
    )
    assert (found["s"].n_in, found["s"].n_out, found["s"].positions) == (8, 4, 16)
    assert (found["g"].kind, found["g"].n_in, found["out"].n_in) == (hls.Kind.AVERAGE_POOLING, 16, 4)


def test_branches_by_their_names():
    def layer(kind, config, *inputs):
        nodes = [[[name, 0, 0, {}] for name in inputs]] if inputs else []
        return {"class_name": kind, "config": config, "inbound_nodes": nodes}

    rows = [
        layer("InputLayer", {"name": "x", "batch_input_shape": [None, 4]}),
        layer("Dense", {"name": "a", "units": 6}, "x"),
        layer("Dense", {"name": "b", "units": 2}, "x"),
        layer("Concatenate", {"name": "c"}, "a", "b"),
        layer("Add", {"name": "s"}, "c", "c"),
        layer("Dense", {"name": "out", "units": 3}, "s"),
    ]
    found = {item.name: item for item in of({"class_name": "Functional", "config": {"layers": rows}})}
    assert (found["b"].n_in, found["c"].n_out, found["s"].kind, found["out"].n_in) == (4, 8, hls.Kind.MERGE, 8)


REFUSED = {
    "LSTM": ("fc.*LSTM", keras(("LSTM", {"name": "fc", "units": 4}))),
    "no units": ("layer fc", keras(("Dense", {"name": "fc"}))),
    "a window beyond the image": (
        "larger than its input",
        keras(("Conv2D", {"name": "c", "filters": 1, "kernel_size": 9}), shape=(4, 4, 1)),
    ),
    "an unknown function": ("activation 'mish'", keras(("Dense", {"name": "fc", "units": 4, "activation": "mish"}))),
    "no input shape": ("shape", {"class_name": "Sequential", "config": {"layers": [MODEL["config"]["layers"][1]]}}),
    "a model in a model": ("inside of models", keras(("Functional", {"name": "m", "layers": []}))),
    "nothing": ("no layers", keras()),
    "text": ("no list of layers", {"class_name": "Sequential", "config": "x"}),
}


@pytest.mark.parametrize("case", REFUSED)
def test_models_that_have_no_known_cost_are_refused(tmp_path, case):
    pattern, model = REFUSED[case]
    path = saved(tmp_path / "m.keras", model)
    with pytest.raises(BadInput, match=pattern) as error:
        hls.read_network(path)
    assert str(path) in str(error.value)


WRONG = {
    "Backend: oneAPI": "Backend 'oneAPI'",
    "IOType: io_serial": "IOType 'io_serial'",
    "ClockPeriod: fast": "ClockPeriod 'fast'",
    "HLSConfig: {Model: {ReuseFactor: -2}}": "ReuseFactor -2",
    "HLSConfig: {LayerName: {fc: {Strategy: Magic}}}": "fc: Strategy 'Magic'",
    "HLSConfig: {LayerName: {fc: {Precision: {weight: float}}}}": "fc: weight 'float'",
    "HLSConfig: {LayerName: [1]}": "LayerName is no mapping",
}


@pytest.mark.parametrize("text", WRONG)
def test_wrong_settings_are_named(tmp_path, text):
    saved(tmp_path / "m.keras", MODEL)
    (tmp_path / "c.yml").write_text(f"KerasModel: m.keras\n{text}\n")
    with pytest.raises(BadInput) as error:
        hls.read_network(tmp_path / "c.yml")
    assert WRONG[text] in str(error.value)
    assert "c.yml" in str(error.value)


BROKEN = {
    "c.yml": ["[1, 2]", "a: [", "KerasModel: none.keras", "{}"],
    "c.json": ["{", "[]", "3", '{"KerasModel": "c.json"}'],
    "c.keras": ["no archive"],
}


@pytest.mark.parametrize(("name", "text"), [(name, text) for name, texts in BROKEN.items() for text in texts])
def test_broken_files_are_refused_in_one_line(tmp_path, name, text):
    (tmp_path / name).write_text(text)
    with pytest.raises(BadInput) as error:
        hls.read_network(tmp_path / name)
    assert name in str(error.value)
    assert "\n" not in str(error.value)


def test_nothing_in_a_file_is_run(tmp_path):
    mark = tmp_path / "mark"
    (tmp_path / "c.yml").write_text(f"Part: !!python/object/apply:pathlib.Path.touch [{mark}]\n")
    with pytest.raises(BadInput):
        hls.read_network(tmp_path / "c.yml")
    (tmp_path / "d.yml").write_text(f"Part: !python/object/apply:os.mkdir ['{mark}']\n")
    with pytest.raises(BadInput):
        hls.read_network(tmp_path / "d.yml")
    assert not mark.exists()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ap_fixed<16,6>", Type(16, 6)),
        ("fixed<8,-1,RND,SAT,0>", Type(8, -1)),
        ("ap_ufixed<5,2,AP_RND_CONV,AP_SAT>", Type(5, 2)),
        ("ac_fixed<12,3,true>", Type(12, 3)),
        ("ap_int<4>", Type(4, 4)),
        ("uint<3>", Type(3, 3)),
        ("nnet::array<ap_fixed<16,6>, 3*1>", Type(16, 6)),
    ],
)
def test_types(text, expected):
    assert parse_type(text) == expected


PARAMETERS = """
struct config2_mult : nnet::dense_config {
    static const unsigned n_in = 27;
    static const unsigned n_out = 8;
    static const unsigned reuse_factor = 9;
    static const unsigned strategy = nnet::resource;
    static const unsigned n_zeros = 54;
    typedef c_accum_t accum_t;
    typedef c_weight_t weight_t;
};
struct config2 : nnet::conv2d_config {
    static const unsigned in_width = 12;
    static const unsigned n_chan = 3;
    static const unsigned filt_height = 3;
    static const unsigned filt_width = 3;
    static const unsigned kernel_size = filt_height * filt_width;
    static const unsigned n_filt = 8;
    static const unsigned out_height = 10;
    static const unsigned out_width = 10;
};
struct relu_config3 : nnet::activ_config {
    static const unsigned n_in = 800;
    static const unsigned table_size = 512;
};
struct config4 : nnet::pooling2d_config {
    static const unsigned n_filt = 8;
    static const unsigned pool_height = 2;
    static const unsigned pool_width = 5;
    static const unsigned out_height = 5;
    static const unsigned out_width = 2;
    static const nnet::Pool_Op pool_op = nnet::Average;
};
struct config5 : nnet::merge_config {
    static const unsigned n_elem = 5*2*8;
};
"""
DEFINES = """
typedef nnet::array<ap_fixed<14,4>, 3*1> input_t;
typedef ap_fixed<30,12> c_accum_t;
typedef nnet::array<ap_fixed<30,12>, 8*1> c_result_t;
typedef ap_fixed<6,1> c_weight_t;
typedef nnet::array<ap_ufixed<7,2,AP_RND,AP_SAT,0>, 8*1> layer3_t;
"""
TOP = """
    nnet::conv_2d_cl<input_t, c_result_t, config2>(x, layer2_out, w2, b2); // c
    nnet::relu<c_result_t, layer3_t, relu_config3>(layer2_out, layer3_out); // r
    nnet::clone_stream<layer3_t, layer3_t, 800>(layer3_out, copy1, copy2); // clone_r
    nnet::pooling2d_cl<layer3_t, layer3_t, config4>(copy1, layer4_out); // p
    nnet::add<layer3_t, layer3_t, layer3_t, config5>(layer4_out, layer4_out, layer5_out); // s
"""


def project(folder: Path, top: str = TOP) -> Path:
    (folder / "firmware").mkdir()
    for name, text in (("parameters.h", PARAMETERS), ("defines.h", DEFINES), ("top.cpp", top)):
        (folder / "firmware" / name).write_text(text)
    (folder / "hls4ml_config.yml").write_text("Backend: Vitis\nIOType: io_stream\n")
    return folder


def test_a_written_project_tells_what_was_built(tmp_path):
    conv, relu, pool, add = hls.read_network(project(tmp_path)).layers
    assert (conv.n_in, conv.n_out, conv.positions, conv.reuse_factor, conv.zeros) == (27, 8, 100, 9, 0.25)
    assert (conv.weight_bits, conv.data_bits, conv.result_bits, conv.buffer_values) == (6, 14, 30, 72)
    assert conv.strategy is hls.Strategy.RESOURCE
    assert (relu.n_out, relu.positions, relu.data_bits, relu.table_size) == (8, 100, 30, 512)
    assert (pool.kind, pool.n_in, pool.positions) == (hls.Kind.AVERAGE_POOLING, 10, 10)
    assert (add.n_out, add.positions, add.data_bits) == (8, 10, 7)


def test_an_unknown_function_of_a_project_is_refused(tmp_path):
    with pytest.raises(BadInput, match="nnet::lstm"):
        hls.read_network(project(tmp_path, "nnet::lstm<input_t, config2>(x, y); // l\n"))


@pytest.mark.slow
def test_a_project_and_its_keras_model_are_the_same_network(tmp_path):
    """What hls4ml writes, against what is read from the description that it was written from."""
    script = (
        "import sys, keras, hls4ml\n"
        "x = i = keras.Input((12, 12, 3), name='x')\n"
        "x = keras.layers.Conv2D(8, 3, activation='relu', name='c')(x)\n"
        "x = keras.layers.MaxPooling2D(2, name='p')(x)\n"
        "x = keras.layers.Flatten(name='f')(x)\n"
        "x = keras.layers.Dense(16, activation='tanh', name='d')(x)\n"
        "m = keras.Model(i, keras.layers.Dense(5, name='out')(x))\n"
        "c = hls4ml.utils.config_from_keras_model(m, granularity='name', backend='Vivado')\n"
        "c['LayerName']['d'].update(Strategy='Resource', ReuseFactor=20)\n"
        "h = hls4ml.converters.convert_from_keras_model(m, hls_config=c, output_dir=sys.argv[1], backend='Vivado')\n"
        "h.write()\n"
    )
    subprocess.run([sys.executable, "-c", script, str(tmp_path / "p")], check=True, capture_output=True, timeout=600)
    written = hls.read_network(tmp_path / "p")
    (tmp_path / "p" / "firmware" / "parameters.h").unlink()
    described = hls.read_network(tmp_path / "p")
    assert written.tool is described.tool is hls.Tool.VIVADO_HLS
    for name in ("c", "d", "out"):
        a, b = (next(layer for layer in net.layers if layer.name == name) for net in (written, described))
        assert (a.kind, a.n_in, a.n_out, a.positions) == (b.kind, b.n_in, b.n_out, b.positions)
        assert (a.weight_bits, a.data_bits, a.strategy) == (b.weight_bits, b.data_bits, b.strategy)
    costs = [hls.predict(hls.prior(), [net], "csynth") for net in (written, described)]
    for figure in ("lut", "dsp", "bram_18k", "latency_cycles"):
        assert costs[1][figure].value[0] == pytest.approx(costs[0][figure].value[0], rel=0.1)


BOMB = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 10)
)
MERGES = "a0: &a0 {x: 1}\n" + "".join(f"a{i}: &a{i} {{<<: [{', '.join([f'*a{i - 1}'] * 9)}]}}\n" for i in range(1, 10))


@pytest.mark.parametrize(
    "text, said",
    [
        (BOMB + "Backend: *a9\n", "values"),
        (MERGES, "values"),
        ("a: &a [*a]\nBackend: Vivado\n", "inside of"),
        ("x: 2020-99-99\n", "no YAML"),
        ('x: !!int ""\n', "no YAML"),
        ("x: !!bool maybe\n", "no YAML"),
        ("x: !!timestamp soon\n", "no YAML"),
        ("x: !!python/object/apply:os.getcwd []\n", "no YAML"),
        ("x: " + "9" * 5000 + "\n", "no YAML"),
        ("HLSConfig: 5\n", "HLSConfig"),
        ("HLSConfig: {Model: {ReuseFactor: \u00b2}}\nKerasModel: model.json\n", "ReuseFactor"),
        ("HLSConfig: {Model: {Precision: 'ap_fixed<99999,6>'}}\nKerasModel: model.json\n", "no fixed-point type"),
        ("KerasModel: " + "a" * 5000 + "\n", "no such file"),
        ("ClockPeriod: true\nKerasModel: model.json\n", "ClockPeriod"),
    ],
)
def test_texts_that_mean_harm_or_nothing(text, said, tmp_path):
    (tmp_path / "model.json").write_text(json.dumps(MODEL))
    path = tmp_path / "hls4ml_config.yml"
    path.write_text(text)
    with pytest.raises(BadInput, match=re.escape(str(path))) as error:
        hls.read_network(path)
    assert said in str(error.value)


def test_an_alias_is_read_as_what_it_stands_for(tmp_path):
    (tmp_path / "model.json").write_text(json.dumps(MODEL))
    path = tmp_path / "hls4ml_config.yml"
    path.write_text("KerasModel: model.json\nHLSConfig:\n LayerName: {fc: &a {ReuseFactor: 3}, out: *a}\n")
    assert [layer.reuse_factor for layer in hls.read_network(path).layers] == [3, 3]


def damaged(path: Path, method: int) -> Path:
    """An archive whose packed bytes are not what its method packs."""
    with ZipFile(path, "w", method) as archive:
        archive.writestr("config.json", json.dumps(MODEL) * 50)
    content = bytearray(path.read_bytes())
    content[60:120] = bytes(range(195, 255))
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_damaged_archives(method, tmp_path):
    with pytest.raises(BadInput, match="m.keras: "):
        hls.read_network(damaged(tmp_path / "m.keras", method))


def test_an_archive_that_unpacks_to_too_much(tmp_path):
    with ZipFile(tmp_path / "m.keras", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("config.json", b" " * (65 << 20))
    with pytest.raises(BadInput, match="larger than any description"):
        hls.read_network(tmp_path / "m.keras")


def test_an_archive_with_a_password(tmp_path):
    path = saved(tmp_path / "m.keras", MODEL)
    content = bytearray(path.read_bytes())
    content[6] |= 1
    content[content.find(b"PK\1\2") + 8] |= 1
    path.write_bytes(content)
    with pytest.raises(BadInput, match="encrypted"):
        hls.read_network(path)


@pytest.mark.parametrize(
    "config, said",
    [
        ({"units": 0}, "n_out is 0"),
        ({"units": -5}, "can't be read|n_out is -5"),
        ({"units": 10**300}, "n_out is a number beyond"),
        ({"units": float("inf")}, "OverflowError"),
        ({"units": float("nan")}, "ValueError"),
        ({"units": 10**9}, "weights, more than"),
        ({"units": 5, "kernel_quantizer": "quantized_po2(99999999999)"}, "allowed: 1 to 64"),
        ({"units": 5, "kernel_quantizer": "quantized_bits(0,0)"}, "allowed: 1 to 64"),
    ],
)
def test_sizes_that_no_layer_has(config, said, tmp_path):
    path = saved(tmp_path / "m.keras", keras(("Dense", {"name": "fc", "activation": "linear", **config})))
    with pytest.raises(BadInput, match=said):
        hls.read_network(path)


@pytest.mark.parametrize("shape", [5, "x", [], [None], {"a": 1}, [None, 0], [None, 1.5], [None] + [10**6] * 100])
def test_input_shapes_that_are_none(shape, tmp_path):
    model = json.loads(json.dumps(MODEL))
    model["config"]["layers"][0]["config"]["batch_shape"] = shape
    with pytest.raises(BadInput, match="layer x: the input's shape"):
        hls.read_network(saved(tmp_path / "m.keras", model))
