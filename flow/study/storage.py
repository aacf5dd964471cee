"""Where a study is kept: Optuna's storages, opened by one process at a time, and what goes wrong with them in one line.

Optuna lets many processes write into one storage, but "add the trials that are missing" is a look and then a write:
what keeps two workers from adding the same trial is a lock that belongs to the storage (an advisory lock of the
database server, a claim beside a file), and that ends with its process.
"""

import json
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from flow import claim
from flow.errors import FlowError, Storage
from flow.study.place import Kind, Place, connect_arguments

if TYPE_CHECKING:
    from optuna.storages import BaseStorage

LOCK_S = 120.0  # wait for other workers of the same storage; longer than it takes to see that one of them has died
KILLED_S = 5  # after which a journal's lock is broken: its holder, which needs it for one write, was killed

_LOCK = 0x666C6F77  # the number of our advisory lock in a database
_ENTRY = b'{"op_code"'  # what every line of a journal begins with
# Each trial takes several small commits. What a power cut takes from a study, the steps bring back: none waits for the
# disk.
_NO_WAITING = {Kind.SQLITE: "PRAGMA synchronous=OFF", Kind.POSTGRESQL: "SET synchronous_commit TO OFF"}


def check(place: Place) -> None:
    """Open a place once, its tables made where there are none; Storage says in one line why it can't be used."""
    with opened(place):
        pass


@contextmanager
def opened(place: Place) -> Iterator["BaseStorage"]:
    """Optuna's storage at a place, for this process alone while the block runs.

    Raises Storage, in one line and without a password, for whatever goes wrong with it, in the block too. Nothing stays
    open after the block: a server may go away between two blocks, and processes may fork.
    """
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    with _said(place), _exclusive(place):
        storage = _journal(place) if place.kind is Kind.JOURNAL else _tables(place)
        try:
            yield storage
        finally:
            if place.kind is not Kind.JOURNAL:
                storage.remove_session()
                storage.engine.dispose()


def _tables(place: Place):
    """Optuna's tables in a database, made where there are none."""
    import optuna
    import sqlalchemy
    from optuna.storages import RDBStorage
    from optuna.storages._rdb import models

    class Unchecked(RDBStorage):
        """Asks the database nothing for each parameter of a trial: that is most of the time that adding trials takes,
        and `Study` has compared the parameters with what is there."""

        def _set_trial_param_without_commit(self, session, trial_id, name, value, distribution, _previous=None):
            text = optuna.distributions.distribution_to_json(distribution)
            row = {"param_name": name, "param_value": value, "distribution_json": text}
            session.add(models.TrialParamModel(trial_id=trial_id, **row))

    if place.path is not None:
        place.path.parent.mkdir(parents=True, exist_ok=True)
    # Optuna takes a URL for a template.
    url = place.url.replace("{", "{{").replace("}", "}}")
    storage = Unchecked(url, engine_kwargs={"pool_pre_ping": True, "connect_args": connect_arguments(place)})
    statement = _NO_WAITING.get(place.kind)
    if statement is not None:
        storage.remove_session()
        storage.engine.dispose()  # connections that are open already

        @sqlalchemy.event.listens_for(storage.engine, "connect")
        def _(connection, _record) -> None:
            connection.execute(statement)
            connection.commit()

    return storage


def _journal(place: Place):
    """Optuna's journal; what a writer that was killed has left half written at its end is cut off."""
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock

    place.path.parent.mkdir(parents=True, exist_ok=True)
    lock = JournalFileOpenLock(str(place.path), grace_period=KILLED_S)
    backend = JournalFileBackend(str(place.path), lock)
    try:
        storage = JournalStorage(backend)  # reads all of it, but for a last line without its end
    except (ValueError, KeyError, TypeError, AssertionError) as error:
        reason = f"{type(error).__name__}: {_first(str(error))}"
        raise Storage(f"{place.named}: it is no journal of Optuna's ({reason}); {place.mend}") from None
    lock.acquire()  # others may write into it, such as a dashboard
    try:
        _cut(place)
    finally:
        lock.release()
    return storage


