"""Blocks to HTML and to Markdown. Everything is escaped here; nothing is fetched from outside."""

from html import escape

from flow.report.blocks import Block, Cell, Code, Picture, Pictures, Section, Table, Text
from flow.report.style import CSS
from flow.report.values import STAND_IN


def page(title: str, sections: tuple[Section, ...], stand_in: bool) -> str:
    """One HTML document that needs nothing beside it."""
    head, *rest = sections
    links = " ".join(f'<a href="#{escape(s.anchor)}">{escape(s.title)}</a>' for s in rest)
    body = [f'<header id="{escape(head.anchor)}">', f"<h1>{escape(head.title)}</h1>"]
    body += [_html(block, stand_in) for block in head.blocks]
    body += [f"<nav>{links}</nav>", "</header>", "<main>"]
    for section in rest:
        body += [f'<section id="{escape(section.anchor)}">', f"<h2>{escape(section.title)}</h2>"]
        body += [_html(block, stand_in) for block in section.blocks]
        body.append("</section>")
    body.append("</main>")
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        f"<title>{escape(title)}</title>\n<style>{CSS}</style>\n</head>\n<body>\n"
        + "\n".join(body)
        + "\n</body>\n</html>\n"
    )


def summary(sections: tuple[Section, ...], stand_in: bool) -> str:
    """The same content as Markdown; the figures stay in the page."""
    lines = []
    for position, section in enumerate(sections):
        lines += [f"{'#' if position == 0 else '##'} {_plain(section.title)}", ""]
        for block in section.blocks:
            lines += _markdown(block, stand_in)
    return "\n".join(lines).rstrip() + "\n"


def _html(block: Block, stand_in: bool) -> str:
    match block:
        case Text(text, kind):
            return f'<p class="{kind}">{escape(text)}</p>'
        case Table():
            return _html_table(block, stand_in)
        case Picture(caption, _, svg, physics):
            return f"<figure>{svg}<figcaption>{_caption(caption, physics and stand_in)}</figcaption></figure>"
        case Pictures(items):
            return '<div class="side">' + "".join(_html(item, stand_in) for item in items) + "</div>"
        case Code(lines, folded):
            code = f"<pre><code>{escape(chr(10).join(lines))}</code></pre>"
            return f"<details><summary>{escape(folded)}</summary>{code}</details>" if folded else code
    raise TypeError(f"{block!r} is no block")


def _html_table(table: Table, stand_in: bool) -> str:
    numeric = [all(row[i].number for row in table.rows) for i in range(len(table.header))]
    heads = "".join(
        f'<th scope="col"{_class("number" if n else "")}>{escape(h)}{_small(t)}</th>'
        for h, n, t in zip(table.header, numeric, table.shared)
    )
    rows = "".join(f"<tr>{''.join(_html_cell(c, t) for c, t in zip(row, table.shared))}</tr>" for row in table.rows)
    caption = _caption(table.caption, table.physics and stand_in)
    return (
        f'<p class="caption">{caption}</p>'
        f'<div class="table" tabindex="0" role="region" aria-label="{escape(table.caption)}"><table>'
        f"<thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table></div>"
    )


def _html_cell(cell: Cell, shared: str) -> str:
    tag = "" if cell.tag == shared else _small(cell.tag)
    return f"<td{_class('number' if cell.number else '', cell.mark)}>{escape(cell.text)}{tag}</td>"


def _small(tag: str) -> str:
    return f" <small>{escape(tag)}</small>" if tag else ""


def _class(*names: str) -> str:
    given = " ".join(filter(None, names))
    return f' class="{escape(given)}"' if given else ""


def _caption(text: str, noted: bool) -> str:
    return escape(text) + (f' <span class="standin">{STAND_IN}</span>' if noted else "")


def _markdown(block: Block, stand_in: bool) -> list[str]:
    match block:
        case Text(text, kind):
            text = _plain(text)
            return [
                {"verdict": f"**{text}**", "note": f"> **Note:** {text}", "missing": f"*{text}*"}.get(kind, text),
                "",
            ]
        case Table():
            return _markdown_table(block, stand_in)
        case Picture(caption, _, _, physics):
            return [f"Figure in `index.html`: {_plain(caption)}{_note(physics and stand_in)}.", ""]
        case Pictures(items):
            return [line for item in items for line in _markdown(item, stand_in)]
        case Code(lines, folded):
            return [
                *([f"{_plain(folded)}:", ""] if folded else []),
                *(f"    {line}" for line in "\n".join(lines).splitlines()),
                "",
            ]
    raise TypeError(f"{block!r} is no block")


def _markdown_table(table: Table, stand_in: bool) -> list[str]:
    def text(words: str, tag: str, shared: str = "") -> str:
        return _plain(f"{words} ({tag})" if tag and tag != shared else words)

    rules = ["---:" if all(row[i].number for row in table.rows) else "---" for i in range(len(table.header))]
    heads = [text(h, tag) for h, tag in zip(table.header, table.shared)]
    rows = [heads, rules, *([text(c.text, c.tag, tag) for c, tag in zip(row, table.shared)] for row in table.rows)]
    lines = [f"| {' | '.join(row)} |" for row in rows]
    return [f"{_plain(table.caption)}{_note(table.physics and stand_in)}:", "", *lines, ""]


def _note(noted: bool) -> str:
    return f" ({STAND_IN})" if noted else ""


def _plain(text: str) -> str:
    """Text that Markdown takes as it is, on one line."""
    text = escape(" ".join(text.split()), quote=False)
    for sign in "\\`*[]|":
        text = text.replace(sign, f"\\{sign}")
    return text
