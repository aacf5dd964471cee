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
    ],
)
def test_what_is_not_allowed(changes, said):
    with pytest.raises(BadInput) as caught:
        Target("xcvu9p", 5.0, **changes)
    assert said in str(caught.value)


def test_an_unknown_key_is_told():
    with pytest.raises(BadInput, match="unknown key 'clock'"):
        Target.from_json({"part": "xcvu9p", "clock_ns": 5.0, "clock": 200})
