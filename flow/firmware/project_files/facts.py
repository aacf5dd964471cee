"""What the texts of a project speak of."""

from dataclasses import dataclass

from flow.errors import BadInput
from flow.firmware.settings import Output, Target
from flow.parts import find


@dataclass(frozen=True)
class Facts:
    """A built design. `hls_units` are relative to ``hls/``, the Verilog `rtl_sources` and the
    `vhdl_sources` to ``rtl/``, in the order of compilation.

    `csim_flags`: the compiler's for the C simulation. `csim_missing`: why there is none, None where there is one.
    `hls_sources`: all files that the C++ compilers read but the test bench, relative to ``hls/``.
    `start`: the port that tells when a word is taken, where the interval is above 1.
    """

    task: str
    top: str
    digest: str
    target: Target
    latency_cycles: int
    interval_cycles: int
    input_type: str
    output_type: str
    input_shape: tuple[int, ...]
    n_in: int
    n_out: int
    hls_units: tuple[str, ...]
    rtl_sources: tuple[str, ...]
    vhdl_sources: tuple[str, ...] = ()
    csim_flags: tuple[str, ...] = ()
    csim_missing: str | None = None
    start: str | None = None
    hls_sources: tuple[str, ...] = ()

    @property
    def expected(self) -> str:
        """The file with the expected outputs, below ``vectors/``."""
        return expected_file(self.target.output)

    @property
    def yosys_family(self) -> str | None:
        """What Yosys calls the part's family; None for a part that is not among the known ones."""
        try:
            return find(self.target.part).yosys_family
        except BadInput:
            return None


def expected_file(output: Output) -> str:
    """The name of the file with the expected outputs."""
    return "logits.txt" if output == Output.LOGITS else "outputs.txt"
