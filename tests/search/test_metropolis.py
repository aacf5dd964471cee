"""Markov chains over designs."""

import math
from dataclasses import replace

import pytest
from search.problems import PROBLEM, trained

from flow.errors import BadInput
from flow.search import STRATEGIES, amed, fbm
from flow.search.metropolis import Settings, budget, score, softmax, walk
from flow.search.problem import Past, Proposal, key_of

FLAT = {name: dict.fromkeys(options, 0.0) for name, options in PROBLEM.parameters.items()}
MIDDLE = {name: options[len(options) // 2] for name, options in PROBLEM.parameters.items()}


def flat(beta, known):
    return FLAT


def one_chain(**options):
    return replace(PROBLEM, options={"chains": 1, "beta": 0.1, "last_beta": 0.1} | options)


def test_softmax_follows_scores_and_leaves_nothing_out():
    law = softmax({"a": {"x": 0.0, "y": 0.02, "z": 9.0}}, 0.02)["a"]
    assert sum(law.values()) == pytest.approx(1.0)
    assert (law["x"] - law["z"]) / (law["y"] - law["z"]) == pytest.approx(math.e)
    assert law["z"] > 0.005


def test_score_counts_loss_cost_and_what_is_outside():
    inside = Past(0, MIDDLE, (0.7, 125.0), {"lut": -0.5})
    assert budget(PROBLEM) == 250.0
    assert score(PROBLEM, inside, 2.0, 0.1, 250.0) == pytest.approx(2 * 0.3 + 0.1 * 0.5)
    outside = replace(inside, excess={"lut": 0.25})
    assert score(PROBLEM, outside, 2.0, 0.1, 250.0) == pytest.approx(2 * 0.3 + 0.1 * 0.5 + 0.25)


def test_a_move_changes_one_block_and_recovers_from_the_state():
    past = trained(PROBLEM, [], [Proposal(MIDDLE)], "random")
    for proposal in walk(PROBLEM, past, 16, 3, "amed", flat):
        changed = {name[:3] for name, choice in proposal.chosen.items() if choice != MIDDLE[name]}
        assert len(changed) == 1
        keep = [float(proposal.chosen[f"fc{i}.keep"]) for i in range(4)]
        if max(keep) > 0.7:  # more than the parent kept
            assert proposal.parent is None and proposal.epochs is None
        else:
            assert proposal.parent == 0 and proposal.epochs == PROBLEM.epochs // 3


def test_a_better_move_is_always_accepted_and_a_far_worse_one_never():
    problem = one_chain()
    start = Past(0, MIDDLE, (0.60, 100.0), {"lut": -0.6}, 12, None, 0, "random")
    chosen = {**MIDDLE, "fc0.keep": "0.4"}
    for metric, stands in ((0.70, 1), (0.40, 0)):
        moved = Past(1, chosen, (metric, 100.0), {"lut": -0.6}, 4, 0, 1, "amed")
        parents = {p.parent for p in walk(problem, [start, moved], 8, 3, "amed", flat) if p.parent is not None}
        assert parents == {stands}


def test_a_little_worse_is_accepted_as_often_as_metropolis_says():
    problem, accepted, tried = one_chain(temperature=0.01), 0, 400
    start = Past(0, MIDDLE, (0.60, 100.0), {"lut": -0.6}, 12, None, 0, "random")
    chosen = {**MIDDLE, "fc0.keep": "0.4"}
    for number in range(1, tried + 1):  # the number decides: other numbers, other random draws
        moved = Past(number, chosen, (0.59, 100.0), {"lut": -0.6}, 4, 0, number, "amed")
        parents = {p.parent for p in walk(problem, [start, moved], 4, 3, "amed", flat) if p.parent is not None}
        accepted += parents == {number}
    assert accepted / tried == pytest.approx(math.exp(-1.0), abs=0.07)  # exp(-0.01 / 0.01), tables being flat


def test_a_move_to_a_favoured_choice_is_accepted_less_often():
    """Hastings' correction: what the table proposes too often counts less."""
    problem = one_chain(temperature=0.01, proposing=1.0)
    table = FLAT | {"fc0.keep": {"0.2": 9.0, "0.4": 0.0, "0.7": 1.0, "1": 9.0}}
    start = Past(0, MIDDLE, (0.60, 100.0), {"lut": -0.6}, 12, None, 0, "random")
    accepted = 0
    for number in range(1, 401):
        moved = Past(number, {**MIDDLE, "fc0.keep": "0.4"}, (0.60, 100.0), {"lut": -0.6}, 4, 0, number, "amed")
        found = walk(problem, [start, moved], 4, 3, "amed", lambda beta, known: table)
        accepted += {p.parent for p in found if p.parent is not None} == {number}
    law = softmax(table, 1.0)["fc0.keep"]
    assert accepted / 400 == pytest.approx(law[MIDDLE["fc0.keep"]] / law["0.4"], abs=0.08)


def test_chains_that_pay_more_for_cost_stand_at_cheaper_designs():
    designs = [{**MIDDLE, **{f"fc{i}.keep": keep for i in range(4)}} for keep in ("0.2", "0.4", "0.7", "1")]
    past = trained(PROBLEM, [], [Proposal(chosen) for chosen in designs], "random")
    stands = []
    for beta in (0.001, 3.0):
        found = walk(
            replace(PROBLEM, options={"chains": 1, "beta": beta, "last_beta": beta}), past, 40, 1, "amed", flat
        )
        stands.append(max(p.parent for p in found if p.parent is not None))
    assert stands[0] > stands[1]
    betas = Settings.of(PROBLEM, "amed").betas()
    assert len(betas) == 8 and (betas[0], betas[-1]) == pytest.approx((0.01, 0.3))


@pytest.mark.parametrize("name", ["fbm", "amed", "evolve", "auto"])
def test_strategies_refuse_settings_that_they_do_not_know(name):
    with pytest.raises(BadInput, match=rf"^search\.options\.{name}: unknown setting 'temprature'; known: "):
        STRATEGIES[name](replace(PROBLEM, options={"temprature": 1.0}), [], 4, 1)


@pytest.mark.parametrize("strategy", [fbm, amed])
def test_seen_before_the_strategys_first_batch_counts_as_start(strategy):
    chosen = {**MIDDLE, "fc0.kernel": "quantized_bits(6)"}
    past = trained(PROBLEM, [], [Proposal(MIDDLE), Proposal(chosen)], "random")
    found = strategy.propose(PROBLEM, past, 16, 2)
    assert {p.parent for p in found} <= {None, 0, 1}
    assert any(p.parent is not None for p in found)
    assert all(p.by == strategy.NAME for p in found)
    assert len({key_of(p.chosen) for p in found}) == 16
