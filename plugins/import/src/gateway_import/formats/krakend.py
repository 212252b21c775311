"""KrakenD: configurations of version 2 and 3 in JSON or YAML.

KrakenD sends nothing of a client's header fields and query on unless it is listed: these lists are carried over, empty
ones too. An endpoint with one backend is a route; one with several, or with some fields of a response, is a route with
`aggregate`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final
from urllib.parse import urlsplit

from gateway_import.failures import CannotImportError, Origin
from gateway_import.files import Files, SourceText
from gateway_import.formats import Format
from gateway_import.hiding import query_value
from gateway_import.krakend.aggregation import Aggregation
from gateway_import.krakend.extras import EndpointExtras, cors, is_known, known_name
from gateway_import.krakend.shapes import KEYS, is_shaped
from gateway_import.model import Binding, Finding, Imported, Listener, Route, Upstream, clean_id, without_credentials
from gateway_import.nodes import Node, read_nodes
from gateway_import.sections import Section

_VERSIONS: Final = (2, 3)
_KEPT: Final = frozenset(
    ["connection", "content-encoding", "content-length", "content-type", "host", "keep-alive", "proxy-connection", "te",
     "trailer", "transfer-encoding", "upgrade", "user-agent"]
)  # fmt: skip
"""Fields that `headers` keeps whatever is listed, or that the gateway writes."""
_PARAMETER: Final = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)\}")
_MILLISECONDS: Final = {"ns": 1e-6, "us": 1e-3, "µs": 1e-3, "ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000}
"""Units of Go's durations, in the order in which they are tried."""
_LONGEST_DURATION: Final = 40
_DURATION: Final = re.compile(r"([0-9]{1,9})(ms|s|m|h)")
_ENCODINGS: Final = frozenset({"json", "no-op", "no_op", "fast-json", "safejson"})
_AS_IT_IS: Final = frozenset({"no-op", "no_op"})
"""Encodings with which KrakenD changes nothing of a response."""
_COMMENTS: Final = ("@", "#", "_")
_WITH_COMMENTS: Final = frozenset({"endpoints", "backend", "extra_config"})
_SERVICE_KEYS: Final = ("$schema", "name", "debug_endpoint", "echo_endpoint", "output_encoding")


