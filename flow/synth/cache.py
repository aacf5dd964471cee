"""Runs of tools by what determines them: the same is never run twice, by nobody who shares the cache.

An entry is ROOT/TOOL/PLACE/KEY: `place` is the digest of what is synthesised, `key` that of with what. It holds the
record of the run (`outcome.json`) and what was kept of it; see `flow.synth.entry`. While a run goes on, its claim
(`flow.claim`) and its folder lie hidden beside the entry. ROOT/slots/TOOL holds the claims of those who run a tool
of which only so many may run at once.
"""

import os
import re
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryFile
from typing import TYPE_CHECKING

from flow import claim, process
from flow.claim import Claim, Owner
from flow.errors import BadInput, Storage, ToolFailed, Trouble
from flow.store import storage_error, user_cache
from flow.synth.entry import (
    FULL,
    RECORD,
    Entry,
    folder_for,
    holds,
    inside,
    logs,
    make_folder,
    matching,
    move,
    remove,
    valid,
)
from flow.synth.outcome import Outcome, State
from flow.synth.report import Report

if TYPE_CHECKING:
    from flow.synth.tools.tool import Limits

ENVIRONMENT = "FLOW_SYNTH_CACHE"
SLOTS = "slots"
POLL_S = 0.5

Run = Callable[[Path], tuple[Report, Sequence[str]]]

# What says nothing of the project: another machine, or another time, may do better.
_NOT_REMEMBERED = (Trouble.MISSING,)


def root() -> Path:
    """The folder of the cache: what FLOW_SYNTH_CACHE names, else flow/synth in the user's cache folder."""
    named = os.environ.get(ENVIRONMENT)
    if named:
        try:
            path = Path(os.path.abspath(Path(named).expanduser()))
        except RuntimeError as error:
            raise BadInput(f"{ENVIRONMENT}: {named}: {error}") from None
        if path.exists() and not path.is_dir():
            raise BadInput(f"{ENVIRONMENT}: {named} is no folder")
        return path
    return user_cache() / "synth"


