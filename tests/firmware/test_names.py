"""Names that the generated sources can't carry are refused with the reason."""

import pytest

from flow.errors import BadInput
from flow.firmware import hls4ml_qkeras, names


@pytest.mark.parametrize(
    "name, reason",
    [
        ("double", "a word of C\\+\\+"),
        ("co_await", None),
        ("always", "a word of Verilog"),
        ("Module", "a word of Verilog"),
        ("std", "use the name themselves"),
        ("main", "use the name themselves"),
        ("nnet", "use the name themselves"),
        ("input_t", "use the name themselves"),
        ("layer4_t", "use the name themselves"),
        ("w2", "use the name themselves"),
        ("input", "not 'input'"),
        ("5jets", "a letter, then"),
        ("jets", None),
        ("doubles", None),
    ],
)
def test_names_of_tasks(name, reason):
    if reason is None:
        hls4ml_qkeras.check_name(name, "task")
    else:
        with pytest.raises(BadInput, match=f"^task '{name}': the .*{reason}"):
            names.check(name, "task")


@pytest.mark.parametrize("name, allowed", [("output", True), ("w2", True), ("double", False), ("input", False)])
def test_names_of_layers_stand_with_endings(name, allowed):
    if allowed:
        names.check(name, "layer")
    else:
        with pytest.raises(BadInput, match=f"layer '{name}'"):
            names.check(name, "layer")