def read(source: SourceText, _files: Files, _options: Mapping[str, Any]) -> Imported:
    """Read a configuration of KrakenD."""
    begin = source.text.find("{{")
    if begin >= 0 and "}}" in source.text[begin:]:
        line = source.text.count("\n", 0, begin) + 1
        message = "has templates of flexible configuration: import what krakend check -tlc, or FC_OUT, makes of them"
        raise CannotImportError(Origin(source.name, line), message)
    root = Section(_without_comments(read_nodes(source)))
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
        self.timeout = _timeout(root) or "2s"
        self.cache_ttl = root.text("cache_ttl") or ""
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
        settings = extra.pop("proxy", None)
        # Before the fields of the request are cut down to what is listed: who may pass is decided by what was sent.
        extras = EndpointExtras(imported, route, endpoint)
        extras.carry_over(extra, self.router)
        for name, section in self.extra.items():
            extras.unknown(name, section)
        timeout = _timeout(endpoint) or self.timeout
        backends = list(self._without_shadows(endpoint, backends))
        for backend in backends:
            backend.what = f"the backend of {endpoint.what}"
            made = extras.carry_over_backend(_extras(backend), backend, is_only=len(backends) == 1)
            if made:
                self._add_to_upstream(self._target(backend, route), made)
        seconds = _seconds(endpoint.text("cache_ttl") or self.cache_ttl)
        if method == "GET" and seconds:
            extras.cache_control(seconds)
        has_static = settings is not None and "static" in settings
        if len(backends) == 1 and not self._is_changed(endpoint, backends[0]) and not has_static:
            self._forwarding(endpoint, route)
            keys["timeouts"] = {"total": timeout}
            self._backend(backends[0], route, method)
            self._encoding(endpoint)
        else:
            aggregation = Aggregation(imported, endpoint, lambda backend: self._target(backend, route))
            aggregation.add(route, backends, settings, method, timeout)
            endpoint.ignore("output_encoding")
        for backend in backends:
            backend.ignore("disable_host_sanitize", "sd_scheme")
            _lose_rest(imported, backend)
        if settings is not None:
            # What some write here has no effect: it belongs to the endpoint.
            settings.ignore("headers_to_pass", "sequential")
            for key in [name for name, _ in settings.rest()]:
                extras.unknown(f"{key} of proxy", Section(settings.node, f"{key!r} of {settings.what}"))
        endpoint.ignore("concurrent_calls", "input_type")
        _lose_rest(imported, endpoint)

    def _without_shadows(self, endpoint: Section, backends: list[Section]) -> Iterator[Section]:
        """Yield the backends of whose responses something becomes of the endpoint's."""
        shadows = [each for each in backends if _is_shadow(each)]
        for each in backends:
            if each not in shadows or len(shadows) == len(backends):
                yield each
                continue
            what, proposal = f"a backend of {endpoint.what}", "write mirror on the route, with this upstream"
            self.imported.lose(each.origin, what, "it gets a copy of requests (shadow)", proposal)

    def _is_changed(self, endpoint: Section, backend: Section) -> bool:
        """Whether KrakenD changes the body of the response of the only backend."""
        if not is_shaped(backend):
            backend.ignore(*KEYS)
            return False
        encoding = endpoint.text("output_encoding") or self.encoding
        if encoding in _AS_IT_IS:
            reason = f"KrakenD changes no response with the encoding {encoding!r}, and nor does this gateway"
            for key in KEYS:
                if key in backend:
                    what, proposal = f"{key!r} of the backend of {endpoint.what}", "bind transform to hide fields"
                    self.imported.note(backend.origin_of(key), what, reason, proposal)
            backend.ignore(*KEYS)
            return False
        node = backend.node.value
        is_list = isinstance(node, dict) and {key for key in KEYS if key in backend} == {"is_collection"}
        if is_list and encoding == "json-collection":
            backend.ignore("is_collection")
            return False
        return True

    def _encoding(self, endpoint: Section) -> None:
        encoding = endpoint.text("output_encoding") or self.encoding
        if encoding not in _ENCODINGS | {"json-collection"}:
            reason = f"responses are not encoded as {encoding!r}"
            self.imported.lose(endpoint.origin, endpoint.what, reason, "have the backend encode them so")

    def _forwarding(self, endpoint: Section, route: Route) -> None:
        """Carry over what of the request goes on: nothing is the default."""
        headers = endpoint.texts("input_headers") or endpoint.texts("headers_to_pass")
        parameters = endpoint.texts("input_query_strings") or endpoint.texts("querystring_params")
        if "*" not in headers:
            kept = [name for name in dict.fromkeys(map(str.lower, headers)) if name not in _KEPT]
            config = {"request": {"keep": [*kept, "user-agent", "x-forwarded-*"]}}
            route.plugins.append(Binding("headers", config, endpoint.origin_of("input_headers"), "input-headers"))
        if "*" not in parameters:
            route.keys["rewrite"] = {"query": {"keep": parameters}}

    def _target(self, backend: Section, route: Route) -> str | None:
        """Return the name of a backend's upstream; closes the route if there is none."""
        hosts = backend.texts("host") or self.hosts
        discovery = backend.text("sd") or "static"
        if discovery == "dns":
            return self._dns(hosts, backend)
        if discovery == "static" and hosts:
            return self._upstream(hosts, backend, route)
        reason = "it has no host" if not hosts else f"there is no discovery {discovery!r}"
        self.imported.lose_guard(backend.origin, backend.what, reason, "give the upstream endpoints", [route])
        return None

    def _add_to_upstream(self, name: str | None, keys: dict[str, Any]) -> None:
        for each in self.imported.upstreams:
            if each.name == name:
                each.keys = {**keys, **each.keys}

    def _backend(self, backend: Section, route: Route, method: str) -> None:
        imported = self.imported
        route.keys["target"] = self._target(backend, route) or ""
        sent = (backend.text("method") or method).upper()
        if sent != method:
            imported.lose_guard(
                backend.origin, backend.what, f"it is asked by {sent}", "the method stays as it is", [route]
            )
        self._rewrite(backend, route)
        encoding = backend.text("encoding") or "json"
        if encoding not in _ENCODINGS:
            imported.lose(backend.origin, backend.what, f"its {encoding!r} is not decoded", "clients get it as it is")
        for key in ("input_headers", "input_query_strings"):
            if backend.nodes(key):
                reason = "it gets less of the request than the endpoint"
                imported.lose_guard(
                    backend.origin_of(key), f"{key!r} of {backend.what}", reason, "list it there", [route]
                )

    def _rewrite(self, backend: Section, route: Route) -> None:
        pattern = backend.text("url_pattern") or "/"
        path, _, query = pattern.partition("?")
        ours = _PARAMETER.sub(r":\1", path if path.startswith("/") else f"/{path}")
        rewrite = dict(route.keys.get("rewrite", {}))
        if ours != route.keys.get("path"):
            names = set(_PARAMETER.findall(path))
            known = set(re.findall(r"[:*]([A-Za-z_][A-Za-z0-9_]*)", str(route.keys.get("path", ""))))
            if "{" in _PARAMETER.sub("", path) or names - known or "path_prefix" in route.keys:
                reason = f"its url_pattern {path!r} takes more than the parameters of the path"
                self.imported.lose_guard(backend.origin, backend.what, reason, "write a plugin", [route])
            rewrite["template"] = ours
        set_ = {
            name: query_value(self.imported, name, _PARAMETER.sub(r":\1", value), backend.origin_of("url_pattern"))
            for name, _, value in (each.partition("=") for each in query.split("&"))
            if name
        }
        if set_:
            rewrite["query"] = {**rewrite.get("query", {}), "set": set_}
        if rewrite:
            route.keys["rewrite"] = rewrite

    def _upstream(self, hosts: list[str], backend: Section, route: Route) -> str | None:
        urls = []
        for host in hosts:
            url = host if "://" in host else f"http://{host}"
            try:
                parts = urlsplit(url)
                _ = parts.port
            except ValueError:
                raise CannotImportError(
                    backend.origin_of("host"), f"has the host {without_credentials(host)!r}, which is no URL"
                ) from None
            if parts.scheme not in {"http", "https"} or parts.path not in {"", "/"}:
                reason = f"its host {without_credentials(host)!r} is none of HTTP: it is no scheme, host and port"
                self.imported.lose_guard(backend.origin_of("host"), backend.what, reason, "write a target", [route])
                return None
            urls.append(without_credentials(f"{parts.scheme}://{parts.netloc}"))
            if parts.username is not None:
                what, proposal = f"'host' of {backend.what}", "bind upstream-auth on the upstream"
                self.imported.lose(backend.origin_of("host"), what, "it has a user and a password", proposal)
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


