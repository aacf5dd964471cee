"""Make a jet file with Pythia: all cores, going on where it stopped, the same bytes every time."""

import contextlib
import json
import multiprocessing
import os
import shutil
import signal
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

from flow.data import chunks, jetfile
from flow.data.chunks import Chunk
from flow.data.progress import Progress
from flow.data.settings import Settings
from flow.errors import BadInput, Storage, ToolFailed

__all__ = ["Settings", "generate", "provenance"]


def generate(settings: Settings, out: Path, workers: int | None = None, progress: bool = True) -> Path:
    """Make the jets that `settings` describe and write them to the Parquet file `out`; returns `out`.

    workers:  processes, by default one for each core that this process may use; the bytes don't depend on it
    progress: a bar on a terminal, plain lines elsewhere, both on standard error

    Finished chunks lie in `<out>.parts/` until the file is whole. After a stop of any kind, Ctrl-C included, the
    same call goes on from there. A file made with the same settings is left as it is.

    Raises BadInput for what can't be made and for an `out` of another kind, Storage where it can't be written, ToolFailed where Pythia dies.
    """
    out = Path(out)
    if out.suffix != ".parquet":
        raise BadInput(f"{out}: jets are made into a Parquet file; give it a name that ends in .parquet")
    record = provenance(settings)
    if _already_made(out, record):
        return out
    folder = out.with_name(out.name + ".parts")
    chunks.claim(folder, record["settings"] | {"versions": record["versions"]})
    todo = chunks.plan(settings)
    missing = [chunk for chunk in todo if chunks.read_part(chunk, folder) is None]
    with Progress("making jets", len(todo), len(todo) - len(missing), progress) as bar:
        try:
            for _ in _make_parts(missing, settings, folder, _cores() if workers is None else workers):
                bar.step()
        except KeyboardInterrupt:
            bar.say(f"stopped; what is finished lies in {folder}, and the same command goes on from there")
            raise
    jetfile.write(out, _read_parts(todo, folder), settings.classes, record)
    shutil.rmtree(folder, ignore_errors=True)
    return out


def provenance(settings: Settings) -> dict[str, Any]:
    """What the file says of itself, as plain JSON values. Raises BadInput where Pythia is not installed."""
    import numpy

    from flow import __version__
    from flow.data import pythia

    try:
        from flow.data.observables import DEFINITIONS
    except ImportError as error:
        raise BadInput(f"making jets needs {error.name}: install the extra 'generate'") from error
    return {
        "source": "Pythia 8 with a parametrised detector",
        "stand_in": True,
        "stands_in_for": "OpenML 42468, hls4ml_lhc_jets_hlf",
        "versions": {"flow": __version__, "pythia8mc": pythia.version(), "numpy": numpy.__version__},
        "settings": settings.as_json(),
        "seed": settings.seed,
        "chunk_seeds": chunks.SEED_RULE,
        "jets_per_chunk": chunks.JETS_PER_CHUNK,
        "feature_definitions": DEFINITIONS,
        "precision": f"float32 rounded to {settings.mantissa_bits} explicit mantissa bits",
        "citation": [
            "Pythia 8.3: Bierlich et al., SciPost Phys. Codebases 8 (2022), arXiv:2203.11601",
            "anti-kT: Cacciari, Salam, Soyez, JHEP 04 (2008) 063, arXiv:0802.1189",
            "FastJet, whose results the clustering reproduces: arXiv:1111.6097, arXiv:hep-ph/0512210",
            "soft drop: Larkoski, Marzani, Soyez, Thaler, JHEP 05 (2014) 146, arXiv:1402.2657",
            "features and detector: Coleman et al., JINST 13 (2018) T01003, arXiv:1709.08705",
        ],
    }


def _already_made(out: Path, record: dict[str, Any]) -> bool:
    """True where `out` holds just these jets; raises BadInput where something else is in the way."""
    if out.suffix != ".parquet":
        raise BadInput(f"{out}: jets are written as Parquet; give a name that ends in .parquet")
    if not out.exists():
        return False
    if out.is_file() and jetfile.read_provenance(out) == json.loads(json.dumps(record)):
        return True
    raise BadInput(
        f"{out}: is there already and was not made with these settings and versions; move it or choose another name"
    )


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _make_parts(missing: list[Chunk], settings: Settings, folder: Path, workers: int) -> Iterator[Chunk]:
    """Make the missing parts; yields each when it lies on disk."""
    if workers < 1:
        raise BadInput(f"generator: workers is {workers}, allowed: 1 or more")
    workers = min(workers, len(missing))
    if workers <= 1:
        for chunk in missing:
            chunks.make_part(chunk, settings, folder)
            yield chunk
        return
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=spawn, initializer=_leave_interrupts_to_the_parent) as pool:
        running = {pool.submit(chunks.make_part, chunk, settings, folder): chunk for chunk in missing}
        try:
            yield from _as_finished(running)
        except BrokenProcessPool as error:
            raise ToolFailed(
                "a process that makes jets died (out of memory?); what is finished is kept, run the same again"
            ) from error
        finally:
            # Chunks in the making are let finish, which takes seconds; those not begun are dropped.
            pool.shutdown(wait=True, cancel_futures=True)


def _as_finished(running: dict[Future, Chunk]) -> Iterator[Chunk]:
    waiting = set(running)
    while waiting:
        done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
        for future in done:
            future.result()
            yield running[future]


def _leave_interrupts_to_the_parent() -> None:
    with contextlib.suppress(ValueError):
        signal.signal(signal.SIGINT, signal.SIG_IGN)


def _read_parts(todo: list[Chunk], folder: Path) -> Iterator[jetfile.Part]:
    for chunk in todo:
        part = chunks.read_part(chunk, folder)
        if part is None:
            raise Storage(f"{folder / chunk.file_name}: was written, and can't be read back")
        yield chunk.jet_class, *part
