"""The VHDL is the Verilog, statement by statement: the same operators, parameters, slices and registers.

GHDL, where it is on PATH, simulates it besides (`test_rtl_testbench`).
"""

import re
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("alkaid")
pytest.importorskip("qkeras")

from designs import example_design, example_scaling
from networks import NETWORKS
from weights import example_weights

from flow.errors import BadInput
from flow.firmware import rtl
from flow.firmware.rtl import codegen
from flow.firmware.settings import Language, Target
from flow.formats import Fixed, HalfUpRelu, Relu, TruncatedRelu
from flow.topology import Dense, Topology
from flow.train import qkeras_model

PART = "xcvu9p-flga2104-2-e"
OPERATORS = {
    path.stem: re.findall(r"parameter (\w+)", path.read_text()) for path in codegen.operator_files(Language.VERILOG)
}


def statements(text):
    """Comments and line breaks left out, statement by statement."""
    return [" ".join(row.split()) for row in re.sub(r"(//|--).*", "", text).split(";")]


def from_verilog(text):
    """Instances (operator, parameters, connections), assignments and registers, of a module of the network."""
    found, clocked = set(), False
    for row in statements(text):
        if "always @(posedge clk) begin" in row:
            clocked, row = True, row.split("begin", 1)[1].strip()
        row = re.sub(r"^end ", "", row)
        if made := re.fullmatch(r"(?:wire .* )?(\w+) #\(([-\d, ]+)\) (op_\d+) \((.*)\)", row):
            numbers = [number.strip() for number in made[2].split(",")]
            parameters = tuple(zip(OPERATORS[made[1]], map(int, numbers), strict=True))
            ports = tuple(whole(port.strip()) for port in made[4].split(","))
            found.add((made[3], made[1], parameters, ports))
        elif made := re.fullmatch(r"(table_\w+) (op_\d+) \((.*)\)", row):
            found.add((made[2], made[1], (), tuple(whole(port.strip()) for port in made[3].split(","))))
        elif made := re.fullmatch(r"(\w+) _(inst_\w+) \(\.model_inp\((\w+)\), \.model_out\((\w+)\)\)", row):
            found.add((made[2], made[1], (), (made[3], made[4])))
        elif made := re.fullmatch(r"assign (\S+) = (.*)", row):
            found.add(("=", target(made[1]), expression(made[2])))
        elif clocked and (made := re.fullmatch(r"(\S+) <= (.*)", row)):
            found.add(("<=", target(made[1]), expression(made[2])))
    return found


def from_vhdl(text):
    """The same of an architecture in VHDL."""
    found, clocked = set(), False
    for row in statements(text.split("\nbegin", 1)[1]):
        if "rising_edge(clk) then" in row:
            clocked, row = True, row.split("then", 1)[1].strip()
        instance = r"(\w+): ?entity work\.(\w+)(?: generic map\((.*?)\))? port map\((.*)\)"
        if made := re.fullmatch(instance, row):
            generics = re.findall(r"(\w+)=>(-?\d+)", (made[3] or "").replace("SUBOP", "OP"))
            ports = re.findall(r"\w+=>([^,]+?)(?:,|$)", made[4])
            parameters = tuple((name, int(value)) for name, value in generics)
            found.add((made[1], made[2], parameters, tuple(whole(verilog(port.strip())) for port in ports)))
        elif made := re.fullmatch(r"(\S+|\w+\(.*?\)) <= (.*)", row):
            kind = "<=" if clocked else "="
            found.add((kind, target(verilog(made[1])), expression(verilog(made[2]))))
        clocked = clocked and row != "end if"
    return found


