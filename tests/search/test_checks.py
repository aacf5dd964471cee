"""Strategies that can't run here say so before any work."""

import sys

import pytest

from flow.errors import BadInput
from flow.search import CHECKS, STRATEGIES, check_here


@pytest.fixture
def no_torch(monkeypatch):
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    monkeypatch.setattr(sys, "path", [path for path in sys.path if "site-packages" not in path])


def test_checks_are_of_strategies():
    assert set(CHECKS) <= set(STRATEGIES)


def test_without_torch_all_but_gp_can_run(no_torch):
    refused = []
    for name in STRATEGIES:
        try:
            check_here(name)
        except BadInput:
            refused.append(name)
    assert refused == ["gp"]


def test_it_says_where_and_what_to_install(no_torch):
    with pytest.raises(BadInput, match=r"^--strategies: gp needs torch: pip install 'flow\[gp\]'"):
        check_here("gp", where="--strategies")


def test_a_portfolio_needs_what_its_strategies_need(no_torch):
    check_here("auto", {"auto": {"strategies": ["random", "tpe"]}})
    with pytest.raises(BadInput, match="gp needs torch"):
        check_here("auto", {"auto": {"strategies": ["random", "gp"]}})
    check_here("random", {"auto": {"strategies": ["random", "gp"]}})
