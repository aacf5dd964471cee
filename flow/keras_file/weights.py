"""The weights of a `.keras` file: plain arrays of finite numbers in one HDF5 file, and nothing beside them."""

import io
from pathlib import Path

import numpy as np

from flow.errors import BadInput

LARGEST = 1 << 30  # bytes of all arrays together, unpacked
MOST = 20_000  # groups and arrays
_DEEPEST = 12  # groups inside of groups
_FILTERS = (1, 2, 3)  # deflate, shuffle, checksum: what HDF5 has of its own


def check(content: bytes, path: Path) -> None:
    """Raise BadInput, naming the array, for links, foreign types and filters, sizes, and numbers that are none."""
    import h5py

    try:
        with h5py.File(io.BytesIO(content), "r") as file:
            total, count, waiting = 0, 0, [("", file)]
            while waiting:
                where, group = waiting.pop()
                for name in group:
                    place, count = f"{where}/{name}", count + 1
                    item = _item(group, name, place, path)
                    if count > MOST or place.count("/") > _DEEPEST:
                        raise BadInput(f"{path}: weights: {place[:80]}: too many groups, or too deep, for a network")
                    if isinstance(item, h5py.Group):
                        waiting.append((place, item))
                        continue
                    total += _size(item, place, path)
                    if total > LARGEST:
                        raise BadInput(f"{path}: weights: more than {LARGEST >> 20} MiB unpacked; more is refused")
                    _check_values(item, place, path)
    except BadInput:
        raise
    except Exception as error:  # noqa: BLE001  (a damaged HDF5 file can bring any error)
        reason = (str(error).splitlines() or [""])[0][:200]
        raise BadInput(f"{path}: its weights can't be read ({type(error).__name__}: {reason})") from None


def _item(group, name: str, place: str, path: Path):
    import h5py

    link = group.get(name, getlink=True)
    if not isinstance(link, h5py.HardLink):
        kind = "another file" if isinstance(link, h5py.ExternalLink) else "another place"
        raise BadInput(f"{path}: weights: {place[:80]} is a link to {kind}; only arrays of the file itself are allowed")
    item = group[name]
    if not isinstance(item, (h5py.Group, h5py.Dataset)):
        raise BadInput(f"{path}: weights: {place[:80]} is neither a group nor an array")
    return item


def _size(item, place: str, path: Path) -> int:
    """Bytes of an array, unpacked; BadInput where its values lie elsewhere or are no plain numbers."""
    properties = item.id.get_create_plist()
    if item.external or item.is_virtual:
        raise BadInput(f"{path}: weights: {place[:80]} keeps its values in another file")
    filters = [properties.get_filter(i)[0] for i in range(properties.get_nfilters())]
    if set(filters) - set(_FILTERS):
        raise BadInput(f"{path}: weights: {place[:80]} is packed by a foreign filter ({filters[0]})")
    if item.dtype.kind not in "fiub" or item.dtype.itemsize > 8:
        raise BadInput(f"{path}: weights: {place[:80]} holds {str(item.dtype)[:40]}; allowed: numbers")
    return int(np.prod(item.shape, dtype=object)) * item.dtype.itemsize


def _check_values(item, place: str, path: Path) -> None:
    if item.dtype.kind == "f" and not np.isfinite(item[()]).all():
        raise BadInput(f"{path}: weights: {place[:80]} holds values that are no finite numbers")
