import dataclasses

import numpy as np

from flow.data.detector import Detector, measure

EXACT = Detector(
    track_slope=0, track_floor=0, photon_stochastic=0, photon_noise=0, photon_constant=0, hadron_stochastic=0,
    hadron_constant=0,
)  # fmt: skip


def massless(pt, eta, phi):
    pt, eta, phi = np.broadcast_arrays(np.asarray(pt, float), eta, phi)
    return np.stack((pt * np.cos(phi), pt * np.sin(phi), pt * np.sinh(eta), pt * np.cosh(eta)), axis=1)


def seen(ids, momenta, detector=EXACT, seed=0):
    return measure(np.array(ids), momenta, detector, np.random.default_rng(seed))


def test_neutrinos_and_what_is_too_forward_are_not_seen():
    momenta = massless([10, 10, 10, 10], [0, 0, 3.1, 1], [0, 1, 2, 3])
    found = seen([12, -14, 211, 211], momenta)
    np.testing.assert_allclose(found, momenta[3:])


def test_tracks_are_exact_and_hard_ones_fall_into_cells():
    momenta = massless([100.0, 400.0], [0.3, 0.3], [1.0, 2.0])
    found = seen([211, -211], momenta)
    np.testing.assert_allclose(found[0], momenta[0])
    assert not np.allclose(found[1], momenta[1], rtol=1e-6)
    np.testing.assert_allclose(found[1, 3], momenta[1, 3])


def test_a_cell_sums_what_falls_into_it():
    size = EXACT.photon_cell
    middle = 50.5 * size
    momenta = massless([10, 20, 30], [middle - 3, middle - 3, middle - 3], [middle, middle + 0.4 * size, middle + size])
    found = seen([22, 22, 22], momenta)
    np.testing.assert_allclose(found[:, 3], [momenta[:2, 3].sum(), momenta[2, 3]])
    np.testing.assert_allclose(np.arctan2(found[:, 1], found[:, 0]), [middle, middle + size])
    np.testing.assert_allclose(np.linalg.norm(found[:, :3], axis=1), found[:, 3])


def test_hadrons_and_photons_have_calorimeters_of_their_own():
    assert len(seen([130, 22], massless([10, 10], 0.5, 0.5))) == 2


def test_resolutions_are_the_formulas():
    """Relative spread of 4,000 particles far apart, each of 100 GeV at eta = 0."""
    detector = dataclasses.replace(Detector(), eta_max=3.0)
    hadron = np.hypot(1.2 / 10, 0.05)
    photon = np.sqrt((0.0342 / 10) ** 2 + (0.24 / 100) ** 2 + 0.005**2)
    track = np.hypot(0.00025 * 100, 0.015)
    eta, phi = (grid.ravel() for grid in np.meshgrid(np.linspace(-2.5, 2.5, 40), np.linspace(0.1, 6.1, 100)))
    momenta = massless(100 / np.cosh(eta), eta, phi)
    for particle, sigma in ((130, hadron), (22, photon)):
        energy = seen(np.full(4000, particle), momenta, detector)[:, 3]
        assert abs(np.std(energy) / 100 / sigma - 1) < 0.05
    energy = seen(np.full(4000, 211), massless(100.0, np.zeros(4000), phi), detector)[:, 3]
    assert abs(np.std(energy) / 100 / track - 1) < 0.05


def test_the_draw_is_the_generators():
    momenta = massless([10, 20], [0, 1], [0, 1])
    np.testing.assert_array_equal(seen([130, 22], momenta, Detector(), 3), seen([130, 22], momenta, Detector(), 3))


def test_energy_never_falls_below_zero():
    assert np.all(seen(np.full(500, 130), massless(0.2, np.linspace(-2, 2, 500), 1.0), Detector())[:, 3] > 0)


def test_nothing_gives_nothing():
    assert seen(np.empty(0, int), np.empty((0, 4))).shape == (0, 4)
