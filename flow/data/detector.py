"""A segmented detector: tracks, and two calorimeters that sum what falls into a cell.

The layout and the resolutions are those of the public jet set (Coleman et al., 1709.08705) but for the hadron
calorimeter's stochastic term; see `Detector`.
"""

from dataclasses import dataclass

import numpy as np

_NEUTRINOS = (12, 14, 16)
_TRACKED_LEPTONS = (11, 13)
_TRACKED_HADRONS = (211, 321, 2212, 3112, 3222, 3312, 3334)
_PHOTON = 22
_CELL_ROW = 1 << 20  # more cells than fit around the azimuth, so that a cell's key is one integer
_SMALLEST_SCALE = 1e-10  # a cell that fluctuates below zero keeps its place, and no energy to speak of


@dataclass(frozen=True)
class Detector:
    """Relative resolutions are sums in quadrature; energies and pT in GeV, cells in eta and phi.

    track    track_slope pT + track_floor
    photon   photon_stochastic / sqrt(E) + photon_noise / E + photon_constant
    hadron   hadron_stochastic / sqrt(E) + hadron_constant

    The public set's hadron_stochastic is 1.2 sqrt(7) = 3.17. The smaller default brings the separation of the
    classes nearer to the public set's.
    """

    eta_max: float = 3.0
    hadron_cell: float = 0.022
    photon_cell: float = 0.0175
    track_pt_max: float = 220.0
    track_slope: float = 0.00025
    track_floor: float = 0.015
    photon_stochastic: float = 0.0342
    photon_noise: float = 0.24
    photon_constant: float = 0.005
    hadron_stochastic: float = 1.2
    hadron_constant: float = 0.05


def measure(ids: np.ndarray, momenta: np.ndarray, detector: Detector, rng: np.random.Generator) -> np.ndarray:
    """What the detector sees of an event's stable particles: (m, 4) px, py, pz, E in GeV.

    ids: (n,) particle numbers of the PDG. momenta: (n, 4) px, py, pz, E in GeV.
    Charged particles are tracks, above `track_pt_max` hadrons are not; the rest falls into cells.
    """
    kind = np.abs(ids)
    pt = np.hypot(momenta[:, 0], momenta[:, 1])
    eta = np.arcsinh(momenta[:, 2] / np.maximum(pt, 1e-9))
    seen = (np.abs(eta) < detector.eta_max) & (pt > 1e-3) & ~np.isin(kind, _NEUTRINOS)
    hadron_track = np.isin(kind, _TRACKED_HADRONS) & (pt <= detector.track_pt_max)
    track = seen & (hadron_track | np.isin(kind, _TRACKED_LEPTONS))
    photon = seen & (kind == _PHOTON)
    hadron = seen & ~track & ~photon

    phi = np.arctan2(momenta[:, 1], momenta[:, 0]) % (2.0 * np.pi)
    hadrons = _cells(eta[hadron], phi[hadron], momenta[hadron, 3], detector.hadron_cell, detector.eta_max)
    photons = _cells(eta[photon], phi[photon], momenta[photon, 3], detector.photon_cell, detector.eta_max)
    resolution = np.concatenate(
        (
            np.hypot(detector.track_slope * pt[track], detector.track_floor),
            np.hypot(detector.hadron_stochastic / np.sqrt(hadrons[:, 3]), detector.hadron_constant),
            _photon_resolution(photons[:, 3], detector),
        )
    )
    exact = np.concatenate((momenta[track], hadrons, photons))
    scale = 1.0 + resolution * rng.standard_normal(len(exact))
    return exact * np.maximum(scale, _SMALLEST_SCALE)[:, None]


def _photon_resolution(energy: np.ndarray, detector: Detector) -> np.ndarray:
    stochastic = detector.photon_stochastic / np.sqrt(energy)
    return np.hypot(np.hypot(stochastic, detector.photon_noise / energy), detector.photon_constant)


def _cells(eta: np.ndarray, phi: np.ndarray, energy: np.ndarray, size: float, eta_max: float) -> np.ndarray:
    """Energy summed in square cells, as massless momenta (cells, 4) that point at the cells' centres."""
    row = np.floor((eta + eta_max) / size).astype(np.int64)
    column = np.floor(phi / size).astype(np.int64)
    keys, member = np.unique(row * _CELL_ROW + column, return_inverse=True)
    deposit = np.bincount(member, weights=energy, minlength=len(keys))
    eta_centre = (keys // _CELL_ROW + 0.5) * size - eta_max
    phi_centre = (keys % _CELL_ROW + 0.5) * size
    pt = deposit / np.cosh(eta_centre)
    return np.stack((pt * np.cos(phi_centre), pt * np.sin(phi_centre), pt * np.sinh(eta_centre), deposit), axis=1)
