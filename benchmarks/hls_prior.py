"""Fit the prior of hls4ml designs: `python benchmarks/hls_prior.py FOLDER` writes flow/cost/hls/prior.json.

FOLDER holds records: `dense.csv`, `dense_never_finished.csv` (where there is one), and `conv.csv`, of which the ratios
between stages are taken. The same records give the same bytes. `--held-out` also predicts each architecture from the
others, which takes a minute.
"""

import argparse
import json
from pathlib import Path

import numpy as np

from flow.cost import records
from flow.cost.hls import HlsModel, fit
from flow.cost.hls.feasibility import finishes

OUT = Path(fit.__file__).with_name("prior.json")
_DIGITS = 12  # significant; the last ones depend on the machine


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--held-out", action="store_true")
    options = parser.parse_args()
    rows, pairs = read(options.folder)
    model = fit.fit(rows, pairs)
    OUT.write_text(json.dumps(_rounded(model.to_json()), indent=1) + "\n")
    show(model, rows)
    if options.held_out:
        show_held_out(fit.leave_one_architecture_out(rows, pairs))


def read(folder: Path) -> tuple[list[records.Row], list]:
    """The rows of a folder of records, and its pairs of reports of networks that are not described."""
    rows = []
    for name in ("dense.csv", "dense_never_finished.csv"):
        if (folder / name).is_file():
            found, problems = records.read(folder / name)
            rows += found
            print(*problems, sep="\n", end="\n" if problems else "")
    for row in rows:
        if why := fit.unusable(row):
            print(f"left out of the fit: line {row.line}, {row.network.name}: {why}")
    conv = folder / "conv.csv"
    return rows, records.pairs(conv) if conv.is_file() else []


def show(model: HlsModel, rows: list[records.Row]) -> None:
    """Coefficients, scatter and number of reports of each regression; ratios; feasibility."""
    for key, figures in sorted(model.regressions.items()):
        for figure, blocks in figures.items():
            for block, state in sorted(blocks.items()):
                values = ", ".join(f"{name} {value:.4g}" for name, value in zip(state.features, state.mean))
                print(f"{key}: {figure}, {block.name.lower()} ({state.reports} reports, ±{state.noise:.1%}): {values}")
    for stage, ratios in model.ratios.items():
        said = ", ".join(f"{name} {r.mean[0]:.3f} ± {r.noise:.0%} ({r.reports})" for name, r in ratios.items())
        print(f"{stage} over the stage before: {said}")
    probability = finishes(model, [row.network for row in rows])
    ended = np.array([row.finished for row in rows])
    print(f"finishes: {np.mean((probability > 0.5) == ended):.1%} of {len(rows)} told right")


def show_held_out(held: list[fit.HeldOut]) -> None:
    """Errors on architectures that were left out, by source, stage and figure."""
    for (source, stage, figure), y, value, low, high in fit.grouped(held):
        both = np.maximum(np.abs(y) + np.abs(value), 1e-12)
        print(
            f"{source}, {stage}, {figure} ({len(y)} reports): SMAPE {np.mean(2 * np.abs(y - value) / both):.1%}, "
            f"median error {np.median((value - y) / np.maximum(y, 1)):+.1%}, "
            f"inside the 68 % interval {np.mean((low <= y) & (y <= high)):.0%}"
        )


def _rounded(value):
    if isinstance(value, float):
        return float(f"{value:.{_DIGITS}g}")
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    return [_rounded(item) for item in value] if isinstance(value, (list, tuple)) else value


if __name__ == "__main__":
    main()
