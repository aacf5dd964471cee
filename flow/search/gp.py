"""Gaussian processes, one for each objective and limit, by Optuna; needs torch (`pip install 'flow[gp]'`).

What is proposed has the largest expected gain of hypervolume (Daulton et al., arXiv:2006.05078) times the probability
to keep the budget (Gardner et al., ICML 2014), given what is already on its way. Of Optuna's samplers it gets
furthest with a hundred trials or so (with thirty it is not ahead yet), and it thinks for about half a second over each
proposal, longer with more trials, objectives and limits: for trials that are dear, not for thousands of cheap ones.
"""

from collections.abc import Sequence
from contextlib import contextmanager
from dataclasses import replace
from importlib.util import find_spec

from flow.errors import BadInput
from flow.search.asking import ask
from flow.search.places import fresh, random_designs, told
from flow.search.problem import Past, Problem, Proposal

FIRST = 10  # trials before the first process
LATEST = 256  # trials that the processes see: their cost grows with the cube
TRIES = 2  # draws for each proposal: one costs too much to be tried often in a space that is nearly used up


def propose(problem: Problem, past: Sequence[Past], n: int, seed: int) -> list[Proposal]:
    """Designs of largest expected gain; random ones as long as too little is known, or where it finds nothing new.
    BadInput without torch."""
    import numpy as np

    check()
    rng = np.random.default_rng(seed)
    found = []
    if len(told(past)) >= FIRST and any(len(options) > 1 for options in problem.parameters.values()):
        with _one_thread():
            found = ask(_sampler(seed), problem, _lately(past), n, TRIES * n)
    known = [*past, *(Past(-1, proposal.chosen, ()) for proposal in found)]
    return found + fresh(problem, known, n - len(found), lambda: next(iter(random_designs(problem, 1, rng)), None))


@contextmanager
def _one_thread():
    """The matrices are small: more threads are no faster, and several times slower where the cores have other work."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _sampler(seed: int):
    import optuna

    sampler = optuna.samplers.GPSampler(seed=seed, n_startup_trials=FIRST, warn_independent_sampling=False)
    # A third of Optuna's own effort over each proposal: in a batch there are many.
    sampler._n_preliminary_samples, sampler._n_local_search = 512, 3
    return sampler


def check(where: str = "search.strategy") -> None:
    """Raise BadInput, with `where` in front, without torch."""
    if find_spec("torch") is None:  # importing it takes seconds
        raise BadInput(f"{where}: gp needs torch: pip install 'flow[gp]'; without it, tpe is the nearest")


def _lately(past: Sequence[Past]) -> list[Past]:
    """The same trials, the older ones without their values: they are known, and not proposed again."""
    old = {item.number for item in told(past)[:-LATEST]}
    return [replace(item, values=()) if item.number in old else item for item in past]
