"""Services: servers as upstreams; weighted ones, mirrors and failovers as targets of routes."""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import urlsplit

from gateway_import.failures import CannotImportError
from gateway_import.hiding import shown, without_secrets
from gateway_import.model import Imported, Upstream
from gateway_import.sections import Section

_KINDS: Final = ("loadBalancer", "weighted", "mirroring", "failover")
_DEEPEST: Final = 10


class Services:
    """Finds services by name, and makes each upstream once."""

    def __init__(self, imported: Imported, services: Section | None, transports: Section | None) -> None:
        self._imported = imported
        self._services = services
        self._transports = transports
        self._made: dict[str, str] = {}

    def keys(self, name: str, depth: int = 0) -> dict[str, Any] | None:
        """Return the keys of a route for a service; None if it is not in the file, or of a kind that is not known."""
        name = name.removesuffix("@file")
        service = None if self._services is None or name not in self._services else self._services.section(name)
        if service is None or depth > _DEEPEST:
            return None
        kind = next((each for each in _KINDS if each in service), None)
        if kind is None:
            return None
        section = service.section(kind, f"{kind} of service {name!r}")
        assert section is not None
        if kind == "loadBalancer" and not section.nodes("servers"):
            return None
        if kind == "loadBalancer":
            return {"target": self._upstream(name, section)}
        if kind == "weighted":
            return self._weighted(section)
        if kind == "mirroring":
            return self._mirroring(section, depth)
        first, second = self.target(section.text("service") or ""), self.target(section.text("fallback") or "")
        section.ignore("healthCheck")
        return (
            None
            if first is None or second is None
            else {"targets": [{"target": first}, {"target": second, "backup": True}]}
        )

    def target(self, name: str) -> str | None:
        """Return the upstream of a service that has servers; None for others, such as one that is made of itself."""
        name = name.removesuffix("@file")
        service = self._services.section(name) if self._services is not None and name in self._services else None
        return (self.keys(name) or {}).get("target") if service is not None and "loadBalancer" in service else None

    def has(self, name: str) -> bool:
        """Whether a service of this name is in the file."""
        return self._services is not None and name.removesuffix("@file") in self._services

    def _weighted(self, section: Section) -> dict[str, Any] | None:
        targets = []
        for each in section.sections("services"):
            target = self.target(each.text("name") or "")
            if target is None:
                return None
            weight = each.integer("weight")
            targets.append({"target": target, "weight": 1 if weight is None else weight})
        sticky = section.section("sticky")
        made: dict[str, Any] = {"targets": targets}
        if sticky is not None:
            made["sticky_cookie"] = _cookie(sticky, "weighted")
        section.ignore("healthCheck")
        return made

    def _mirroring(self, section: Section, depth: int) -> dict[str, Any] | None:
        made = self.keys(section.text("service") or "", depth + 1)
        mirrors = []
        for each in section.sections("mirrors"):
            target = self.target(each.text("name") or "")
            if target is None or made is None:
                return None
            mirrors.append({"target": target, "percent": each.integer("percent") or 0, "credentials": True})
        section.ignore("mirrorBody", "maxBodySize", "healthCheck")
        return None if made is None else made | {"mirror": mirrors}

    def _upstream(self, name: str, section: Section) -> str:
        if name in self._made:
            return self._made[name]
        keys: dict[str, Any] = {"endpoints": []}
        for server in section.sections("servers"):
            self._server(server, keys)
        if section.boolean("passHostHeader") is not False:
            keys["preserve_host"] = True
        sticky = section.section("sticky")
        if sticky is not None:
            keys["sticky_cookie"] = _cookie(sticky, name)
        check = section.section("healthCheck")
        if check is not None:
            keys["health_check"] = _health_check(check)
        if section.text("strategy") == "p2c":
            keys["strategy"] = "least-requests"
        transport = section.text("serversTransport")
        if transport is not None:
            self._transport(transport.removesuffix("@file"), keys, section)
        section.ignore("responseForwarding", "passiveHealthCheck")
        for key, node in section.rest():
            self._imported.lose(node.origin, f"{key!r} of {section.what}", "an upstream has no such option")
        made = self._imported.upstream_name(name)
        self._imported.upstreams.append(Upstream(made, keys, section.origin))
        self._made[name] = made
        return made

    def _server(self, server: Section, keys: dict[str, Any]) -> None:
        url = server.text("url") or ""
        try:
            parts = urlsplit(url)
        except ValueError:
            raise CannotImportError(
                server.origin_of("url"), f"has the server {shown(url)!r}, which is no URL"
            ) from None
        if parts.scheme == "h2c":
            keys["protocol"] = "http2"
        scheme = "http" if parts.scheme == "h2c" else parts.scheme
        weight = server.integer("weight")
        keys["endpoints"].append(
            {"url": f"{scheme}://{parts.netloc.rpartition('@')[2]}", **({} if weight is None else {"weight": weight})}
        )
        if "@" in parts.netloc:
            what, proposal = f"user and password of {without_secrets(url)}", "bind upstream-auth on the upstream"
            self._imported.lose(server.origin, what, "they are no part of an endpoint", proposal)
        if server.boolean("preservePath") and parts.path.strip("/"):
            self._imported.lose(
                server.origin, f"path of {without_secrets(url)}", "an endpoint has no path", "write `rewrite` on routes"
            )

    def _transport(self, name: str, keys: dict[str, Any], section: Section) -> None:
        transport = None if self._transports is None or name not in self._transports else self._transports.section(name)
        if transport is None:
            self._imported.lose(section.origin, f"serversTransport {name!r}", "it is not in the file")
            return
        tls: dict[str, Any] = {}
        if transport.text("serverName"):
            tls["server_name"] = transport.text("serverName")
        authorities = transport.texts("rootCAs")
        if authorities:
            tls["ca"] = authorities[0]
        if transport.boolean("insecureSkipVerify"):
            tls = {key: value for key, value in tls.items() if key != "ca"} | {"verify": False}
        for pair in transport.sections("certificates")[:1]:
            tls |= {"cert": pair.text("certFile"), "key": pair.text("keyFile")}
        if tls:
            keys["tls"] = tls
        for key, node in transport.rest():
            self._imported.lose(node.origin, f"{key!r} of serversTransport {name!r}", "an upstream has other options",
                                "see `timeouts`, `keepalive` and `tls`")  # fmt: skip


