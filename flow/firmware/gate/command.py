"""`flow verify`, from its options to what is printed."""

import json
import sys
from argparse import Namespace
from pathlib import Path

from flow.errors import BadInput, Mismatch
from flow.firmware.gate.tools import SIDES

_KINDS = {"corners": "corners", "deep_corners": "corners of deeper layers", "events": "events", "random": "random"}


def verify(options: Namespace) -> int:
    """`flow verify`: the exit status. Every path is verified; then the first mismatch is raised."""
    from flow.firmware.verify import require

    for path in options.paths:
        if not path.exists():
            raise BadInput(f"{path}: no such project or bundle")
    failed: list[tuple[Path, Mismatch]] = []
    for path in options.paths:
        record = _record(path, options)
        if options.json:
            print(json.dumps({"path": str(path), **record.to_json()}), flush=True)
        else:
            print("\n".join(lines(path, record)), flush=True)
        try:
            require(record)
        except Mismatch as error:
            failed.append((path, error))
    for path, error in failed:
        raise Mismatch(f"{path}: {error}")
    return 0


def lines(path: Path, record) -> list[str]:
    """A record for people: what passes, then a line for each pair, and for each side that was not run."""
    facts = record.facts
    counts = (
        ", ".join(f"{facts['vectors'][key]:,} {said}" for key, said in _KINDS.items()) if "vectors" in facts else ""
    )
    found = [f"{path}: {'equal' if record.equal else 'NOT EQUAL'}; {facts.get('rule', 'exact')}"]
    found += [f"  vectors: {counts} (seed {facts['seed']})"] if counts else []
    for pair in record.pairs:
        names = " = ".join(pair.name.split("="))
        wrong = f"{pair.mismatches:,} of {pair.vectors:,} vectors differ" if pair.mismatches else "no difference"
        wrong += (
            f" above {pair.allowed:g} (largest {pair.largest:g})" if pair.allowed and pair.largest is not None else ""
        )
        hidden = f", {len(pair.layers) - 1} hidden layers on {pair.layer_vectors:,}" if pair.layer_vectors else ""
        found.append(f"  {names}: {wrong}; {pair.vectors:,} vectors{hidden}")
    return found + [f"  {side.side}: not run: {side.reason}" for side in record.not_run]


def _record(path: Path, options: Namespace):
    if path.is_file() or (path / "MANIFEST.json").is_file():
        from flow.firmware import bundle

        return bundle.verify(path)
    from flow.firmware import gate

    sides = tuple(options.sides.split(",")) if options.sides else SIDES
    return gate.verify(
        path,
        events=options.events,
        random=options.random,
        seed=options.seed,
        tolerance=options.tolerance,
        sides=sides,
        say=lambda line: print(f"flow: warning: {line}", file=sys.stderr, flush=True),
    )
