"""Corrupt, malicious and foreign files: one line each, exit status 2, nothing executed, nothing written."""

import io
import json
import os
import pickle
import re
import stat
import subprocess
import sys
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest
from keras_file.files import QBITS, dense, functional, layer, qdense, sequential, weights, write
from loop.running import environment

from flow.cli import main
from flow.keras_file import check as description

EVIL = "__import__('os').system('touch executed')"


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    """What an attack touches, and what an import writes, would lie in an empty folder."""
    place = tmp_path / "work"
    place.mkdir()
    monkeypatch.chdir(place)
    yield
    assert list(place.iterdir()) == [], "something was written"


def refused(path: Path, capsys, *arguments: str) -> str:
    """The one line in which the command refuses a file."""
    capsys.readouterr()
    status = main(["import", str(path), "-o", "made", *arguments])
    said = capsys.readouterr()
    assert status == 2 and said.out == ""
    lines = [line for line in said.err.splitlines() if line.startswith("flow: ")]
    assert len(lines) == 1 and said.err.splitlines()[-1] == lines[0] and "Traceback" not in said.err
    assert lines[0].isprintable()
    return lines[0]


LAMBDA = {"class_name": "__lambda__", "config": {"value": "4wEAAAA=", "defaults": None, "closure": None}}
FUNCTION = {"module": "builtins", "class_name": "function", "config": "eval", "registered_name": "function"}
SYSTEM = {"module": "os", "class_name": "function", "config": "system", "registered_name": "system"}
CODE = {
    "a Lambda layer": (layer("Lambda", function=LAMBDA), r"lambda \(Lambda\): it carries code"),
    "an operation of TensorFlow": (layer("TFOpLambda", function="os.system"), "TFOpLambda.*carries code"),
    "an operation of Keras": (layer("Add", "keras.src.ops.numpy"), r"add \(Add\): it comes from the module"),
    "a layer of another module": (layer("Dense", "os", units=3), "it comes from the module os"),
    "a class of any module": (layer("Popen", "subprocess", args="touch executed"), "Popen.*not supported"),
    "a registered class": (layer("Dense", registered="Custom>Dense", units=3), "registered as 'Custom>Dense'"),
    "a hidden lambda": (dense(kernel_initializer=LAMBDA), "kernel_initializer: '__lambda__' of the module None"),
    "a lambda among numbers": (dense(units=LAMBDA), "units .*__lambda__.* is not allowed"),
    "a lambda as activation": (dense(activation=LAMBDA), "activation '__lambda__' is no quantizer"),
    "a function as activation": (dense(activation=FUNCTION), "activation eval"),
    "a function of os": (dense(activation=SYSTEM), "a function of the module os"),
    "an initializer of os": (dense(kernel_initializer=SYSTEM), "kernel_initializer: function of the module os"),
    "an initializer as call": (dense(kernel_initializer=EVIL), "kernel_initializer .* is not allowed"),
    "a constraint of any module": (
        dense(kernel_constraint={"module": "os", "class_name": "Clip", "config": {}}),
        "kernel_constraint: Clip of the module os",
    ),
    "a kernel quantizer": (qdense(kernel_quantizer=EVIL), "kernel_quantizer .*__import__.* names no known format"),
    "a bias quantizer": (qdense(bias_quantizer=f"quantized_bits({EVIL})"), "bias_quantizer .* names no known format"),
    "an activation": (qdense(activation=EVIL), "activation .*__import__.* names no known format"),
    "a quantizer as default": (qdense(activation=f"quantized_relu(4,0,{EVIL})"), "activation .* names no known"),
    "a QActivation": (layer("QActivation", "qkeras.qlayers", activation=EVIL), "names no known format"),
    "a plain activation": (dense(activation=EVIL), "activation .*supported: linear, relu"),
    "a name of Python": (layer("QActivation", "qkeras.qlayers", activation="os"), "activation os"),
    "a quantizer of any module": (qdense(kernel_quantizer=QBITS | {"module": "os"}), "comes from the module os"),
    "a quantizer registered twice": (
        qdense(kernel_quantizer=QBITS | {"registered_name": "Custom>quantized_bits"}),
        "registered as 'Custom>quantized_bits'",
    ),
    "a quantizer's setting": (
        qdense(kernel_quantizer=QBITS | {"config": {"bits": 4, "alpha": EVIL}}),
        "alpha .*__import__.* is not allowed",
    ),
    "an initializer's quantizer": (
        qdense(
            kernel_initializer={
                "module": "qkeras.qlayers",
                "class_name": "QInitializer",
                "config": {"initializer": "ones", "use_scale": True, "quantizer": EVIL},
                "registered_name": "qkeras>QInitializer",
            }
        ),
        "quantizer .*__import__.* is not allowed",
    ),
    "words in padding": (layer("MaxPooling1D", padding=EVIL), "padding .*allowed: None, valid"),
    "a type": (dense(dtype={"module": "os", "class_name": "system", "config": {"name": "float32"}}), "dtype system"),
    "an unknown setting": (dense(hook=EVIL), "its setting hook is not known"),
    "a file to read": (layer("TextVectorization", vocabulary="/etc/passwd"), "TextVectorization.*not supported"),
    "a model inside": (layer("Functional", "keras.models", layers=[]), "a model inside of the model"),
    "a name that is code": (dense(name="fc\n__import__('os')"), "its name is no text"),
    "no settings": ({"module": "keras.layers", "class_name": "Dense", "config": "x"}, "it has no settings"),
    "no class": ({"module": "keras.layers", "class_name": ["Dense"], "config": {}}, "its class has no name"),
}


