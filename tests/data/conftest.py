"""Small jet files, written by the tests themselves."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from flow.data.features import CLASSES, FEATURES

ROWS = 20


@pytest.fixture
def values() -> np.ndarray:
    """(20, 16) numbers that float32 holds exactly."""
    return np.random.default_rng(3).integers(-64, 64, (ROWS, len(FEATURES))) / 8.0


@pytest.fixture
def labels() -> np.ndarray:
    return np.arange(ROWS) % len(CLASSES)


@pytest.fixture
def names(labels: np.ndarray) -> list[str]:
    return [CLASSES[label] for label in labels]


@pytest.fixture
def write_arff(tmp_path: Path) -> Callable[..., Path]:
    def write(rows: Sequence[Sequence], columns: Sequence[str] = FEATURES, kind: str = "REAL", tail: str = "") -> Path:
        path = tmp_path / "jets.arff"
        head = ["% a comment", "@RELATION 'jets'", ""]
        head += [f"@ATTRIBUTE {name} {kind}" for name in columns]
        head += ["@ATTRIBUTE 'class' {g,q,t,w,z}", "", "@DATA"]
        path.write_text("\n".join(head + [",".join(map(str, row)) for row in rows]) + "\n" + tail)
        return path

    return write


@pytest.fixture
def write_parquet(tmp_path: Path) -> Callable[..., Path]:
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    def write(values: np.ndarray, names: Sequence[str], **more: object) -> Path:
        path = tmp_path / "jets.parquet"
        columns = dict(zip(FEATURES, values.T, strict=True)) | {"class": names} | more
        parquet.write_table(pyarrow.table({k: v for k, v in columns.items() if v is not None}), path)
        return path

    return write


@pytest.fixture
def write_hdf5(tmp_path: Path) -> Callable[..., Path]:
    """The layout of the public copy: 59 columns, of which 16 features and 6 one-hot."""
    h5py = pytest.importorskip("h5py")

    def write(values: np.ndarray, labels: np.ndarray, name: str = "jets.h5", fields: bool = False, **more) -> Path:
        marks = np.zeros((len(labels), 6))
        order = ["j_g", "j_q", "j_w", "j_z", "j_t", "j_undef"]
        for row, label in enumerate(labels):
            marks[row, order.index(f"j_{CLASSES[label]}" if label >= 0 else "j_undef")] = 1.0
        columns = [f"j_other{i}" for i in range(37)] + [f"j_{f}" for f in FEATURES] + order
        table = np.concatenate((np.full((len(labels), 37), -7.0), values, marks), axis=1).astype(np.float32)
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        with h5py.File(path, "w") as file:
            if fields:
                packed = np.zeros(len(table), [(column, np.float32) for column in columns])
                for place, column in enumerate(columns):
                    packed[column] = table[:, place]
                file["jets"] = packed
            else:
                file["jets"] = table
                file["jetFeatureNames"] = np.array(columns, "S")
            for key, array in more.items():
                file[key] = array
        return path

    return write
