"""The space of candidates: named choices, and the design that a set of choices stands for."""

from flow.space.check import check_space, formats
from flow.space.space import SearchSpace, build_space, least_design

__all__ = ["SearchSpace", "build_space", "check_space", "formats", "least_design"]
