"""rule4ml on the same records, from an environment of its own."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from costs.scores import UNUSABLE, Point, by_group, scores, smape, with_whole
from costs.speed import ONE_CORE


def ask_rule4ml(folder: Path, files: Sequence[Path]) -> dict:
    """rule4ml's answers to the rows of `files`, from its environment in `folder` (made where it is missing)."""
    peers = Path(__file__).resolve().parents[1] / "peers"
    sys.path.append(str(peers))
    from environment import python_of

    python = python_of("rule4ml", folder)
    with tempfile.TemporaryDirectory() as scratch:
        out = Path(scratch) / "rule4ml.json"
        command = [str(python), str(peers / "rule4ml.py"), "--records", *map(str, files), "--out", str(out)]
        done = subprocess.run(command, check=False, capture_output=True, text=True, env=os.environ | ONE_CORE)
        if done.returncode:
            raise SystemExit(f"rule4ml: {(done.stderr.strip() or 'no message').splitlines()[-1]}")
        return json.loads(out.read_text())


def beside_rule4ml(points: Sequence[Point], answer: Mapping) -> list[dict]:
    """Scores of both on the rows that rule4ml took, by group; of its answers by weight and by data width the better.

    The better is the one with the smaller SMAPE of LUTs in a source and part, so that it is one for all figures.
    """
    given = {(row["file"], row["line"]): row for row in answer["rows"]}
    groups = by_group(p for p in with_whole(points) if (p.file, p.line) in given and p.part != UNUSABLE)
    chosen: dict[tuple, str] = {}
    rows = []
    for group, members in groups.items():  # LUTs come first in each source, part and stage
        answers = [given[point.file, point.line] for point in members]
        kinds = set.intersection(*(set(row["by_width"]) for row in answers))
        theirs = {kind: [row["by_width"][kind].get(group[3]) for row in answers] for kind in sorted(kinds)}
        reported = [point.reported for point in members]
        if None in next(iter(theirs.values())):  # it has no URAM
            continue
        best = min(theirs, key=lambda kind: smape(np.array(reported), np.array(theirs[kind])))
        kind = chosen.setdefault(group[:2], best)
        ours = zip(*((p.reported, p.value, p.low, p.high) for p in members))
        rows.append(
            dict(zip(("source", "part", "stage", "figure"), group))
            | {"ours": scores(*ours), "rule4ml": scores(reported, theirs[kind]), "width": kind}
            | {"stand_ins": sum(bool(row["stand_ins"]) for row in answers)}
            | {"beyond": sum(bool(row["beyond"]) for row in answers)}
        )
    return rows
