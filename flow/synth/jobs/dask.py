"""Jobs on Dask: workers of our own on this machine, or those of a scheduler that runs already.

Dask sends functions and results as pickles: whoever reaches a scheduler or a worker can run programs as its user. So
all of them speak TLS with keys that nobody else has, and those on this machine alone listen on loopback besides.
"""

import gc
import os
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from flow import process
from flow.errors import BadInput, ToolFailed, Trouble
from flow.synth.jobs import guard, local, worker
from flow.synth.jobs.pool import Lost, Started
from flow.synth.jobs.settings import JobSettings, Needs

if TYPE_CHECKING:
    from distributed import Client, LocalCluster

TOPIC = "flow-jobs"
PATIENCE_S = 10.0  # given to jobs that are ended, and to a worker that is asked for it
JOIN_S = 30.0  # how long a scheduler may take to answer, and its first worker to join
_COUNT_S = 2.0  # how often workers are counted
INSTALL = "Dask is not installed: pip install 'flow[cluster]'"


def call_here(name: str, function: Callable[..., Any], arguments: tuple) -> Any:
    """What a Dask worker runs: says that it has begun, and where; its tools end with it, however it ends."""
    from distributed import get_worker

    guard.stand()
    here = get_worker()
    here.log_event(TOPIC, {"name": name, "host": os.uname().nodename, "worker": here.address})
    return worker.call(name, function, arguments)


def _plugin():
    """A plugin that ends the tools of a worker that closes."""
    from distributed import WorkerPlugin

    class EndTools(WorkerPlugin):
        name = "flow-end-tools"

        def teardown(self, worker) -> None:
            process.kill_all()

    return EndTools()


