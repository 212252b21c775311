"""Validators of a representation, and what a request's conditions come to (RFC 9110 sections 8.8 and 13).

The order is that of section 13.2.2: If-Match, or else If-Unmodified-Since; If-None-Match, or else If-Modified-Since;
If-Range last. A field that cannot be read counts as not sent, apart from If-Match, of which nothing then matches.

Not part of the stable contract: the gateway's own plugins use it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import formatdate
from typing import Final, Literal, Protocol

Verdict = Literal["send", "not-modified", "failed"]

_ENTITY_TAG: Final = re.compile(r'(W/)?"([\x21\x23-\x7e\x80-\xff]*)"[ \t]*(?:,[ \t]*|$)')
_MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_CLOCK: Final = r"(?P<hour>\d\d):(?P<minute>\d\d):(?P<second>\d\d)"
_DATES: Final = tuple(
    re.compile(pattern)
    for pattern in (
        rf"[A-Z][a-z]{{2}}, (?P<day>\d\d) (?P<month>[A-Z][a-z]{{2}}) (?P<year>\d{{4}}) {_CLOCK} GMT",
        rf"[A-Z][a-z]{{5,8}}, (?P<day>\d\d)-(?P<month>[A-Z][a-z]{{2}})-(?P<year>\d\d) {_CLOCK} GMT",
        rf"[A-Z][a-z]{{2}} (?P<month>[A-Z][a-z]{{2}}) (?P<day>[ \d]\d) {_CLOCK} (?P<year>\d{{4}})",
    )
)
"""IMF-fixdate, RFC 850, asctime (section 5.6.7)."""


class Fields(Protocol):
    """The fields of a request."""

    def joined(self, name: str, /) -> str | None:
        """Return the values of a list field as one."""

    def get_all(self, name: str, /) -> list[str]:
        """Return every value of a field."""


@dataclass(frozen=True, slots=True)
class Validators:
    """What distinguishes the version of a representation that is sent from others."""

    etag: str | None
    modified: int | None
    """Seconds since the epoch, never later than now; None if the time says nothing."""

    is_modified_strong: bool
    """Whether it cannot have changed twice in that second (section 8.8.2.2)."""

    @property
    def last_modified(self) -> str | None:
        """The value of Last-Modified."""
        return None if self.modified is None else formatdate(self.modified, usegmt=True)


def verdict(fields: Fields, validators: Validators) -> Verdict:
    """Decide whether a GET or HEAD gets a representation, has it already, or is about another version."""
    modified = validators.modified
    if (wanted := fields.joined("If-Match")) is not None:
        if not _matches(wanted, validators.etag, weakly=False):
            return "failed"
    elif modified is not None and modified > _date(fields, "If-Unmodified-Since", modified):
        return "failed"
    if (known := fields.joined("If-None-Match")) is not None:
        has_it = _matches(known, validators.etag, weakly=True)
    else:
        has_it = modified is not None and modified <= _date(fields, "If-Modified-Since", -1)
    return "not-modified" if has_it else "send"


def may_send_ranges(fields: Fields, validators: Validators) -> bool:
    """Return whether If-Range lets a part be sent: without the field, or if the client has the rest of this version."""
    values = fields.get_all("If-Range")
    if not values:
        return True
    value = values[0]
    if len(values) > 1:
        return False
    if value.startswith(('"', "W/")):
        return validators.etag is not None and value == validators.etag and not value.startswith("W/")
    date = parse_date(value)
    return date is not None and date == validators.modified and validators.is_modified_strong


def _matches(value: str, etag: str | None, *, weakly: bool) -> bool:
    """Return whether a list of entity tags has one, by the strong or the weak comparison (section 8.8.3.2)."""
    if value.strip(" \t") == "*":
        return True
    if etag is None or (etag.startswith("W/") and not weakly):
        return False
    opaque = etag.removeprefix("W/")[1:-1]
    position = 0
    while (found := _ENTITY_TAG.match(value, position)) is not None and found.end() > position:
        if found[2] == opaque and (weakly or not found[1]):
            return True
        position = found.end()
    return False


def _date(fields: Fields, name: str, otherwise: int) -> int:
    """Return the date of a field; `otherwise` if there is none that can be read."""
    values = fields.get_all(name)
    date = parse_date(values[0]) if len(values) == 1 else None
    return otherwise if date is None else date


def parse_date(value: str) -> int | None:
    """Return the seconds since the epoch of a date of HTTP; None for what is none."""
    if len(value) > 40 or not value.isascii():
        return None
    found = next((found for pattern in _DATES if (found := pattern.fullmatch(value)) is not None), None)
    if found is None or found["month"] not in _MONTHS:
        return None
    year = int(found["year"])
    if len(found["year"]) == 2:
        year += 1900 if year >= 70 else 2000
    month, seconds = _MONTHS.index(found["month"]) + 1, min(59, int(found["second"]))  # 60 is a leap second
    try:
        date = datetime(year, month, int(found["day"]), int(found["hour"]), int(found["minute"]), seconds, tzinfo=UTC)
    except ValueError:
        return None
    return int(date.timestamp())
