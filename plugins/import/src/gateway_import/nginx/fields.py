"""Header fields: ``proxy_set_header``, ``proxy_hide_header``, ``add_header``."""

from __future__ import annotations

from typing import Any, Final

from gateway_import.model import Binding, EnvReference, Imported, Route, keeps_secret
from gateway_import.nginx.directives import Context, Directive
from gateway_import.nginx.values import duration, seconds, template, variables

ADDED_FOR: Final = ["200", "201", "204", "206", "301", "302", "303", "304", "307", "308"]
"""Statuses for which ``add_header`` adds without ``always``."""
_HIDDEN: Final = ("Server", "X-Pad", "X-Accel-*")
"""What nginx does not pass on from an upstream by default; Date is of no use to a client twice either."""
_OURS: Final = frozenset(
    [
        "connection",
        "upgrade",
        "x-forwarded-for",
        "x-forwarded-proto",
        "x-forwarded-host",
        "x-forwarded-port",
        "te",
        "x-forwarded-server",
        "forwarded",
        "content-length",
        "transfer-encoding",
        "x-original-uri",
        "x-forwarded-uri",
    ]
)
"""What the gateway sends by itself, or does not need."""


def host_keys(context: Context, prefix: str, host: str, *, is_named: bool) -> dict[str, Any] | None:
    """Return what sends the Host that nginx sends; None if it is made in a way that is not known.

    :param is_named: whether the place is an ``upstream``, whose name nginx sends.
    """
    found = [
        each for each in context.all(f"{prefix}_set_header") if each.value.lower() == "host" and len(each.args) == 2
    ]
    text = found[-1].args[1] if found else "$proxy_host"
    if text in {"$host", "$http_host", "${host}", "$host:$server_port", "$host:$proxy_port"}:
        return {"preserve_host": True}
    if text in {"$proxy_host", "${proxy_host}"}:
        return {"rewrite": {"host": host}} if is_named else {}
    return {"rewrite": {"host": text}} if text and not variables(text) else None


class Fields:
    """Makes the bindings of ``headers``."""

    def __init__(self, imported: Imported) -> None:
        self._imported = imported

    def add_request(self, route: Route, context: Context, prefix: str, captured: dict[str, str]) -> None:
        """Add what changes the fields of requests, behind everything that reads them.

        :param captured: response fields of ``auth_request``'s service by the variable that they are kept in.
        """
        request: dict[str, Any] = {"set": {}, "remove": []}
        found = [each for each in context.all(f"{prefix}_set_header") if len(each.args) == 2] if prefix else []
        for each in found:
            self._request_field(each, request, captured)
        if any(request.values()):
            changes = {key: value for key, value in request.items() if value}
            route.plugins.append(Binding("headers", {"request": changes}, found[0].origin, id="request-headers"))

    def add_responses(self, route: Route, context: Context, prefix: str) -> None:
        """Add what changes the fields of responses, before everything that may respond."""
        responses = self._responses(context)
        hidden = [each.value for each in context.all(f"{prefix}_hide_header")] if prefix else []
        if prefix:
            passed = {each.value.lower() for each in context.all(f"{prefix}_pass_header")}
            hidden = [each for each in _HIDDEN if each.lower() not in passed] + hidden
        if hidden:
            responses.insert(0, {"remove": list(dict.fromkeys(hidden))})
        if responses:
            added = context.all("add_header")
            route.plugins.append(
                Binding("headers", {"response": responses}, added[0].origin if added else route.origin)
            )

    def _request_field(self, each: Directive, request: dict[str, Any], captured: dict[str, str]) -> None:
        name, text = each.args
        lower = name.lower()
        if lower == "host" or (lower in _OURS and lower != "forwarded"):
            return
        names = variables(text)
        if names == [f"http_{lower.replace('-', '_')}"] or (len(names) == 1 and captured.get(names[0]) == lower):
            return  # as the client sends it, or by upstream_headers
        if not text:
            request["remove"].append(name)
        elif not names and keeps_secret(name, text):
            request["set"][name] = self._secret(each)
        elif (made := template(text)) is not None:
            request["set"][name] = made
        else:
            # What a client sends under the name did not get through before, and must not now.
            request["remove"].append(name)
            self._imported.lose(
                each.origin,
                str(each),
                "a variable of it has no counterpart; the field is removed",
                "set it by `headers` or `auth`",
            )

    def _secret(self, each: Directive) -> EnvReference:
        return self._imported.secret(f"nginx {each.value}", f"value of {each.value}", each.origin)

    def _responses(self, context: Context) -> list[dict[str, Any]]:
        always: dict[str, str] = {}
        usual: dict[str, str] = {}
        for each in context.all("add_header"):
            if len(each.args) < 2:
                continue
            name, text = each.args[:2]
            made = template(text)
            if made is None:
                self._imported.lose(
                    each.origin, str(each), "a variable of it has no counterpart", "set it by `headers`"
                )
            elif text:
                (always if each.args[2:] == ("always",) else usual)[name] = made
        rules: dict[str, Any] = {"statuses": ADDED_FOR} | self._expires(context)
        rules |= {"add": usual} if usual else {}
        return ([{"add": always}] if always else []) + ([rules] if len(rules) > 1 else [])

    def _expires(self, context: Context) -> dict[str, Any]:
        """Return what says how long a response may be kept; Cache-Control is enough of it (RFC 9111 section 5.3)."""
        expires = context.one("expires")
        if expires is None or expires.is_off:
            return {}
        made = _cache_control(expires.args)
        if made is None:
            self._imported.lose(
                expires.origin,
                str(expires),
                "it is a time of day, of a file, or depends on the response",
                "set Cache-Control by `headers`, or `cache` of `static`",
            )
            return {}
        return {"remove": ["Expires"], "set": {"Cache-Control": made}}


def _cache_control(args: tuple[str, ...]) -> str | None:
    text = args[0] if len(args) == 1 else ""
    if text in {"epoch", "max"}:
        return {"epoch": "no-cache", "max": "max-age=315360000"}[text]
    age = duration(text.removeprefix("-"))
    if age is None or variables(text):
        return None
    return "no-cache" if text.startswith("-") else f"max-age={round(seconds(text))}"