class DaskPool:
    """Functions on the workers that a client reaches. `connect` gives a new client, `most` caps `size`, `tend` is
    called again and again, and returns a sentence where no worker will ever come."""

    def __init__(self, connect: Callable[[], "Client"], most: int | None, tend: Callable[[], str | None] | None = None):
        self._connect, self._most, self._tend = connect, most, tend
        self._calls: dict[str, tuple[Any, Future, Started | None]] = {}  # name -> Dask's future, ours, whom to tell
        self._places: dict[str, str] = {}  # name -> address of the worker that runs it
        self._guard = threading.Lock()
        self._stale = False
        self._failed: float | None = None  # when it was last tried in vain to connect
        self._counted = time.monotonic()
        self._threads = 0
        self._deserted: float | None = None  # since when there is no worker
        self._client: "Client | None" = None
        self._client = self._open()
        self._count()

    def _open(self) -> "Client":
        client = self._connect()
        client.subscribe_topic(TOPIC, self._begun)
        client.register_plugin(_plugin())
        return client

    def _current(self) -> "Client":
        """A client that is connected. Raises OSError where the scheduler does not answer; once it did not, there is
        no waiting for it for a moment, so that not every job waits in turn."""
        if self._stale or self._client is None or self._client.status != "running":
            if self._failed is not None and time.monotonic() - self._failed < _COUNT_S:
                raise OSError("it is not back yet")
            self._close_client()
            try:
                self._client = self._open()
            except _unreachable():
                self._failed = time.monotonic()
                raise
            self._stale, self._failed = False, None
        return self._client

    @property
    def size(self) -> int:
        return max(1, self._threads if self._most is None else self._most)

    def submit(self, function: Callable[..., Any], *arguments: Any, started: Started | None = None) -> Future:
        answer: Future = Future()
        name = uuid.uuid4().hex
        try:
            client = self._current()
            with self._guard:  # before it can begin
                self._calls[name] = (None, answer, started)
            remote = client.submit(call_here, name, function, arguments, key=f"flow-{name}", pure=False)
            with self._guard:
                self._calls[name] = (remote, answer, started)
        except _unreachable() as error:
            self._stale = True
            with self._guard:
                self._calls.pop(name, None)
            answer.set_exception(Lost(f"the Dask scheduler does not answer ({error})"))
            return answer
        remote.add_done_callback(lambda done: self._done(name, done))
        return answer

    def _begun(self, event: tuple) -> None:
        said = event[1]
        with self._guard:
            call = self._calls.get(said["name"])
            if call is not None:
                self._places[said["name"]] = said["worker"]
        if call is not None and call[2] is not None:
            call[2](said["host"])

    def _done(self, name: str, remote) -> None:
        with self._guard:
            call = self._calls.pop(name, None)
            place = self._places.pop(name, None)
        if call is None:
            return
        answer = call[1]
        try:
            answer.set_result(remote.result())
        except _gone() as error:
            lost_scheduler = type(error).__name__ != "KilledWorker" and not isinstance(error, process.Stopped)
            self._stale = self._stale or lost_scheduler
            who = "the Dask scheduler" if lost_scheduler else f"the worker {place or ''}".rstrip()
            answer.set_exception(Lost(f"{who} was lost ({type(error).__name__})"))
        except BaseException as error:
            answer.set_exception(error)
        with suppress(Exception):
            remote.release()

    def room(self, running: int, memory_gb: float) -> bool:
        return True  # what a worker may hold was settled when it was started

    def tend(self) -> None:
        if time.monotonic() - self._counted < _COUNT_S:
            return
        self._counted = time.monotonic()
        if self._client is not None and self._client.status == "closed":
            self._lose_all("the Dask scheduler was lost")
            return
        trouble = self._tend() if self._tend is not None else None
        self._count()
        if trouble is not None:
            self._lose_all(trouble)

    def wait_for_worker(self) -> None:
        """Raises TimeoutError where none is there in time."""
        self._current().wait_for_workers(1, timeout=JOIN_S)
        self._count()

    def _count(self) -> None:
        if self._client is not None and self._client.status == "running":
            with suppress(*_unreachable()):
                self._threads = sum(self._client.nthreads().values())
        self._deserted = None if self._threads else self._deserted or time.monotonic()

    def deserted(self) -> str | None:
        """What to say where a scheduler that is not ours has had no worker for a while."""
        if self._deserted is None or time.monotonic() - self._deserted < JOIN_S:
            return None
        self._deserted = time.monotonic()
        return f"no worker has joined the Dask scheduler within {JOIN_S:g} s"

    def _lose_all(self, why: str) -> None:
        with self._guard:
            calls, self._calls, self._places = list(self._calls.values()), {}, {}
        self._stale = True
        for _, answer, _ in calls:
            answer.set_exception(Lost(why))

    def cancel(self) -> None:
        with self._guard:
            calls, self._calls = self._calls, {}
            places, self._places = self._places, {}
        if self._client is None or self._client.status != "running" or not calls:
            return
        with suppress(*_unreachable()):
            self._client.cancel([remote for remote, _, _ in calls.values() if remote is not None], asynchronous=False)
            there = self._client.nthreads()
            running = sorted({place for name, place in places.items() if name in calls and place in there})
            if running:
                self._client.run(worker.end_soon, list(calls), PATIENCE_S, workers=running, on_error="ignore")

    def close(self) -> None:
        self.cancel()
        self._close_client()

    def _close_client(self) -> None:
        if self._client is not None:
            with suppress(Exception):
                self._client.close(timeout=PATIENCE_S)
        self._client = None


def _unreachable() -> tuple[type[BaseException], ...]:
    """What a client raises where its scheduler is not there."""
    from distributed.comm import CommClosedError

    return (OSError, TimeoutError, CommClosedError, RuntimeError)


def _gone() -> tuple[type[BaseException], ...]:
    """What a future raises where its worker or its scheduler is gone."""
    from asyncio import CancelledError

    from distributed import KilledWorker
    from distributed.client import FutureCancelledError
    from distributed.comm import CommClosedError

    return (KilledWorker, CancelledError, FutureCancelledError, CommClosedError, TimeoutError, process.Stopped)


def need_dask(jobs: str) -> None:
    """Raises BadInput where Dask is not installed."""
    try:
        import distributed  # noqa: F401
    except ImportError:
        raise BadInput(f"--jobs {jobs}: {INSTALL}") from None


