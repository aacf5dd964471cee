"""The report of a task: one self-contained page and a summary in Markdown, from one JSON result."""

from pathlib import Path

from flow.report.render import page, summary
from flow.report.sections import sections
from flow.report.values import known
from flow.store import write_text


def write(result: dict, folder: Path) -> tuple[Path, Path]:
    """Write `folder`/index.html and `folder`/summary.md and return their paths.

    The same result gives the same bytes. What the result lacks is left out with a sentence.
    """
    result = known(result)
    content = sections(result)
    title, stand_in = str(result.get("task") or "task"), bool(result.get("stand_in"))
    html, markdown = Path(folder) / "index.html", Path(folder) / "summary.md"
    write_text(html, page(title, content, stand_in))
    write_text(markdown, summary(content, stand_in))
    return html, markdown
