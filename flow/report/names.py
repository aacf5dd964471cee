"""Formats and layers in few words, as tables name them."""

from typing import Any

from flow.formats import Format, parse
from flow.report.values import ABSENT, at


def short(text: Any) -> str:
    """A format's canonical name, shortened for a table: "fixed(6,0)", "truncated relu(6,2)", "ternary(±0.5)"."""
    form = _format(text)
    if form is None:
        return ABSENT if text is None else str(text)
    kind = form.kind.replace("quantized_", "").replace("bits", "fixed").replace("half_up", "half-up").replace("_", " ")
    if form.kind.endswith(("ternary", "binary")):
        return f"{kind}(auto)" if form.auto else f"{kind}(±{form.scale:g})"
    if form.kind.endswith("po2"):
        return f"{kind}({form.bits},≤{2.0**form.top_exponent:g})"
    if form.kind in ("quantized_tanh", "quantized_sigmoid"):
        return f"{kind}({form.bits})"
    if form.auto:
        return f"{kind}({form.bits},auto)"
    sign = "unsigned " if form.kind == "quantized_bits" and not form.signed else ""
    integer = str(form.integer).replace("-", "\N{MINUS SIGN}")
    return f"{sign}{kind}({form.bits},{integer})"


def describe(row: Any) -> str:
    """What a layer of the network is, in a few words: "16 → 64", "3 × 3 on 6 × 6 × 2, 8 filters"."""
    if at(row, "kind") == "dense":
        return f"{row.get('n_in')} → {row.get('n_out')}"
    if at(row, "kind") == "conv":
        window, seen = (" × ".join(map(str, row.get(key) or ())) for key in ("window", "input_shape"))
        kind = "depthwise " if row.get("depthwise") else ""
        return f"{kind}{window} on {seen}, {row.get('filters')} filters"
    return {"scale": "factor and shift", "activation": str(at(row, "activation"))}.get(at(row, "kind"), "")


def bits_of(text: Any) -> int | str:
    """A format's width, for a table."""
    form = _format(text)
    return ABSENT if form is None else form.bits


def _format(text: Any) -> Format | None:
    try:
        return parse(text)
    except (ValueError, OverflowError, TypeError):
        return None
