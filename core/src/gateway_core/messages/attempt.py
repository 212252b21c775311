"""One attempt to get a response from an endpoint, as attempt hooks see it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NoReturn, TypeAlias
from urllib.parse import quote_plus, unquote_plus

from gateway_core.messages.headers import Headers

_FINAL: Final = frozenset({"endpoint", "raw_path", "query_string", "host"})

StatusObserver: TypeAlias = Callable[[int], bool]
"""Takes the status of a response, and returns whether another attempt may get a better one."""


class UpstreamAttempt:
    """What one attempt sends, just before its head is written.

    Everything but ``headers`` is final, so that a signature over it holds.
    """

    __slots__ = ("_observers", "endpoint", "headers", "host", "query_string", "raw_path")

    _observers: tuple[StatusObserver, ...]

    endpoint: str
    """The endpoint's id."""
    raw_path: str
    """The path of this attempt as it is sent, rewrites included."""
    query_string: str
    """What stands behind the ``?``, as it is sent."""
    host: str
    """The value of ``Host`` (or ``:authority``)."""
    headers: Headers
    """The fields of this attempt alone: all but Host and those that frame the message; may be changed."""

    def __init__(self, endpoint: str, raw_path: str, query_string: str, host: str, headers: Headers) -> None:
        set_attribute = object.__setattr__
        set_attribute(self, "endpoint", endpoint)
        set_attribute(self, "raw_path", raw_path)
        set_attribute(self, "query_string", query_string)
        set_attribute(self, "host", host)
        set_attribute(self, "headers", headers)
        set_attribute(self, "_observers", ())

    def on_status(self, observer: StatusObserver) -> None:
        """Have a function called with the status of the response, as soon as its head is there.

        For credentials that turn out to be refused: if the function returns True, the request is sent once more, with
        attempt hooks over it as for any retry. That is done once for each request, only for idempotent methods (RFC
        9110 section 9.2.2) whose body can be sent again, and within the upstream's retry budget; otherwise the
        response goes on. It is not called in shadow mode, and must not raise.
        """
        self._observers = (*self._observers, observer)

    def set_query_parameter(self, name: str, value: str) -> None:
        """Send a query parameter, in place of every one of that name: for credentials that an API takes there.

        For this attempt alone: ``request.query_string``, and so every log, stays without it. Hooks that sign the query
        belong behind.
        """
        kept = [pair for pair in self.query_string.split("&") if pair and _name_of(pair) != name]
        query = "&".join([*kept, f"{quote_plus(name)}={quote_plus(value)}"])
        object.__setattr__(self, "query_string", query)

    def copy(self) -> UpstreamAttempt:
        """Return an attempt whose fields can be changed without changing this one's."""
        return UpstreamAttempt(self.endpoint, self.raw_path, self.query_string, self.host, self.headers.copy())

    def observes_status(self) -> bool:
        """Return whether there is an observer; for the data path."""
        return bool(self._observers)

    def note_status(self, status: int) -> bool:
        """Call every observer; return whether one of them asks for another attempt. For the data path."""
        asks = False
        for observer in self._observers:
            asks = observer(status) or asks
        return asks

    def __setattr__(self, name: str, value: object) -> None:
        if name in _FINAL:
            self._refuse(name)
        object.__setattr__(self, name, value)

    def __delattr__(self, name: str) -> None:
        self._refuse(name)

    @staticmethod
    def _refuse(name: str) -> NoReturn:
        raise TypeError(f"{name} of an attempt is final: change the request in the pre-proxy phase")

    def __repr__(self) -> str:
        return f"<UpstreamAttempt {self.endpoint}>"


def _name_of(pair: str) -> str:
    return unquote_plus(pair.partition("=")[0])
