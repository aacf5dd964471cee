import numpy as np
import pytest

from flow.cost.calibration import Regression

RNG = np.random.default_rng(3)


def start(noise: float = 0.1, loose: float = 0.5) -> Regression:
    covariance = ((loose**2, 0.0), (0.0, loose**2))
    return Regression(("a", "b"), (1.0, 1.0), covariance, noise, degrees=6.0)


def reports(n: int, scatter: float, truth=(1.5, 0.7)) -> tuple[np.ndarray, np.ndarray]:
    x = RNG.uniform(10, 100, (n, 2))
    exact = x @ np.array(truth)
    return x, exact * (1 + scatter * RNG.standard_normal(n))


def test_reports_move_the_coefficients_and_shrink_the_error():
    before = start()
    after = before.updated(*reports(60, 0.1))
    np.testing.assert_allclose(after.mean, (1.5, 0.7), rtol=0.1)
    assert after.reports == 60 and after.degrees == 66
    row = np.array([[40.0, 60.0]])
    assert after.predict(row)[1][0] < before.predict(row)[1][0]


def test_the_order_of_the_reports_matters_little():
    x, y = reports(30, 0.05)
    at_once, one_by_one = start().updated(x, y), start()
    for row, value in zip(x, y):
        one_by_one = one_by_one.updated(row[None], np.array([value]))
    np.testing.assert_allclose(at_once.mean, one_by_one.mean, rtol=0.05)
    assert one_by_one.reports == 30


@pytest.mark.parametrize("scatter", [0.02, 0.1, 0.4])
def test_the_noise_becomes_that_of_the_reports(scatter):
    after = start().updated(*reports(200, scatter))
    assert after.noise == pytest.approx(scatter, rel=0.25, abs=0.01)


@pytest.mark.parametrize("scatter", [0.05, 0.25])
@pytest.mark.parametrize("seen", [0, 10, 100])
def test_two_thirds_of_new_reports_lie_inside_the_error(scatter, seen):
    inside = []
    for _ in range(300):
        truth = 1.0 + 0.5 * RNG.standard_normal(2)
        noise = scatter
        model = start(noise, 0.5)
        if seen:
            model = model.updated(*reports(seen, scatter, truth))
        x, y = reports(1, scatter, truth)
        value, variance = model.predict(x)
        inside.append(abs(y - value)[0] < np.sqrt(variance)[0])
    assert 0.58 < np.mean(inside) < 0.80


def test_a_total_is_the_sum_of_its_rows_with_shared_coefficients():
    model, x = start(), RNG.uniform(10, 100, (5, 4, 2))
    value, error = model.totals(x)
    for i in range(5):
        values, variances = model.predict(x[i])
        assert value[i] == pytest.approx(values.sum())
        assert np.sqrt(variances.sum()) < error[i] < np.sqrt(variances).sum()


def test_widened_is_less_sure_of_the_same_value():
    model, x = start(), np.array([[10.0, 20.0]])
    value, variance = model.widened(2).predict(x)
    assert value == model.predict(x)[0] and np.sqrt(variance) == pytest.approx(2 * np.sqrt(model.predict(x)[1]))


def test_json_there_and_back():
    model = start().updated(*reports(3, 0.1))
    assert Regression.from_json(model.to_json()) == model
