"""Recognise CORS preflight requests, and nothing that only looks like one."""

from __future__ import annotations

import re
from typing import Final

from gateway_plugin_sdk import FieldNames, Request

_TOKEN: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")

# What makes another request of it for some frameworks (a method in a header field, with any separator that CGI and WSGI
# take for "-"), what a browser never sends with one (credentials), and what begins a body or another protocol.
_OVERRIDES: Final = [
    f"x-{http}{what}{override}"
    for http in ("", "http-")
    for what in ("method", "verb")
    for override in ("", "-override", "override")
]
_NEVER_IN_ONE: Final = FieldNames(
    [
        *_OVERRIDES,
        *("authorization", "proxy-authorization", "cookie", "transfer-encoding", "content-type", "expect", "upgrade"),
    ]
)


def is_preflight(request: Request) -> bool:
    """Return whether a request is a CORS preflight (Fetch standard, section 4.8), to the letter.

    It has the method OPTIONS, one Origin, one Access-Control-Request-Method that is a token, no body, no credentials,
    and no field that overrides the method.
    """
    if request.method != "OPTIONS":
        return False
    headers = request.headers
    origins, methods = headers.get_all("origin"), headers.get_all("access-control-request-method")
    if len(origins) != 1 or len(methods) != 1 or len(headers.get_all("access-control-request-headers")) > 1:
        return False
    return (
        _is_origin(origins[0])
        and _TOKEN.fullmatch(methods[0]) is not None
        and all(length == "0" for length in headers.get_all("content-length"))
        and not headers.has_any(_NEVER_IN_ONE)
    )


def _is_origin(value: str) -> bool:
    scheme, separator, host = value.partition("://")
    if not separator:
        return value == "null"
    return _TOKEN.fullmatch(scheme) is not None and bool(host) and not any(each in " \t/?#@," for each in host)
