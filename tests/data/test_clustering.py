"""Jets, grooming and features against FastJet and its contrib, where they are installed."""

import numpy as np
import pytest

pytest.importorskip("numba", reason="jet finding is compiled by numba, of the extra 'generate'")

from flow.data.clustering import groom, leading_jets
from flow.data.features import FEATURES
from flow.data.observables import correlators, event_features, jet_features

EVENTS = range(25)
pytestmark = pytest.mark.slow  # numba compiles for longer than all of them take


def shower(seed: int, particles: int = 120) -> np.ndarray:
    """Two back-to-back sprays of pions, each of three prongs, some across the seam of the azimuth; (n, 4) GeV."""
    rng = np.random.default_rng(seed)
    pt = rng.exponential(12.0, particles) + 0.2
    prong = rng.integers(0, 3, particles)
    side = rng.integers(0, 2, particles)
    rapidity = 0.4 * side + 0.3 * (prong - 1) + rng.normal(0, 0.08, particles)
    azimuth = np.pi * side + 0.2 * prong**2 + rng.normal(0, 0.08, particles)
    transverse = np.hypot(pt, 0.13957)
    return np.stack(
        (
            pt * np.cos(azimuth),
            pt * np.sin(azimuth),
            transverse * np.sinh(rapidity),
            transverse * np.cosh(rapidity),
        ),
        axis=1,
    )


@pytest.fixture(scope="module")
def sequence():
    """FastJet's clustering of (n, 4) momenta."""
    fastjet = pytest.importorskip("fastjet", reason="the reference, FastJet, is not installed")
    awkward = pytest.importorskip("awkward")

    def cluster(momenta: np.ndarray, algorithm: str, radius: float):
        array = awkward.zip(dict(zip(("px", "py", "pz", "E"), momenta.T, strict=True)), with_name="Momentum4D")
        return fastjet.ClusterSequence(array, fastjet.JetDefinition(getattr(fastjet, algorithm), radius))

    return cluster


def plain(record) -> np.ndarray:
    return np.stack([np.asarray(record[axis]) for axis in ("px", "py", "pz", "E")], axis=-1)


@pytest.mark.parametrize("radius", [0.2, 0.4, 0.8])
@pytest.mark.parametrize("seed", EVENTS)
def test_anti_kt_is_fastjets(sequence, seed, radius):
    particles = shower(seed)
    reference = sequence(particles, "antikt_algorithm", radius)
    expected = plain(reference.inclusive_jets())
    members = [sorted(jet) for jet in reference.constituent_index().tolist()]
    order = np.argsort(-np.hypot(expected[:, 0], expected[:, 1]))
    found = leading_jets(particles, radius, len(particles))
    assert [sorted(jet.constituents) for jet in found] == [members[place] for place in order]
    np.testing.assert_allclose([jet.momentum for jet in found], expected[order], rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("z_cut", [0.05, 0.1, 0.3])
@pytest.mark.parametrize("seed", EVENTS)
def test_grooming_is_the_contribs(sequence, seed, z_cut):
    jet = shower(seed)[leading_jets(shower(seed), 0.8, 1)[0].constituents]
    reference = sequence(jet, "cambridge_algorithm", 1000.0)
    expected = plain(reference.exclusive_jets_softdrop_grooming(njets=1, symmetry_cut=z_cut).constituents)
    kept = jet[groom(jet, z_cut)]
    by_energy = [rows[np.argsort(rows[:, 3])] for rows in (kept, expected)]
    np.testing.assert_allclose(*by_energy, rtol=1e-9)


@pytest.mark.parametrize("seed", EVENTS)
def test_features_are_the_contribs(sequence, seed):
    jet = shower(seed)[leading_jets(shower(seed), 0.8, 1)[0].constituents]
    found = dict(zip(FEATURES, jet_features(jet, 0.1), strict=True))
    softdrop = sequence(jet, "cambridge_algorithm", 1000.0).exclusive_jets_softdrop_grooming(njets=1)
    groomed = sequence(plain(softdrop.constituents), "cambridge_algorithm", 1000.0)

    def contrib(name, beta, points=2):
        return float(groomed.exclusive_jets_energy_correlator(njets=1, beta=beta, func=name, npoint=points))

    expected = {
        f"{name}_b{beta}_mmdt": contrib(name, beta) for name in ("c1", "c2", "d2", "m2", "n2") for beta in (1, 2)
    }
    expected["c1_b0_mmdt"] = contrib("generalized", 0)
    expected["d2_a1_b1_mmdt"] = expected["d2_b1_mmdt"]
    expected["d2_a1_b2_mmdt"] = contrib("generalized", 1, 3) / contrib("generalized", 2) ** 1.5
    expected["mass_mmdt"] = float(softdrop.msoftdrop)
    share = jet[:, 3] / jet[:, 3].sum()
    expected["zlogz"] = np.sum(share * np.log(share))
    expected["multiplicity"] = len(jet)
    assert set(expected) == set(FEATURES)
    for name in FEATURES:
        assert found[name] == pytest.approx(expected[name], rel=1e-6), name


def test_two_particles_by_hand():
    """One pair at distance 0.5 in rapidity with shares 3/4 and 1/4: e2(b) = 3/16 0.5^b, no triples."""
    momenta = np.array([[30.0, 0.0, 0.0, 30.0], [10.0, 0.0, 10.0 * np.sinh(0.5), 10.0 * np.cosh(0.5)]])
    np.testing.assert_allclose(correlators(momenta), [3 / 16, 3 / 32, 3 / 64, 0, 0, 0, 0, 0, 0], atol=1e-12)
    assert jet_features(momenta, 0.1)[1:4] == pytest.approx([3 / 16, 3 / 32, 3 / 64])
    # A tagger that wants more than 1/4 from the softer one drops it, and nothing is left to correlate.
    np.testing.assert_allclose(jet_features(momenta, 0.26)[1:15], np.zeros(14), atol=1e-6)


def test_three_equal_particles_by_hand():
    """Shares 1/3 on a line at 0, 0.1, 0.3: the three distances are 0.1, 0.2, 0.3."""
    rapidity = np.array([0.0, 0.1, 0.3])
    momenta = np.stack((np.ones(3), np.zeros(3), np.sinh(rapidity), np.cosh(rapidity)), axis=1)
    pairs = [3 / 9, 0.6 / 9, 0.14 / 9]
    triples = [0.1 / 27, 0.01 / 27, 0.02 / 27, 0.0004 / 27, 0.006 / 27, 0.000036 / 27]
    np.testing.assert_allclose(correlators(momenta), pairs + triples, rtol=1e-9)


def test_the_windows_and_the_number_of_jets():
    particles = shower(1)
    pt = [np.hypot(*jet.momentum[:2]) for jet in leading_jets(particles, 0.8, 2)]
    assert len(event_features(particles, 0.8, 0.1, (0.0, 1e6), 2)) == 2
    assert len(event_features(particles, 0.8, 0.1, (0.0, 1e6), 1)) == 1
    assert len(event_features(particles, 0.8, 0.1, (pt[1] + 1e-6, pt[0]), 2)) == 1
    assert event_features(particles, 0.8, 0.1, (1e6, 1e7), 2).shape == (0, 16)
    assert event_features(np.empty((0, 4)), 0.8, 0.1, (0.0, 1e6), 2).shape == (0, 16)


def test_a_single_particle_is_a_jet():
    features = jet_features(np.array([[900.0, 0.0, 0.0, 900.0]]), 0.1)
    np.testing.assert_array_equal(features, [0.0] * 15 + [1.0])
