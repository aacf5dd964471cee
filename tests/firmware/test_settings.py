"""What a project is built for: closed sets, whole numbers, JSON there and back."""

import pytest

from flow.errors import BadInput
from flow.firmware.settings import Backend, Output, Strategy, Target


def test_json_there_and_back():
    target = Target("xcvu9p", 5.0, reuse=(("fc0", 4), ("fc1", 2)), output=Output.ARGMAX, cycles=12)
    assert Target.from_json(target.to_json()) == target
    assert target.to_json()["reuse"] == {"fc0": 4, "fc1": 2}


def test_plain_strings_become_members():
    target = Target("xcvu9p", 5.0, "Catapult", "Resource")
    assert (target.backend, target.strategy) == (Backend.CATAPULT, Strategy.RESOURCE)


def test_reuse_of_a_layer():
    target = Target("xcvu9p", 5.0, reuse_factor=2, reuse=(("fc0", 4),))
    assert (target.reuse_of("fc0"), target.reuse_of("fc1")) == (4, 2)


@pytest.mark.parametrize(
    "changes, said",
    [
        ({"backend": "Quartus"}, "backend 'Quartus' is not supported; supported: Vitis, Vivado, oneAPI, Catapult"),
        ({"output": "sum"}, "output 'sum'"),
        ({"reuse_factor": 0}, "reuse factor 0"),
        ({"reuse": (("fc0", 1.5),)}, "1.5 of layer fc0"),
        ({"fifo_depth": 0}, "fifo_depth 0"),
        ({"cycles": -1}, "cycles -1"),
        ({"accuracy": 0.0}, "accuracy 0.0"),
        ({"accuracy": "small"}, "accuracy 'small': between 0 and 1"),
        ({"accuracy": float("nan")}, "accuracy nan"),
        ({"part": ""}, "part '': letters, digits and - _ . are allowed"),
        ({"part": "x; exec rm"}, "part 'x; exec rm'"),
        ({"part": "x\n"}, "part 'x\\n'"),
        ({"part": ["x"]}, "part ['x']"),
        ({"clock_ns": "x"}, "clock_ns 'x': a number above 0 is needed"),
        ({"clock_ns": -1}, "clock_ns -1"),
        ({"clock_ns": float("nan")}, "clock_ns nan"),
        ({"clock_ns": float("inf")}, "clock_ns inf"),
        ({"clock_ns": True}, "clock_ns True"),
        ({"backend": ["Vitis"]}, "backend ['Vitis'] is not supported"),
        ({"reuse_factor": True}, "reuse factor True"),
        ({"reuse": ((1, 2),)}, "reuse: layer 1"),
        ({"cycles": "9"}, "cycles '9'"),
    ],
)
def test_what_is_not_allowed(changes, said):
    with pytest.raises(BadInput) as caught:
        Target(**{"part": "xcvu9p", "clock_ns": 5.0, **changes})
    assert said in str(caught.value)


@pytest.mark.parametrize(
    "row, said",
    [
        (None, "target None: an object with the keys part, clock_ns"),
        ([1], r"target \[1\]: an object"),
        ({"part": "xcvu9p"}, "'clock_ns' is missing"),
        ({"part": "xcvu9p", "clock_ns": 5, "reuse": [1]}, r"reuse \[1\]: an object"),
    ],
)
def test_json_that_is_no_target(row, said):
    with pytest.raises(BadInput, match=said):
        Target.from_json(row)


def test_an_unknown_key_is_told():
    with pytest.raises(BadInput, match="unknown key 'clock'"):
        Target.from_json({"part": "xcvu9p", "clock_ns": 5.0, "clock": 200})