@pytest.mark.parametrize("name", CODE)
def test_code_and_foreign_objects_are_refused_by_name(name, tmp_path, capsys):
    row, expected = CODE[name]
    path = write(tmp_path / "model.keras", sequential(row, dense("out")))
    assert re.search(expected, refused(path, capsys))


def test_everything_that_is_not_supported_is_said_at_once(tmp_path, capsys):
    rows = [
        layer("LSTM", units=3),
        dense(),
        layer("Lambda", name="mine", function=LAMBDA),
        layer("Embedding", name="e"),
    ]
    said = refused(write(tmp_path / "model.keras", sequential(*rows)), capsys)
    for text in ("3 layers", "lstm (LSTM): not supported", "mine (Lambda): it carries code", "e (Embedding)", "Dense,"):
        assert text in said


@pytest.mark.parametrize(
    "config, expected",
    [
        (sequential(dense()) | {"class_name": "MyModel"}, "of the class 'MyModel'"),
        (sequential(dense()) | {"class_name": None}, "of the class 'None'|of the class None"),
        ({"class_name": "Sequential"}, "no list of layers"),
        ({"class_name": "Sequential", "config": {"layers": []}}, "0 layers"),
        (sequential(dense()) | {"registered_name": "Custom>Net"}, "registered as 'Custom>Net'"),
        (sequential(dense("a"), dense("a")), "another layer has its name"),
        (sequential(dense(units=10**7), dense("b", 10**7)), "10000000 values; at most 262144 are read"),
        (sequential(*(dense(f"d{i}", 8000) for i in range(3))), "weights up to here; at most 67108864 are read"),
        (functional(("a", "entry"), ("b", "c"), ("c", "b")), "it reads 'c', which is no layer in front of it"),
        (functional(("a", "a")), "it reads 'a', which is no layer in front of it"),
        (functional(("a", "none")), "it reads 'none', which is no layer"),
        (functional(("a", "entry"), call=5), r"the tensor \['entry', 5, 0\]; supported: layers that are called once"),
        (functional(("a", "entry"), output="none"), "output_layers: .*none.* is no layer"),
        (functional(("a", None)), "it is not called"),
        (sequential(dense(units=10**18)), "units 1000000000000000000 is not allowed"),
        (sequential(dense(units="3")), "units '3' is not allowed"),
        (sequential(dense(units=None)), "its sizes can't be read"),
        (sequential(dense(units=10), n_in=10**7), "10000000 values; at most 262144"),
        (b'{"class_name": "Sequential", "config": {"layers": [{"config": {"name": NaN}}]}}', "its class has no name"),
        (b"[1, 2]", "an object is expected, not list"),
        (b"{", "config.json: no JSON"),
        (b"\xff\xfe", "config.json: no JSON"),
        (b"[" * 100_000, "too deep"),
    ],
)
def test_descriptions_of_no_network(config, expected, tmp_path, capsys):
    assert re.search(expected, refused(write(tmp_path / "model.keras", config), capsys))


