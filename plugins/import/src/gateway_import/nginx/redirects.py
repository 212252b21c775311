"""``return`` and ``rewrite``: responses and new paths."""

from __future__ import annotations

import re
from typing import Any, Final
from urllib.parse import urlsplit

from gateway_import.nginx.directives import Directive
from gateway_import.nginx.values import substituted, variables

_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_SAME: Final = re.compile(
    r"(?:(?P<scheme>https?|\$scheme):(?P<slashes>//)(?P<host>[^/$]+|\$(?:host|http_host|server_name|hostname)))?"
    r"(?P<path>\$request_uri|\$uri\$is_args\$args|\$uri\?\$args)"
)
_GROUP: Final = re.compile(r"\$(\d|[A-Za-z_]\w*)")
_QUERY: Final = re.compile(r"(?:\$is_args\$args|\?\$args|\?\$query_string|\$is_args\$query_string)$")
_CLOSED: Final = 444
"""nginx closes the connection without a response."""


def response_keys(directive: Directive, values: dict[str, str]) -> dict[str, Any] | None:
    """Return the keys of a route for ``return``; None if its text cannot be made."""
    first, *rest = directive.args or ("",)
    if not first.isdigit():
        first, rest = "302", [first]
    status, text = int(first), substituted(rest[0], values) if rest else ""
    if status in _REDIRECTS and text:
        return redirect_keys(status, text)
    if status == _CLOSED:
        return {"respond": {"status": 403}}
    if not 200 <= status <= 599 or variables(text):
        return None
    return {"respond": {"status": status, **({"body": text} if text else {})}}


def redirect_keys(status: int, text: str) -> dict[str, Any] | None:
    """Return the keys for a redirect to a URL, of which parts may be those of the request."""
    same = _SAME.fullmatch(text)
    if same is not None:
        made: dict[str, Any] = {"status": status}
        scheme, host = same["scheme"], same["host"]
        if scheme in {"http", "https"}:
            made["scheme"] = scheme
        if host and not host.startswith("$"):
            name, _, port = host.partition(":")
            made |= {"host": name, "port": int(port)} if port.isdigit() else {"host": host}
        return {"redirect": made} if len(made) > 1 else None
    if not variables(text):
        return {"respond": {"status": status, "headers": {"location": text}}}
    return None


def is_same_place(directive: Directive) -> bool:
    """Whether ``return`` sends a client to the same path elsewhere: any other response keeps it from something."""
    return any(_SAME.fullmatch(each) for each in directive.args[-1:])


def template_of(text: str, groups: dict[str, str]) -> str | None:
    """Return a new path with groups of an expression as a template: each group must be a whole segment."""
    path = _QUERY.sub("", text)
    made = _GROUP.sub(lambda found: f":{groups[found[1]]}" if found[1] in groups else found[0], path)
    if "$" in made or not made.startswith("/") or "?" in made:
        return None
    segments = made.split("/")
    if any(":" in each and not re.fullmatch(r":\w+", each) for each in segments) or "*" in made:
        return None
    return made


def query_template(query: str, groups: dict[str, str]) -> dict[str, str] | None:
    """Return the parameters that a new path has, with groups as ``:name``; None if they are made in another way."""
    made: dict[str, str] = {}
    for part in query.split("&") if query else ():
        name, _, value = part.partition("=")
        if part in {"$args", "$query_string"}:
            continue  # which stay anyway
        group = _GROUP.fullmatch(value)
        if not name or "$" in name or ("$" in value and (group is None or group[1] not in groups)) or ":" in value:
            return None
        made[name] = f":{groups[group[1]]}" if group is not None else value
    return made


def is_whole_path(text: str) -> bool:
    """Whether ``proxy_pass`` sends the path as it is: it names no path itself."""
    place = place_of(text if "://" in text else f"grpc://{text}")
    return place is not None and place[2] is None


def place_of(text: str) -> tuple[str, str, str | None] | None:
    """Return scheme, host and URI part of ``proxy_pass``; the last is None where there is none."""
    if text.startswith(("http://unix:", "https://unix:", "grpc://unix:")):
        scheme, _, rest = text.partition("://")
        socket, separator, uri = rest.removeprefix("unix:").partition(":")
        return scheme, f"unix:{socket}", uri if separator and uri else None
    if "://" not in text:
        return None
    # What stands behind the host without a slash is the whole path, as the client sent it.
    if text.endswith("$request_uri") and not text.endswith("/$request_uri"):
        text = text.removesuffix("$request_uri")
    try:
        parts = urlsplit(text.replace("$", "%24"))
    except ValueError:
        return None
    host = parts.netloc
    if not host or "%24" in host or "@" in host:
        return None
    uri = text.partition("://")[2].removeprefix(host)
    return parts.scheme, host, uri or None
