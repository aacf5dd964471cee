"""Which formats firmware follows: what passes has stages, and the traced quantizers."""

import subprocess
import sys

import pytest

from flow.errors import BadInput
from flow.firmware.followed import FOLLOWED, check_form
from flow.firmware.hls.quantizers import quantizer_stages
from flow.formats import (
    ACTIVATIONS_OF,
    BIASES,
    INPUTS,
    KERNELS,
    KINDS,
    Binary,
    Fixed,
    PowerOfTwo,
    ReluPowerOfTwo,
    Tanh,
    Ternary,
    of_width,
)
from flow.topology import INPUT

DATA = [role for role in FOLLOWED if role not in ("kernel", "bias")]  # what is quantized in firmware
TRAINED = {"input": INPUTS, "kernel": KERNELS, "bias": BIASES, **ACTIVATIONS_OF}


def test_whatever_is_followed_can_be_trained():
    assert set(FOLLOWED) == set(TRAINED)
    for role, kinds in FOLLOWED.items():
        assert set(kinds) <= set(TRAINED[role]), role


@pytest.mark.parametrize("role", FOLLOWED)
def test_every_trained_kind_is_followed_or_refused_by_name(role):
    for kind in TRAINED[role]:
        form = of_width(kind, 4)
        if kind in FOLLOWED[role]:
            check_form(role, form)
            continue
        with pytest.raises(ValueError, match=f"{kind}.*firmware does not follow it for {role}; it follows "):
            check_form(role, form)


@pytest.mark.parametrize("role", DATA)
def test_activations_that_are_followed_have_stages_and_others_have_none(role):
    for kind in FOLLOWED[role]:
        assert quantizer_stages("q", of_width(kind, 4), (1,), (INPUT,))
    for kind in set(KINDS) - {kind for kinds in FOLLOWED.values() for kind in kinds}:
        with pytest.raises(BadInput):
            quantizer_stages("q", of_width(kind, 4), (1,), (INPUT,))


@pytest.mark.parametrize("role", DATA)
def test_rtl_follows_the_same_activations(role):
    pytest.importorskip("alkaid")
    pytest.importorskip("qkeras")
    from flow.firmware import alkaid_quantize

    assert set(FOLLOWED[role]) <= set(alkaid_quantize.SUPPORTED)


@pytest.mark.parametrize(
    "role,form,message",
    [
        ("relu", ReluPowerOfTwo(4), r"quantized_relu_po2\(4\): firmware does not follow it for relu"),
        ("input", Ternary(0), "ternary.* for input"),
        ("linear", PowerOfTwo(4), "quantized_po2.* for linear"),
        ("tanh", Fixed(4, 0), "quantized_bits.* for tanh; it follows quantized_tanh"),
        ("relu", Tanh(4), "quantized_tanh.* for relu"),
        ("linear", Fixed(4, 0, exponent=None), "a scale that depends on the data"),
        ("linear", Binary(None), "a scale that depends on the data"),
    ],
)
def test_refusals_say_what_and_where(role, form, message):
    with pytest.raises(ValueError, match=message):
        check_form(role, form)


@pytest.mark.parametrize("form", [Fixed(4, 0, exponent=None), Fixed(4, 0, exponent=3), Ternary(None), PowerOfTwo(4)])
def test_kernels_may_have_any_scale(form):
    check_form("kernel", form)


def test_no_framework_is_loaded():
    code = (
        "import sys, flow.firmware.followed; sys.exit(any(m in sys.modules for m in ('keras', 'tensorflow', 'hls4ml')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