def _cut(place: Place) -> None:
    with place.path.open("rb+") as stream:
        text = stream.read()
        end = text.rfind(b"\n") + 1
        # Optuna forgives a bad line at the end, and then writes behind it.
        last = text[text.rfind(b"\n", 0, end - 1) + 1 : end] if end else text
        if not last.startswith(_ENTRY[: len(last)]) or (end and not _is_json(last)):
            raise Storage(f"{place.named}: it is no journal of Optuna's, or damaged; {place.mend}")
        if end < len(text):
            stream.truncate(end)


def _is_json(line: bytes) -> bool:
    try:
        json.loads(line)
    except ValueError:
        return False
    return True


@contextmanager
def _exclusive(place: Place) -> Iterator[None]:
    """Hold the storage's lock; Storage where other workers hold it for longer than `LOCK_S`."""
    hold = _claimed if place.path is not None else _advisory
    with hold(place, time.monotonic() + LOCK_S):
        yield


@contextmanager
def _claimed(place: Place, end: float) -> Iterator[None]:
    place.path.parent.mkdir(parents=True, exist_ok=True)
    while (mine := claim.take(place.path.parent, f"{place.path.name}.sync")) is None:
        _wait(place, end)
    with mine:
        yield


@contextmanager
def _advisory(place: Place, end: float) -> Iterator[None]:
    """A lock of the database server, which ends with the connection."""
    import sqlalchemy

    postgresql = place.kind is Kind.POSTGRESQL
    take, drop = (
        ("SELECT pg_try_advisory_lock(:key)", "SELECT pg_advisory_unlock(:key)")
        if postgresql
        else (
            "SELECT GET_LOCK(CONCAT(LEFT(DATABASE(), 40), :key), 0)",
            "DO RELEASE_LOCK(CONCAT(LEFT(DATABASE(), 40), :key))",
        )
    )
    key = {"key": _LOCK if postgresql else f".{_LOCK}"}
    engine = sqlalchemy.create_engine(
        place.url, poolclass=sqlalchemy.NullPool, isolation_level="AUTOCOMMIT", connect_args=connect_arguments(place)
    )
    with engine.connect() as connection:
        while not connection.execute(sqlalchemy.text(take), key).scalar():
            _wait(place, end)
        try:
            yield
        finally:
            try:
                connection.execute(sqlalchemy.text(drop), key)
            except sqlalchemy.exc.SQLAlchemyError:
                connection.invalidate()  # the server has dropped it with the connection


def _wait(place: Place, end: float) -> None:
    if time.monotonic() > end:
        raise Storage(f"{place.named}: other processes are busy with the study for more than {LOCK_S:.0f} s")
    time.sleep(0.05)


@contextmanager
def _said(place: Place) -> Iterator[None]:
    """What goes wrong with a storage, in one line."""
    import optuna
    import sqlalchemy
    from optuna.storages._rdb.models import NOT_FOUND_MSG

    try:
        yield
    except FlowError:
        raise
    except sqlalchemy.exc.SQLAlchemyError as error:
        raise Storage(_line(place, error)) from None
    except optuna.exceptions.OptunaError as error:
        raise Storage(_line(place, error.__cause__ or error)) from None
    except OSError as error:
        raise Storage(f"{place.named}: the study can't be kept there ({error.strerror or error})") from None
    except ImportError as error:
        raise Storage(place.hide(f"{place.named}: its driver can't be loaded ({_first(str(error))})")) from None
    except RuntimeError as error:
        if "table schema" not in str(error):
            raise
        raise Storage(
            f"{place.named}: its tables are of another version of Optuna than {optuna.__version__}; bring them up to"
            f" date with `optuna storage upgrade --storage URL`, or {place.mend}"
        ) from None
    except KeyError as error:
        if error.args != (NOT_FOUND_MSG,):
            raise
        raise Storage(f"{place.named}: the study was deleted while trials were added") from None


def _line(place: Place, error: BaseException) -> str:
    import sqlalchemy

    own = getattr(error, "orig", None) or error
    words = [item for item in own.args if isinstance(item, str)]  # some drivers put a number before the message
    reason = _first(words[-1] if words else str(own))
    mend = ""
    if isinstance(error, sqlalchemy.exc.DatabaseError) and re.search("malformed|not a database", reason):
        mend = f"; {place.mend}"
    return place.hide(f"{place.named}: {reason}{mend}")


def _first(text: str) -> str:
    """The first line of a message that says something."""
    return next((line.strip() for line in text.splitlines() if line.strip()), "it says nothing more")