def test_shapes_that_a_file_only_claims_are_not_built(tmp_path):
    claimed = dense() | {"build_config": {"input_shape": [None, 10**7]}, "inbound_nodes": [], "compile_config": LAMBDA}
    found = description.check(sequential(claimed) | {"compile_config": LAMBDA, "build_config": LAMBDA}, tmp_path)
    assert not {"build_config", "compile_config", "inbound_nodes"} & set(re.findall(r"\w+", json.dumps(found.config)))


def test_a_deep_nest_in_a_setting_is_refused(tmp_path, capsys):
    row = dense(units=1)
    text = json.dumps(sequential(row)).replace('"units": 1', '"units": ' + "[" * 900 + "1" + "]" * 900)
    said = refused(write(tmp_path / "model.keras", text.encode()), capsys)
    assert "units" in said or "too deep" in said


def altered(path: Path, change) -> Path:
    """A file with other members: `change` takes the archive that is written."""
    with zipfile.ZipFile(write(path, sequential(dense()))) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        change(archive, members)
    return path


def _plus(name: str, content: bytes = b"x", without: str = "", mode: int = 0o600, how: int = zipfile.ZIP_DEFLATED):
    def change(archive: zipfile.ZipFile, members: dict) -> None:
        for member, data in members.items():
            if member != without:
                archive.writestr(member, data)
        info = zipfile.ZipInfo(name)
        info.external_attr, info.compress_type = mode << 16, how
        archive.writestr(info, content)

    return change


def _without(name: str):
    return lambda archive, members: [archive.writestr(n, data) for n, data in members.items() if n != name]


ARCHIVES = {
    "a path out": (_plus("../../executed"), "it holds '../../executed'"),
    "an absolute path": (_plus("/tmp/executed"), "it holds '/tmp/executed'"),
    "a pickle beside": (_plus("model.pkl", pickle.dumps(print)), "it holds 'model.pkl'"),
    "assets": (_plus("assets/vocabulary.txt"), "it holds 'assets/vocabulary.txt'"),
    "other weights": (_plus("model.weights.npz"), "it holds 'model.weights.npz'"),
    "two descriptions": (_plus("config.json", b"{}"), "it holds config.json 2 times"),
    "a link": (_plus("config.json", b"/etc/passwd", "config.json", stat.S_IFLNK | 0o777), "config.json is a link"),
    "a bomb": (_plus("metadata.json", bytes(2 << 20), "metadata.json"), "metadata.json unpacks to more than 1 MiB"),
    "another compression": (_plus("config.json", b"{}", "config.json", how=zipfile.ZIP_BZIP2), "compressed in way 12"),
    "no description": (_without("config.json"), "it holds no config.json"),
    "no weights": (_without("model.weights.h5"), "it holds no model.weights.h5"),
}


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("name", ARCHIVES)
def test_archives_that_are_not_what_keras_writes(name, tmp_path, capsys):
    change, expected = ARCHIVES[name]
    assert expected in refused(altered(tmp_path / "model.keras", change), capsys)


def test_a_size_that_lies_is_not_believed(tmp_path, capsys):
    path = altered(tmp_path / "model.keras", _plus("metadata.json", bytes(2 << 20), "metadata.json"))
    content = path.read_bytes()
    assert content.count((2 << 20).to_bytes(4, "little")) == 2
    path.write_bytes(content.replace((2 << 20).to_bytes(4, "little"), (100).to_bytes(4, "little")))
    assert "can't be read as a .keras model" in refused(path, capsys)


