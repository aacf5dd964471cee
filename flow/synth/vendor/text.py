"""The lines of a report and the tables in them, read strictly: what is cut off or no number is an error with a line."""

import math
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property

from flow.errors import BadInput
from flow.synth.report import Range

# The sign of micro has two code points.
UNITS = {"ps": 1e-3, "ns": 1.0, "us": 1e3, "\u00b5s": 1e3, "\u03bcs": 1e3, "ms": 1e6, "s": 1e9}
_TIME = re.compile(rf"(\d+(?:\.\d*)?(?:e[+-]?\d+)?)\s*({'|'.join(UNITS)}|)", re.IGNORECASE | re.ASCII)
_REAL = re.compile(r"[+-]?\d+(?:\.\d*)?", re.ASCII)
_COUNT = re.compile(r"\d{1,18}", re.ASCII)
_MOST = 10**9
"""More of a resource than any device has, and longer, in ns, than any clock: such a number is a misprint."""
UNKNOWN = ("?", "-", "undef", "NA", "N/A")


@dataclass(frozen=True)
class Text:
    """A report's text, and the path that errors name. Lines are counted from 0 here, from 1 in messages."""

    path: str
    text: str

    @cached_property
    def lines(self) -> list[str]:
        found = self.text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
        return found if found[-1] else found[:-1]

    def wrong(self, line: int, message: str) -> BadInput:
        return BadInput(f"{self.path}, line {min(line, len(self.lines)) + 1}: {message}")

    def cut(self, what: str) -> BadInput:
        return BadInput(f"{self.path}, line {len(self.lines)}: it ends without {what}; is it cut off?")

    def find(self, pattern: str, start: int = 0, end: int | None = None) -> int | None:
        """The first line from `start` to before `end` in which the pattern is found."""
        compiled = re.compile(pattern)
        stop = len(self.lines) if end is None else end
        return next((i for i in range(start, stop) if compiled.search(self.lines[i])), None)

    def need(self, pattern: str, what: str, start: int = 0, end: int | None = None) -> int:
        """As `find`; BadInput, naming `what` is missing, where there is none."""
        line = self.find(pattern, start, end)
        if line is None:
            raise self.cut(what)
        return line

    def field(self, pattern: str, what: str, start: int = 0, end: int | None = None) -> str:
        """The first group of the pattern in the first line that has it."""
        return re.search(pattern, self.lines[self.need(pattern, what, start, end)]).group(1).strip()

    def tables(self, start: int = 0, end: int | None = None) -> Iterator["Table"]:
        """The tables that begin from `start` to before `end`, in order."""
        line = start
        while (line := self.find(r"^\s*\+-[-+]*\s*$", line, end)) is not None:
            table = self.table(line)
            yield table
            line = table.end

    def table(self, line: int) -> "Table":
        """The table whose upper border is the given line."""
        heads, rows, borders, last = [], [], 0, line
        for last in range(line, len(self.lines) + 1):
            stripped = self.lines[last].strip() if last < len(self.lines) else ""
            if stripped.startswith("+-"):
                borders += 1
                closed = stripped.endswith("-+")
            elif stripped.startswith("|"):
                closed = False
                if not stripped.endswith("|"):
                    raise self.wrong(last, "the row of a table is cut off")
                cells = [cell.rstrip() for cell in stripped[1:-1].split("|")]
                (heads if borders == 1 else rows).append((last, cells))
            else:
                break
        if borders < 2 or not closed:
            raise self.wrong(last - 1, "the table has no lower border; is it cut off?")
        return Table(self, line, last, tuple(heads), tuple(rows))

    def count(self, cell: str, line: int, what: str) -> int:
        """A number of resources; `-`, which the tools write for none, is 0."""
        value = cell.strip()
        if value == "-":
            return 0
        if not _COUNT.fullmatch(value) or int(value) > _MOST:
            raise self.wrong(line, f"{what} is {_short(value)}, no count")
        return int(value)

    def cycles(self, cell: str, line: int, what: str) -> int | None:
        """Clock cycles, None where the tool says that it does not know them."""
        value = cell.strip()
        if value in UNKNOWN:
            return None
        if not _COUNT.fullmatch(value):
            raise self.wrong(line, f"{what} is {_short(value)}, no count")
        return int(value)

    def nanoseconds(self, cell: str, line: int, what: str, unit: str = "ns") -> float | None:
        """A time in ns; one without a unit of its own is in `unit`."""
        if cell.strip() in UNKNOWN:
            return None
        match = _TIME.fullmatch(cell.strip())
        time = math.nan if match is None else float(match.group(1)) * UNITS[(match.group(2) or unit).lower()]
        if not time <= _MOST:
            raise self.wrong(line, f"{what} is {_short(cell.strip())}, no time")
        return time

    def real(self, cell: str, line: int, what: str) -> float:
        if not _REAL.fullmatch(cell.strip()) or abs(float(cell)) > _MOST:
            raise self.wrong(line, f"{what} is {_short(cell.strip())}, no number")
        return float(cell)

    def span(self, low: int | None, high: int | None, line: int, what: str) -> Range | None:
        """(least, most), or None where neither is known."""
        if low is not None and high is not None and low > high:
            raise self.wrong(line, f"{what} is at least {low} and at most {high}")
        return None if low is None and high is None else (low, high)


