"""Events from Pythia 8: the only file that knows it. It is imported when the first event is asked for."""

from collections.abc import Iterator
from types import ModuleType

import numpy as np

from flow.data.settings import Settings
from flow.errors import BadInput, ToolFailed

_BATCH = 250  # events handed over at once; a matter of speed, not of the result

_W_TO_QUARKS = ("24:onMode = off", "24:onIfAny = 1 2 3 4 5")
_Z_TO_QUARKS = ("23:onMode = off", "23:onIfAny = 1 2 3 4 5")

PROCESSES: dict[str, tuple[str, ...]] = {
    "g": ("HardQCD:gg2gg = on", "HardQCD:qqbar2gg = on"),
    "q": ("HardQCD:qq2qq = on", "HardQCD:gg2qqbar = on", "HardQCD:qqbar2qqbarNew = on"),
    "t": ("Top:gg2ttbar = on", "Top:qqbar2ttbar = on", *_W_TO_QUARKS),
    "w": ("WeakDoubleBoson:ffbar2WW = on", *_W_TO_QUARKS),
    "z": ("WeakDoubleBoson:ffbar2gmZgmZ = on", "WeakZ0:gmZmode = 2", *_Z_TO_QUARKS),
}
"""What makes two jets of each class; W, Z and those of the top decay to quarks."""


def version() -> str:
    """The version of the Pythia that is installed. Raises BadInput where there is none."""
    _pythia()
    from importlib.metadata import version as installed

    return installed("pythia8mc")


def commands(jet_class: str, seed: int, settings: Settings) -> tuple[str, ...]:
    """The lines that set Pythia up for one class."""
    masses = {24: settings.w_mass, 23: settings.z_mass, 6: settings.t_mass}
    switch = {True: "on", False: "off"}
    return (
        "Print:quiet = on",
        f"Beams:eCM = {settings.collision_energy}",
        f"PhaseSpace:pTHatMin = {settings.pt_hat[0]}",
        f"PhaseSpace:pTHatMax = {settings.pt_hat[1]}",
        "Random:setSeed = on",
        f"Random:seed = {seed}",
        f"PartonLevel:MPI = {switch[settings.multiparton]}",
        f"PartonLevel:ISR = {switch[settings.initial_radiation]}",
        *(f"{particle}:mMin = {low}" for particle, (low, _) in masses.items()),
        *(f"{particle}:mMax = {high}" for particle, (_, high) in masses.items()),
        *PROCESSES[jet_class],
    )


def events(jet_class: str, seed: int, settings: Settings) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Without end: the stable particles of one event, as PDG numbers (n,) and momenta (n, 4) in GeV.

    seed: 1 to 900,000,000, Pythia's own range. Raises BadInput for a missing Pythia or a refused setting,
    ToolFailed where no event comes out.
    """
    generator = _pythia().Pythia("", False)
    for line in commands(jet_class, seed, settings):
        if not generator.readString(line):
            raise BadInput(f"Pythia refuses the setting '{line}'")
    if not generator.init():
        raise BadInput(f"Pythia can't start for class {jet_class} with pt_hat {settings.pt_hat}")
    while True:
        batch = generator.nextBatch(_BATCH)
        if len(batch) == 0:
            raise ToolFailed(f"Pythia gave up making events of class {jet_class}")
        yield from _stable(batch)


def _stable(batch) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    import awkward

    particles = batch.prt[batch.prt.status > 0]
    ends = np.cumsum(awkward.num(particles.id).to_numpy())
    ids = awkward.flatten(particles.id).to_numpy()
    momenta = np.stack([awkward.flatten(particles.p[axis]).to_numpy() for axis in ("px", "py", "pz", "e")], axis=1)
    for start, end in zip(np.concatenate(([0], ends[:-1])), ends, strict=True):
        yield ids[start:end], momenta[start:end]


def _pythia() -> ModuleType:
    try:
        import awkward  # noqa: F401  Pythia hands its batches over as awkward arrays
        import pythia8mc
    except ImportError as error:
        raise BadInput(
            f"making jets needs Pythia 8 ({error.name} is missing): install the extra 'generate', "
            "as in pip install 'flow[generate]'"
        ) from error
    return pythia8mc