def _is_shadow(backend: Section) -> bool:
    """Whether KrakenD sends a copy of requests, and leaves the response; reading marks no key."""
    plain = backend.node.plain()
    extra = plain.get("extra_config") if isinstance(plain, dict) else None
    settings = (
        [value for name, value in extra.items() if known_name(name) == "proxy"] if isinstance(extra, dict) else []
    )
    return any(isinstance(each, dict) and each.get("shadow") is True for each in settings)


def _extras(section: Section) -> dict[str, Section]:
    """Return the namespaces of ``extra_config``, under their names of version 3."""
    extra = section.section("extra_config", f"extra_config of {section.what or 'the document'}")
    found: dict[str, Section] = {}
    for name in extra.names() if extra is not None else ():
        node = extra.take(name) if extra is not None else None
        if node is None or node.value is False:
            continue
        known = known_name(name)
        if not isinstance(node.value, dict):
            if is_known(known):
                raise CannotImportError(node.origin, f"has no mapping in {name!r} of extra_config")
            node = Node(node.origin, {})  # whatever it is: what is not known counts as a guard
        if known in found:
            raise CannotImportError(node.origin, f"has {known!r} twice in extra_config, as {name!r} too: leave one out")
        found[known] = Section(node, f"{known!r} of {section.what or 'the service'}")
    return found


def _without_comments(node: Node) -> Node:
    """Return the values without keys that begin with ``@``, ``#`` or ``_``, which KrakenD takes for comments.

    Names of fields, such as those in ``mapping``, stay: they are no keys of KrakenD's.
    """
    if isinstance(node.value, list):
        return Node(node.origin, [_without_comments(each) for each in node.value])
    if not isinstance(node.value, dict):
        return node
    kept = {key: each for key, each in node.value.items() if not key.startswith(_COMMENTS)}
    for key in _WITH_COMMENTS & kept.keys():
        kept[key] = _without_comments(kept[key])
    extra = kept.get("extra_config")
    if extra is not None and isinstance(extra.value, dict):
        kept["extra_config"] = Node(extra.origin, {key: _without_comments(each) for key, each in extra.value.items()})
    return Node(node.origin, kept)


def _timeout(section: Section) -> str | None:
    """Return the timeout of a section, written as a duration of Go; None if there is none, or 0."""
    text = section.text("timeout")
    if text is None or _DURATION.fullmatch(text):
        return None if text is None or not int(text.rstrip("hms")) else text
    milliseconds, rest = 0.0, text.removeprefix("0") if text == "0" else text
    while rest:
        number = rest[: len(rest) - len(rest.lstrip("0123456789."))]
        unit = next((each for each in _MILLISECONDS if rest.startswith(each, len(number))), None)
        if len(text) > _LONGEST_DURATION or unit is None or not number.replace(".", "", 1).isdecimal():
            message = f"has the timeout {text[:_LONGEST_DURATION]!r}: write a duration such as 2s"
            raise CannotImportError(section.origin_of("timeout"), message)
        milliseconds += float(number) * _MILLISECONDS[unit]
        rest = rest[len(number) + len(unit) :]
    return f"{max(1, round(milliseconds))}ms" if milliseconds else None


def _seconds(duration: str) -> int:
    found = _DURATION.fullmatch(duration)
    if found is None:
        return 0
    return int(found[1]) * {"ms": 0, "s": 1, "m": 60, "h": 3600}[found[2]]


def _path_keys(path: str) -> dict[str, Any]:
    if path.endswith("/*"):
        return {"path_prefix": path.removesuffix("/*") or "/"}
    return {"path": _PARAMETER.sub(r":\1", path)}


def _lose_rest(imported: Imported, section: Section) -> None:
    for key, node in list(section.rest()):
        what = f"{key!r} of {section.what}" if section.what else repr(key)
        imported.lose(node.origin, what, "there is nothing like it", "see docs/configuration.md")
