"""A small network's project, built for any target."""

import numpy as np

from flow.data.scaling import InputScaling
from flow.design import Design, LayerDesign
from flow.firmware import project
from flow.firmware.gate import comparison
from flow.firmware.settings import Target
from flow.formats import Fixed, Relu
from flow.topology import Dense, Topology
from flow.train import qkeras_model

TOPOLOGY = Topology((Dense("fc0", 4, 6, "relu"), Dense("logits", 6, 3, "linear")))
SCALING = InputScaling(("pt", "eta", "phi", "mass"), Fixed(10, 3), (-2, 3, 0, 0), (0.5, -1.25, 0.0, 3.0))
DESIGN = Design(
    Fixed(6, 1),
    (
        ("fc0", LayerDesign(Fixed(5, 0), Fixed(5, 0), Relu(4, 1))),
        ("logits", LayerDesign(Fixed(4, -1), Fixed(5, 1), None)),
    ),
)
PART, CLOCK_NS = "xcvu13p-flga2577-2-e", 5.0
TARGET = Target(PART, CLOCK_NS)


def build(folder, target: Target = TARGET, **more):
    """The project's path; `more` replaces arguments of `project.build`."""
    random = np.random.default_rng(1)
    weights = {
        x.name: (random.normal(0, 0.6, (x.n_in, x.n_out)), random.normal(0, 0.4, x.n_out)) for x in TOPOLOGY.layers
    }
    model = qkeras_model.build(TOPOLOGY, DESIGN, SCALING, weights)
    words = comparison.vectors(SCALING, np.zeros((1, 4)), 60, 2)
    logits = qkeras_model.reference(model, words)["logits"]
    arguments = {"words": words, "logits": logits, "provenance": {"seed": 1, "commit": "abc"}, **more}
    return project.build(model, DESIGN, SCALING, TOPOLOGY, "tiny-jets", target, folder, **arguments)
