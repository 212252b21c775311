"""OpenAPI 3.0 and 3.1: a route for each operation, its security as auth, and the document for validate.

Operations without ``security`` have that of the document; ``security: []`` is public, and so is an operation where
neither says anything, since OpenAPI has no other default. A scheme that cannot be carried over closes its operations.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import unquote, unquote_plus, urlsplit

import click

from gateway_import.failures import CannotImportError, Origin
from gateway_import.files import Files, SourceText
from gateway_import.formats import Format
from gateway_import.hiding import without_secrets
from gateway_import.model import Binding, EnvReference, Imported, Route, Upstream, clean_id
from gateway_import.nodes import Node, read_nodes
from gateway_import.sections import Section

_METHODS: Final = ("get", "put", "post", "delete", "options", "head", "patch", "trace")
_TEMPLATE: Final = re.compile(r"\{([^{}/]{1,100})\}")
_NAME: Final = re.compile(r"[^A-Za-z0-9_]")
_MOST_HOPS: Final = 32
_GUARDS_OF_OTHERS: Final = (
    "x-kong-plugin-", "x-amazon-apigateway-auth", "x-amazon-apigateway-policy", "x-amazon-apigateway-api-key-source",
    "x-google-security", "x-google-quota", "x-google-management", "x-tyk-",
)  # fmt: skip
"""Beginnings of extensions by which other gateways guard an API, operations or paths."""


def read(source: SourceText, _files: Files, options: Mapping[str, Any]) -> Imported:
    """Read an OpenAPI document."""
    root = Section(read_nodes(source))
    version = root.text("openapi")
    if version is None:
        hint = ": convert it to OpenAPI 3" if "swagger" in root else ": write openapi: 3.1.0"
        raise CannotImportError(source.origin, f"is no document of OpenAPI 3{hint}")
    if version.split(".")[:2] not in (["3", "0"], ["3", "1"]):
        raise CannotImportError(root.origin_of("openapi"), f"has the version {version!r}: known are 3.0 and 3.1")
    imported = Imported(f"OpenAPI {version}", source.name)
    return _Importer(imported, root, target=options.get("target"), validate=options.get("validate", True)).run()


FORMAT: Final = Format(
    read,
    """Import an OpenAPI document of version 3.0 or 3.1: a route for each operation.

    The first of its servers is the upstream, unless --target names another one.
    """,
    [
        click.Option(["--target"], metavar="URL", help="The upstream, instead of the first of servers."),
        click.Option(["--validate/--no-validate"], default=True, help="Whether requests must match the document."),
    ],
)


class _Importer:
    def __init__(self, imported: Imported, root: Section, *, target: str | None, validate: bool) -> None:
        self.imported = imported
        self.root = root
        self.validate = validate
        self.target = target
        self.upstreams: dict[str, str] = {}
        self.without_fragment: set[tuple[str, str]] = set()
        components = root.section("components")
        schemes = None if components is None else components.section("securitySchemes")
        self.schemes: dict[str, Section] = {}
        self.providers: dict[str, tuple[dict[str, Any] | None, tuple[str, str] | None]] = {}
        self.provider_names: dict[tuple[str, tuple[str, ...]], str] = {}
        for name in schemes.names() if schemes is not None else ():
            self.schemes[name] = self._section(schemes.take(name), f"security scheme {name!r}") if schemes else root
        self.requirements = self._security(root)

    def run(self) -> Imported:
        servers = self._servers(self.root, None)
        paths = self.root.section("paths", "paths")
        if paths is None or not paths.names():
            raise CannotImportError(self.root.origin, "has no paths: there is nothing to route")
        for path in paths.names():
            if path.startswith("x-"):
                continue
            if not path.startswith("/"):
                raise CannotImportError(paths.origin_of(path), f"has the path {path!r}: begin it with /")
            item = self._section(paths.take(path), f"path {path!r}")
            base = self._servers(item, servers)
            for method in _METHODS:
                node = item.take(method)
                if node is not None:
                    self._operation(path, method, item, Section(node, f"{method.upper()} {path}"), base)
        if self.validate and self.imported.file != "stdin":
            validate = Binding("validate", {"openapi": self.imported.file}, self.root.origin, keys={"order": "after"})
            self.imported.plugins.append(validate)
        elif self.validate:
            reason = "standard input is no file that it could read later"
            self.imported.lose(self.root.origin, "the plugin validate", reason, "give a file, or --no-validate")
        if self.root.take("webhooks") is not None:
            self.imported.note(
                self.root.origin_of("webhooks"), "'webhooks'", "the API sends these itself: no route has them"
            )
        return self.imported

    def _section(self, node: Node | None, what: str) -> Section:
        """Return a mapping, or the one that its ``$ref`` names within the document."""
        assert node is not None
        for _ in range(_MOST_HOPS):
            reference = node.value.get("$ref") if isinstance(node.value, dict) else None
            if reference is None:
                return Section(node, what)
            node = self._referred(str(reference.value), reference.origin)
        raise CannotImportError(node.origin, f"has references that go round in {what}")

    def _referred(self, reference: str, origin: Origin) -> Node:
        if not reference.startswith("#/"):
            raise CannotImportError(origin, f"refers to {reference!r}: bundle the document into one file first")
        node = self.root.node
        for step in unquote(reference[2:]).split("/"):
            name = step.replace("~1", "/").replace("~0", "~")
            inner = node.value.get(name) if isinstance(node.value, dict) else None
            if inner is None:
                raise CannotImportError(origin, f"refers to {reference!r}, which is not in the document")
            node = inner
        return node

    def _servers(self, section: Section, otherwise: tuple[str, str] | None) -> tuple[str, str] | None:
        """Return the upstream and the path of the first server; None if no server has a host."""
        servers = section.sections("servers", "a server")
        if not servers:
            return otherwise if otherwise is not None else self._server("/", section.origin)
        server = servers[0]
        url = server.text("url") or "/"
        variables = server.section("variables")
        for name in variables.names() if variables is not None else ():
            variable = variables.section(name) if variables is not None else None
            url = url.replace(f"{{{name}}}", (variable.text("default") if variable is not None else None) or "")
        if "{" in url and self.target is None:
            message = (
                f"has the server {without_secrets(url)!r}, whose variables have no default: give one, or --target URL"
            )
            raise CannotImportError(server.origin, message)
        if len(servers) > 1:
            rest = ", ".join(without_secrets(each.text("url") or "/") for each in servers[1:])
            self.imported.note(server.origin, "'servers'", f"the first one is the upstream; left out: {rest}")
        return self._server(url, server.origin)

    def _server(self, url: str, origin: Origin) -> tuple[str, str] | None:
        try:
            parts = urlsplit(url)
            base = urlsplit(self.target) if self.target is not None else parts
            netloc, _ = base.netloc, base.port
        except ValueError:
            raise CannotImportError(origin, f"has the server {without_secrets(url)!r}, which is no URL") from None
        if base.scheme not in {"http", "https"} or not netloc:
            return None
        address = f"{base.scheme}://{netloc.rpartition('@')[2]}"
        if "@" in netloc:
            what, proposal = f"user and password of the server {address}", "bind upstream-auth on the upstream"
            self.imported.lose(origin, what, "they are no part of an endpoint", proposal)
        if address not in self.upstreams:
            name = self.imported.upstream_name(base.hostname or "api")
            self.upstreams[address] = name
            self.imported.upstreams.append(Upstream(name, {"endpoints": [{"url": address}]}, origin))
        return self.upstreams[address], parts.path.rstrip("/")

    def _gateways_own(self, section: Section, route: Route) -> None:
        """Close a route for what a gateway that the document was written for reads as a guard."""
        for key in section.names():
            if key.startswith(_GUARDS_OF_OTHERS):
                what = f"{key!r} of {section.what or 'the document'}"
                reason = "it is another gateway's, and may decide who gets through"
                self.imported.lose_guard(section.origin_of(key), what, reason, "bind a plugin, and remove it", [route])

    def _operation(
        self, path: str, method: str, item: Section, operation: Section, base: tuple[str, str] | None
    ) -> None:
        server = self._servers(operation, base)
        name = operation.text("operationId") or f"{method}-{path}"
        prefix = "" if server is None else server[1]
        sent, mark, _ = path.partition("#")
        if mark and self._is_sent_elsewhere(sent, method):
            reason = f"what is behind # is not sent: {sent} has the route for its requests"
            self.imported.lose(operation.origin, operation.what, reason, "give it a path of its own")
            return
        try:
            keys: dict[str, Any] = {**_request_keys(prefix, sent), "methods": [method.upper()]}
        except ValueError as error:
            raise CannotImportError(operation.origin, f"has the path {path!r}, in which {error}") from None
        summary = operation.text("summary")
        comments = [operation.what, *([summary] if summary else [])]
        route = Route(self.imported.route_id(clean_id(name, "operation")), keys, operation.origin, comments=comments)
        self.imported.routes.append(route)
        if mark:
            reason = "what is behind # is not sent, so its requests cannot be told from others"
            self.imported.lose_guard(operation.origin, operation.what, reason, "give it a path of its own", [route])
        if server is None:
            reason = "no server with a host is named"
            self.imported.lose_guard(operation.origin, operation.what, reason, "give --target URL", [route])
        else:
            keys["target"] = server[0]
        for section in (self.root, item, operation):
            self._gateways_own(section, route)
        requirements = self._security(operation) if "security" in operation else self.requirements
        self._guard(route, requirements, operation)

    def _is_sent_elsewhere(self, path: str, method: str) -> bool:
        """Whether an operation before has the requests for a path that is left without its fragment."""
        is_first = (path, method) not in self.without_fragment
        self.without_fragment.add((path, method))
        paths = self.root.node.plain()
        assert isinstance(paths, dict)
        item = paths["paths"].get(path)
        return not is_first or (isinstance(item, dict) and method in item)

    def _security(self, section: Section) -> list[list[tuple[str, list[str]]]] | None:
        """Return alternatives, each of schemes with scopes that are all required; None where nothing is said."""
        node = section.take("security")
        if node is None:
            return None
        if not isinstance(node.value, list):
            raise CannotImportError(node.origin, f"'security' must be a list, not {node.kind}")
        found = []
        for each in node.value:
            requirement = Section(each, "an entry of 'security'")
            found.append([(name, requirement.texts(name)) for name in _keys(each)])
        return found

    def _guard(self, route: Route, requirements: list[list[tuple[str, list[str]]]] | None, operation: Section) -> None:
        if not requirements:
            return
        providers: dict[str, dict[str, Any]] = {}
        alternatives: list[Any] = []
        is_optional = False
        for requirement in requirements:
            if not requirement:
                is_optional = True
                continue
            names = [self._provider(route, name, scopes, providers, operation) for name, scopes in requirement]
            alternatives.append({"all": names} if len(names) > 1 else names[0])
        if not alternatives or route.is_closed:
            return
        required: Any = {"any": alternatives} if len(alternatives) > 1 else alternatives[0]
        required = {"optional": required} if is_optional else required
        route.plugins.append(Binding("auth", {"providers": providers, "require": required}, operation.origin))

    def _provider(
        self, route: Route, name: str, scopes: list[str], providers: dict[str, dict[str, Any]], operation: Section
    ) -> str:
        if name not in self.schemes:
            raise CannotImportError(
                operation.origin, f"{operation.what} asks for {name!r}, which is no security scheme"
            )
        scheme = self.schemes[name]
        unique = self._provider_name(name, scopes)
        if name not in self.providers:
            self.providers[name] = self._provider_of(name, scheme)
        provider, missing = self.providers[name]
        if missing:
            self.imported.lose_guard(scheme.origin, scheme.what, *missing, [route])
        elif provider is not None:
            providers[unique] = {**provider, "scopes": {"all": scopes}} if scopes else provider
        return unique

    def _provider_name(self, name: str, scopes: list[str]) -> str:
        """Return the name of the provider for a scheme with scopes, which no other one has."""
        key = (name, tuple(scopes))
        if key not in self.provider_names:
            wanted = unique = clean_id("-".join([name, *scopes]), "scheme")
            number = 1
            while unique in self.provider_names.values():
                number += 1
                unique = f"{wanted}-{number}"
            self.provider_names[key] = unique
        return self.provider_names[key]

    def _provider_of(self, name: str, scheme: Section) -> tuple[dict[str, Any] | None, tuple[str, str] | None]:
        """Return the provider of auth for a scheme, or the reason and a proposal why there is none.

        What no document says, such as who issues the tokens, is a variable of the environment.
        """
        kind, form = scheme.text("type"), (scheme.text("scheme") or "").lower()

        def asked(word: str, what: str) -> EnvReference:
            return self.imported.secret(f"openapi {name} {word}", f"{what} of {scheme.what}", scheme.origin)

        if kind == "openIdConnect":
            url = scheme.text("openIdConnectUrl") or ""
            issuer = url.removesuffix("/.well-known/openid-configuration")
            if issuer == url or not url.startswith("https://"):
                return None, (
                    f"its openIdConnectUrl {without_secrets(url)!r} is none of an issuer",
                    "write issuer, and discovery: true",
                )
            return {"scheme": "jwt", "issuer": issuer, "discovery": True}, None
        if kind == "oauth2" or (kind == "http" and form == "bearer"):
            return {"scheme": "jwt", "issuer": asked("issuer", "URL of the issuer of tokens"), "discovery": True}, None
        if kind == "http" and form == "basic":
            return {"scheme": "basic", "users_file": asked("users", "file of users and hashes (htpasswd -B)")}, None
        place, field_name = scheme.text("in"), scheme.text("name")
        if kind == "apiKey" and place in {"header", "query", "cookie"} and field_name:
            keys = asked("keys", "file of API keys (gateway auth key new)")
            return {"scheme": "api-key", "key_from": [{place: field_name}], "keys_file": keys}, None
        if kind == "mutualTLS":
            return None, ("certificates are the listener's", "set client_ca on the listener, and name it in listeners")
        return None, (f"there is no scheme of type {kind!r} {form}".rstrip(), "write a plugin")


def _keys(node: Node) -> list[str]:
    return list(node.value) if isinstance(node.value, dict) else []


def _path_keys(path: str) -> dict[str, Any]:
    """Return the pattern of a template: ``/a/{b}`` is ``/a/:b``, and ``/a/{b}.{c}`` a regular expression."""
    if not _TEMPLATE.search(path) and ":" not in path and "*" not in path:
        return {"path": path}
    segments = path.split("/")
    is_simple = all(
        _TEMPLATE.fullmatch(each) or not ("{" in each or "*" in each or each.startswith(":")) for each in segments
    )  # fmt: skip
    names: set[str] = set()
    if is_simple:
        return {
            "path": "/".join(
                f":{_unique(found[1], names)}" if (found := _TEMPLATE.fullmatch(each)) else each for each in segments
            )
        }
    parts, end = [], 0
    for found in _TEMPLATE.finditer(path):
        parts += [re.escape(path[end : found.start()]), f"(?P<{_unique(found[1], names)}>[^/]+)"]
        end = found.end()
    return {"path_regex": "".join([*parts, re.escape(path[end:])])}


def _request_keys(prefix: str, path: str) -> dict[str, Any]:
    """Return conditions for a path, and for the parameters behind its ``?`` if it has some.

    :raises ValueError: a parameter stands twice.
    """
    path, _, query = path.partition("?")
    keys = _path_keys(f"{prefix}{path}")
    asked: dict[str, Any] = {}
    for each in filter(None, query.split("&")):
        name, equals, value = (unquote_plus(part) for part in each.partition("="))
        if name in asked:
            raise ValueError(f"the parameter {name!r} stands twice: leave one out")
        asked[name] = value if equals and value and not _TEMPLATE.search(value) else {"present": True}
    return {**keys, "query": asked} if asked else keys


def _unique(name: str, names: set[str]) -> str:
    wanted = _NAME.sub("_", name)
    wanted = wanted if not wanted[:1].isdigit() else f"_{wanted}"
    while wanted in names:
        wanted += "_"
    names.add(wanted)
    return wanted