@contextmanager
def open_pool(settings: JobSettings, folder: Path, needs: Needs) -> Iterator[DaskPool]:
    """Workers of one thread each on this machine, or, where `settings` names a scheduler, that one's workers.

    Raises BadInput where Dask is not installed or the scheduler does not answer; `folder` is not used.
    """
    need_dask(settings.system.value)
    if settings.scheduler is not None:
        with _closing(_joined(settings)) as pool:
            yield pool
        return
    import dask

    with dask.config.set(OURS):
        size = min(settings.at_once or local.cores(), needs.jobs)
        with (
            _cluster(size) as cluster,
            _closing(DaskPool(lambda: _to(cluster), size, lambda: cluster.scale(size))) as pool,
        ):
            yield pool


# A worker that dies in mid-job is told at once, and tried again as any other trouble is, not by Dask unseen.
_STARTS = 3
OURS = {"distributed.scheduler.allowed-failures": 0, "distributed.deploy.lost-worker-timeout": "2s"}


@contextmanager
def _closing(pool: DaskPool) -> Iterator[DaskPool]:
    try:
        yield pool
    finally:
        pool.close()


@contextmanager
def _cluster(workers: int):
    """Workers that Dask starts again where one is killed; nothing of it listens beyond loopback."""
    guard.stand()
    cluster = _local_cluster(workers)
    try:
        yield cluster
    finally:
        cluster.close(timeout=PATIENCE_S)


def _local_cluster(workers: int) -> "LocalCluster":
    """Raises ToolFailed (Trouble.LOST) where Dask gives up its own start, as it does on a machine without a free core."""
    from distributed import LocalCluster, Security

    for _ in range(_STARTS):
        with suppress(AssertionError):  # what its event loop raises that has not begun within 10 s
            return LocalCluster(
                n_workers=workers, threads_per_worker=1, processes=True, host="127.0.0.1", memory_limit=0,
                silence_logs=60, dashboard_address="127.0.0.1:0", worker_dashboard_address="127.0.0.1:0",
                security=Security.temporary(),
            )  # fmt: skip
    raise ToolFailed(f"Dask did not start in {_STARTS} tries; is the machine busy?", trouble=Trouble.LOST)


def _to(cluster) -> "Client":
    from distributed import Client

    return Client(cluster, set_as_default=False, timeout=JOIN_S)


def _joined(settings: JobSettings) -> DaskPool:
    """The workers of the scheduler that `settings` names; BadInput where it does not answer, or has none."""
    try:
        pool = DaskPool(lambda: _client(settings), settings.at_once, lambda: pool.deserted())
    except (*_unreachable(), ValueError, TypeError) as error:
        said = " ".join(str(error).split()) or type(error).__name__
        raise BadInput(f"--scheduler {settings.scheduler}: it can't be reached ({said})") from None
    try:
        pool.wait_for_worker()
    except TimeoutError:
        pool.close()
        raise BadInput(f"--scheduler {settings.scheduler}: no worker has joined it within {JOIN_S:g} s") from None
    return pool


def _knock(address: str) -> None:
    """Wait until something listens there; OSError where nothing does in time."""
    where, last = urlsplit(address), time.monotonic() + JOIN_S
    while True:
        try:
            socket.create_connection((where.hostname, where.port), timeout=JOIN_S).close()
            return
        except OSError:
            if time.monotonic() >= last:
                raise
        time.sleep(0.2)


def _client(settings: JobSettings) -> "Client":
    from distributed import Client, Security

    # A client that does not get through is left half made, and may block this program when it is collected.
    _knock(settings.scheduler)
    files = {"tls_ca_file": settings.tls_ca, "tls_client_cert": settings.tls_cert, "tls_client_key": settings.tls_key}
    given = {name: str(path) for name, path in files.items() if path is not None}
    encrypted = settings.scheduler.startswith("tls://")
    security = Security(require_encryption=encrypted, **given) if encrypted else None
    said = None
    try:
        return Client(settings.scheduler, security=security, set_as_default=False, timeout=JOIN_S)
    except _unreachable() as error:
        said = " ".join(str(error).split()) or type(error).__name__
    gc.collect()  # the half made one, here where no lock of Dask's is held
    raise OSError(said)
