"""One attempt to get a response from an endpoint, as attempt hooks see it."""

from __future__ import annotations

from typing import NoReturn

from gateway_core.messages.headers import Headers

_FINAL = frozenset({"endpoint", "raw_path", "query_string", "host"})


class UpstreamAttempt:
    """What one attempt sends, just before its head is written.

    Everything but ``headers`` is final, so that a signature over it holds.
    """

    __slots__ = ("endpoint", "headers", "host", "query_string", "raw_path")

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
        self.headers = headers

    def copy(self) -> UpstreamAttempt:
        """Return an attempt whose fields can be changed without changing this one's."""
        return UpstreamAttempt(self.endpoint, self.raw_path, self.query_string, self.host, self.headers.copy())

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
