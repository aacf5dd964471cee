"""The sixteen features of a jet, from its constituents.

With z_i the share of the pT and R_ij the distance in rapidity and azimuth, the sums over pairs and triples are
    e2(b)  = sum z_i z_j R_ij^b
    ve3(b) = sum z_i z_j z_k (product of the v smallest of R_ij, R_ik, R_jk)^b,  v = 1, 2, 3
and the features
    C1(b) = e2                                    Larkoski, Salam, Thaler, 1305.0007
    C2(b) = 3e3 / e2^2                            the same
    D2(b) = 3e3 / e2^3                            Larkoski, Moult, Neill, 1409.6298
    D2(a, b) = 3e3(a) / e2(b)^(3a/b)              the same
    M2(b) = 1e3 / e2,  N2(b) = 2e3 / e2^2         Moult, Necib, Thaler, 1609.07483
and the sum of z ln z, with shares of the energy, the mass, and the number of constituents. As in 1709.08705, all
but this sum and this number are the groomed jet's. A jet groomed down to one constituent has zeros.
"""

import numpy as np

from flow.data.clustering import groom, leading_jets
from flow.data.compiled import compiled
from flow.data.features import FEATURES

DEFINITIONS = 1
"""Raised whenever a feature's definition changes, so that files made before can be told apart."""


def event_features(
    particles: np.ndarray, radius: float, z_cut: float, pt_window: tuple[float, float], jets: int
) -> np.ndarray:
    """Features (k, 16) of those of the `jets` leading jets that lie in the pT window.

    particles: (n, 4) px, py, pz, E in GeV. pt_window: GeV, both ends included.
    """
    rows = []
    for jet in leading_jets(particles, radius, jets):
        if pt_window[0] <= np.hypot(jet.momentum[0], jet.momentum[1]) <= pt_window[1]:
            rows.append(jet_features(particles[jet.constituents], z_cut))
    return np.array(rows).reshape(-1, len(FEATURES))


def jet_features(constituents: np.ndarray, z_cut: float) -> np.ndarray:
    """The features (16,) float64 of one jet, in the order of FEATURES; constituents (m, 4) in GeV."""
    groomed = constituents[groom(constituents, z_cut)]
    energy = constituents[:, 3] / constituents[:, 3].sum()
    energy = energy[energy > 0.0]
    total = groomed.sum(axis=0)
    mass2 = total[3] ** 2 - total[0] ** 2 - total[1] ** 2 - total[2] ** 2
    shapes = correlator_ratios(correlators(groomed))
    return np.concatenate(([np.sum(energy * np.log(energy))], shapes, [np.sqrt(max(mass2, 0.0)), len(constituents)]))


def correlator_ratios(sums: np.ndarray) -> np.ndarray:
    """C1(0, 1, 2), C2(1, 2), D2(1, 2), D2(a=1; b=1, 2), M2(1, 2), N2(1, 2) of what `correlators` gives."""
    (pairs0, pairs1, pairs2), triples = sums[:3], sums[3:].reshape(3, 2)
    if pairs1 <= 0.0 or pairs2 <= 0.0:
        return np.concatenate((sums[:3], np.zeros(10)))
    (one1, one2), (two1, two2), (three1, three2) = triples
    d2 = three1 / pairs1**3
    return np.array([
        pairs0, pairs1, pairs2,
        three1 / pairs1**2, three2 / pairs2**2,
        d2, three2 / pairs2**3,
        d2, three1 / pairs2**1.5,
        one1 / pairs1, one2 / pairs2,
        two1 / pairs1**2, two2 / pairs2**2,
    ])  # fmt: skip


def correlators(constituents: np.ndarray) -> np.ndarray:
    """The nine sums e2(0), e2(1), e2(2), 1e3(1), 1e3(2), 2e3(1), 2e3(2), 3e3(1), 3e3(2) of (m, 4) momenta."""
    px, py, pz, energy = constituents.T
    pt = np.hypot(px, py)
    transverse2 = np.maximum(pt**2, (energy + pz) * (energy - pz))
    rapidity = np.copysign(np.log((energy + np.abs(pz)) / np.sqrt(transverse2)), pz)
    return _sums(pt / pt.sum(), rapidity, np.arctan2(py, px))


@compiled
def _sums(share, rapidity, azimuth):
    count = len(share)
    sums = np.zeros(9)
    distance = np.zeros((count, count))
    for i in range(count):
        for j in range(i):
            around = abs(azimuth[i] - azimuth[j])
            if around > np.pi:
                around = 2.0 * np.pi - around
            squared = (rapidity[i] - rapidity[j]) ** 2 + around**2
            distance[i, j] = np.sqrt(squared)
            pair = share[i] * share[j]
            sums[0] += pair
            sums[1] += pair * distance[i, j]
            sums[2] += pair * squared
            for k in range(j):
                a, b, c = distance[i, j], distance[i, k], distance[j, k]
                low, high = min(a, min(b, c)), max(a, max(b, c))
                middle = max(min(a, b), min(max(a, b), c))
                triple = pair * share[k]
                two = low * middle
                three = two * high
                sums[3] += triple * low
                sums[4] += triple * low * low
                sums[5] += triple * two
                sums[6] += triple * two * two
                sums[7] += triple * three
                sums[8] += triple * three * three
    return sums