def test_encrypted_members_are_refused(tmp_path, capsys):
    path = write(tmp_path / "model.keras", sequential(dense()))
    content = bytearray(path.read_bytes())
    for mark, place in ((b"PK\x01\x02", 8), (b"PK\x03\x04", 6)):
        at = content.find(mark)
        while at >= 0:
            content[at + place] |= 1
            at = content.find(mark, at + 4)
    path.write_bytes(content)
    assert "is encrypted" in refused(path, capsys)


@pytest.mark.parametrize(
    "content, name, expected",
    [
        (b"", "model.keras", "can't be read as a .keras model"),
        (b"no archive", "model.keras", "can't be read as a .keras model"),
        (pickle.dumps({"weights": [1, 2]}), "model.keras", "can't be read as a .keras model"),
        (b"PK\x03\x04" + bytes(100), "model.keras", "can't be read as a .keras model"),
        (b"\x89HDF\r\n\x1a\n" + bytes(100), "model.keras", "an HDF5 file, Keras' old format.*save the model as .keras"),
        (b"", "model.h5", "save the model as .keras"),
        (b"\x08\x01", "saved_model.pb", "a part of a SavedModel"),
    ],
)
def test_files_of_other_kinds(content, name, expected, tmp_path, capsys):
    path = tmp_path / name
    path.write_bytes(content)
    assert re.search(expected, refused(path, capsys))


def test_folders_and_nothing(tmp_path, capsys):
    (tmp_path / "saved").mkdir()
    assert "a folder, not a .keras file" in refused(tmp_path / "saved", capsys)
    (tmp_path / "saved" / "saved_model.pb").write_bytes(b"\x08\x01")
    assert "a SavedModel, not a .keras file" in refused(tmp_path / "saved", capsys)
    assert "no such file" in refused(tmp_path / "none.keras", capsys)


def test_truncated_files(tmp_path, capsys):
    whole = write(tmp_path / "whole.keras", sequential(dense())).read_bytes()
    path = tmp_path / "model.keras"
    for size in np.linspace(1, len(whole) - 1, 12).astype(int):
        path.write_bytes(whole[:size])
        assert str(path) in refused(path, capsys)


def hdf5(fill) -> bytes:
    with io.BytesIO() as buffer:
        with h5py.File(buffer, "w") as file:
            fill(file)
        return buffer.getvalue()


def _external(file) -> None:
    file.create_dataset("layers/dense/vars/0", (4, 3), "f4", external=[("/etc/passwd", 0, 48)])


def _virtual(file) -> None:
    layout = h5py.VirtualLayout((4, 3), "f4")
    layout[:] = h5py.VirtualSource("/etc/passwd", "x", (4, 3))
    file.create_virtual_dataset("layers/dense/vars/0", layout)


def _linked(link):
    def fill(file) -> None:
        file.create_group("layers/dense/vars")["0"] = link

    return fill


def _array(values, **more):
    return lambda file: file.create_dataset("layers/dense/vars/0", data=values, **more)


ARRAYS = {
    "a link to another file": (_linked(h5py.ExternalLink("/etc/passwd", "/x")), "is a link to another file"),
    "a link inside": (_linked(h5py.SoftLink("/layers")), "is a link to another place"),
    "values elsewhere": (_external, "keeps its values in another file"),
    "a virtual array": (_virtual, "keeps its values in another file"),
    "texts": (_array(np.array(["a"], dtype=h5py.string_dtype())), "holds object; allowed: numbers"),
    "a compound": (_array(np.zeros(2, [("a", "f4"), ("b", "f4")])), "allowed: numbers"),
    "no numbers": (_array(np.full((4, 3), np.nan, np.float32)), "holds values that are no finite numbers"),
    "infinities": (_array(np.full((4, 3), np.inf, np.float32)), "holds values that are no finite numbers"),
    "terabytes": (lambda file: file.create_dataset("a", (10**6, 10**6), "f4", chunks=(8, 8)), "more than 1024 MiB"),
    "a foreign filter": (_array(np.zeros((4, 3)), compression="lzf"), "packed by a foreign filter"),
    "a deep nest": (lambda file: file.create_group("/".join("x" * 30)), "too many groups, or too deep"),
}


