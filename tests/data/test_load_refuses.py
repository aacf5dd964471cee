"""A file that can't be used gives one line, which names the file and the trouble."""

import pickle

import numpy as np
import pytest

from flow.data.features import FEATURES
from flow.data.load import load
from flow.errors import BadInput


def refuses(path, *words, named=None, **arguments):
    with pytest.raises(BadInput) as caught:
        load(path, **arguments)
    message = str(caught.value)
    assert message.startswith(str(named or path)) and "\n" not in message
    for word in words:
        assert word in message
    return message


def arff_rows(values, names):
    return [[*row, name] for row, name in zip(values, names, strict=True)]


def test_missing_file(tmp_path):
    refuses(tmp_path / "none.arff", "no such file")


def test_unknown_suffix_lists_the_known(tmp_path):
    path = tmp_path / "jets.pkl"
    path.write_bytes(b"x")
    refuses(path, "'.pkl'", ".arff", ".parquet", ".h5", ".hdf5", ".npz", ".npy")


@pytest.mark.parametrize("suffix", ["arff", "parquet", "h5", "hdf5", "npz", "npy"])
@pytest.mark.parametrize("content", [b"", b"not what the suffix says\n", b"\x80\x04\x95\x00\xff" * 40])
def test_empty_and_corrupt_files(tmp_path, suffix, content):
    path = tmp_path / f"jets.{suffix}"
    path.write_bytes(content)
    labels = tmp_path / "y.npy" if suffix == "npy" else None
    refuses(path, *([] if content else ["is empty"]), labels=labels)


@pytest.mark.parametrize("kind", ["arff", "parquet", "h5", "npz"])
@pytest.mark.parametrize("part", [0.3, 0.9])
def test_cut_files(tmp_path, write_arff, write_parquet, write_hdf5, values, labels, names, kind, part):
    if kind == "npz":
        path = tmp_path / "jets.npz"
        np.savez(path, X=values, y=labels)
    else:
        write = {"arff": lambda: write_arff(arff_rows(values, names)), "parquet": lambda: write_parquet(values, names)}
        path = write.get(kind, lambda: write_hdf5(values, labels))()
    whole = path.read_bytes()
    path.write_bytes(whole[: int(part * len(whole)) - 9])
    refuses(path)


def test_a_pickle_is_never_opened(tmp_path, labels):
    class Bomb:
        def __reduce__(self):
            return (pytest.fail, ("a pickle was run",))

    for name in ("x.npy", "x.npz"):
        (tmp_path / name).write_bytes(pickle.dumps(Bomb()))
    np.save(tmp_path / "y.npy", labels)
    refuses(tmp_path / "x.npz")
    refuses(tmp_path / "x.npy", labels=tmp_path / "y.npy")
    np.savez(tmp_path / "o.npz", X=np.array([[{}]], object), y=labels)
    refuses(tmp_path / "o.npz")


def test_missing_column_with_a_near_miss(write_arff, write_parquet, write_hdf5, values, labels, names):
    columns = ["c1_b1_mdt" if name == "c1_b1_mmdt" else name for name in FEATURES]
    refuses(write_arff(arff_rows(values, names), columns), "'c1_b1_mmdt' is missing", "did you mean 'c1_b1_mdt'?")
    refuses(write_parquet(values, names, mass_mmdt=None), "'mass_mmdt' is missing")
    refuses(write_hdf5(values, labels), "'mass' is missing", features=["mass"])
    refuses(write_hdf5(values, labels), "'x' is missing", classes=["g", "x"])


def test_missing_class_column(write_parquet, values, names):
    path = write_parquet(values, None, clas=names)
    refuses(path, "'class' is missing", "did you mean 'clas'?")


def test_repeated_column(write_arff, values, names):
    refuses(write_arff(arff_rows(values, names), ["zlogz", *FEATURES[:-1]]), "'zlogz'", "more than once")


def test_columns_that_are_no_numbers(write_arff, write_parquet, values, names):
    refuses(write_arff(arff_rows(values, names), kind="STRING"), "'zlogz' is declared 'STRING'")
    refuses(write_parquet(values, names, zlogz=names), "'zlogz' is string", "numbers")
    rows = arff_rows(values, names)
    rows[4][2] = "much"
    refuses(write_arff(rows), "much", "#5")


def test_short_row(write_arff, values, names):
    rows = arff_rows(values, names)
    del rows[4][2]
    refuses(write_arff(rows), "17", "16")


def test_unknown_label(write_arff, write_parquet, values, names):
    names[6] = "W"
    refuses(write_arff(arff_rows(values, names)), "'W'", "allowed: g, q, t, w, z")
    refuses(write_parquet(values, names), "'W'", "allowed: g, q, t, w, z")
    names[6] = None
    refuses(write_parquet(values, names), "'class' lacks a value in 1 row")


def test_class_that_the_task_does_not_name(write_hdf5, values, labels):
    refuses(write_hdf5(values, labels), "class 't'", "g, q", classes=["g", "q", "w", "z"])


@pytest.mark.parametrize("label", [5, -1, 0.5, np.nan, np.inf])
def test_label_index_out_of_range(tmp_path, values, labels, label):
    labels = labels.astype(float)
    labels[3] = label
    np.savez(tmp_path / "jets.npz", X=values, y=labels)
    refuses(tmp_path / "jets.npz", "label")


