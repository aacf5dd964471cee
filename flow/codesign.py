"""The loop, as one readable list.

    propose -> train -> estimate -> choose -> build -> verify -> synthesise -> calibrate -> propose ...

Each step leaves what it made on disk before the next one starts, and is read back from there when its
inputs are the same: run again after any interruption, it goes on where it was.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from enum import Enum
from pathlib import Path

from flow.errors import BadInput, BudgetMissed
from flow.loop import finish, pricing
from flow.loop.batches import search
from flow.loop.build import check_tools, convert_all, synthesise_all, trace_all
from flow.loop.context import Context
from flow.loop.ground import Ground
from flow.loop.prepare import baseline_designs, lay_ground, read_data, train_baselines
from flow.loop.rounds import convert, feed_back, shortlist
from flow.loop.state import State
from flow.loop.studies import check_storage, record
from flow.process import background
from flow.store import digest_of, locked, turn, write_json
from flow.synth.jobs import require
from flow.synth.jobs.settings import JobSettings
from flow.train.designs import figures_of

RESULT = "result.json"


class Upto(Enum):
    """Where to stop: after a step of the first round that has not come as far, or at the end."""

    DATA = "data"
    TRAIN = "train"
    SEARCH = "search"
    CONVERT = "convert"
    SYNTH = "synth"
    REPORT = "report"


def run(
    folder: Path,
    out: Path | None = None,
    upto: Upto = Upto.REPORT,
    quiet: bool = False,
    jobs: JobSettings = JobSettings(),
    again: bool = False,
    limits: Mapping[str, object] | None = None,
    searching: Mapping[str, object] | None = None,
    minutes: float | None = None,
) -> dict:
    """Run the loop of a task up to a step; returns the summary as far as it has come ({} before training).

    Raises BadInput for whatever is wrong with the task, before work starts; BudgetMissed at the end where
    no report shows a design inside the budget; Mismatch, ToolFailed and Storage as they occur.
    """
    context = Context.of(folder, out, quiet, jobs, again, limits, searching, minutes)
    if upto is not Upto.DATA:
        check_storage(context)
    require(jobs)
    if upto in (Upto.CONVERT, Upto.SYNTH, Upto.REPORT):
        check_tools(context)
    with locked(context.out, shared=upto is Upto.SEARCH):
        return _loop(context, upto)


def _loop(context: Context, upto: Upto) -> dict:
    if upto is Upto.DATA:
        read_data(context)
        return {}
    with turn(context.out, "ground"):
        ground = lay_ground(context)
        state = State(pricing.start(context))
        state = replace(state, baselines=_trace_baselines(context, ground, state))
    if upto is Upto.TRAIN:
        return _save(context, ground, state)
    if upto in (Upto.SEARCH, Upto.CONVERT):
        return _rounds(context, ground, state, upto, lambda: _reported_baselines(context, ground, state))
    # The 6-bit baseline takes a tool longest: it is synthesised while the first round's trials are trained.
    first = convert_all(context, ground, state.baselines[:1])
    with background(lambda: synthesise_all(context, ground, first)) as reported:
        return _rounds(context, ground, state, upto, lambda: reported.result() + state.baselines[1:])


def _reported_baselines(context: Context, ground: Ground, state: State) -> tuple:
    """The uniform designs, the 6-bit one with its report."""
    return synthesise_all(context, ground, convert_all(context, ground, state.baselines[:1])) + state.baselines[1:]


def _rounds(context: Context, ground: Ground, state: State, upto: Upto, baselines: Callable[[], tuple]) -> dict:
    """The rounds; `baselines` gives the uniform designs, with reports where there are any, once they are needed."""
    for number in range(1, context.task.search.rounds + 1):
        state = search(context, ground, state, number)
        summary = _save(context, ground, state)
        marker = _marker(context, ground, state, number)
        done = context.store.find("round", marker) is not None
        if upto is Upto.SEARCH and not done:
            return summary
        verified = convert(context, ground, state, shortlist(context, ground, state, number))
        if upto is Upto.CONVERT and not done:
            return summary
        if number == 1:
            state = replace(state, baselines=baselines())
        state = feed_back(context, ground, state, number, verified)
        record(context, ground, state)
        summary = _save(context, ground, state)
        context.store.step("round", marker, lambda: ({"round": number}, {}))
        if upto is Upto.SYNTH and not done:
            return summary
        if _settled(context, state):
            break
    return _end(context, ground, state)


def _end(context: Context, ground: Ground, state: State) -> dict:
    """Choose, open the test sample, write the page; BudgetMissed where nothing is inside the budget."""
    best = finish.chosen(context, state)
    test = finish.open_test(context, ground, state, best)
    summary = _save(context, ground, state, best, test, finished=True)
    if best is None:
        near = summary["nearest"]
        hint = (
            f"; the nearest, {near['digest']}, exceeds a limit by {near['excess']:.0%} ({context.until.value})"
            if near
            else ""
        )
        raise BudgetMissed(
            f"{context.path}: budget: no report shows a design inside it{hint}; raise the budget, or search.rounds and search.trials"
        )
    return summary


def _settled(context: Context, state: State) -> bool:
    """True where the best reported design inside the budget has not improved for `search.patience` rounds."""
    patience, metric = context.task.search.patience, context.task.objective.metric
    if patience is None or len(state.rounds) <= patience:
        return False
    bests = []
    for n in range(1, len(state.rounds) + 1):
        best = finish.chosen(context, replace(state, rounds=state.rounds[:n]))
        bests.append(float("-inf") if best is None else best.physics[metric].value)
    return bests[-1] > float("-inf") and bests[-1] <= bests[-1 - patience]


def _trace_baselines(context: Context, ground: Ground, state: State):
    """The uniform designs, trained and priced from their weights."""
    step = train_baselines(context, ground)
    rows = []
    for member, (name, design) in enumerate(baseline_designs(ground).items()):
        row = step.result["members"][member]
        if row["failed"]:
            context.say(f"  {name}: left out, its loss or weights were no numbers any more in epoch {row['failed']}")
        else:
            rows.append((design, name, member, figures_of(row["figures"])))
    return trace_all(context, ground, state.model, 0, step, rows)


def _marker(context: Context, ground: Ground, state: State, number: int) -> dict:
    """What a round depends on, once its trials are there."""
    task = context.task
    return {
        "round": number,
        "trials": [trial.design.digest for trial in state.trials],
        "float": ground.floating.key,
        "settings": [
            part.model_dump(mode="json") for part in (task.budget, task.objective, task.target, task.firmware)
        ],
        "search": task.search.model_dump(mode="json", exclude={"storage", "parallel"}),
        "ebops_limit": task.synth.ebops_limit,
    }


def _save(context: Context, ground: Ground, state: State, best=None, test=None, finished: bool = False) -> dict:
    """Write the summary and the page, unless a finished run has nothing new to say."""
    best = best or finish.chosen(context, state)
    summary = finish.summary(context, ground, state, best, test) | {"finished": finished}
    with turn(context.out, "page"):
        return _write(context, summary, finished)


def _write(context: Context, summary: dict, finished: bool) -> dict:
    told = {key: value for key, value in summary.items() if key not in ("seconds", "commit", "folder", "commands")}
    path = context.out / RESULT
    old = read_result(context.out) or {}
    if old.get("told") == digest_of(told) and (context.out / "index.html").exists():
        return summary | {"unchanged": finished}
    if not finished and old.get("finished") and context.seconds == {}:
        return summary  # reading back what is done: the finished page stays until there is something new
    summary["told"] = digest_of(told)
    summary["seconds"] = _added(old.get("seconds", {}), context.seconds)
    from flow.report.page import write

    write(summary, context.out)
    write_json(path, summary)
    return summary


def read_result(out: Path) -> dict | None:
    """The summary of a task's last run, None without one."""
    path = out / RESULT
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except OSError as error:
        raise BadInput(f"{path}: can't be read ({error.strerror})") from None
    except ValueError:
        found = None
    if not isinstance(found, dict) or not {"task", "rounds", "trials", "metric", "equivalence"} <= set(found):
        raise BadInput(f"{path}: not what a run leaves; remove it and run again")
    return found


def _added(old: dict[str, float], new: dict[str, float]) -> dict[str, float]:
    return {name: round(max(old.get(name, 0.0), new.get(name, 0.0)), 1) for name in {**old, **new}}
