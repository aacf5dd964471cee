"""What a report consists of, before it is HTML or Markdown: sections of texts, tables, figures and code.

All texts are plain: escaping is done where they are rendered, and only there.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Text:
    """A paragraph. `kind`: "plain", "verdict", "note" (a caveat that must be seen) or "missing"."""

    text: str
    kind: str = "plain"


@dataclass(frozen=True)
class Cell:
    """A table's cell; `tag` is the small print behind the text: a figure's fidelity, mostly."""

    text: str
    tag: str = ""
    number: bool = False
    mark: str = ""  # "good" or "bad"


@dataclass(frozen=True)
class Table:
    """`physics` says that it shows figures measured on events, which a stand-in sample must be noted at."""

    caption: str
    header: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    physics: bool = False

    @property
    def shared(self) -> tuple[str, ...]:
        """By column, the tag that all its numbers have: it is said once, in the header. Empty where they differ."""
        tags = [
            [row[i].tag for row in self.rows if row[i].number and any(c.isdigit() for c in row[i].text)]
            for i in range(len(self.header))
        ]
        return tuple(column[0] if len(set(column)) == 1 else "" for column in tags)


@dataclass(frozen=True)
class Picture:
    """An SVG figure; `alt` says in words what it shows."""

    caption: str
    alt: str
    svg: str
    physics: bool = False


@dataclass(frozen=True)
class Pictures:
    """Pictures side by side where there is room."""

    items: tuple[Picture, ...]


@dataclass(frozen=True)
class Code:
    """Lines to be shown as they are; folded away under `summary` where one is given."""

    lines: tuple[str, ...]
    summary: str = ""


Block = Text | Table | Picture | Pictures | Code


@dataclass(frozen=True)
class Section:
    anchor: str
    title: str
    blocks: tuple[Block, ...]
