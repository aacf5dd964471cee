"""What the generator can be told. The defaults come nearest to the public set."""

import dataclasses
import math
from dataclasses import dataclass
from typing import Any

from flow.data.detector import Detector
from flow.data.features import CLASSES
from flow.errors import BadInput


@dataclass(frozen=True)
class Settings:
    """How jets are made. Energies, masses and pT in GeV; a pair is a window, low to high.

    jets_per_class     jets in the file for each class
    classes            some of g, q, t, w, z
    seed               0 or more; with the other settings it fixes every byte
    collision_energy   of the two protons together
    pt_hat             of the two partons that scatter
    jet_pt, radius     of the anti-kT jets that are kept
    jets_per_event     leading jets that are looked at
    z_cut              of the grooming
    w_mass .. t_mass   masses allowed; the defaults put W, Z and t on shell
    multiparton        with the underlying event
    initial_radiation  with radiation before the collision
    detector           cells and resolutions
    mantissa_bits      of each feature kept in the file, of float32's 23

    Raises BadInput for a value out of range.
    """

    jets_per_class: int = 50_000
    classes: tuple[str, ...] = CLASSES
    seed: int = 1
    collision_energy: float = 13_000.0
    pt_hat: tuple[float, float] = (990.0, 1010.0)
    jet_pt: tuple[float, float] = (800.0, 1600.0)
    jets_per_event: int = 2
    radius: float = 0.8
    z_cut: float = 0.1
    w_mass: tuple[float, float] = (80.32, 80.44)
    z_mass: tuple[float, float] = (91.1, 91.28)
    t_mass: tuple[float, float] = (172.9, 173.1)
    multiparton: bool = False
    initial_radiation: bool = False
    detector: Detector = Detector()
    mantissa_bits: int = 12

    def __post_init__(self) -> None:
        self._require("jets_per_class", self.jets_per_class >= 1, "1 or more")
        self._require("seed", 0 <= self.seed < 2**63, "0 or more, below 2^63")
        self._require("classes", _distinct(self.classes, CLASSES), f"some of {', '.join(CLASSES)}, each once")
        self._require("collision_energy", 0 < self.collision_energy < math.inf, "above 0 GeV")
        for window in ("pt_hat", "jet_pt", "w_mass", "z_mass", "t_mass"):
            low, high = getattr(self, window)
            self._require(window, 0 < low < high < math.inf, "low, high in GeV with 0 < low < high")
        self._require("pt_hat", self.pt_hat[1] < self.collision_energy / 2, "below half of collision_energy")
        self._require("jets_per_event", self.jets_per_event in (1, 2), "1 or 2")
        self._require("radius", 0.05 <= self.radius <= 1.5, "0.05 to 1.5")
        self._require("z_cut", 0 <= self.z_cut < 0.5, "0 to below 0.5")
        self._require("mantissa_bits", 4 <= self.mantissa_bits <= 23, "4 to 23")
        for name, value in dataclasses.asdict(self.detector).items():
            positive = name in ("eta_max", "hadron_cell", "photon_cell", "track_pt_max")
            fine = math.isfinite(value) and (value > 0 if positive else value >= 0)
            self._require(f"detector.{name}", fine, "above 0" if positive else "0 or more", value)

    def _require(self, name: str, fine: bool, allowed: str, value: Any = None) -> None:
        if not fine:
            value = getattr(self, name) if value is None else value
            raise BadInput(f"generator: {name} is {value!r}, allowed: {allowed}")

    def as_json(self) -> dict[str, Any]:
        """Plain values, tuples as lists."""
        return {
            name: list(value) if isinstance(value, tuple) else value for name, value in dataclasses.asdict(self).items()
        }


def _distinct(names: tuple[str, ...], allowed: tuple[str, ...]) -> bool:
    return len(names) > 0 and len(set(names)) == len(names) and set(names) <= set(allowed)
