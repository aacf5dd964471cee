"""An imported, fully quantized network as a firmware project at once: no data, no training."""

import os
import shutil
from collections.abc import Callable
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np

from flow.cost import rtl as cost
from flow.errors import ToolFailed
from flow.estimate.knowledge import verilog_model
from flow.firmware.settings import Target
from flow.importing.design import Quantized
from flow.importing.prove import scaling_of
from flow.store import commit
from flow.topology import Topology

RANDOM_VECTORS, SEED = 1000, 1
PROJECT_VECTORS = 1000


def build(
    name: str,
    digest: str,
    topology: Topology,
    found: Quantized,
    rebuilt,
    features: tuple[str, ...],
    target: Target,
    out: Path,
    say: Callable[[str], None],
) -> dict:
    """Build the design's project below `out`, put it through the equivalence gate, and return what is to be told.

    There is no data: the test vectors are corners and random words on the input grid. `digest`: SHA-256 of the
    imported file. Raises Mismatch where a side differs, ToolFailed where a tool fails.
    """
    from flow.firmware import gate, project, rtl
    from flow.firmware.gate import comparison
    from flow.firmware.gate.stimuli import vectors
    from flow.train import qkeras_model

    scaling = scaling_of(found.word, features)
    words = vectors(scaling, np.empty((0, topology.n_in)), RANDOM_VECTORS, SEED, found.design.input)
    words = words[-PROJECT_VECTORS:]
    logits = qkeras_model.reference(rebuilt, words, [topology.output])[topology.output]
    say(f"[{name}] tracing {found.design.digest}")
    traced = rtl.trace(rebuilt, scaling.word, target)
    summary = rtl.summarise(traced, target, rebuilt)
    provenance = {
        "imported": digest,
        "seed": SEED,
        "data": "none: the vectors are random words on the input grid",
        "commit": commit(),
    }
    with _removed_on_failure(out, found.design.digest):
        say(f"[{name}] building {found.design.digest}")
        folder = project.build(
            rebuilt, found.design, scaling, topology, name, target, out, provenance, words, logits, traced
        )
        say(f"[{name}] verifying {found.design.digest}")
        record = gate.verify(folder, random=RANDOM_VECTORS, seed=SEED, say=say)
        comparison.require(record)
    figures = cost.predict_traced(verilog_model(()), summary.counts, summary.latency_cycles, target.clock_ns)
    return {
        "project": str(folder),
        "vectors": "random words on the input grid",
        "equivalence": record.to_json(),
        "latency_cycles": summary.latency_cycles,
        "figures": {key: figure.to_json() for key, figure in figures.items()},
    }


@contextmanager
def _removed_on_failure(out: Path, digest: str):
    """Take the project `digest` away again where the block fails, unless it was there before; a failed tool's log is
    kept beside it."""
    folder = out / digest
    before = folder.exists()
    try:
        yield
    except BaseException as error:
        if before:
            raise
        log = getattr(error, "log", None)
        kept = None
        if log is not None and log.is_file() and log.resolve().is_relative_to(folder.resolve()):
            kept = shutil.copyfile(log, out / f"{digest}.{log.name}")
        shutil.rmtree(folder, ignore_errors=True)
        with suppress(OSError):  # it holds something else
            os.rmdir(out)
        if kept is not None:
            raise ToolFailed(str(error).rsplit(" (see ", 1)[0], kept, error.line) from error
        raise


def figure_lines(row: dict) -> list[str]:
    """The built project for people."""
    figures = ", ".join(f"{name} {figure['value']:,.0f}" for name, figure in row["figures"].items())
    return [f"project {row['project']}: all sides equal on corners and {row['vectors']}", f"  traced: {figures}"]
