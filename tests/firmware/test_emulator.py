"""The emulator: exact in every rounding, overflow, lane width and kind of layer; versions live side by side."""

import itertools
import subprocess
import sys
import threading

import numpy as np
import pytest

from flow.errors import BadInput
from flow.firmware import emulator
from flow.firmware.emulator import interface
from flow.firmware.precision import Decision, HlsType, Linear, Quantize, narrowest, types
from flow.firmware.settings import Output
from flow.formats import Fixed
from flow.topology import INPUT, Dense, Merge
from tests.designs import example_design, example_scaling, example_words
from tests.networks import NETWORKS
from tests.weights import example_weights

WORD = Fixed(10, 3)
# Sums and outputs are tested as they are shipped; where its speed and its interface are no matter, compiling is quicker so.
QUICK = (*(flag for flag in interface.FLAGS if flag != "-O3"), "-O0")
# What the C interface leaves unused: nothing, AVX-512, AVX2 too.
MACHINES = (0, 0x100, 0x300)


NAMES = emulator.Names("net", "1.0")


def built(stages, word, n_in, folder, names=NAMES, flags=QUICK):
    emulator.write(stages, word, n_in, folder, names)
    emulator.compile_library(folder, names, flags)
    return emulator.load(folder, names)


def dense(seed, n_in=3, n_out=2, scale=8, fraction=3):
    random = np.random.default_rng(seed)
    kernel, bias = (
        np.ldexp(random.integers(-scale, scale, shape, endpoint=True).astype(float), -fraction)
        for shape in ((n_in, n_out), (n_out,))
    )
    return Linear(Dense("fc", n_in, n_out, inputs=(INPUT,)), kernel, bias, narrowest(kernel), narrowest(bias))


def every_word(word, n_in=1):
    low, high = round(word.low / word.step), round(word.high / word.step)
    column = np.arange(low, high + 1) * word.step
    return np.stack([np.roll(column, i) for i in range(n_in)], axis=1)


def wrapped(values, form):
    """What an ap_fixed keeps of whole steps that are too many for it."""
    steps = np.floor(values / form.step).astype(int)
    half = 2 ** (form.width - 1) if form.signed else 0
    return ((steps + half) % 2**form.width - half) * form.step


@pytest.mark.slow
def test_every_rounding_and_overflow_on_every_word(tmp_path):
    forms = [
        HlsType(width, integer, signed, rounding, overflow)
        for rounding, overflow, (width, integer, signed) in itertools.product(
            ("TRN", "RND", "RND_CONV", "RND_INF"),
            ("SAT", "SAT_SYM"),
            ((4, 2, True), (3, 5, True), (18, 8, True), (2, 1, True)),
        )
    ]
    forms += [HlsType(4, 2, False, rounding, "SAT") for rounding in ("TRN", "RND", "RND_CONV", "RND_INF")]
    forms += [HlsType(4, 2, signed, "TRN", "WRAP") for signed in (True, False)] + [HlsType(1, 3, True, "TRN", "SAT")]
    stages, before = [], ""
    for i, form in enumerate(forms):
        stages.append(Quantize(f"q{i}", (1,), (INPUT,), form))
        if before:
            stages.append(Merge(f"m{i}", (i + 1,), "concatenate", (before, f"q{i}")))
        before = stages[-1].name
    # Half a hundred stages take -O3 a while.
    library, words = built(stages, WORD, 1, tmp_path, flags=(*QUICK, "-O1")), every_word(WORD)
    expected = [wrapped(words, form) if form.overflow == "WRAP" else form.quantize(words) for form in forms]
    for machine in MACHINES:
        found = library.predict(words, flags=machine)
        for form, column, right in zip(forms, found.T, expected):
            assert np.array_equal(column, right[:, 0]), form


@pytest.mark.slow
@pytest.mark.parametrize("scale, fraction, bits", [(8, 3, 16), (2**12, 3, 32), (2**36, 30, 64)])
def test_sums_in_lanes_of_every_width(scale, fraction, bits, tmp_path):
    layer = dense(1, scale=scale, fraction=fraction)
    library, words = built([layer], WORD, 3, tmp_path, flags=interface.FLAGS), every_word(WORD, 3)
    made = emulator.program([layer], types([layer], WORD, 3), WORD, 3)
    assert made.buffers["fc"].bits == bits
    integers = np.rint(words / WORD.step).astype(np.int64)
    step = made.result.step
    exact = integers @ np.rint(layer.kernel * WORD.step / step).astype(np.int64)
    exact += np.rint(layer.bias / step).astype(np.int64)
    for machine in MACHINES:
        assert np.array_equal(library.predict_words(integers, flags=machine), exact)
        assert np.array_equal(library.predict(words, flags=machine), exact * step)


