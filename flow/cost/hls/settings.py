"""What an hls4ml configuration sets for a layer: reuse factor, strategy and types, by name, by kind, or for all."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from flow.cost.hls.layers import Strategy
from flow.errors import BadInput

AUTO = "auto"
_TYPE = re.compile(
    r"\s*(?:nnet::array<\s*)?(?:ap_|ac_)?(u?)(fixed|int)\s*<\s*(\d{1,4})\s*(?=[,>])(?:,\s*(-?\d{1,4})\b)?", re.ASCII
)
_STRATEGIES = {
    "latency": Strategy.LATENCY,
    "resource": Strategy.RESOURCE,
    "distributed_arithmetic": Strategy.DISTRIBUTED_ARITHMETIC,
    "da": Strategy.DISTRIBUTED_ARITHMETIC,
    "compressed": Strategy.RESOURCE,
    "resource_unrolled": Strategy.RESOURCE,
    "unrolled": Strategy.RESOURCE,
}


@dataclass(frozen=True)
class Type:
    """Width and integer bits of a fixed-point type."""

    bits: int
    integer: int


@dataclass(frozen=True)
class Settings:
    """`HLSConfig`: the settings for all layers, and those by kind and by name."""

    model: Mapping
    by_kind: Mapping
    by_name: Mapping

    @staticmethod
    def of(row: Mapping) -> "Settings":
        """Raises BadInput naming the key where a part is no mapping."""
        if not isinstance(row, Mapping):
            raise BadInput("HLSConfig is no mapping of settings")
        parts = [row.get(name) or {} for name in ("Model", "LayerType", "LayerName")]
        for name, part in zip(("Model", "LayerType", "LayerName"), parts):
            if not isinstance(part, Mapping) or not (
                name == "Model" or all(isinstance(item, Mapping) for item in part.values())
            ):
                raise BadInput(f"HLSConfig: {name} is no mapping of settings")
        return Settings(*parts)

    def reuse_factor(self, name: str, kind: str) -> int:
        value = self._of("ReuseFactor", name, kind)
        if value is None:
            return 1
        if not _is_count(value) or not 1 <= int(value) <= 10**9:
            raise BadInput(f"layer {name}: ReuseFactor {value!r} is no whole number from 1 on")
        return int(value)

    def strategy(self, name: str, kind: str) -> Strategy:
        value = self._of("Strategy", name, kind)
        if value is None:
            return Strategy.LATENCY
        if str(value).lower() not in _STRATEGIES:
            raise BadInput(f"layer {name}: Strategy {value!r} is not known; known: {', '.join(_STRATEGIES)}")
        return _STRATEGIES[str(value).lower()]

    def table_size(self, name: str, kind: str) -> int | None:
        value = self._of("TableSize", name, kind)
        return int(value) if _is_count(value) else None

    def type(self, what: str, name: str, kind: str) -> Type | None:
        """The type of a layer's `what` (weight, bias, result, accum); None where hls4ml infers it."""
        for row in (self.by_name.get(name), self.by_kind.get(kind)):
            precision = (row or {}).get("Precision")
            value = precision.get(what, precision.get("default")) if isinstance(precision, Mapping) else precision
            if value is not None:
                return None if str(value) == AUTO else parse_type(str(value), f"layer {name}: {what}")
        return None if what in ("accum", "result") else self.default()

    def default(self) -> Type:
        """The type of whatever has none of its own."""
        precision = self.model.get("Precision")
        value = precision.get("default") if isinstance(precision, Mapping) else precision
        return Type(16, 6) if value in (None, AUTO) else parse_type(str(value), "Model: Precision")

    def _of(self, what: str, name: str, kind: str):
        for row in (self.by_name.get(name), self.by_kind.get(kind), self.model):
            if row and row.get(what) is not None:
                return row[what]
        return None


def _is_count(value) -> bool:
    """A whole number, or the digits of one."""
    if isinstance(value, str):
        return value.isascii() and value.isdigit() and len(value) <= 12
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def parse_type(text: str, where: str = "type") -> Type:
    """`ap_fixed<16,6>`, `ufixed<8,0,RND,SAT>`, `ap_int<4>` and their like."""
    if text.strip().startswith("xnor"):
        return Type(1, 1)
    match = _TYPE.match(text)
    if not match or not 1 <= int(match.group(3)) <= 1024:
        raise BadInput(f"{where} {text!r} is no fixed-point type, such as ap_fixed<16,6>")
    bits = int(match.group(3))
    return Type(bits, bits if match.group(2) == "int" else int(match.group(4) or bits))