def verilog(text):
    """An expression of the VHDL as Verilog writes it."""
    text = re.sub(
        r"\((\d+) downto 0 => (not )?(\w+)\((\d+)\)\)", lambda m: repeated(int(m[1]) + 1, m[2], m[3], m[4]), text
    )
    text = re.sub(r"\(not (\w+)\((\d+)\)\)", r"{1{~\1[\2]}}", text)
    text = re.sub(r"(\w+)\((\d+) downto (\d+)\)", r"\1[\2:\3]", text)
    text = re.sub(r"(\w+)\((\d+)\)", r"\1[\2]", text)
    text = re.sub(r"\(others => (\w+\[\d+\])\)", r"every \1", text)
    text = text.replace(" & ", ", ").replace(" and ", " & ").replace("not ", "~")
    return re.sub(r"(or|and)_reduce\((\w+)\)", lambda m: ("|" if m[1] == "or" else "&") + m[2], text)


def repeated(times, inverted, name, bit):
    return f"{{{times}{{{'~' if inverted else ''}{name}[{bit}]}}}}"


def target(text):
    """A name with its bits; that of the whole is the name alone."""
    return re.sub(r"\[(\d+)\]$", r"[\1:\1]", text) if not re.fullmatch(r"v\d+(\[\S+\])?", text) else text.split("[")[0]


def whole(text):
    """A connection: a name, a bit, or a constant as its digits."""
    if made := re.fullmatch(r"""\d+'b([01]+)|B?"([01]+)\"""", text):
        return f"{int(made[1] or made[2], 2)}"
    return re.sub(r"\[\d+:0\]$", "", text)


def expression(text):
    """A right side: one bit as a slice, constants as their number, extensions as a list of slices."""
    if made := re.fullmatch(r"""'b([01]+)|"([01]+)\"""", text):
        return f"{int(made[1] or made[2], 2)}"
    text = re.sub(r"^\{\{(\d+\{.*?\})\}, (.*)\}$", r"{\1}, \2", text)
    text = re.sub(r"(\w)\[(\d+):\2\]", r"\1[\2]", text)
    return re.sub(r"^\{\d+\{(\w+\[\d+\])\}\}$", r"every \1", text)


def both(folder):
    """Module -> what it is made of in Verilog and in VHDL, of the network's own modules."""
    pairs = {}
    for path in sorted((folder / "src").glob("*.v")):
        if path.stem not in OPERATORS and not path.stem.endswith(("_valid", "_tables")):
            pairs[path.stem] = from_verilog(path.read_text()), from_vhdl(beside(path).read_text())
    return pairs


def beside(path: Path) -> Path:
    return path.parents[1] / "vhdl" / f"{path.stem}.vhd"


def written(topology, folder, output="logits", seed=0, dead=(), **options):
    """`dead`: layers without weights."""
    scaling = example_scaling(topology)
    design = example_design(topology, seed, **options)
    weights = example_weights(topology, seed)
    for layer in dead:
        weights[layer][0][:] = 0.0
    model = qkeras_model.build(topology, design, scaling, weights)
    made = Target(PART, 2.5, language=Language.VHDL, output=output)
    rtl.write(rtl.trace(model, scaling.word, made), folder, "net", made)


CASES = {
    "dense": (NETWORKS["dense"], {}),
    "sum": (NETWORKS["add"], {"kernels": (Fixed(3, -1),), "activations": {"relu": (HalfUpRelu(3, 0),)}}),
    "one bit": (Topology((Dense("fc0", 4, 6, "relu"), Dense("out", 6, 3))), {"activations": {"relu": (Relu(1, 0),)}}),
    "cut": (
        Topology((Dense("fc0", 4, 6, "relu"), Dense("out", 6, 3))),
        {"activations": {"relu": (TruncatedRelu(2, 1),)}},
    ),
    "argmax": (NETWORKS["dense"], {"output": "argmax"}),
    "sigmoid": (NETWORKS["dense"], {"output": "sigmoid"}),
}


@pytest.mark.parametrize("name", CASES)
def test_it_is_the_verilog_statement_by_statement(name, tmp_path):
    topology, options = CASES[name]
    written(topology, tmp_path, **options)
    pairs = both(tmp_path)
    assert len(pairs) > 4
    for module, (ours, other) in pairs.items():
        assert ours == other, module
    for module in pairs.keys() - {"net"}:  # nothing was overlooked
        text = (tmp_path / "src" / f"{module}.v").read_text()
        assert len(pairs[module][0]) == len(re.findall(r"assign |op_\d+ \(", text)), module
    tables = {path: path.read_text() for path in (tmp_path / "src").glob("*_tables.v")}
    assert bool(tables) == (name == "sigmoid")
    for path, text in tables.items():
        assert entries(text, r": out = \d+'h([0-9A-FX]+);", 16) == entries(
            beside(path).read_text(), r'outp <= "(\w+)"', 2
        )