@pytest.mark.parametrize("name", ARRAYS)
def test_weights_that_are_no_arrays_of_numbers(name, tmp_path, capsys):
    fill, expected = ARRAYS[name]
    assert expected in refused(write(tmp_path / "model.keras", sequential(dense()), hdf5(fill)), capsys)


@pytest.mark.parametrize("content", [b"", b"no HDF5", b"\x89HDF\r\n\x1a\n" + bytes(200), weights()[:300]])
def test_weights_that_are_no_hdf5(content, tmp_path, capsys):
    assert "its weights can't be read" in refused(write(tmp_path / "model.keras", sequential(dense()), content), capsys)


@pytest.mark.parametrize(
    "arguments, expected",
    [
        (["--word", "quantized_relu(4,1)"], "allowed: quantized_bits"),
        (["--word", EVIL], "--word"),
        (["--part", "xcnothing"], "xcnothing"),
        (["--clock", "fast"], "--clock fast"),
        (["--data", "none.npz"], "--data none.npz: no such file"),
        (["--classes", "a,a"], "different names"),
        (["-o", "../a b"], "letters, digits and _"),
        (["-o", "../double"], "task 'double': the name is a word of C++"),
        (["-o", "../std"], "task 'std': the generated sources use the name"),
        (["-o", "../always"], "task 'always': the name is a word of Verilog"),
        (["-o", "../model.keras/made"], "model.keras is no folder"),
        (["--out", "../model.keras/built"], "model.keras is no folder"),
        (["--word", "quantized_bits(8,99999999999)"], "-64 to 64 integer bits"),
        (["--word", "quantized_bits(54,4)"], "2 to 32 bits"),
        (["--classes", "a,b,c,d,e,f,g"], "--classes: 7 names; the network has"),
        (["--features", "a"], "--features: 1 names; the network has"),
    ],
)
def test_options_that_can_not_be_used(arguments, expected, tmp_path, capsys):
    assert expected in refused(write(tmp_path / "model.keras", sequential(dense())), capsys, *arguments)


def test_a_task_is_never_overwritten(tmp_path, capsys):
    (tmp_path / "there").mkdir()
    said = refused(write(tmp_path / "model.keras", sequential(dense())), capsys, "-o", str(tmp_path / "there"))
    assert "it is there already" in said and not list((tmp_path / "there").iterdir())


@pytest.mark.slow
def test_files_are_refused_before_tensorflow_is_there(tmp_path):
    path = write(tmp_path / "model.keras", sequential(layer("Lambda", function=LAMBDA)))
    code = (
        "import sys\nfrom flow.cli import main\nstatus = main(['import', sys.argv[1], '-o', 'made'])\n"
        "assert status == 2 and not {'tensorflow', 'keras', 'qkeras'} & set(sys.modules)"
    )
    command = [sys.executable, "-c", code, str(path)]
    done = subprocess.run(command, check=False, env=environment(), capture_output=True, text=True, cwd=os.getcwd())
    assert done.returncode == 0, done.stderr


def test_what_is_left_of_a_description_holds_no_text_to_evaluate():
    row = qdense(kernel_quantizer="quantized_bits(4, 0, alpha=1)", activation="quantized_relu(4)")
    found = description.check(sequential(row), Path("x"))
    settings = found.config["config"]["layers"][1]["config"]
    for key, form in (("kernel_quantizer", "quantized_bits(4,0,0,alpha=1)"), ("activation", "quantized_relu(4,0)")):
        assert str(found.texts[settings[key][description.TEXT]]) == form
