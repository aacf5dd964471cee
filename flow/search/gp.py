"""Gaussian processes, one for each objective and limit, by Optuna; needs torch (`pip install 'flow[gp]'`).

What is proposed has the largest expected gain of hypervolume (Daulton et al., arXiv:2006.05078) times the probability
to keep the budget (Gardner et al., ICML 2014), given what is already on its way. It learns from few trials, and
thinks for about a second over each proposal: for trials that are dear, not for thousands of cheap ones.
"""

import warnings
from collections.abc import Sequence

from flow.errors import BadInput
from flow.search.asking import ask
from flow.search.places import fresh, random_design, told
from flow.search.problem import Past, Problem, Proposal

LATEST = 256  # trials that the processes see: their cost grows with the cube
FIRST = 10  # trials before the first process


def propose(problem: Problem, past: Sequence[Past], n: int, seed: int) -> list[Proposal]:
    """Designs of largest expected gain; random ones as long as too little is known."""