@pytest.mark.parametrize("bias", [Fixed(6, 1), Fixed(2, 9)])
def test_a_constant_network_is_its_verilog_too(bias, tmp_path):
    written(NETWORKS["dense"], tmp_path, dead=("out",), kernels=(Fixed(4, 0),), biases=(bias,))
    pairs = both(tmp_path)
    assert list(pairs) == ["net", "out_s0"]
    for module, (ours, other) in pairs.items():
        assert ours == other, module
    text = (tmp_path / "src" / "out_s0.v").read_text()
    assert len(pairs["out_s0"][0]) == text.count("assign ") > 1


def entries(text, pattern, base):
    """The numbers in tables, None where one does not matter."""
    return [None if "X" in digits else int(digits, base) for digits in re.findall(pattern, text)]


@pytest.mark.parametrize("change", ["generic", "port", "slice", "register"])
def test_a_difference_is_seen(change, tmp_path):
    written(*CASES["dense"][:1], tmp_path)
    pattern, other = {
        "generic": (r"IS_SUB=>0", "IS_SUB=>1"),
        "port": (r"in0=>v(\d+),in1=>v(\d+)", r"in0=>v\2,in1=>v\1"),
        "slice": (r"<= model_inp\((\d+) downto (\d+)\)", r"<= model_inp(\2 downto \1)"),
        "register": (r"(model_inp_reg\S* \S* \S*) <= model_inp\(", r"\1 <= model_out("),
    }[change]
    folder, done = tmp_path / "vhdl", 0
    for path in sorted(folder.glob("net.vhd" if change == "register" else "*_s*.vhd")):
        text, done = re.subn(pattern, other, path.read_text(), count=1)
        if done:
            path.write_text(text)
            break
    assert done == 1
    assert [module for module, (ours, found) in both(tmp_path).items() if ours != found] == [path.stem]


def test_every_operator_that_is_used_comes_along(tmp_path):
    written(*CASES["dense"][:1], tmp_path)
    text = "".join(path.read_text() for path in (tmp_path / "vhdl").glob("*.vhd"))
    assert set(re.findall(r"entity work\.(\w+)", text)) <= {path.stem for path in (tmp_path / "vhdl").glob("*.vhd")}
    assert {path.stem for path in (tmp_path / "vhdl").iterdir()} == {
        path.stem for path in (tmp_path / "src").glob("*.v")
    }


def test_a_rectifier_to_one_bit_takes_the_bit_that_the_verilog_takes():
    from alkaid.trace import FVArray, HWConfig, trace

    values = FVArray.from_lhs(*np.array([[-4.0], [3.75], [0.25]]), HWConfig(1, 1, -1), solver_options={})
    comb = trace(list(values), list(values.relu(i=np.array([1]), f=np.array([0]))))
    from alkaid.codegen.rtl import verilog_comb_logic_gen, vhdl_comb_logic_gen

    ours, text = from_verilog(verilog_comb_logic_gen(comb, "one")), vhdl_comb_logic_gen(comb, "one")
    assert from_vhdl(text) != ours  # once this fails, alkaid has mended it and `_mended` can go
    assert from_vhdl(codegen._mended(comb, text)) == ours


@pytest.mark.parametrize("layer", ["fc__0", "fc0_", "_fc0"])
def test_names_that_vhdl_does_not_have_are_refused(layer, tmp_path):
    topology = Topology((Dense(layer, 4, 6, "relu"), Dense("out", 6, 3)))
    with pytest.raises(BadInput, match=f"{layer}.* can't be the name of a VHDL entity"):
        written(topology, tmp_path)
    assert not any(tmp_path.iterdir())
