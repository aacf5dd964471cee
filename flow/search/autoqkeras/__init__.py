"""AutoQKeras' search (Coelho et al., arXiv:2006.10159; QKeras 0.9.0): a tuner climbs the metric times the forgiving factor.

The score of a trial is `flow.cost.forgiving`'s: a design that costs less than the reference may lose some of its metric. The
tuner proposes random designs, or by a Bayesian model of the score, or by hyperband's brackets; for the whole network at
once or block by block, where the blocks not yet searched keep their reference choices (the widest; width factors of 1) and
those searched the best ones found. Width factors are searched as the original's filter sweep.

What is mended here: `stress` counts for the energy too; what was found is a front, not the score's one best design; a
format belongs to the parameter that the space says, not to what its name contains; and everything follows from the trials, so
that a search goes on where it stopped. What is kept: the score knows no budget, a limit steers nothing here. What goes
further: when every block has had its trials, the sweep over the blocks starts again; pruning and reuse factors are
searched where the space has them.
"""

from collections.abc import Mapping, Sequence

from flow.errors import BadInput
from flow.search.autoqkeras import stages
from flow.search.options import Option, settings
from flow.search.problem import Past, Problem, Proposal

WHERE = "search.options.autoqkeras"
OPTIONS: dict[str, Option] = {
    "tuner": Option("bayesian", ("random", "bayesian", "hyperband"), "Who proposes in a block."),
    "schedule_block": Option(
        "cost",
        ("cost", "sequential", "none"),
        "Blocks one by one, the dearest first or as they stand; none = all at once.",
    ),
    "tune_filters": Option(
        "layer", ("layer", "block", "none"), "Width factors: as the space has them, one for each block searched, or 1."
    ),
    "factor": Option(3, (2, 100), "Hyperband: of so many trials one goes on, so many times as long."),
    "goal": Option("energy", ("bits", "energy"), "The price that counts."),
    "reference": Option("uniform 8 bits", ("float", "uniform 8 bits"), "The network that has the reference price."),
    "reference_price": Option(
        0.0, (0.0, float("inf")), "The price of the reference; 0 = that of the widest choice everywhere."
    ),
    "delta_p": Option(8.0, (0.0, 100.0), "Gain (%) of the metric for a price lower by `rate`."),
    "delta_n": Option(8.0, (0.0, 100.0), "Loss (%) of the metric for a price higher by `rate`."),
    "rate": Option(2.0, (1.0, float("inf")), "The factor in price that delta stands for.", above=True),
    "stress": Option(1.0, (1e-9, 100.0), "Factor on the reference price."),
}


SCORE = ("goal", "reference", "reference_price", "delta_p", "delta_n", "rate", "stress")  # settings that make the score


def check_score(own: Mapping[str, object], metric: str, where: str = WHERE) -> None:
    """Raise BadInput for settings of the score where the first maximised objective is a score made by the task's own.

    `own`: the settings that the task gives to this strategy; `metric`: the name of that objective."""
    for name in SCORE if metric == "forgiving_score" else ():
        if name in own:
            instead = "leave it out" if name == "reference_price" else f"set objective.forgiving.{name} in its place"
            raise BadInput(f"{where}.{name}: trials are scored by the objective, forgiving_score; {instead}")


def propose(problem: Problem, past: Sequence[Past], n: int, seed: int) -> list[Proposal]:
    """Up to `n` designs of the tuner, for the block whose turn it is; hyperband's go on from earlier trials."""
    asked = settings(OPTIONS, problem.options, WHERE)
    return stages.propose(problem, past, scores(problem, past, asked), asked, n, seed)


def scores(problem: Problem, past: Sequence[Past], asked: Mapping[str, object]) -> dict[int, float]:
    """Number of a trained trial → its score."""
    from flow.cost.forgiving import Forgiving, forgiving_score

    trained = [item for item in past if item.values]
    if problem.objectives[problem.metric].name == "forgiving_score":
        return {item.number: item.values[problem.metric] for item in trained}
    prices = problem.prices([stages.reference(problem), *(item.chosen for item in trained)])[asked["goal"]]
    factor = Forgiving(
        asked["reference_price"] or float(prices[0]), asked["delta_p"], asked["delta_n"], asked["rate"], asked["stress"]
    )
    return {
        item.number: forgiving_score(item.values[problem.metric], float(price), factor)
        for item, price in zip(trained, prices[1:])
    }
