"""Values of fields: texts with ``{source}`` in them, compiled once into a function of a request and a response.

A value that has something missing is None, and its field is not written: ``{claim:email|none}`` names what stands
there instead. ``{{`` and ``}}`` are braces. What comes from a request is made fit for a field: characters outside
latin-1 go out as UTF-8, and control characters as percent-escapes, so that nothing begins another line.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any, Final, NamedTuple

from gateway_plugin_sdk import MISSING, Request, Response, claim_path

Value = Callable[[Request, Response], str | None]
Read = Callable[[Request, Response], Any]

_PART: Final = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")
_UNSAFE: Final = re.compile(r"[\x00-\x1f\x7f]")

_PLAIN: Final[dict[str, Read]] = {
    "client_ip": lambda request, _: request.client_ip,
    "peer_ip": lambda request, _: request.peer_ip,
    "scheme": lambda request, _: request.scheme,
    "host": lambda request, _: request.host,
    "method": lambda request, _: request.received.method,
    "path": lambda request, _: request.path,
    "raw_path": lambda request, _: request.raw_path,
    "query": lambda request, _: request.query_string,
    "request_id": lambda request, _: request.request_id,
    "route": lambda request, _: None if request.route is None else request.route.id,
    "upstream": lambda request, _: request.upstream,
    "identity": lambda request, _: None if request.identity is None else request.identity.subject,
    "tls_version": lambda request, _: None if request.tls is None else request.tls.version,
}
_OF_RESPONSE: Final[dict[str, Read]] = {
    "status": lambda _, response: response.status,
    "produced_by": lambda _, response: response.produced_by,
    "failure": lambda _, response: response.failure,
}


def _header(name: str) -> Read:
    return lambda request, _: request.headers.joined(name)


def _cookie(name: str) -> Read:
    return lambda request, _: request.cookie(name)


def _query(name: str) -> Read:
    return lambda request, _: next((value for key, value in request.query if key == name), None)


def _param(name: str) -> Read:
    return lambda request, _: request.path_params.get(name)


def _claim(name: str) -> Read:
    read = claim_path(name)

    def claim(request: Request, _: Response) -> Any:
        identity = request.identity
        found = MISSING if identity is None else read(identity.claims)
        if isinstance(found, list | tuple):
            return ",".join(_text(each) for each in found) if all(_is_plain(each) for each in found) else None
        return found if _is_plain(found) else None

    return claim


def _of_response(name: str) -> Read:
    return lambda _, response: response.headers.joined(name)


_NAMED: Final[dict[str, Callable[[str], Read]]] = {
    "header": _header, "cookie": _cookie, "query": _query, "param": _param, "claim": _claim,
}  # fmt: skip


class Part(NamedTuple):
    """What stands between braces."""

    source: str
    name: str
    default: str | None


def parts_of(template: str) -> Iterator[str | Part]:
    """Yield the texts and the sources of a template.

    :raises ValueError: a brace has no partner, or a source is empty.
    """
    position = 0
    for found in _PART.finditer(template):
        if found.start() > position:
            yield template[position : found.start()]
        position = found.end()
        text = found[0]
        if text in {"{{", "}}"}:
            yield text[0]
        elif found[1] is None:
            raise ValueError(f"has a {text} without its partner: write {text * 2} for the character")
        else:
            inner, bar, default = found[1].partition("|")
            source, _, name = inner.partition(":")
            yield Part(source, name, default if bar else None)
    if position < len(template):
        yield template[position:]


_FOREIGN: Final = re.compile(
    r"\$(?:context|request|stageVariables|tyk_\w+)\.[\w.]+|\$([a-z]\w*)|\$\([a-z][^$()]*\)|"
    r"%[A-Z][A-Z_]+(?:\([^%()]*\))?%|%\[[^\[\]]+\]"
)
"""What stands for a value in AWS, Tyk, nginx, Kong, Envoy and HAProxy."""
_OF_CADDY: Final = re.compile(
    r"(?:http\.(?:request|reverse_proxy)\.)?"
    r"(?:(?P<kind>header|cookie|query|re|vars)\.(?P<name>[\w.-]+)|(?P<plain>[a-z_]+(?:\.[a-z_]+)*))"
)
_PLAIN_OF_CADDY: Final = {
    "remote_host": "client_ip", "remote.host": "client_ip", "remote": "client_ip", "client_ip": "client_ip",
    "uri": "raw_path", "orig_uri": "raw_path", "hostport": "host", "orig_method": "method", "uuid": "request_id",
    "http.request.uuid": "request_id", "http.auth.user.id": "identity", "uri.path": "path", "uri.query": "query",
    "host": "host", "method": "method", "scheme": "scheme", "path": "path", "query": "query",
}  # fmt: skip
_OURS: Final = {
    "remote_addr": "client_ip", "realip_remote_addr": "peer_ip", "proxy_add_x_forwarded_for": "client_ip",
    "host": "host", "http_host": "host", "scheme": "scheme", "request_uri": "raw_path", "uri": "path",
    "args": "query", "query_string": "query", "request_id": "request_id", "request_method": "method",
    "remote_user": "identity",
}  # fmt: skip


def _refuse_foreign(text: str) -> None:
    """Refuse what stands for a value elsewhere, and would be sent literally."""
    for found in _FOREIGN.finditer(text):
        ours = _ours(found[1]) if found[1] else "a source in braces, such as {client_ip} or {header:X-Name}"
        if ours:
            raise ValueError(f"has {found[0]!r}, which would be sent literally: write {ours}")


def _ours(name: str) -> str:
    """Return the source for a variable of nginx; empty if there is no such variable."""
    kind, _, rest = name.partition("_")
    if name in _OURS:
        return f"{{{_OURS[name]}}}"
    if kind == "http" and rest:
        return f"{{header:{rest.replace('_', '-')}}}"
    return f"{{{'query' if kind == 'arg' else kind}:{rest}}}" if kind in {"cookie", "arg"} and rest else ""


def check_template(template: str, *, of_response: bool) -> None:
    """Refuse a template that names what there is not.

    :raises ValueError: with what there is.
    """
    _refuse_foreign(template)
    for part in parts_of(template):
        if isinstance(part, Part):
            _read_of(part, of_response=of_response)


def needs_identity(template: str) -> bool:
    """Whether a template names who is calling."""
    return any(isinstance(part, Part) and part.source in {"identity", "claim"} for part in parts_of(template))


def required_params(template: str) -> list[str]:
    """Return the names of path parameters in a template without a default: what is no parameter would be no value."""
    parts = [part for part in parts_of(template) if isinstance(part, Part)]
    return [part.name for part in parts if part.source == "param" and part.default is None]


def constant(template: str) -> str | None:
    """Return the text of a template without sources, else None."""
    parts = list(parts_of(template))
    return None if any(isinstance(part, Part) for part in parts) else "".join(map(str, parts))


def compile_template(template: str, *, of_response: bool) -> Value:
    """Return the function that makes the value."""
    parts = [
        part if isinstance(part, str) else (_read_of(part, of_response=of_response), part.default)
        for part in parts_of(template)
    ]
    if len(parts) == 1 and not isinstance(parts[0], str):
        read, default = parts[0]

        def single(request: Request, response: Response) -> str | None:
            value = read(request, response)
            return default if value is None or value == "" else _fit(_text(value))

        return single

    def joined(request: Request, response: Response) -> str | None:
        pieces = []
        for part in parts:
            if isinstance(part, str):
                pieces.append(part)
                continue
            value = part[0](request, response)
            if value is None or value == "":
                if part[1] is None:
                    return None
                pieces.append(part[1])
            else:
                pieces.append(_fit(_text(value)))
        return "".join(pieces)

    return joined


def _read_of(part: Part, *, of_response: bool) -> Read:
    source, name, _ = part
    plain = _PLAIN | (_OF_RESPONSE if of_response else {})
    named = _NAMED | ({"response": _of_response} if of_response else {})
    if not name and source in plain:
        return plain[source]
    if name and source in named:
        return named[source](name)
    if source in _OF_RESPONSE or source == "response":
        raise ValueError(f"names {{{source}}}, which there is only behind the upstream: move it to response")
    shown = f"{source}:{name}" if name else source
    raise ValueError(
        f"names {{{shown}}}, which there is not: {_meant(shown)}use one of {', '.join(plain)}, "
        f"or {', '.join(f'{kind}:NAME' for kind in named)}; {{{{ is a brace"
    )


def _meant(source: str) -> str:
    """Return what was probably meant by a source of another gateway, before the list of those that there are."""
    if found := re.fullmatch(r"\$?env[.:](\w+)", source):
        return f"${{{found[1]}}} is the environment's, or "
    found = _OF_CADDY.fullmatch(source)
    if found is None:
        return ""
    if found["kind"] in {"header", "cookie", "query"}:
        return f"write {{{found['kind']}:{found['name']}}}, or "
    if plain := _PLAIN_OF_CADDY.get(found["plain"] or ""):
        return f"write {{{plain}}}, or "
    if source not in _NAMED and re.fullmatch(r"[A-Za-z][A-Za-z0-9_-]*", source):
        return f"{{param:{source}}} is a parameter of the route's path, or "
    return ""


def _is_plain(value: object) -> bool:
    return isinstance(value, str | int | float)


def _text(value: object) -> str:
    if value is True or value is False:
        return "true" if value else "false"
    return str(value)


def _fit(text: str) -> str:
    if text.isascii() and text.isprintable():
        return text
    text = _UNSAFE.sub(lambda found: f"%{ord(found[0]):02X}", text)
    try:
        text.encode("latin-1")
    except UnicodeEncodeError:
        return text.encode("utf-8", "replace").decode("latin-1")
    return text