@pytest.mark.parametrize("mark", [0.0, 0.5, 2.0, np.nan])
def test_one_hot_that_is_not(tmp_path, write_hdf5, values, labels, mark):
    rows = np.eye(5)[labels]
    rows[3][rows[3] == 1] = mark
    np.savez(tmp_path / "jets.npz", X=values, y=rows)
    refuses(tmp_path / "jets.npz", "row 4 names no one class")


def test_absent_class(write_parquet, values, names):
    refuses(write_parquet(values, ["g" if name == "w" else name for name in names]), "no events of class w")


@pytest.mark.parametrize("trouble", [np.nan, np.inf, -np.inf, 1e300])
def test_not_finite(tmp_path, write_parquet, write_hdf5, values, labels, names, trouble):
    values[[4, 9], [2, 0]] = trouble
    words = ("2 values", "row 5", "column c1_b1_mmdt")
    refuses(write_parquet(values, names), *words)
    np.savez(tmp_path / "jets.npz", X=values, y=labels)
    refuses(tmp_path / "jets.npz", *words)
    labels = labels.copy()
    labels[1] = -1
    with np.errstate(over="ignore"):
        refuses(write_hdf5(values, labels), *words)


def test_missing_values(write_arff, values, names):
    rows = arff_rows(values, names)
    rows[4][2] = "?"
    refuses(write_arff(rows), "1 values", "row 5", "column c1_b1_mmdt")
    rows[4][2], rows[5][16] = 0, "?"
    refuses(write_arff(rows), "'class' lacks a value")


def test_no_rows(tmp_path, write_arff, write_parquet, write_hdf5, values, labels):
    refuses(write_arff([]))
    refuses(write_parquet(values[:0], np.array([], np.str_)), "no events")
    refuses(write_hdf5(values[:0], labels[:0]), "no events")
    refuses(write_hdf5(values[:2], np.array([-1, -1])), "no events")
    np.savez(tmp_path / "jets.npz", X=values[:0], y=labels[:0])
    refuses(tmp_path / "jets.npz", "no events")


def test_shapes(tmp_path, values, labels):
    for content, words in (
        ({"X": values[:, :15], "y": labels}, ("(20, 15)", "(rows, 16)")),
        ({"X": values, "y": labels[:-1]}, ("19 labels for 20 events",)),
        ({"X": values, "y": np.eye(4)[labels % 4]}, ("(20, 4)", "(rows, 5)")),
        ({"X": values[0], "y": labels}, ("(16,)",)),
        ({"X": values, "y": labels, "event": labels[:-1]}, ("'event'", "(19,)")),
        ({"X": values, "y": labels, "event": labels + 0.5}, ("'event'", "whole numbers")),
        ({"X": values.astype("U"), "y": labels}, ("numbers",)),
        ({"X": values}, ("'y' is missing",)),
        ({"x": values, "y": labels}, ("'X' is missing", "did you mean 'x'?")),
    ):
        np.savez(tmp_path / "jets.npz", **content)
        refuses(tmp_path / "jets.npz", *words)


def test_pair_of_arrays(tmp_path, values, labels):
    x, y = tmp_path / "x.npy", tmp_path / "y.npy"
    np.save(x, values)
    refuses(x, "'labels'")
    refuses(x, "no such file", named=y, labels=y)
    y.write_bytes(b"nonsense")
    refuses(x, "can't be read", named=y, labels=y)
    np.save(y, labels[:4])
    refuses(x, "4 labels for 20 events", named=y, labels=y)
    np.save(y, labels + 7)
    refuses(x, "no class", named=y, labels=y)


def test_labels_for_a_file_that_has_its_own(write_parquet, values, names, tmp_path):
    refuses(write_parquet(values, names), "its own labels", labels=tmp_path / "y.npy")


def test_hdf5_without_its_tables(write_hdf5, tmp_path, values, labels):
    h5py = pytest.importorskip("h5py")
    path = write_hdf5(values, labels)
    with h5py.File(path, "a") as file:
        file["short"] = file["jetFeatureNames"][:-1]
        del file["jetFeatureNames"]
        refused = file["short"][()]
    refuses(path, "'jetFeatureNames'", "jets")
    with h5py.File(path, "a") as file:
        file["jetFeatureNames"] = refused
    refuses(path, "names 58 columns", "59")
    with h5py.File(path, "a") as file:
        del file["jets"]
    refuses(path, "no table 'jets'")


def test_folders(tmp_path, write_hdf5, values, labels):
    folder = tmp_path / "many"
    folder.mkdir()
    refuses(folder, "no file that ends in .h5 or .hdf5")
    write_hdf5(values, labels, "many/a.h5", event=labels)
    write_hdf5(values, labels, "many/b.h5")
    refuses(folder, "b.h5 has no event ids")
    (folder / "b.h5").write_bytes(b"nonsense")
    refuses(folder, "can't be read as HDF5", named=folder / "b.h5")


@pytest.mark.parametrize("classes", [(), ("g", "g")])
def test_a_request_that_makes_no_sense(tmp_path, classes):
    with pytest.raises(BadInput, match="classes are"):
        load(tmp_path, FEATURES, classes)
