"""`flow verify`, from its options to what is printed."""

import json
import sys
from argparse import Namespace
from pathlib import Path

from flow.errors import BadInput, FlowError, Mismatch
from flow.firmware.gate.tools import SIDES

_KINDS = {"corners": "corners", "deep_corners": "corners of deeper layers", "events": "events", "random": "random"}


def verify(options: Namespace) -> int:
    """`flow verify`: the exit status. Every path is verified; then all problems are told, and the status is the first's."""
    _check(options)
    problems: list[FlowError] = []
    for path in options.paths:
        try:
            _one(path, options)
        except FlowError as error:
            problems.append(_named(path, error, len(options.paths) > 1))
    for error in problems:
        print(f"flow: {' '.join(str(error).split())}", file=sys.stderr, flush=True)
    return problems[0].exit_status if problems else 0


def _one(path: Path, options: Namespace) -> None:
    from flow.firmware.gate.comparison import require

    if not path.exists():
        raise BadInput(f"{path}: no such project or bundle")
    record = _record(path, options)
    if options.json:
        print(json.dumps({"path": str(path), **record.to_json()}), flush=True)
    else:
        print("\n".join(lines(path, record)), flush=True)
    require(record)


def _named(path: Path, error: FlowError, several: bool) -> FlowError:
    """The error, with the path in front where it doesn't tell it."""
    if str(path) in str(error) or not (several or isinstance(error, Mismatch)):
        return error
    named = FlowError(f"{path}: {error}")
    named.exit_status = error.exit_status
    return named


def lines(path: Path, record) -> list[str]:
    """A record for people: what passes, then a line for each pair, and for each side that was not run."""
    facts = record.facts
    counts = (
        ", ".join(f"{facts['vectors'][key]:,} {said}" for key, said in _KINDS.items()) if "vectors" in facts else ""
    )
    outcome = "equal" if record.equal else "NOT EQUAL"
    if not record.compared and all(pair.mismatches == 0 for pair in record.pairs):
        outcome = "nothing compared"
    found = [f"{path}: {outcome}; {facts.get('rule', 'exact')}"]
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


def _check(options: Namespace) -> None:
    """What makes no sense whatever the paths are."""
    from flow.firmware import bundle, gate

    sides = _sides(options)
    bundles = [path for path in options.paths if _is_bundle(path)]
    known = tuple(bundle.check.SIDES) if len(bundles) == len(options.paths) else SIDES
    given = _given(options)
    gate.check_options(
        **{name: given[name] for name in ("random", "seed", "tolerance") if name in given},
        sides=known if sides is None else sides,
        known=known if len(bundles) in (0, len(options.paths)) else tuple(dict.fromkeys((*SIDES, *bundle.check.SIDES))),
    )
    for path in bundles:
        for name in given:
            raise BadInput(f"--{name}: {path} is a bundle, which is verified on its own vectors, exactly; leave it out")


def _is_bundle(path: Path) -> bool:
    return path.is_file() or (path / "MANIFEST.json").is_file()


def _sides(options: Namespace) -> tuple[str, ...] | None:
    return None if options.sides is None else tuple(options.sides.split(","))


def _given(options: Namespace) -> dict:
    """The options of a project alone that were given."""
    names = ("tolerance", "random", "seed", "events")
    return {name: getattr(options, name) for name in names if getattr(options, name) is not None}


def _record(path: Path, options: Namespace):
    sides = _sides(options)
    if _is_bundle(path):
        from flow.firmware import bundle, gate

        known = tuple(bundle.check.SIDES)
        gate.check_options(sides=known if sides is None else sides, known=known)
        return bundle.verify(path, sides=known if sides is None else sides)
    from flow.firmware import gate

    return gate.verify(
        path,
        **_given(options),
        sides=SIDES if sides is None else sides,
        say=lambda line: print(f"flow: warning: {line}", file=sys.stderr, flush=True),
    )
