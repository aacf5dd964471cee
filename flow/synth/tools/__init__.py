"""The tools that synthesise projects, a file each: render, run, read. A new one is a file and a line here."""

from flow.errors import BadInput
from flow.synth.tools import nextpnr, oneapi, vitis, vivado, vivado_hls, yosys
from flow.synth.tools.tool import Found, Limits, Tool

TOOLS: dict[str, Tool] = {
    tool.name: tool for tool in (yosys.TOOL, nextpnr.TOOL, vivado_hls.TOOL, vitis.TOOL, vivado.TOOL, oneapi.TOOL)
}

__all__ = ["TOOLS", "Found", "Limits", "Tool", "named"]


def named(name: str, where: str = "--tool") -> Tool:
    """The tool of a name. BadInput, which begins with `where`, lists those that there are."""
    if name not in TOOLS:
        raise BadInput(f"{where}: {name!r} is no tool; known: {', '.join(TOOLS)}")
    return TOOLS[name]
