"""`flow estimate --records`: predictions for the rows of a table, a JSON object a line."""

from collections.abc import Iterator
from pathlib import Path

from flow.cost import hls, records
from flow.errors import BadInput
from flow.estimate.answer import ranges

_TOGETHER = 4096  # rows that are predicted at once


def predicted(path: Path, model: hls.HlsModel, stage: str) -> tuple[Iterator[dict], list[str]]:
    """Predictions row by row, and a line for each row that was left out. BadInput where no row can be used."""
    rows, problems = records.read(path)
    if not rows:
        raise BadInput(problems[0] if problems else f"{path}: holds no rows")
    return _answers(rows, model, stage), problems


def _answers(rows: list[records.Row], model: hls.HlsModel, stage: str) -> Iterator[dict]:
    for start in range(0, len(rows), _TOGETHER):
        part = rows[start : start + _TOGETHER]
        networks = [row.network for row in part]
        found, ends = hls.predict(model, networks, stage), hls.finishes(model, networks)
        for row, figures, end, why in zip(part, ranges(found), ends, hls.reasons(found)):
            yield {
                "line": row.line,
                "case": row.network.name,
                "implementation": "hls4ml",
                "stage": stage,
                **figures,
                "finishes": float(end),
                "reasons": list(why),
            }