@pytest.mark.slow
@pytest.mark.parametrize("output", [Output.ARGMAX, Output.SOFTMAX, Output.SIGMOID, Output.TANH])
def test_outputs_behind_the_logits(output, tmp_path):
    layer = dense(2, n_out=4)
    n_out = 1 if output is Output.ARGMAX else 4
    stages = [layer, Decision(str(output), (n_out,), ("fc",), output, 2.0**-7)]
    spec = types(stages, WORD, 3)[str(output)].spec
    library, words = built(stages, WORD, 3, tmp_path, flags=interface.FLAGS), every_word(WORD, 3)
    expected = spec.apply(words @ layer.kernel + layer.bias)
    assert len(np.unique(expected)) > 1
    for machine in MACHINES:
        assert np.array_equal(library.predict(words, flags=machine), expected)


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    return built([dense(3)], WORD, 3, tmp_path_factory.mktemp("emulator"))


def test_any_number_of_events(library):
    words = every_word(WORD, 3)
    whole = library.predict(words)
    for n in (0, 1, 31, 32, 33, 63, 64, 65, 130):
        assert np.array_equal(library.predict(words[:n]), whole[:n])


@pytest.mark.parametrize("bad", [0.3, 1e300, -1e300, float("nan"), float("inf"), 8.0, -8.0 - 2**-6])
@pytest.mark.parametrize("machine", MACHINES)
def test_values_off_the_grid_are_refused(library, bad, machine):
    words = np.zeros((70, 3))
    words[65, 1] = bad
    with pytest.raises(ValueError, match=r"event 65, input 1: \S+ is not on the grid of ap_fixed<10,4>"):
        library.predict(words, flags=machine)


def test_values_are_rounded_where_asked(library):
    values = np.array([[0.3, -100.0, 100.0], [2.5 * WORD.step, 3.5 * WORD.step, -2.5 * WORD.step]])
    assert np.array_equal(library.predict(values, rounded=True), library.predict(WORD.quantize(values)))
    with pytest.raises(ValueError, match="nan"):
        library.predict([[np.nan, 0, 0]], rounded=True)


def test_words_that_are_none_are_refused(library):
    for words, said in (
        ([[0, 512, 0]], "event 0, input 1: 512 is not on the grid"),
        ([[0, -513, 0]], "not on the grid"),
        ([[0, 2**40, 0]], "not on the grid"),
        ([[0.0, 1.0, 0.0]], "words are integers"),
        ([[0, 1]], r"\(n, 3\)"),
    ):
        with pytest.raises(ValueError, match=said):
            library.predict_words(np.array(words))


