"""The jets that come with the task are what its README says."""

from importlib import metadata
from pathlib import Path

import numpy as np
import pytest

from flow.data import chunks
from flow.data.load import load
from flow.data.settings import Settings
from flow.data.split import split

SAMPLE = Path(__file__).parents[2] / "models" / "jet_tagger" / "jets.parquet"


@pytest.fixture(scope="module")
def sample():
    return load(SAMPLE)


def test_size_and_balance(sample):
    assert SAMPLE.stat().st_size <= 7_500_000
    assert np.bincount(sample.labels).tolist() == [50_000] * 5
    assert sample.provenance["stand_in"] is True
    assert sample.provenance["settings"] == Settings().as_json()
    assert np.max(np.bincount(sample.events)) == 2


@pytest.mark.slow
def test_it_can_be_made_again(sample):
    """The first chunk of each class; nearly all, as another processor may round the last bit elsewhere."""
    pytest.importorskip("pythia8mc", reason="making jets needs Pythia, of the extra 'generate'")
    made_with = sample.provenance["versions"]["pythia8mc"]
    if metadata.version("pythia8mc") != made_with:
        pytest.skip(f"the sample was made with Pythia {made_with}")
    chunk = chunks.plan(Settings())[0]
    features, events = chunks.make(chunk, Settings())
    same = np.isclose(features, sample.features[: chunk.jets], rtol=2.0**-11, atol=1e-7).all(axis=1)
    assert same.mean() > 0.99
    assert len(np.unique(events)) == len(np.unique(sample.events[: chunk.jets]))


@pytest.mark.slow
def test_its_classes_can_be_told_apart(sample):
    """Boosted trees on 60,000 jets; ten times as many of the public set give 0.759."""
    trees = pytest.importorskip("sklearn.ensemble")
    rows = split(sample.events, {"train": 0.24, "test": 0.1, "rest": 0.66}, 1)
    model = trees.HistGradientBoostingClassifier(max_iter=60, random_state=1)
    model.fit(sample.features[rows["train"]], sample.labels[rows["train"]])
    assert 0.70 < model.score(sample.features[rows["test"]], sample.labels[rows["test"]]) < 0.75
