"""Jets from tables whose columns have names: ARFF as OpenML gives it out, and Parquet."""

from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pyarrow
from pyarrow import csv, parquet

from flow.data.columns import Raw, class_indices, column, columns, event_ids
from flow.data.jetfile import CLASS_COLUMN, EVENT_COLUMN, read_provenance
from flow.errors import BadInput

_NUMBERS = ("real", "numeric", "integer")


def read_arff(path: Path, features: Sequence[str], classes: Sequence[str]) -> Raw:
    """Set 42468 of OpenML, or any dense ARFF file with the features, a column `class`, and perhaps `event`."""
    with open(path, "rb") as stream:
        kinds = _arff_header(path, stream)
        names = [name for name, _ in kinds]
        picked = columns(path, features, names)
        label = column(path, CLASS_COLUMN, names)
        for name, kind in kinds:
            if name in picked and kind.lower() not in _NUMBERS:
                raise BadInput(f"{path}: column '{name}' is declared '{kind}', allowed: {', '.join(_NUMBERS)}")
        wanted = dict.fromkeys(picked, pyarrow.float64()) | {label: pyarrow.string()}
        if EVENT_COLUMN in names:
            wanted[EVENT_COLUMN] = pyarrow.int64()
        table = _arff_rows(stream, names, wanted)
    return _from_table(path, table, picked, label, classes)


def read_parquet(path: Path, features: Sequence[str], classes: Sequence[str]) -> Raw:
    """A file of the generator, or any Parquet file with the features, a column `class`, and perhaps `event`."""
    names = parquet.read_schema(path).names
    picked = columns(path, features, names)
    label = column(path, CLASS_COLUMN, names)
    wanted = [*picked, label, *([EVENT_COLUMN] if EVENT_COLUMN in names else [])]
    table = parquet.read_table(path, columns=wanted)
    raw = _from_table(path, table, picked, label, classes)
    return Raw(raw.features, raw.labels, raw.events, read_provenance(path) or {})


def _arff_header(path: Path, stream: BinaryIO) -> list[tuple[str, str]]:
    """Names and kinds of the columns; leaves the stream at the first row."""
    kinds: list[tuple[str, str]] = []
    for number, line in enumerate(iter(stream.readline, b""), start=1):
        text = line.decode("utf-8", "replace").strip()
        keyword, _, rest = text.replace("\t", " ").partition(" ")
        match keyword.lower():
            case "@data":
                return kinds
            case "@attribute":
                kinds.append(_attribute(path, number, rest.strip()))
            case "@relation":
                pass
            case _ if text and not text.startswith("%"):
                raise BadInput(f"{path}: line {number} is no ARFF header line: {text[:40]!r}")
    raise BadInput(f"{path}: has no @DATA line, so it is no whole ARFF file")


def _attribute(path: Path, number: int, text: str) -> tuple[str, str]:
    if text[:1] in ("'", '"'):
        name, closed, kind = text[1:].partition(text[0])
    else:
        name, closed, kind = text.partition(" ")
    if not name or not closed or not kind.strip():
        raise BadInput(f"{path}: line {number} is no ARFF attribute: {text[:40]!r}")
    return name, kind.strip()


def _arff_rows(stream: BinaryIO, names: list[str], wanted: dict[str, pyarrow.DataType]) -> pyarrow.Table:
    return csv.read_csv(
        stream,
        # One thread, so that a complaint can name the row.
        csv.ReadOptions(column_names=names, use_threads=False),
        csv.ParseOptions(
            quote_char="'",
            invalid_row_handler=lambda row: "skip" if row.text.lstrip().startswith("%") else "error",
        ),
        csv.ConvertOptions(
            column_types=wanted, include_columns=list(wanted), null_values=["?", ""], strings_can_be_null=True
        ),
    )


def _from_table(path: Path, table: pyarrow.Table, picked: list[str], label: str, classes: Sequence[str]) -> Raw:
    for name in picked:
        kind = table.schema.field(name).type
        if not (pyarrow.types.is_floating(kind) or pyarrow.types.is_integer(kind)):
            raise BadInput(f"{path}: column '{name}' is {kind}, allowed: numbers")
    features = np.empty((table.num_rows, len(picked)))
    for place, name in enumerate(picked):
        features[:, place] = table[name].cast(pyarrow.float64()).to_numpy()
    events = None
    if EVENT_COLUMN in table.column_names:
        _whole(path, table[EVENT_COLUMN], EVENT_COLUMN)
        events = event_ids(path, table[EVENT_COLUMN].to_numpy())
    _whole(path, table[label], label)
    return Raw(features, class_indices(path, _labels(table[label]), classes), events)


def _labels(values: pyarrow.ChunkedArray) -> np.ndarray:
    kind = values.type
    if pyarrow.types.is_dictionary(kind):
        kind = kind.value_type
    if not (pyarrow.types.is_string(kind) or pyarrow.types.is_large_string(kind)):
        return values.to_numpy()
    coded = values.cast(pyarrow.string()).combine_chunks().dictionary_encode()
    names = np.array([name.strip(" \"'") for name in coded.dictionary.to_pylist()], np.str_)
    return names[coded.indices.to_numpy()] if len(names) else names


def _whole(path: Path, values: pyarrow.ChunkedArray, name: str) -> None:
    if values.null_count:
        raise BadInput(f"{path}: column '{name}' lacks a value in {values.null_count} rows")
