"""KrakenD: configurations of version 2 and 3 in JSON or YAML.

KrakenD sends nothing of a client's header fields and query on unless it is listed: these lists are carried over, empty
ones too. An endpoint with one backend is a route; what KrakenD does to a response's body is not done here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlsplit

from gateway_import.failures import CannotImportError, Origin
from gateway_import.files import Files, SourceText
from gateway_import.formats import Format
from gateway_import.krakend.extras import NAMESPACES, EndpointExtras, cors
from gateway_import.model import Binding, Finding, Imported, Listener, Route, Upstream, clean_id
from gateway_import.nodes import read_nodes
from gateway_import.sections import Section

_VERSIONS: Final = (2, 3)
_PARAMETER: Final = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)\}")
_DURATION: Final = re.compile(r"[0-9]{1,9}(?:ms|s|m|h)")
_ENCODINGS: Final = frozenset({"json", "no-op", "fast-json"})
_BODY_KEYS: Final = ("allow", "whitelist", "deny", "blacklist", "group", "mapping", "target", "is_collection")
_SERVICE_KEYS: Final = ("$schema", "name", "debug_endpoint", "echo_endpoint", "_comment", "output_encoding")
_AGGREGATE: Final = "bind the plugin aggregate on the route, or have the client ask for each"


def read(source: SourceText, _files: Files, _options: Mapping[str, Any]) -> Imported:
    """Read a configuration of KrakenD."""
    begin = source.text.find("{{")
    if begin >= 0 and "}}" in source.text[begin:]:
        line = source.text.count("\n", 0, begin) + 1
        message = "has templates of flexible configuration: import what krakend check -tlc, or FC_OUT, makes of them"
        raise CannotImportError(Origin(source.name, line), message)
    root = Section(read_nodes(source))
    version = root.integer("version")
    if version is None or "endpoints" not in root:
        raise CannotImportError(source.origin, "is no configuration of KrakenD: version or endpoints is missing")
    if version not in _VERSIONS:
        raise CannotImportError(root.origin_of("version"), f"has the version {version}: known are 2 and 3")
    imported = Imported(f"KrakenD, version {version}", source.name)
    _Importer(imported, root).run()
    return imported


FORMAT: Final = Format(
    read, "Import a configuration of KrakenD, in JSON or YAML: versions 2 and 3, without templates.\n"
)


class _Importer:
    def __init__(self, imported: Imported, root: Section) -> None:
        self.imported = imported
        self.root = root
        self.hosts = root.texts("host")
        self.timeout = root.text("timeout") or "2s"
        self.encoding = root.text("output_encoding") or "json"
        self.upstreams: dict[tuple[tuple[str, ...], str], str] = {}
        self.extra = _extras(root)
        self.everywhere: list[Finding] = []
        """Guards over every endpoint that were lost."""

    def run(self) -> None:
        self._service()
        for endpoint in self.root.sections("endpoints", "an endpoint"):
            path = endpoint.text("endpoint")
            if not path or not path.startswith("/"):
                raise CannotImportError(endpoint.origin, f"has the endpoint {path!r}: begin it with /")
            method = (endpoint.text("method") or "GET").upper()
            endpoint.what = f"endpoint {method} {path}"
            self._endpoint(endpoint, path, method)
        for route in self.imported.routes:
            for finding in self.everywhere:
                self.imported.close(route, finding)
        _lose_rest(self.imported, self.root)

    def _service(self) -> None:
        root, imported = self.root, self.imported
        root.ignore(*_SERVICE_KEYS)
        port, address = root.integer("port"), root.text("listen_ip") or ""
        listener: dict[str, Any] = {"address": f"{address if ':' not in address else f'[{address}]'}:{port or 8080}"}
        tls = root.section("tls", "tls")
        if tls is not None:
            keys = tls.sections("keys")
            pair = keys[0] if keys else tls
            public, private = pair.text("public_key"), pair.text("private_key")
            if public and private:
                listener["tls"] = {"cert": public, "key": private}
            if tls.boolean("enable_mtls"):
                authorities = tls.texts("ca_certs")
                reason, proposal = "clients must present a certificate", "set client_ca of the listener to one file"
                if len(authorities) == 1 and "tls" in listener:
                    listener["tls"]["client_ca"] = authorities[0]
                else:
                    self.everywhere.append(
                        imported.lose_guard(tls.origin, "'enable_mtls' of tls", reason, proposal, [])
                    )
            _lose_rest(imported, tls)
        imported.listeners.append(Listener(listener, root.origin_of("port")))
        found = self.extra.pop("security/cors", None)
        if found is not None:
            imported.plugins.append(cors(imported, found))
        self.router = self.extra.pop("qos/ratelimit/router", None)

    def _endpoint(self, endpoint: Section, path: str, method: str) -> None:
        imported = self.imported
        backends = endpoint.sections("backend", "a backend")
        if not backends:
            raise CannotImportError(endpoint.origin, f"{endpoint.what} has no backend")
        keys: dict[str, Any] = {**_path_keys(path), "methods": [method]}
        route = Route(imported.route_id(clean_id(f"{method.lower()}{path}", "endpoint")), keys, endpoint.origin)
        route.comments.append(endpoint.what)
        imported.routes.append(route)
        extra = _extras(endpoint)
        # Before the fields of the request are cut down to what is listed: who may pass is decided by what was sent.
        extras = EndpointExtras(imported, route, endpoint)
        extras.carry_over(extra, self.router)
        for name, section in self.extra.items():
            extras.unknown(name, section)
        self._forwarding(endpoint, route)
        timeout = endpoint.text("timeout") or self.timeout
        keys["timeouts"] = {"total": timeout} if _DURATION.fullmatch(timeout) else {"total": "2s"}
        if len(backends) > 1:
            reason = f"it merges the responses of {len(backends)} backends"
            imported.lose_guard(endpoint.origin, endpoint.what, reason, _AGGREGATE, [route])
        else:
            self._backend(endpoint, backends[0], route, method, extras)
        self._encoding(endpoint)
        endpoint.ignore("concurrent_calls", "cache_ttl", "@comment", "_comment")
        _lose_rest(imported, endpoint)

    def _encoding(self, endpoint: Section) -> None:
        encoding = endpoint.text("output_encoding") or self.encoding
        if encoding not in _ENCODINGS:
            reason = f"responses are not encoded as {encoding!r}"
            self.imported.lose(endpoint.origin, endpoint.what, reason, "have the backend encode them so")

    def _forwarding(self, endpoint: Section, route: Route) -> None:
        """Carry over what of the request goes on: nothing is the default."""
        headers = endpoint.texts("input_headers") or endpoint.texts("headers_to_pass")
        parameters = endpoint.texts("input_query_strings") or endpoint.texts("querystring_params")
        if "*" not in headers:
            config = {"request": {"keep": [*(name.lower() for name in headers), "user-agent", "x-forwarded-*"]}}
            route.plugins.append(Binding("headers", config, endpoint.origin_of("input_headers"), "input-headers"))
        if "*" not in parameters:
            route.keys["rewrite"] = {"query": {"keep": parameters}}

    def _backend(self, endpoint: Section, backend: Section, route: Route, method: str, extras: EndpointExtras) -> None:
        imported = self.imported
        backend.what = f"the backend of {endpoint.what}"
        hosts = backend.texts("host") or self.hosts
        discovery = backend.text("sd") or "static"
        if discovery == "dns":
            name = self._dns(hosts, backend)
        elif discovery == "static" and hosts:
            name = self._upstream(hosts, backend)
        else:
            reason = "it has no host" if not hosts else f"there is no discovery {discovery!r}"
            imported.lose_guard(backend.origin, backend.what, reason, "give the upstream endpoints", [route])
            name = ""
        route.keys["target"] = name
        sent = (backend.text("method") or method).upper()
        if sent != method:
            imported.lose_guard(
                backend.origin, backend.what, f"it is asked by {sent}", "the method stays as it is", [route]
            )
        self._rewrite(backend, route)
        changed = [key for key in _BODY_KEYS if key in backend]
        for key in changed:
            node = backend.take(key)
            if node is None or node.value in ("", False) or node.value == []:
                continue
            what, reason = f"{key!r} of {backend.what}", "it changes the body of the response"
            if key in {"allow", "whitelist", "deny", "blacklist", "target", "mapping"}:
                # Fields that KrakenD keeps from clients.
                imported.lose_guard(node.origin, what, reason, "bind transform on the route", [route])
            else:
                imported.lose(node.origin, what, reason, "bind transform on the route")
        encoding = backend.text("encoding") or "json"
        if encoding not in _ENCODINGS:
            imported.lose(backend.origin, backend.what, f"its {encoding!r} is not decoded", "clients get it as it is")
        for key in ("input_headers", "input_query_strings"):
            if backend.nodes(key):
                reason = "it gets less of the request than the endpoint"
                imported.lose_guard(
                    backend.origin_of(key), f"{key!r} of {backend.what}", reason, "list it there", [route]
                )
        extras.carry_over_backend(_extras(backend), backend)
        backend.ignore("disable_host_sanitize", "sd_scheme", "@comment", "_comment")
        _lose_rest(imported, backend)

    def _rewrite(self, backend: Section, route: Route) -> None:
        pattern = backend.text("url_pattern") or "/"
        path, _, query = pattern.partition("?")
        ours = _PARAMETER.sub(r":\1", path if path.startswith("/") else f"/{path}")
        rewrite = dict(route.keys.get("rewrite", {}))
        if ours != route.keys.get("path"):
            names = set(_PARAMETER.findall(path))
            known = set(re.findall(r"[:*]([A-Za-z_][A-Za-z0-9_]*)", str(route.keys.get("path", ""))))
            if "{" in _PARAMETER.sub("", path) or names - known or "path_prefix" in route.keys:
                reason = f"its url_pattern {pattern!r} takes more than the parameters of the path"
                self.imported.lose_guard(backend.origin, backend.what, reason, "write a plugin", [route])
            rewrite["template"] = ours
        set_ = {
            name: _PARAMETER.sub(r":\1", value)
            for name, _, value in (each.partition("=") for each in query.split("&"))
            if name
        }
        if set_:
            rewrite["query"] = {**rewrite.get("query", {}), "set": set_}
        if rewrite:
            route.keys["rewrite"] = rewrite

    def _upstream(self, hosts: list[str], backend: Section) -> str:
        urls, schemes = [], set()
        for host in hosts:
            url = host if "://" in host else f"http://{host}"
            try:
                parts = urlsplit(url)
                _ = parts.port
            except ValueError:
                raise CannotImportError(backend.origin_of("host"), f"has the host {host!r}, which is no URL") from None
            if parts.scheme not in {"http", "https"} or parts.path not in {"", "/"}:
                raise CannotImportError(
                    backend.origin_of("host"), f"has the host {host!r}: write scheme, host and port"
                )
            schemes.add(parts.scheme)
            urls.append(f"{parts.scheme}://{parts.netloc}")
        return self._named(tuple(urls), "static", {"endpoints": [{"url": url} for url in dict.fromkeys(urls)]}, backend)

    def _dns(self, hosts: list[str], backend: Section) -> str:
        host = hosts[0].rpartition("://")[2].rstrip("/") if hosts else ""
        if not host:
            raise CannotImportError(backend.origin, f"{backend.what} has no host")
        scheme = backend.text("sd_scheme") or "http"
        discovery = {"name": "dns", "config": {"host": host, "record": "srv", "scheme": scheme}}
        return self._named((host,), "dns", {"discovery": discovery}, backend)

    def _named(self, hosts: tuple[str, ...], kind: str, keys: dict[str, Any], backend: Section) -> str:
        if (hosts, kind) not in self.upstreams:
            name = self.imported.upstream_name(hosts[0].rpartition("://")[2].partition(":")[0] or "backend")
            self.upstreams[hosts, kind] = name
            origin = backend.origin_of("host") if "host" in backend else self.root.origin_of("host")
            self.imported.upstreams.append(Upstream(name, keys, origin))
        return self.upstreams[hosts, kind]


def _extras(section: Section) -> dict[str, Section]:
    """Return the namespaces of ``extra_config``, under their names of version 3."""
    extra = section.section("extra_config", f"extra_config of {section.what or 'the document'}")
    found: dict[str, Section] = {}
    for name in extra.names() if extra is not None else ():
        node = extra.take(name) if extra is not None else None
        if node is None or not isinstance(node.value, dict):
            if node is not None and node.value is not False:
                raise CannotImportError(node.origin, f"has no mapping in {name!r} of extra_config")
            continue
        known = NAMESPACES.get(name, name)
        if known in found:
            raise CannotImportError(node.origin, f"has {known!r} twice in extra_config, as {name!r} too: leave one out")
        found[known] = Section(node, f"{known!r} of {section.what or 'the service'}")
    return found


def _path_keys(path: str) -> dict[str, Any]:
    if path.endswith("/*"):
        return {"path_prefix": path.removesuffix("/*") or "/"}
    return {"path": _PARAMETER.sub(r":\1", path)}


def _lose_rest(imported: Imported, section: Section) -> None:
    for key, node in list(section.rest()):
        what = f"{key!r} of {section.what}" if section.what else repr(key)
        imported.lose(node.origin, what, "there is nothing like it", "see docs/configuration.md")