class Cache:
    """The cache in a folder, which is made when something is written to it. `host` is this machine's name, unless
    told otherwise."""

    def __init__(self, root: Path, host: str | None = None):
        self.root = Path(os.path.abspath(root))
        self._host = host

    def require(self) -> None:
        """Make the root and write to it; BadInput and Storage where that can't be done."""
        try:
            make_folder(self.root, self.root)
            with TemporaryFile(dir=self.root) as file:
                file.write(b"x")
        except OSError as error:
            raise Storage(f"{self.root}: the cache can't be written there ({error.strerror})") from None

    def find(self, tool: str, place: str, key: str) -> Outcome | None:
        """The finished outcome (`cached`), the one that is being computed (State.STARTED), or None.

        Of a run that failed before and is being run again, the latter.
        """
        entry = self._entry(tool, place, key)
        found = entry.read()
        if found is None or found.state is not State.DONE:
            with _readable(self.root):
                owner = claim.holder(entry.folder.parent, key)
            if owner is not None:
                return _started(entry, owner)
        return None if found is None else replace(found, cached=True)

    def any_version(self, tool: str, place: str) -> Outcome | None:
        """A finished report, whatever the version that it is of, else a failure that was brought from elsewhere; of
        several the newest version's."""
        folder = self._entry(tool, place, "any").folder.parent
        with _readable(self.root):
            names = os.listdir(folder) if folder.is_dir() else []
        entries = [self._entry(tool, place, name) for name in names if valid(name)]
        found = [(entry.read(), entry.name) for entry in entries]
        told = [row for row in found if row[0] is not None and (row[0].state is State.DONE or row[0].imported)]
        if not told:
            return None
        best = max(told, key=lambda row: (row[0].state is State.DONE, _version(row[0].tool_version), row[1]))
        return replace(best[0], cached=True)

    def compute(
        self,
        tool: str,
        place: str,
        key: str,
        run: Run,
        *,
        tool_version: str | None,
        limits: "Limits",
        slots: int | None = None,
        again: bool = False,
        refused: Callable[[Outcome], bool] = lambda found: False,
    ) -> Outcome:
        """The outcome that is kept, or that of `run`, which works in an empty folder and gives a report and the glob
        patterns of the files to keep; its `path` is relative to that folder.

        Whoever comes second waits for the first and takes its outcome. ToolFailed is an outcome too; a failure that may
        pass is run again the next time, a limit that was too tight once it is larger, all others when `again` is set.
        What `refused` says of a kept outcome, that it can't be used, counts as if it were not there.
        At most `slots` runs of the tool go on at once among all who share the cache. A full disk is a failed outcome;
        Storage and BadInput are raised for a root that can't be written, process.Stopped where the thread is ended while
        it waits. Anything else that `run` raises is raised on.
        """
        entry = self._entry(tool, place, key)
        blank = Outcome(State.FAILED, tool, tool_version, timeout_s=limits.timeout_s, memory_gb=limits.memory_gb)
        try:
            make_folder(entry.folder.parent, self.root)
            return self._compute(entry, run, blank, limits, slots, again, refused)
        except OSError as error:
            if error.errno not in FULL:
                raise storage_error(error) or error
            owner = claim.here(self._host)
            said = _full(entry.folder, error)
            return replace(blank, message=said, trouble=Trouble.DISK, host=owner.host, pid=owner.pid)

    def put(
        self,
        tool: str,
        place: str,
        key: str,
        report: Report,
        files: Mapping[str, Path],
        tool_version: str | None,
        replaces: bool = True,
    ) -> Outcome:
        """Keep a report that was brought from elsewhere, with its raw files (path within the entry -> file).

        It replaces what the entry held; unless `replaces`, the report of a run of the tool stays. `report.path` is one of
        the paths in `files`. Raises BadInput, and Storage where it can't be written.
        """
        outcome = Outcome(State.DONE, tool, tool_version, report, imported=True)
        return self._keep(self._entry(tool, place, key), outcome, report.path, files, replaces)

    def put_failure(
        self, tool: str, place: str, key: str, message: str, log: str, line: int | None, file: Path, version: str | None
    ) -> Outcome:
        """Keep a failure that was brought from elsewhere, told by its `log`; a report that is there stays."""
        outcome = Outcome(
            State.FAILED, tool, version, message=message, trouble=Trouble.CRASH, log=log, line=line, imported=True
        )
        return self._keep(self._entry(tool, place, key), outcome, log, {log: file}, False)

    def _keep(self, entry: Entry, outcome: Outcome, main: str, files: Mapping[str, Path], replaces: bool) -> Outcome:
        """Put an entry's record and files in place; `main` is the file that the record names."""
        for name in (main, *files):
            if name not in files or not inside(name) or name == RECORD:
                raise BadInput(f"cache: a report's file can't be kept as {name!r}")
        owner = claim.here(self._host)
        outcome = replace(outcome, host=owner.host, pid=owner.pid)
        make_folder(entry.folder.parent, self.root)
        while True:
            seen = entry.raw()
            found = entry.parsed(seen)
            if found is not None and _stays(found, outcome, replaces):
                return replace(found, cached=True)
            try:
                stage = entry.scratch(owner.token, "new")
                with folder_for(stage, self.root):
                    for name, source in files.items():
                        (stage / name).parent.mkdir(parents=True, exist_ok=True)
                        shutil.copyfile(source, stage / name)
                    if entry.publish(outcome, stage, seen):
                        return replace(outcome, folder=entry.folder)
            except OSError as error:
                raise storage_error(error) or Storage(f"{entry.folder}: {error}") from None

    def _entry(self, tool: str, place: str, key: str) -> Entry:
        if tool == SLOTS:
            raise BadInput(f"cache: {SLOTS!r} can't be the name of a tool")
        return Entry(self.root, (tool, place, key))

    def _compute(
        self,
        entry: Entry,
        run: Run,
        blank: Outcome,
        limits: "Limits",
        slots: int | None,
        again: bool,
        refused: Callable[[Outcome], bool],
    ) -> Outcome:
        first = entry.raw()
        while True:
            raw = entry.raw()
            found = entry.parsed(raw)
            fresh = raw != first
            if found is not None and serves(found, limits, again, fresh) and (fresh or not refused(found)):
                return replace(found, cached=True)
            mine = self._take(entry.folder.parent, entry.name[2])
            if mine is None:
                process.pause(POLL_S)
                continue
            with mine:
                if entry.raw() != raw:
                    continue  # another has just ended
                with self._slot(entry.name[0], slots):
                    outcome = _attempt(entry, run, blank, mine, raw)
            if outcome is not None:
                return outcome

    @contextmanager
    def _slot(self, tool: str, slots: int | None) -> Iterator[None]:
        """One of the places for those who run a tool at the same time; waits for a free one."""
        with ExitStack() as stack:
            if slots is not None:
                folder = self.root / SLOTS / tool
                make_folder(folder, self.root)
                while not self._one_of(folder, slots, stack):
                    process.pause(POLL_S)
            yield

    def _one_of(self, folder: Path, slots: int, stack: ExitStack) -> bool:
        for number in range(max(1, slots)):
            mine = self._take(folder, str(number))
            if mine is not None:
                stack.enter_context(mine)
                return True
        return False

    def _take(self, folder: Path, name: str) -> Claim | None:
        try:
            return claim.take(folder, name, claim.here(self._host))
        except OSError as error:
            if error.errno in FULL:
                raise
            raise Storage(f"{folder}: the cache can't be written there ({error.strerror})") from None