def _cookie(sticky: Section, name: str) -> dict[str, Any]:
    cookie = sticky.section("cookie")
    made: dict[str, Any] = {"name": (cookie.text("name") if cookie else None) or f"sticky-{name}"}
    if cookie is None:
        return made
    for ours, theirs in (("secure", "secure"), ("http_only", "httpOnly")):
        made[ours] = bool(cookie.boolean(theirs))
    same_site = cookie.text("sameSite")
    if same_site in {"none", "lax", "strict"}:
        made["same_site"] = same_site
    age = cookie.integer("maxAge")
    return made | ({"max_age": f"{age}s"} if age and age > 0 else {})


def _health_check(check: Section) -> dict[str, Any]:
    made: dict[str, Any] = {"path": check.text("path") or "/", "interval": duration(check.text("interval")) or "30s",
                            "timeout": duration(check.text("timeout")) or "5s"}  # fmt: skip
    for ours, theirs in (("host", "hostname"), ("method", "method")):
        if (value := check.text(theirs)) is not None:
            made[ours] = value
    for ours, theirs in (("port", "port"),):
        if (number := check.integer(theirs)) is not None:
            made[ours] = number
    status = check.integer("status")
    if status:
        made["expected_statuses"] = [status]
    return made | ({"headers": fields} if (fields := check.texts_by_key("headers")) else {})


def duration(text: str | None) -> str | None:
    """Return a duration of Traefik: a number is seconds, else as Go writes it."""
    from gateway_import.nginx.values import duration as with_units  # noqa: PLC0415 - the same units

    return None if text is None else with_units(text)
