"""Each kind of file gives the jets that were put into it."""

import json

import numpy as np
import pytest

from flow.data.features import CLASSES, FEATURES
from flow.data.load import load


def same(jets, values, labels):
    assert jets.features.dtype == np.float32 and jets.labels.dtype == jets.events.dtype == np.int64
    np.testing.assert_array_equal(jets.features, values)
    np.testing.assert_array_equal(jets.labels, labels)
    assert jets.feature_names == FEATURES and jets.class_names == CLASSES
    assert len(jets) == len(values) == jets.provenance["jets"]
    json.dumps(jets.provenance)


def test_arff(write_arff, values, labels, names):
    jets = load(write_arff([[*row, name] for row, name in zip(values, names, strict=True)]))
    same(jets, values, labels)
    assert jets.provenance["event_ids"] is False and jets.provenance["stand_in"] is False
    assert len(set(jets.events)) == len(jets)


def test_arff_with_quotes_comments_and_spaces(write_arff, values, labels, names):
    rows = [[*(f" {x} " for x in row), f"'{name}'"] for row, name in zip(values, names, strict=True)]
    path = write_arff(rows, kind="\tnumeric", tail="\n% the end, with, commas\n")
    same(load(path), values, labels)


def test_parquet(write_parquet, values, labels, names):
    jets = load(write_parquet(values, names, event=np.arange(20) // 2))
    same(jets, values, labels)
    assert jets.provenance["event_ids"] is True
    np.testing.assert_array_equal(jets.events, np.arange(20) // 2)


def test_features_come_by_name_in_the_order_asked_for(write_parquet, values, names):
    jets = load(write_parquet(values, names), ["multiplicity", "zlogz"])
    np.testing.assert_array_equal(jets.features, values[:, [15, 0]])
    assert jets.feature_names == ("multiplicity", "zlogz")


@pytest.mark.parametrize("fields", [False, True])
def test_hdf5(write_hdf5, values, labels, fields):
    same(load(write_hdf5(values, labels, fields=fields)), values, labels)


def test_hdf5_leaves_out_rows_without_class(write_hdf5, values, labels):
    labels = labels.copy()
    labels[[2, 7]] = -1
    values[2, 0] = np.nan
    jets = load(write_hdf5(values, labels, event=np.arange(20) // 4))
    same(jets, values[labels >= 0], labels[labels >= 0])
    assert jets.provenance["rows_without_class"] == 2
    np.testing.assert_array_equal(jets.events, (np.arange(20) // 4)[labels >= 0])


def test_folder_of_hdf5(write_hdf5, values, labels):
    write_hdf5(values[12:], labels[12:], "many/b.hdf5")
    folder = write_hdf5(values[:12], labels[:12], "many/a.h5").parent
    (folder / "notes.txt").write_text("not jets")
    jets = load(folder)
    same(jets, values, labels)
    assert jets.provenance["files"] == ["a.h5", "b.hdf5"]


def test_npz(tmp_path, values, labels):
    np.savez(tmp_path / "jets.npz", X=values, y=labels, event=np.arange(20) // 2)
    jets = load(tmp_path / "jets.npz")
    same(jets, values, labels)
    assert jets.events[1] == 0 and jets.events[2] == 1


@pytest.mark.parametrize("form", ["indices", "floats", "one-hot", "names", "bytes"])
def test_npy_pair(tmp_path, values, labels, names, form):
    given = {
        "indices": labels.astype(np.int8),
        "floats": labels.astype(np.float64),
        "one-hot": np.eye(5)[labels],
        "names": np.array(names),
        "bytes": np.array(names, "S"),
    }
    np.save(tmp_path / "x.npy", values)
    np.save(tmp_path / "y.npy", given[form])
    same(load(tmp_path / "x.npy", labels=tmp_path / "y.npy"), values, labels)


def test_the_digest_tells_files_apart(write_parquet, values, names):
    first = load(write_parquet(values, names)).provenance["sha256"]
    assert load(write_parquet(values, names)).provenance["sha256"] == first
    assert load(write_parquet(values + 1, names)).provenance["sha256"] != first
