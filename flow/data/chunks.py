"""The generator's work in pieces: each has its own seed and its own file, so that any of them can be made
anywhere, in any order, and none twice."""

import hashlib
import io
import json
import os
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from flow.data.features import FEATURES
from flow.data.settings import Settings
from flow.errors import BadInput, Storage

JETS_PER_CHUNK = 2_000
_HOPELESS = 20  # events looked at for each jet wanted before the windows are called impossible
_PYTHIA_SEEDS = 900_000_000

SEED_RULE = (
    "n = first 8 bytes, big endian, of SHA-256('seed/class/chunk'); "
    f"Pythia's seed is 1 + n % {_PYTHIA_SEEDS}, the detector's numpy default_rng(n)"
)


@dataclass(frozen=True)
class Chunk:
    """Jets of one class: the `number`-th piece of that class, of `jets` jets."""

    jet_class: str
    number: int
    jets: int

    @property
    def file_name(self) -> str:
        return f"{self.number:05d}_{self.jet_class}_{self.jets}.npz"


def plan(settings: Settings) -> list[Chunk]:
    """All chunks in the order of the final file: the classes take turns."""
    wanted = settings.jets_per_class
    numbers = range(-(-wanted // JETS_PER_CHUNK))
    return [
        Chunk(jet_class, number, min(JETS_PER_CHUNK, wanted - number * JETS_PER_CHUNK))
        for number in numbers
        for jet_class in settings.classes
    ]


def chunk_seed(seed: int, chunk: Chunk) -> int:
    """A 64-bit number fixed by (seed, class, chunk); see SEED_RULE."""
    text = f"{seed}/{chunk.jet_class}/{chunk.number}"
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")


def make(chunk: Chunk, settings: Settings) -> tuple[np.ndarray, np.ndarray]:
    """Features (jets, 16) float32, and the events (jets,) int64 that they come from, counted from 0."""
    from flow.data import pythia
    from flow.data.detector import measure
    from flow.data.observables import event_features

    seed = chunk_seed(settings.seed, chunk)
    rng = np.random.default_rng(seed)
    rows: list[np.ndarray] = []
    events: list[int] = []
    source = pythia.events(chunk.jet_class, 1 + seed % _PYTHIA_SEEDS, settings)
    for number, (ids, momenta) in enumerate(source):
        if len(rows) >= chunk.jets:
            break
        if number >= _HOPELESS * JETS_PER_CHUNK:
            raise BadInput(
                f"generator: {number} events of class {chunk.jet_class} gave {len(rows)} jets in the window "
                f"jet_pt {settings.jet_pt}; make it wider, or nearer to pt_hat {settings.pt_hat}"
            )
        seen = measure(ids, momenta, settings.detector, rng)
        found = event_features(seen, settings.radius, settings.z_cut, settings.jet_pt, settings.jets_per_event)
        rows.extend(found)
        events.extend([number] * len(found))
    features = np.array(rows[: chunk.jets], np.float32)
    return keep_mantissa(features, settings.mantissa_bits), np.array(events[: chunk.jets], np.int64)


def keep_mantissa(values: np.ndarray, bits: int) -> np.ndarray:
    """float32 values rounded to `bits` explicit mantissa bits, half away from zero; smaller files for it."""
    drop = 23 - bits
    if drop == 0:
        return values
    whole = values.view(np.uint32)
    return ((whole + np.uint32(1 << (drop - 1))) >> np.uint32(drop) << np.uint32(drop)).view(np.float32)


def make_part(chunk: Chunk, settings: Settings, folder: Path) -> None:
    """Make one chunk and keep it in `folder`. Raises Storage where that can't be written."""
    features, events = make(chunk, settings)
    content = io.BytesIO()
    np.savez(content, features=features, events=events)
    write_whole(folder / chunk.file_name, content.getvalue())


def read_part(chunk: Chunk, folder: Path) -> tuple[np.ndarray, np.ndarray] | None:
    """What `make_part` kept, or None where it is missing or damaged."""
    try:
        with np.load(folder / chunk.file_name, allow_pickle=False) as part:
            features, events = part["features"], part["events"]
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None
    fits = features.shape == (chunk.jets, len(FEATURES)) and events.shape == (chunk.jets,)
    return (features, events) if fits else None


def claim(folder: Path, fingerprint: dict) -> None:
    """Make the folder of parts, or check that the one there was begun with the same settings."""
    marker = folder / "settings.json"
    text = json.dumps(fingerprint, indent=1, sort_keys=True)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        before = marker.read_text(encoding="utf-8") if marker.exists() else None
    except OSError as error:
        raise Storage(f"{folder}: {error.strerror or error}") from error
    if before is None:
        if any(folder.iterdir()):
            raise BadInput(f"{folder}: this folder is not the generator's; move it, or choose another output file")
        write_whole(marker, text.encode())
    elif before != text:
        raise BadInput(
            f"{folder}: holds parts begun with other settings or versions ({_difference(before, fingerprint)}); "
            "delete it to begin anew, or choose another output file"
        )


def write_whole(path: Path, content: bytes) -> None:
    """Write a file that is there in full or not at all. Raises Storage."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        try:
            with open(draft, "wb") as stream:
                stream.write(content)
                stream.flush()
                os.fsync(stream.fileno())
            os.replace(draft, path)
        finally:
            draft.unlink(missing_ok=True)
    except OSError as error:
        raise Storage(f"{path}: {error.strerror or error}") from error


def _difference(before: str, now: dict) -> str:
    try:
        old = json.loads(before)
        return ", ".join(f"{key} {old.get(key)!r}, now {now[key]!r}" for key in now if old.get(key) != now[key])
    except (ValueError, AttributeError):
        return "its settings.json can't be read"
