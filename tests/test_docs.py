"""The docs say what is true."""

from pathlib import Path

from flow.cli import main

ROOT = Path(__file__).parents[1]


def test_the_table_of_keys_is_the_configuration(capsys):
    assert main(["keys", "--markdown"]) == 0
    assert capsys.readouterr().out in (ROOT / "docs" / "task.md").read_text()


def test_links_between_documents_lead_somewhere():
    for path in (ROOT / "README.md", *(ROOT / "docs").glob("*.md")):
        for part in path.read_text().split("](")[1:]:
            target = part.split(")")[0]
            if not target.startswith("http"):
                assert (path.parent / target.split("#")[0]).exists(), f"{path.name}: {target}"