@contextmanager
def _readable(root: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise Storage(f"{root}: the cache of synthesis results can't be read ({error.strerror})") from None


def _stays(found: Outcome, brought: Outcome, replaces: bool) -> bool:
    """Whether what an entry holds stays before what is brought from elsewhere."""
    if found.imported and (found.report, found.message) == (brought.report, brought.message):
        return True
    if brought.state is not State.DONE:
        return found.state is State.DONE
    return found.state is State.DONE and not found.imported and not replaces


def serves(found: Outcome, limits: "Limits", again: bool, fresh: bool) -> bool:
    """Whether a kept outcome is the answer. A `fresh` one came while we waited for it: it is, whatever it says, unless
    it ran under tighter limits."""
    if found.state is State.DONE:
        return fresh or not (again and found.imported)
    if found.trouble is Trouble.TIMEOUT and not _within(limits.timeout_s, found.timeout_s):
        return False
    if found.trouble is Trouble.MEMORY and not _within(limits.memory_gb, found.memory_gb):
        return False
    if fresh:
        return True
    remembered = found.trouble is not None and not found.trouble.may_pass and found.trouble not in _NOT_REMEMBERED
    return remembered and not again


def _within(limit: float | None, ran_under: float | None) -> bool:
    """Whether a limit is no larger than the one of an earlier run; None is no limit."""
    return ran_under is None or (limit is not None and limit <= ran_under)


def _attempt(entry: Entry, run: Run, blank: Outcome, mine: Claim, seen: bytes | None) -> Outcome | None:
    """Run, and keep what comes of it; None where another took over and its outcome counts."""
    before = entry.parsed(seen)
    attempts = 1 if before is None else before.attempts + 1
    blank = replace(blank, host=mine.owner.host, pid=mine.owner.pid, attempts=attempts)
    try:
        outcome = _published(entry, run, blank, mine, seen)
    except (OSError, BadInput):
        if mine.held:
            raise
        return None  # whoever took over has swept the folder that the run was in
    if mine.held:
        _sweep(entry, mine.owner.token)
    return outcome


def _published(entry: Entry, run: Run, blank: Outcome, mine: Claim, seen: bytes | None) -> Outcome | None:
    with folder_for(entry.scratch(mine.owner.token, "work"), entry.root) as work:
        outcome, names = _ran(entry, run, blank, work)
        if outcome.state is not State.DONE and not mine.held:
            return None
        with folder_for(entry.scratch(mine.owner.token, "new"), entry.root) as stage:
            move(work, stage, names)
            if not entry.publish(outcome, stage, seen):
                return None
    return replace(outcome, folder=entry.folder)


def _ran(entry: Entry, run: Run, blank: Outcome, work: Path) -> tuple[Outcome, list[str]]:
    """The outcome of a run in `work`, and the files to keep."""
    start = time.monotonic()
    try:
        report, patterns = run(work)
        outcome = replace(blank, state=State.DONE, report=_moved(report, work, entry.folder))
        if not holds(work, outcome.report.path):
            said = f"{work / outcome.report.path}: the report is missing or empty"
            raise ToolFailed(said, trouble=Trouble.REPORT)
        names = sorted({outcome.report.path, *matching(work, patterns)})
    except ToolFailed as error:
        outcome = replace(
            blank,
            state=State.TIMED_OUT if error.trouble is Trouble.TIMEOUT else State.FAILED,
            message=_told(error.message, work, entry.folder),
            trouble=error.trouble,
            log=_relative(error.log, work),
            line=error.line,
        )
        names = sorted({*([outcome.log] if outcome.log else []), *logs(work)})
    except OSError as error:
        if error.errno not in FULL:
            raise
        said = _told(_full(entry.folder, error), work, entry.folder)
        outcome, names = replace(blank, message=said, trouble=Trouble.DISK), []
    return replace(outcome, seconds=round(time.monotonic() - start, 3)), names


def _moved(report: Report, work: Path, folder: Path) -> Report:
    """A report that tells paths relative to the entry, or those of the entry: the folder of the run goes away."""
    path = Path(report.path)
    return replace(
        report,
        path=(_relative(path, work) or report.path) if path.is_absolute() else report.path,
        messages=tuple(_told(message, work, folder) for message in report.messages),
    )


def _relative(path: Path | None, work: Path) -> str | None:
    """A file of the run, by its path in the folder of the run; None for one that is not there."""
    if path is None:
        return None
    for base in (work, work.resolve()):
        try:
            name = (base / path).relative_to(base).as_posix()
        except ValueError:
            continue
        return name if holds(work, name, empty=True) else None
    return None


def _told(message: str, work: Path, folder: Path) -> str:
    for path in (work, work.resolve()):
        message = message.replace(str(path), str(folder))
    return message


def _full(folder: Path, error: OSError) -> str:
    return f"{error.filename or folder}: {os.strerror(error.errno)}"


def _started(entry: Entry, owner: Owner) -> Outcome:
    """A run that goes on: its folder, and the log that was written to last."""
    work = entry.scratch(owner.token, "work")
    names = matching(work, ["**/*.log"]) if work.is_dir() and not work.is_symlink() else []
    times = []
    for name in names:
        try:
            times.append(((work / name).stat().st_mtime_ns, name))
        except OSError:
            continue  # removed since
    log = max(times)[1] if times else None
    return Outcome(State.STARTED, entry.name[0], folder=work, log=log, host=owner.host, pid=owner.pid)


def _sweep(entry: Entry, token: str) -> None:
    """Remove what dead owners left beside an entry that is finished now."""
    left = re.compile(rf"\.{re.escape(entry.name[2])}\.([0-9a-f]{{32}})\.(work|new|new\.old)")
    for name in os.listdir(entry.folder.parent):
        found = left.fullmatch(name)
        if found and found.group(1) != token:
            remove(entry.folder.parent / name)


def _version(text: str | None) -> tuple:
    """A version, to be compared by its numbers first."""
    return tuple(int(number) for number in re.findall(r"\d+", text or "")), text or ""
