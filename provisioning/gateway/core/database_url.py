"""The location of the database: the path of an SQLite file, or the URL of a PostgreSQL database."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

POSTGRESQL = "postgresql+psycopg"
_DRIVERS = {"postgresql": POSTGRESQL, "postgres": POSTGRESQL, POSTGRESQL: POSTGRESQL, "sqlite": "sqlite"}


def parse(given: object) -> URL:
    """Return a database URL from a path or a URL; raises ValueError, which never quotes it: it may hold a password."""
    if isinstance(given, URL):
        return given
    text = str(given)
    if "://" not in text:
        return URL.create("sqlite", database=text)
    try:
        url = make_url(text)
    except (ArgumentError, ValueError):
        raise ValueError(_ADVICE) from None
    if url.drivername not in _DRIVERS or not url.database:
        raise ValueError(_ADVICE)
    return url.set(drivername=_DRIVERS[url.drivername])


_ADVICE = "give a file's path or postgresql://user:password@host:port/name"


def file_of(url: URL) -> Path | None:
    """Return the file of an SQLite database; None for PostgreSQL."""
    return Path(url.database) if url.get_backend_name() == "sqlite" and url.database else None
