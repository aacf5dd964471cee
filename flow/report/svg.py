"""From a matplotlib figure to SVG text that lives inside a page: small, deterministic, light and dark.

Colours are drawn as stand-ins and become CSS variables, so that the page decides what they look like.
Texts stay texts, in the page's own font.
"""

import re
from contextlib import contextmanager

_VARIABLES = {
    "#010101": "var(--ink, #1d2330)",
    "#020202": "var(--muted, #667085)",
    "#030303": "var(--line, #d9dde5)",
    "#040404": "var(--one, #2563a8)",
    "#050505": "var(--two, #c2571a)",
    "#060606": "var(--three, #2f7d4f)",
    "#070707": "var(--four, #8a4fa3)",
    "#080808": "var(--bad, #b3261e)",
    "#090909": "var(--paper, #ffffff)",
}
INK, MUTED, LINE, ONE, TWO, THREE, FOUR, BAD, PAPER = _VARIABLES
SERIES = (ONE, TWO, THREE, FOUR)

_STYLE = {
    "svg.fonttype": "none",
    "text.parse_math": False,  # a name with a dollar sign is a name
    "font.family": "DejaVu Sans",  # comes with matplotlib: the same layout on every machine
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": LINE,
    "grid.linewidth": 0.6,
    "text.color": INK,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "legend.frameon": False,
    "legend.fontsize": 9,
    "lines.markersize": 6,
}


@contextmanager
def canvas(name: str, width: float, height: float):
    """A figure and its axes (inches), in the report's style; `name` makes the SVG's ids its own."""
    import matplotlib
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    with matplotlib.rc_context({**_STYLE, "svg.hashsalt": name}):
        figure = Figure(figsize=(width, height), layout="constrained")
        FigureCanvasSVG(figure)
        yield figure, figure.add_subplot()


def to_svg(figure, name: str, alt: str) -> str:
    """The figure as an `<svg>` element: without date, creator or outside references. Call it inside `canvas`."""
    from html import escape
    from io import StringIO

    stream = StringIO()
    figure.savefig(stream, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    text = stream.getvalue()
    text = text[text.index("<svg") :].rstrip()
    text = re.sub(r"<metadata>.*?</metadata>\s*", "", text, flags=re.DOTALL)
    text = re.sub(r"\s*<!--.*?-->", "", text, flags=re.DOTALL)
    # One page holds several figures: ids must not meet.
    text = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{name}-", text)
    text = text.replace("'DejaVu Sans'", "system-ui, sans-serif")
    for drawn, variable in _VARIABLES.items():
        text = text.replace(drawn, variable)
    box = re.search(r'viewBox="[^"]*"', text).group(0)
    spaces = 'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"'
    return f'<svg {spaces} {box} role="img" aria-label="{escape(alt)}">' + text[text.index(">") + 1 :]


def log_ticks(axis) -> None:
    """Plain numbers on a logarithmic axis; as many as its range leaves room for."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    low, high = axis.get_view_interval()
    ratio = high / low if low > 0 else 10.0
    subs = (
        (1.0,)
        if ratio > 500
        else (1.0, 3.0)
        if ratio > 100
        else (1.0, 2.0, 5.0)
        if ratio > 5
        else (1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0)
    )
    axis.set_major_locator(LogLocator(base=10, subs=subs))
    axis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:,.0f}" if x >= 1000 else f"{x:g}"))
    axis.set_minor_formatter(NullFormatter())
