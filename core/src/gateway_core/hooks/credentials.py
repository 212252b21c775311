"""Which parts of a request hold credentials of its client: copies for mirrors come without them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from gateway_core.hooks.binding import Binding
from gateway_core.messages.headers import block_of, headers_of_block
from gateway_core.routing import QueryRewrite, compile_query_rewrite

_USUAL: Final = (
    "authorization", "proxy-authorization", "cookie", "api-key", "x-access-token", "x-api-key", "x-auth-token",
)  # fmt: skip
"""Fields of credentials also where no plugin reads them: it may be the upstream that does."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """Where credentials are in the requests of a route."""

    headers: tuple[str, ...]
    """Names of fields."""
    query: QueryRewrite | None
    """Takes them out of the query; None if there are none."""

    @classmethod
    def of(cls, bindings: Iterable[Binding]) -> Credentials:
        """Return the usual places, and those that plugins name."""
        instances = [each.instance for each in bindings]
        own = {name.lower() for each in instances for name in each.credential_headers}
        parameters = {name for each in instances for name in each.credential_parameters}
        return cls(tuple(dict.fromkeys([*_USUAL, *sorted(own)])), compile_query_rewrite(parameters, {}))

    def removed_from(self, head: bytes) -> bytes:
        """Return the head of a request without them.

        :param head: to the empty line that ends it.
        """
        line, _, fields = head[:-4].partition(b"\r\n")
        headers = headers_of_block(b"\r\n" + fields)
        for name in self.headers:
            headers.remove(name)
        return b"%b%b\r\n\r\n" % (self._line(line), block_of(headers))

    def _line(self, line: bytes) -> bytes:
        method, target, version = line.split(b" ")
        path, mark, query = target.partition(b"?")
        if self.query is None or not query:
            return line
        left = self.query.apply(query.decode("latin-1")).encode("latin-1")
        return b"%b %b%b%b %b" % (method, path, mark if left else b"", left, version)
