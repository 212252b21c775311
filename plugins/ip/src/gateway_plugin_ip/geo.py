"""Countries of addresses, by a database in memory."""

from __future__ import annotations

import io
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

INSTALL = "install gateway-plugin-ip[geoip]"


class DatabaseError(ValueError):
    """The database cannot be used."""


def is_installed() -> bool:
    """Whether the library that reads the databases is there."""
    return find_spec("maxminddb") is not None


def open_countries(data: bytes) -> Callable[[str], str | None]:
    """Return a function that gives an address's country, None if the database has none.

    The database is read from memory: a file that is mapped and then cut short ends the process by SIGBUS.

    :raises DatabaseError: it is none, or it is damaged.
    """
    from maxminddb import MODE_FD, InvalidDatabaseError  # noqa: PLC0415 - of an extra
    from maxminddb.reader import Reader  # noqa: PLC0415

    try:
        reader = Reader(io.BytesIO(data), MODE_FD)
        read = reader.get
        reader.get("192.0.2.1")
    except (InvalidDatabaseError, ValueError, IndexError, UnicodeDecodeError, TypeError, KeyError) as error:
        raise DatabaseError(f"is not a database of addresses: {error}") from None

    def country_of(address: str) -> str | None:
        try:
            record: Any = read(address)
        except (InvalidDatabaseError, ValueError, IndexError, UnicodeDecodeError, TypeError, KeyError):
            return None
        if not isinstance(record, dict):
            return None
        country = record.get("country") or record.get("registered_country")
        code = country.get("iso_code") if isinstance(country, dict) else country
        return code if isinstance(code, str) else None

    return country_of