def test_threads_do_not_disturb_one_another(library):
    words = np.tile(every_word(WORD, 3), (50, 1))
    expected, wrong = library.predict(words), []

    def work(shift):
        for _ in range(10):
            if not np.array_equal(library.predict(np.roll(words, shift, axis=0)), np.roll(expected, shift, axis=0)):
                wrong.append(shift)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_the_same_network_gives_the_same_bytes(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    for name in ("a", "b"):
        built([dense(4)], WORD, 3, tmp_path / name)
    assert not list(tmp_path.rglob("__pycache__"))  # it holds times
    first, second = ({path.name: path.read_bytes() for path in (tmp_path / name).iterdir()} for name in ("a", "b"))
    assert first == second and "libflow_net_1_0.so" in first


@pytest.mark.slow
def test_two_versions_in_one_process(tmp_path):
    words = every_word(WORD, 3)
    layers = {"1.0": dense(5), "1_0": dense(6)}
    found = {version: emulator.Names("net", version) for version in layers}
    libraries = {version: built([layers[version]], WORD, 3, tmp_path, found[version]) for version in layers}
    for version, layer in layers.items():
        assert np.array_equal(libraries[version].predict(words), words @ layer.kernel + layer.bias)
    prefixes = [names.prefix for names in found.values()]
    main = tmp_path / "both.cpp"
    main.write_text(
        "".join(f'#include "{prefix}.hpp"\n' for prefix in prefixes)
        + "#include <cstdio>\nint main() {\n    std::vector<int32_t> words{1, -2, 300};\n"
        + "".join(
            f'    for (auto y : {p}::Emulator::predict_words(words)) printf("%ld ", long(y));\n' for p in prefixes
        )
        + "}\n"
    )
    command = ["g++", "-std=c++17", "-O1", "-Wno-psabi", *(f"{p}.cpp" for p in prefixes), "both.cpp", "-o", "both"]
    subprocess.run(command, cwd=tmp_path, check=True)
    printed = subprocess.run([tmp_path / "both"], check=True, capture_output=True, text=True).stdout
    integers = np.array([[1, -2, 300]])
    both = np.concatenate([libraries[version].predict_words(integers)[0] for version in layers])
    assert list(map(int, printed.split())) == both.tolist()


@pytest.mark.slow
def test_only_the_interface_is_visible(tmp_path):
    names = emulator.Names("net", "2.1")
    built([dense(7)], WORD, 3, tmp_path, names)
    listed = subprocess.run(
        ["nm", "-D", "--defined-only", tmp_path / names.library], check=True, capture_output=True, text=True
    ).stdout
    visible = {line.split()[-1] for line in listed.splitlines()}
    assert visible == {f"flow_net_2_1_{name}" for name in ("predict", "predict_words", "info")}


def test_plain_c_reads_the_header(tmp_path):
    names = emulator.Names("net", "3")
    emulator.write([dense(8)], WORD, 3, tmp_path, names)
    (tmp_path / "use.c").write_text(f'#include "{names.prefix}.h"\nint n = {names.prefix.upper()}_INPUTS;\n')
    subprocess.run(["gcc", "-std=c99", "-Wall", "-Wextra", "-Werror", "-c", "use.c"], cwd=tmp_path, check=True)


@pytest.mark.slow
def test_without_vector_extensions(tmp_path):
    layer = dense(9, n_out=4)
    stages = [
        layer,
        Quantize("grid", (4,), ("fc",), HlsType(4, 3, True, "RND_CONV", "SAT_SYM")),
        Decision("argmax", (1,), ("grid",), Output.ARGMAX, 0.5),
    ]
    flags = (*QUICK, "-DFLOW_PORTABLE", "-Wall", "-Werror")
    library, words = built(stages, WORD, 3, tmp_path, flags=flags), every_word(WORD, 3)
    expected = stages[1].type.quantize(words @ layer.kernel + layer.bias).argmax(axis=1)
    assert np.array_equal(library.predict(words)[:, 0], expected)


@pytest.mark.parametrize("version", ["", ".1", "1..0", "1-0", "v 1", "1.0;", "x" * 65, "ü"])
def test_versions_that_are_no_symbols_are_refused(version):
    with pytest.raises(BadInput, match="version"):
        emulator.Names("net", version)


def test_versions_have_symbols_of_their_own():
    versions = ["1.10", "1_10", "1.1.0", "11.0", "110", "1.1_0"]
    assert len({emulator.Names("net", version).prefix for version in versions}) == len(versions)


def test_names_and_versions_are_told_apart():
    names = [("a", "b.c"), ("a_b", "c"), ("a", "b_c"), ("a_", "b.c"), ("a__b", "c"), ("a_b", "c.d"), ("a", "b.c.d")]
    assert len({emulator.Names(*pair).prefix for pair in names}) == len(names)
    assert emulator.Names("jets", "1.0").prefix == "flow_jets_1_0"


def test_a_missing_compiler_is_told(tmp_path, monkeypatch):
    names = emulator.Names("net", "1")
    emulator.write([dense(1)], WORD, 3, tmp_path, names)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(BadInput, match=r"g\+\+ was not found"):
        emulator.compile_library(tmp_path, names)


@pytest.mark.slow
@pytest.mark.parametrize("name", NETWORKS)
def test_every_kind_of_layer_equals_the_model(name, tmp_path):
    pytest.importorskip("qkeras")
    from flow.train import qkeras_model

    topology = NETWORKS[name]
    scaling = example_scaling(topology)
    model = qkeras_model.build(topology, example_design(topology, 3), scaling, example_weights(topology, 3))
    words = example_words(topology, scaling, 200)
    names = emulator.Names("net", "1")
    emulator.write_model(model, scaling.word, tmp_path, names)
    emulator.compile_library(tmp_path, names, QUICK)
    library = emulator.load(tmp_path, names)
    expected = qkeras_model.reference(model, words)[topology.output]
    for machine in MACHINES:
        assert np.array_equal(library.predict(words, flags=machine), expected)
