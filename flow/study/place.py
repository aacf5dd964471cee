"""What names the place of a study: a URL, a journal file, or nothing; and what of it may be shown."""

import importlib.util
import re
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from urllib.parse import quote, quote_plus

from flow.errors import BadInput

CONNECT_S = 10  # after which a server that doesn't answer is given up, and a file that another program has locked
SILENT_S = 60  # after which a connection that went silent is given up

_MASKED = re.compile(r"pass|pwd|secret|token", re.IGNORECASE)
_PLAIN = re.compile(r"[\w.~/\\ -]*")  # no password stands in it: it would have signs around it
_ALLOWED = (
    "postgresql://USER@HOST/DATABASE, mysql://USER@HOST/DATABASE, sqlite:///PATH, journal:PATH, or nothing (SQLite)"
)


class Kind(Enum):
    """What keeps a study."""

    SQLITE = "sqlite"
    JOURNAL = "journal"
    POSTGRESQL = "postgresql"
    MYSQL = "mysql"


@dataclass(frozen=True)
class Driver:
    """A Python package that talks to a database: its SQLAlchemy name, its module, what makes it give up in time."""

    name: str
    module: str
    arguments: dict


# The first of each kind is used where the URL names none, and is what the package's extra of that name installs.
_DRIVERS = {
    Kind.SQLITE: (Driver("pysqlite", "sqlite3", {"timeout": CONNECT_S}),),
    Kind.POSTGRESQL: (
        Driver("psycopg", "psycopg", {"connect_timeout": CONNECT_S, "tcp_user_timeout": SILENT_S * 1000}),
        Driver("psycopg2", "psycopg2", {"connect_timeout": CONNECT_S, "tcp_user_timeout": SILENT_S * 1000}),
    ),
    Kind.MYSQL: (
        Driver(
            "pymysql",
            "pymysql",
            {"connect_timeout": CONNECT_S, "read_timeout": SILENT_S, "write_timeout": SILENT_S},
        ),
        Driver("mysqldb", "MySQLdb", {"connect_timeout": CONNECT_S}),
    ),
}


@dataclass(frozen=True)
class Place:
    """Where a study is. `path` is its file (None: a server keeps it); `url`, for SQLAlchemy, may hold a password and
    is never shown: `shown` is."""

    kind: Kind
    path: Path | None
    url: str
    shown: str
    secrets: tuple[str, ...] = ()
    where: str = ""  # the key that says so

    def __repr__(self) -> str:
        return f"Place({self.shown})"

    @property
    def named(self) -> str:
        """What messages begin with."""
        return f"{self.where}: {self.shown}" if self.where else self.shown

    @property
    def mend(self) -> str:
        """What to do where a study in it can't be used."""
        if self.path is not None:
            return f"remove {self.path}, and it is made anew from the steps"
        return (
            "delete the study there (`optuna delete-study`) or name another place in search.storage, and it is made"
            " anew from the steps"
        )

    def hide(self, text: str) -> str:
        """A text without the passwords of this place."""
        for secret in self.secrets:
            text = text.replace(secret, "***")
        return text


def storage_of(text: str, default: Path, base: Path, where: str = "search.storage") -> Place:
    """The place that `text` names: a SQLAlchemy URL, "journal:PATH", or "" for the SQLite file `default`.

    Relative paths are below `base`. Raises BadInput, with `where` in front, for anything else, and for a driver that
    is not installed. No message shows what may be a password. Nothing is opened.
    """
    text = text.strip()
    if not text:
        return _file(Kind.SQLITE, default)
    if text.startswith("journal:"):
        name = text.removeprefix("journal:")
        if not name or name.startswith("//") or "\0" in name:
            raise BadInput(f"{where}: journal:{name and '...'} names no journal file: write journal:PATH")
        return _file(Kind.JOURNAL, base / Path(name).expanduser(), where)
    return _database(text, base, where)


def _file(kind: Kind, path: Path, where: str = "") -> Place:
    from sqlalchemy import URL

    path = path.absolute()
    url = URL.create("sqlite+pysqlite", database=str(path)).render_as_string() if kind is Kind.SQLITE else ""
    return Place(kind, path, url, str(path), where=where)


def _database(text: str, base: Path, where: str) -> Place:
    import sqlalchemy

    scheme = _scheme(text)
    try:
        url = sqlalchemy.make_url(text)
        kind = Kind(url.drivername.split("+", 1)[0])
    except (sqlalchemy.exc.ArgumentError, ValueError):
        written = repr(text) if _PLAIN.fullmatch(text) else f"{scheme}..."
        raise BadInput(f"{where}: {written} is no place for a study; allowed are {_ALLOWED}") from None
    drivers = {driver.name: driver for driver in _DRIVERS.get(kind, ())}
    name = url.drivername.partition("+")[2] or next(iter(drivers), "")
    if name not in drivers:
        raise BadInput(f"{where}: the driver of {scheme} is not known; known are {_ALLOWED}")
    if importlib.util.find_spec(drivers[name].module) is None:
        raise BadInput(f"{where}: {scheme} needs the package {name}: pip install 'flow[{kind.value}]'")
    if kind is Kind.SQLITE:
        return _sqlite(url, base, where)
    _check_signs(text, url, scheme, where)
    secrets = [value for key, some in url.query.items() if _MASKED.search(key) for value in _listed(some)]
    secrets += [str(url.password)] if url.password else []
    secrets = sorted({form(s) for s in secrets for form in (str, quote, quote_plus)}, key=len, reverse=True)
    masked = {key: "***" if _MASKED.search(key) else value for key, value in url.query.items()}
    shown = url.set(query=masked).render_as_string(hide_password=True)
    full = url.set(drivername=f"{kind.value}+{name}").render_as_string(hide_password=False)
    return Place(kind, None, full, shown, tuple(secrets), where)


def _scheme(text: str) -> str:
    """What may be shown of any text: its scheme, where it has one. All that follows may hold a password."""
    scheme = re.match(r"[A-Za-z][A-Za-z0-9+]*:", text)
    return scheme.group() if scheme else ""


def _check_signs(text: str, url, scheme: str, where: str) -> None:
    """BadInput where an @ stands in a name or a password: what is behind it would be taken for the host, and shown."""
    if text.count("@") > (url.username is not None):
        raise BadInput(
            f"{where}: {scheme} an @ stands where none belongs; inside a user, a password or a setting it is written %40"
            " (/ is %2F, : is %3A, ? is %3F, % is %25)"
        )


def _sqlite(url, base: Path, where: str) -> Place:
    name = url.database or ""
    if name in ("", ":memory:") or "mode=memory" in str(url):
        raise BadInput(f"{where}: a study in memory is lost with the program; write sqlite:///PATH")
    if name.startswith("file:"):  # SQLite's own URI, with its own settings
        path = (base / name.removeprefix("file:")).absolute()
        name = f"file:{path}"
    else:
        path = (base / Path(name).expanduser()).absolute()
        name = str(path)
    full = url.set(drivername="sqlite+pysqlite", database=name).render_as_string()
    return Place(Kind.SQLITE, path, full, str(path), where=where)


def _listed(some) -> list[str]:
    return [some] if isinstance(some, str) else list(some)


def connect_arguments(place: Place) -> dict:
    """What makes connections give up in time, less what the URL says itself."""
    from sqlalchemy import make_url

    url = make_url(place.url)
    driver = next(d for d in _DRIVERS[place.kind] if d.name == url.drivername.partition("+")[2])
    return {key: value for key, value in driver.arguments.items() if key not in url.query}
