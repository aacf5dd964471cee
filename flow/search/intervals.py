"""Value ± error intervals through the network stop hopeless precisions before any training.

Three quarters of the designs are steps from the best, the others random, as `neighbours` and `random` would propose
them; whatever the knowledge calls hopeless is not trained. Where nothing else is left, those come whose logits are
least in error.
"""

from collections.abc import Sequence

from flow.search import neighbours
from flow.search.places import chosen_at, fresh, random_designs, sizes
from flow.search.problem import Past, Problem, Proposal

TRIES = 8  # designs drawn for each one that is wanted
STEPS = 0.75  # of a batch


def propose(problem: Problem, past: Sequence[Past], n: int, seed: int) -> list[Proposal]:
    """Steps from the best and random designs, without the hopeless ones."""
    import numpy as np

    rng, knows = np.random.default_rng(seed), problem.knowledge
    stepped = neighbours.propose(problem, past, round(STEPS * n), seed) if any(item.values for item in past) else []
    random = random_designs(problem, TRIES * n, rng)
    near = [item.chosen for item in stepped]
    ranked = sorted(random, key=knows.error_bound)
    good = [chosen for chosen in near if not knows.hopeless(chosen)]
    good += [chosen for chosen in random if not knows.hopeless(chosen)]
    ready = iter(good + ranked)
    return fresh(problem, past, n, lambda: next(ready, None) or chosen_at(problem, rng.integers(sizes(problem))))
