"""What of a request's head differs upstream from what came, and what of the response's head is undone."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from gateway_core.config import RewriteConfig, RouteConfig
from gateway_core.routing import (
    Pattern,
    QueryRewrite,
    ResponseRewrite,
    RewriteOptions,
    compile_query_rewrite,
    compile_rewrite,
    prefix_change,
)

PathChange = Callable[[Mapping[str, str], str], str]
"""Makes the path to send upstream of the pattern's parameters and the raw path; may raise `UnsafePathError`."""


@dataclass(frozen=True, slots=True)
class RequestRewrite:
    """How requests to one target of a route are sent."""

    path: PathChange | None = None
    """None if the path goes upstream as it came."""
    query: QueryRewrite | None = None
    host: bytes = b""
    """The Host that is sent, unless a plugin wrote one; empty for the client's or the endpoint's."""
    preserve_host: bool | None = None
    """Whether the client's Host is sent; None is the upstream's default."""
    prefix: bytes = b""
    """X-Forwarded-Prefix: the start of the path that the client sees and the upstream does not; empty for none."""
    response: ResponseRewrite | None = None
    """What is undone in responses."""


NO_REWRITE: Final = RequestRewrite()


def request_rewrite(route: RouteConfig, own: RewriteConfig | None, pattern: Pattern) -> RequestRewrite:
    """Return how requests are sent.

    :param own: the ``rewrite`` of a target, which replaces the route's.
    :raises RewriteError: the pattern and the rewrite do not go together.
    """
    rewrite = own or route.rewrite
    changes_path = rewrite is not None and rewrite.changes_path
    options = RewriteOptions(
        strip=route.strip_path and not changes_path,
        prefix=None if rewrite is None else rewrite.prefix,
        template=None if rewrite is None else rewrite.template,
    )
    path = compile_rewrite(pattern, options)
    change = None if path is None or options.template is not None else prefix_change(pattern, options.prefix)
    query = None if rewrite is None else rewrite.query
    host = "" if rewrite is None or rewrite.host is None else rewrite.host
    undo = route.rewrite_response
    made = RequestRewrite(
        path=None if path is None else lambda params, sent: path.apply(sent, params),
        query=None if query is None else compile_query_rewrite(query.remove, query.set),
        host=host.encode("ascii"),
        preserve_host=route.preserve_host,
        prefix=b"" if change is None else change.hidden.encode("ascii"),
        response=None
        if undo is None
        else ResponseRewrite(change, host, undo.location, undo.cookie_path, undo.cookie_domain),
    )
    return NO_REWRITE if made == NO_REWRITE else made