@dataclass(frozen=True)
class Table:
    """Rows of cells in borders of + and -. `heads` and `rows` are (line, cells); a cell keeps the spaces in front."""

    text: Text
    start: int
    end: int
    heads: tuple[tuple[int, list[str]], ...]
    rows: tuple[tuple[int, list[str]], ...]

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """The names of the columns: the cells of the header's rows, one below the other where there are several."""
        if not self.heads:
            return ()
        width = len(self.heads[-1][1])
        rows = [cells for _, cells in self.heads if len(cells) == width]
        return tuple(" ".join(cell.strip() for cell in column if cell.strip()) for column in zip(*rows))

    def row(self, pattern: str) -> tuple[int, dict[str, str]] | None:
        """The first row whose first cell matches the pattern whole: its line and cells by column."""
        compiled = re.compile(pattern)
        for line, cells in self.rows:
            if compiled.fullmatch(cells[0].strip()):
                return line, self.named(line, cells)
        return None

    def named(self, line: int, cells: list[str]) -> dict[str, str]:
        """A row's cells by column; of columns with one name the first counts."""
        if len(cells) != len(self.columns):
            raise self.text.wrong(line, f"the row has {len(cells)} cells under {len(self.columns)} columns")
        return dict(reversed(list(zip(self.columns, (cell.strip() for cell in cells)))))


def joined(ranges: Iterable[Range | None]) -> Range | None:
    """The least of all ranges and the most of them; None where none is known."""
    told = [item for item in ranges if item is not None]
    lows, highs = ([item[end] for item in told if item[end] is not None] for end in (0, 1))
    return (min(lows, default=None), max(highs, default=None)) if told else None


def _short(value: str) -> str:
    """A value to name in a message, of any length in the file."""
    return repr(value if len(value) <= 60 else f"{value[:60]}...")


def with_shared(
    layers: dict[str, dict[str, int]], totals: dict[str, int | None]
) -> tuple[dict[str, dict[str, int]], tuple[str, ...]]:
    """The layers with what none of them claims under ``shared``, and messages.

    No layers where they add up to more than the whole: then the rows are not parts of it.
    """
    if not layers:
        return {}, ()
    rest = {}
    for name in next(iter(layers.values())):
        total = totals.get(name)
        rest[name] = (0 if total is None else total) - sum(row[name] for row in layers.values())
    if any(count < 0 for count in rest.values()):
        return {}, ("the instances add up to more than the whole: left out",)
    return {**layers, **({"shared": rest} if any(rest.values()) else {})}, ()
