"""The state of the hls4ml cost model: regressions by tool, version, part family and stage, and how to find the nearest.

A figure's regressions are kept by key. Where a key has none, the nearest more general one answers, wider: the
same tool at that stage, then the stage before times the learned ratio between stages, then another tool.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path

import numpy as np

from flow.cost.calibration import Regression
from flow.cost.hls.columns import UNKNOWN, family, is_early
from flow.cost.hls.domain import Domain
from flow.cost.hls.features import NAMES, Block
from flow.cost.hls.layers import Network, Tool
from flow.cost.hls.logistic import Logistic
from flow.cost.hls.structure import Regime
from flow.errors import BadInput
from flow.metrics import Fidelity

STAGES = ("csynth", "synth", "route")
CYCLES = ("latency_cycles", "interval_cycles")  # what logic synthesis and routing don't change
EARLY = "early templates"  # of hls4ml before 0.2

OTHER_TOOL = 0.3  # how far another tool's coefficients may be from those known, relative
NEW_KEY = 0.1  # the same for another version or part family
SEEN_KEY = 0.03  # for a key whose reports the general regression was fitted on
_OF_A_KIND = 0.8  # share of the variance of a ratio between stages that designs of a kind have in common


@dataclass(frozen=True, order=True)
class Key:
    """Where reports come from; without version and family: any of them."""

    stage: str
    tool: str
    version: str = ""
    family: str = ""

    @property
    def general(self) -> "Key":
        return Key(self.stage, self.tool)

    def __str__(self) -> str:
        return ", ".join(filter(None, (self.stage, self.tool, self.version, self.family)))


@dataclass(frozen=True)
class Found:
    """A regression, the key whose reports it was fitted on, and a sentence on each step away from what was asked."""

    regression: Regression
    key: Key
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True)
class HlsModel:
    """`regressions`: key → figure → block → regression; `ratios`: stage → figure → the ratio to the stage before;
    `domains`: key → what its reports were of; `feasibility`: whether a synthesis ends."""

    regressions: Mapping[Key, Mapping[str, Mapping[Block, Regression]]]
    ratios: Mapping[str, Mapping[str, Regression]]
    domains: Mapping[Key, Domain]
    feasibility: Logistic = field(default_factory=Logistic)

    def to_json(self) -> dict:
        return {
            "regressions": [
                {"key": vars(key), "figures": {name: _blocks_to_json(blocks) for name, blocks in figures.items()}}
                for key, figures in sorted(self.regressions.items())
            ],
            "ratios": {
                stage: {name: ratio.to_json() for name, ratio in row.items()} for stage, row in self.ratios.items()
            },
            "domains": [{"key": vars(key), **domain.to_json()} for key, domain in sorted(self.domains.items())],
            "feasibility": self.feasibility.to_json(),
        }

    @staticmethod
    def from_json(row: Mapping) -> "HlsModel":
        """Raises BadInput for what is no model of this version."""
        try:
            regressions = {
                Key(**item["key"]): {name: _blocks_from_json(name, blocks) for name, blocks in item["figures"].items()}
                for item in row["regressions"]
            }
            ratios = {
                stage: {name: Regression.from_json(value) for name, value in figures.items()}
                for stage, figures in row["ratios"].items()
            }
            domains = {Key(**item["key"]): Domain.from_json(item) for item in row["domains"]}
            return HlsModel(regressions, ratios, domains, Logistic.from_json(row["feasibility"]))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise BadInput(f"no cost model of hls4ml designs ({type(error).__name__}: {error})") from None


@lru_cache(maxsize=1)
def prior() -> HlsModel:
    """The model that ships with the program, fitted by `benchmarks/hls_prior.py`."""
    return HlsModel.from_json(json.loads((Path(__file__).parent / "prior.json").read_text()))


def stage_of(stage: Fidelity | str) -> str:
    """The name of a stage. BadInput for fidelities that are none."""
    name = stage.value if isinstance(stage, Fidelity) else stage
    if name not in STAGES:
        raise BadInput(f"stage {name!r} is not known; known: {', '.join(STAGES)}")
    return name


def key_of(network: Network, stage: str) -> Key:
    """The most exact key of a network at a stage; Vitis HLS where the tool is not known."""
    tool = (network.tool or Tool.VITIS_HLS).value + (f", {EARLY}" if is_early(network) else "")
    return Key(stage, tool, network.tool_version or UNKNOWN, family(network.part))


def find(model: HlsModel, key: Key, figure: str, block: Block) -> Found | None:
    """The nearest regression of a block; None where it has no such figure."""
    key = replace(key, stage=STAGES[0]) if figure in CYCLES else key
    for near in (key, key.general):
        if (found := model.regressions.get(near, {}).get(figure, {}).get(block)) is not None:
            return Found(found, near, _assumed(found, block))
    position = STAGES.index(key.stage)
    if position == 0:
        return _other_tool(model, key, figure, block)
    below = find(model, replace(key, stage=STAGES[position - 1]), figure, block)
    ratio = model.ratios[key.stage].get(figure)
    if below is None or ratio is None:
        return below
    said = f"no {key.stage} reports of {key.tool} on {LABELS[block]}: {STAGES[position - 1]} times a ratio"
    return Found(scaled(below.regression, ratio), below.key, (*below.reasons, said))


def _other_tool(model: HlsModel, key: Key, figure: str, block: Block) -> Found | None:
    """A regression of another tool, later templates before early ones."""
    generals = [known for known in model.regressions if known.stage == key.stage and known == known.general]
    for other in sorted(generals, key=lambda known: (EARLY in known.tool, known)):
        found = model.regressions[other].get(figure, {}).get(block)
        if found is not None and (assumed := _assumed(found, block)):
            return Found(found, other, assumed)
        if found is not None:
            wider = loosened(found, OTHER_TOOL / 3 if figure in CYCLES else OTHER_TOOL)
            said = f"no {key.stage} reports of {key.tool} on {LABELS[block]}: those of {other.tool}"
            return Found(wider, other, (said,))
    return None


LABELS = {
    Regime.UNROLLED: "strategy Latency",
    Regime.PARALLEL: "strategy Resource with reuse factor 1",
    Regime.SHARED: "strategy Latency with a reuse factor",
    Regime.REUSED: "strategy Resource",
    Regime.SCATTERED: "reuse factors that don't divide the layers",
    Regime.DISTRIBUTED: "distributed arithmetic",
    Regime.OTHER: "what surrounds the multiplications",
}


def _assumed(found: Regression, block: Block) -> tuple[str, ...]:
    return () if found.reports else (f"no reports on {LABELS[block]}: coefficients from structure alone",)


def scaled(regression: Regression, ratio: Regression) -> Regression:
    """The regression of a figure that is `ratio` times another, both uncertain.

    Designs of one kind have much the same ratio: most of its scatter is uncertainty that reports take away.
    """
    factor, scatter = float(ratio.mean[0]), float(ratio.mean[0]) * ratio.noise
    mean = np.asarray(regression.mean)
    variance = ratio.covariance[0][0] + _OF_A_KIND * scatter**2
    covariance = np.asarray(regression.covariance) * factor**2 + np.outer(mean, mean) * variance
    noise = float(np.hypot(regression.noise, np.sqrt(1 - _OF_A_KIND) * ratio.noise))
    return replace(
        regression,
        mean=tuple((mean * factor).tolist()),
        covariance=tuple(map(tuple, covariance.tolist())),
        noise=noise,
    )


def loosened(regression: Regression, share: float) -> Regression:
    """The same coefficients, each uncertain by another `share` of its value, and all of them together."""
    mean = np.asarray(regression.mean)
    each = np.diag(mean**2) * share**2 / 2 + np.outer(mean, mean) * share**2 / 2
    covariance = np.asarray(regression.covariance) + each
    return replace(regression, covariance=tuple(map(tuple, covariance.tolist())))


def _blocks_to_json(blocks: Mapping[Block, Regression]) -> dict:
    return {block.name.lower(): regression.to_json() for block, regression in sorted(blocks.items())}


def _blocks_from_json(figure: str, row: Mapping) -> dict[Block, Regression]:
    found = {Regime[name.upper()]: Regression.from_json(value) for name, value in row.items()}
    for block, regression in found.items():
        if regression.features != NAMES[figure][block]:
            raise ValueError(f"{figure}, {block.name.lower()}: features {', '.join(regression.features)}")
    return found
