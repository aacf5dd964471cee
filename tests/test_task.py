"""task.yaml: defaults, units, and one clear line for whatever is wrong."""

from pathlib import Path

import pytest

from flow.errors import BadInput
from flow.task import Task, parse_text, read, table

ROOT = Path(__file__).parents[1]


def test_nothing_said_means_defaults():
    assert parse_text("", Path("t")) == Task()


@pytest.mark.parametrize("name", ["jet_tagger", "tiny"])
def test_tasks_that_ship_are_read(name):
    assert read(ROOT / "models" / name).budget.limits()["lut"] > 0


def test_units():
    task = parse_text("target: {clock: 0.25 GHz}\nbudget: {latency: 0.1 us, lut: 9_000 LUT}", Path("t"))
    assert task.target.clock_ns == 4.0
    assert task.budget.limits() == {"latency_ns": 100.0, "lut": 9000.0}


@pytest.mark.parametrize(
    "text, key, allowed",
    [
        ("budget: {latency: 60 MHz}", "budget.latency", "ns"),
        ("budget: {lut: 5 DSP}", "budget.lut", "LUT"),
        ("budget: {lutt: 3}", "budget.lutt", "'lut'"),
        ("budget: {lut: -3}", "budget.lut", "greater than 0"),
        ("target: {clock: 5 ns}", "target.clock", "MHz"),
        ("target: {interval: 0}", "target.interval", "greater than 0"),
        ("firmware: {reuse_factor: 2}", "firmware.reuse_factor", "target.interval allows 1"),
        ("target: {interval: 4}\nfirmware: {reuse: {fc0: 5}}", "firmware.reuse", "target.interval allows 4"),
        ("target: {backend: Quartus}", "target.backend", "Catapult"),
        ("firmware: {output: sum}", "firmware.output", "softmax"),
        ("firmware: {io_tipe: io_stream}", "firmware.io_tipe", "io_type"),
        ("targt: {}", "targt", "'target'"),
        ("nothing_alike: 1", "nothing_alike", "network"),
        ("space: {layers: {fc0: {kernl: [a]}}}", "space.layers.fc0.kernl", "'kernel'"),
        ("objective: {maximize: accurracy}", "objective.maximize", "accuracy"),
        ("search: {trials: 3.5}", "search.trials", "integer"),
        ("search: {trials: 0}", "search.trials", "greater than 0"),
        ("train: {epochs: true}", "train.epochs", "integer"),
        ("data: {train: 0.9}", "data.train", "test sample"),
        ("data: {word: ternary(alpha=1)}", "data.word", "quantized_bits"),
        ("data: {offset_step: 0.3}", "data.offset_step", "power of two"),
        ("operating_point: {signal: [x]}", "operating_point.signal", "g, q, t, w, z"),
        ("operating_point: {signal: [g]}", "operating_point", "at once"),
        ("synth: {timeout: .nan}", "synth.timeout", "greater than 0"),
        ("- 3", "mapping", "list"),
        ("a: [", "line 1", "YAML"),
        ("!!python/object/apply:os.system [ls]", "YAML", "YAML"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(text, key, allowed):
    with pytest.raises(BadInput) as caught:
        parse_text(text, Path("models/x/task.yaml"))
    message = str(caught.value)
    assert message.startswith("models/x/task.yaml")
    assert key in message and allowed in message and "\n" not in message


@pytest.mark.parametrize(
    "text, key",
    [
        ("search: {storage: ['postgresql://u:SECRET@h/db']}", "search.storage"),
        ("search: {storage: {postgresql://u:SECRET@h/db: 1}}", "search.storage"),
        ("search: postgresql://u:SECRET@h/db", "search"),
        ("search: [storage, 'postgresql://u:SECRET@h/db']", "search"),
        ("search:\n  storage:postgresql://u:SECRET@h/db", "search"),
        ("search: {storage:postgresql://u:SECRET@h/db, seed: 1}", "unknown key"),
        ("search: {seed: 1, postgresql://u:SECRET@h/db: }", "unknown key"),
        ("storage:postgresql://u:SECRET@h/db: ", "unknown key"),
        ("search: {options: {postgresql://u:SECRET@h/db: 3}}", "search.options"),
        ("search: {sed: 'postgresql://u:SECRET@h/db'}", "search.sed"),
    ],
)
def test_a_storage_and_its_password_are_never_shown(text, key):
    with pytest.raises(BadInput) as caught:
        parse_text(text, Path("task.yaml"))
    message = str(caught.value)
    assert key in message and "\n" not in message
    assert "SECRET" not in message and "postgresql" not in message


def test_missing_and_unreadable_files(tmp_path):
    with pytest.raises(BadInput, match="no such task folder"):
        read(tmp_path / "none")
    with pytest.raises(BadInput, match="task.yaml"):
        read(tmp_path)
    (tmp_path / "task.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(BadInput, match="UTF-8"):
        read(tmp_path)


def test_every_key_has_a_sentence():
    for key, _, sentence in table():
        assert sentence.endswith("."), key
