"""Runs of the program, most in processes of their own, watched and stopped at chosen moments."""

import contextlib
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

from tests_support import interruptible

from flow.cli import main
from flow.store import turn

ROOT = Path(__file__).resolve().parents[2]
TINY = "models/tiny"
NOT_FIGURES = ("seconds", "told", "commit")


def environment(**more: str) -> dict[str, str]:
    return os.environ | {"PYTHONPATH": str(ROOT)} | more


def flow(*arguments, timeout: float = 600, before=None, flags=(), **more: str) -> subprocess.CompletedProcess:
    """Run `flow` to its end; `more` goes into its environment."""
    command = [sys.executable, *flags, "-m", "flow.cli", *map(str, arguments)]
    return subprocess.run(
        command, cwd=ROOT, env=environment(**more), capture_output=True, text=True, timeout=timeout, preexec_fn=before
    )


def here(*arguments) -> subprocess.CompletedProcess:
    """Run `flow` in this process, which has imported everything already: for what is said before any work starts."""
    out, error = io.StringIO(), io.StringIO()
    with contextlib.chdir(ROOT), contextlib.redirect_stdout(out), contextlib.redirect_stderr(error):
        try:
            status = main([str(argument) for argument in arguments])
        except SystemExit as end:  # of argparse
            status = end.code
    return subprocess.CompletedProcess(arguments, status, out.getvalue(), error.getvalue())


def one_line(done: subprocess.CompletedProcess, status: int) -> str:
    """The one line in which a command said what was wrong; fails where it ended otherwise, or with a traceback."""
    assert done.returncode == status, done.stderr[-3000:]
    assert "Traceback" not in done.stderr + done.stdout
    lines = [line for line in done.stderr.splitlines() if line.startswith("flow: ")]
    assert len(lines) == 1 and done.stderr.rstrip().endswith(lines[0]), done.stderr[-3000:]
    return lines[0]


def result(out: Path) -> dict:
    return json.loads((out / "result.json").read_text())


def figures(out: Path) -> dict:
    """What a run found, without what differs from run to run: places, seconds, the commit."""
    found = json.loads((out / "result.json").read_text().replace(str(out), "OUT"))
    return {key: value for key, value in found.items() if key not in NOT_FIGURES}


def steps(out: Path) -> list[str]:
    return sorted(path.name for path in (out / "steps").iterdir())


def trained(out: Path) -> list[str]:
    """The steps that trained something."""
    return [name for name in steps(out) if name.split("-")[0] in ("float", "baselines", "trials", "final")]


def whole_run(tmp_path_factory) -> Path:
    """The folder of one undisturbed run of models/tiny, shared by all tests of a session and by its processes."""
    base = tmp_path_factory.getbasetemp()
    out = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "undisturbed" / "tiny"
    with alone(out):
        if not (out / "result.json").exists():
            done = flow("run", TINY, "--out", out)
            assert done.returncode == 0, done.stderr[-3000:]
    return out


def alone(run: Path):
    """No other test runs anything in the folder of a shared run meanwhile."""
    return turn(run.parent, "alone")


def copy_without(run: Path, out: Path, *forgotten: str, projects: bool = True) -> Path:
    """A copy of a run that has not come as far: its result and the steps of some kinds are not there yet."""
    shutil.copytree(run, out)
    for name in ("result.json", "index.html", "summary.md"):
        (out / name).unlink()
    for path in (out / "steps").iterdir():
        if path.name.split("-")[0] in ("round", "test", *forgotten):
            shutil.rmtree(path)
    if not projects:
        for path in out.glob("*/metadata.json"):
            shutil.rmtree(path.parent)
    return out


def tools_in(out: Path) -> list[int]:
    """The processes that work in a folder below `out`, or in the cache of synthesis results."""
    places, found = (out, Path(os.environ["FLOW_SYNTH_CACHE"])), []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            if (
                any(Path(os.readlink(path / "cwd")).is_relative_to(place) for place in places)
                and (path / "stat").read_text().split(") ")[1][0] != "Z"
            ):
                found.append(int(path.name))
        except OSError:
            pass
    return found


class Watched:
    """A run that goes on while the test looks at it; what it says on standard error is in `log`."""

    def __init__(
        self, out: Path, *arguments, task: str | Path = TINY, command: str = "run", log: str = "log", **more: str
    ):
        self.out, self.log = out, out.with_name(f"{out.name}.{log}")
        with self.log.open("w") as stream:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "flow.cli", command, str(task), "--out", str(out), *arguments],
                cwd=ROOT, env=environment(**more), stdout=stream, stderr=stream, start_new_session=True,
                preexec_fn=interruptible,
            )  # fmt: skip

    def __enter__(self) -> "Watched":
        return self

    def __exit__(self, *_) -> None:
        self.kill()

    def until(self, seen, timeout: float = 300) -> None:
        """Wait for `seen()`, or for text in what the run says; fails where the run ends before."""
        moment = seen if callable(seen) else lambda: seen in self.said
        end = time.monotonic() + timeout
        while not moment():
            assert self.process.poll() is None, f"the run ended before the moment came\n{self.said[-3000:]}"
            assert time.monotonic() < end, f"the moment did not come\n{self.said[-3000:]}"
            time.sleep(0.02)

    def until_tool(self, timeout: float = 300) -> None:
        """Wait until an external program works for the run."""
        self.until(lambda: tools_in(self.out), timeout)

    @property
    def said(self) -> str:
        return self.log.read_text(errors="replace")

    def interrupt(self) -> subprocess.CompletedProcess:
        """Ctrl-C, and what became of it."""
        self.process.send_signal(signal.SIGINT)
        status = self.process.wait(300)
        return subprocess.CompletedProcess(self.process.args, status, "", self.said)

    def kill(self, tools: bool = True) -> None:
        """kill -9 of the program, and of the tools that it runs."""
        working = tools_in(self.out) if tools else []
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        for pid in [*working, *(tools_in(self.out) if tools else [])]:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
