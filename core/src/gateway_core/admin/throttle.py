"""Failed logins of each address, counted and bounded. Pure."""

from __future__ import annotations

from collections import OrderedDict, deque
from ipaddress import IPv6Address, ip_address
from typing import Final

MOST_FAILURES: Final = 10
WINDOW: Final = 60.0
"""Seconds in which an address may fail so often; from then on its tokens are not looked at until that is over."""

_MOST_ADDRESSES: Final = 1024


class LoginThrottle:
    """Counts failed logins by address; networks of 64 bits count as one address of IPv6."""

    def __init__(self) -> None:
        self._failures: OrderedDict[str, deque[float]] = OrderedDict()

    def note_failure(self, address: str, now: float) -> None:
        """Count a failed login."""
        key = _key(address)
        failures = self._failures.pop(key, None) or deque(maxlen=MOST_FAILURES)
        failures.append(now)
        self._failures[key] = failures
        if len(self._failures) > _MOST_ADDRESSES:
            self._failures.popitem(last=False)

    def wait(self, address: str, now: float) -> float:
        """Return the seconds until logins from an address are looked at again; 0 if they are."""
        failures = self._failures.get(_key(address))
        if failures is None or len(failures) < MOST_FAILURES:
            return 0.0
        return max(0.0, failures[0] + WINDOW - now)


def _key(address: str) -> str:
    try:
        parsed = ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(parsed, IPv6Address) and parsed.ipv4_mapped is None:
        return str(IPv6Address(int(parsed) >> 64 << 64))
    return str(parsed)
