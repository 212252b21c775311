"""How old a response is, and how long it may be used (RFC 9111 section 4.2; RFC 5861)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from gateway_plugin_sdk.conditions import parse_date

from gateway_plugin_cache.directives import Directives, parse_cache_control, parse_targeted

_LONGEST_HEURISTIC: Final = 86_400
"""Seconds that a guess is good for (RFC 9111 section 4.2.2 suggests a tenth of the time since the last change)."""
_HEURISTIC_STATUSES: Final = frozenset({200, 203, 204, 300, 301, 308, 404, 405, 410})
"""Statuses for which a lifetime may be guessed or configured (RFC 9110 section 15.1), without 414, 501 and 206."""


class Fields(Protocol):
    """The fields of a response."""

    def joined(self, name: str, /) -> str | None: ...
    def get_all(self, name: str, /) -> list[str]: ...


class Defaults(Protocol):
    """What the configuration says of responses that do not say it themselves. Times are seconds."""

    @property
    def default_ttl(self) -> float | None: ...
    @property
    def heuristic_fraction(self) -> float: ...
    @property
    def max_ttl(self) -> float | None: ...
    @property
    def stale_while_revalidate(self) -> float: ...
    @property
    def stale_if_error(self) -> float: ...
    @property
    def targeted(self) -> Sequence[str]: ...


@dataclass(frozen=True, slots=True)
class Policy:
    """How long a response may be used. Ages count from when the origin made it."""

    directives: Directives
    lifetime: float
    """The age up to which it is fresh."""

    is_explicit: bool
    """Whether the response itself states it."""

    stale_while_revalidate: float
    """The age up to which it may be used while it is validated in the background."""

    stale_if_error: float
    """The age up to which it may be used where the upstream fails."""

    @property
    def last_use(self) -> float:
        """The age at which the response has no use left without being validated."""
        return max(self.lifetime, self.stale_while_revalidate, self.stale_if_error)


def control_of(fields: Fields, targeted: Sequence[str]) -> tuple[Directives, bool]:
    """Return the directives that hold for this cache, and whether they stand in a targeted field.

    The first targeted field that can be read holds in the place of Cache-Control and Expires (RFC 9213 section 2.2).
    """
    for name in targeted:
        found = parse_targeted(fields.joined(name))
        if found is not None:
            return found, True
    return parse_cache_control(fields.get_all("Cache-Control")), False


def policy_of(fields: Fields, status: int, now: float, defaults: Defaults) -> Policy:
    """Return how long a response may be used.

    :param now: seconds since the epoch at which it was received.
    """
    directives, is_targeted = control_of(fields, defaults.targeted)
    lifetime = _explicit_lifetime(fields, directives, is_targeted, now)
    is_explicit = lifetime is not None
    if lifetime is None:
        lifetime = _heuristic_lifetime(fields, status, now, defaults)
    if defaults.max_ttl is not None:
        lifetime = min(lifetime, defaults.max_ttl)
    if "no-cache" in directives:
        lifetime = 0.0
    while_revalidate = _extension(directives, "stale-while-revalidate", defaults.stale_while_revalidate)
    if_error = _extension(directives, "stale-if-error", defaults.stale_if_error)
    # Section 4.2.4: what a response must be validated for is never used stale. s-maxage implies proxy-revalidate.
    if not directives.values.keys().isdisjoint({"must-revalidate", "proxy-revalidate", "no-cache"}):
        while_revalidate = if_error = 0.0
    elif "s-maxage" in directives:
        while_revalidate = _extension(directives, "stale-while-revalidate", 0.0)
        if_error = _extension(directives, "stale-if-error", 0.0)
    return Policy(directives, lifetime, is_explicit, lifetime + while_revalidate, lifetime + if_error)


def _extension(directives: Directives, name: str, default: float) -> float:
    stated = directives.seconds(name)
    return default if stated is None else float(stated)


def _explicit_lifetime(fields: Fields, directives: Directives, is_targeted: bool, now: float) -> float | None:
    for name in ("s-maxage", "max-age"):
        seconds = directives.seconds(name)
        if seconds is not None:
            return float(seconds)
    expires = [] if is_targeted else fields.get_all("Expires")
    if not expires:
        return None
    # Invalid dates, "0" above all, are in the past (section 5.3).
    until = parse_date(expires[0]) if len(set(expires)) == 1 else None
    return 0.0 if until is None else float(max(0.0, until - date_of(fields, now)))


def _heuristic_lifetime(fields: Fields, status: int, now: float, defaults: Defaults) -> float:
    if status not in _HEURISTIC_STATUSES:
        return 0.0
    if defaults.heuristic_fraction and (modified := parse_date(fields.joined("Last-Modified") or "")) is not None:
        return min(_LONGEST_HEURISTIC, max(0.0, date_of(fields, now) - modified) * defaults.heuristic_fraction)
    return defaults.default_ttl or 0.0


def date_of(fields: Fields, now: float) -> float:
    """Return when the origin made a response, in seconds since the epoch; now unless it states one."""
    values = fields.get_all("Date")
    date = parse_date(values[0]) if len(values) == 1 else None
    return now if date is None else date


def age_at_arrival(fields: Fields, now: float, delay: float) -> float:
    """Return the age of a response when it was received, in seconds (section 4.2.3).

    :param now: seconds since the epoch.
    :param delay: seconds from sending the request to receiving the response.
    """
    apparent = max(0.0, int(now) - date_of(fields, int(now)))
    # The first member of what came as a list; what is no number is ignored (section 5.1).
    value = ",".join(fields.get_all("Age")).partition(",")[0].strip(" \t")
    stated = float(value) if value.isascii() and value.isdigit() and len(value) < 12 else 0.0
    return max(apparent, stated + delay)
