"""What a location does with a request: sends it on, responds, or serves a file."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from gateway_import.model import Binding, Imported, Route
from gateway_import.nginx.directives import Context, Directive
from gateway_import.nginx.fields import host_keys
from gateway_import.nginx.locations import Choice, Location, is_taken
from gateway_import.nginx.redirects import place_of, response_keys, template_of
from gateway_import.nginx.upstreams import Upstreams, route_keys
from gateway_import.nginx.values import substituted, variables

FOREIGN: Final = ("fastcgi_pass", "uwsgi_pass", "scgi_pass", "memcached_pass", "stub_status", "empty_gif")
_FILES: Final = {"$uri", "$uri/", "$uri.html", "$uri/index.html"}
_REST: Final = "(?P<rest>.*)"


def set_values(context: Context | None) -> dict[str, str]:
    """Return the variables that ``set`` gives a literal value, the innermost first."""
    values: dict[str, str] = {}
    chain: list[Context] = []
    while context is not None:
        chain.append(context)
        context = context.parent
    for each in reversed(chain):
        for directive in each.own("set"):
            if len(directive.args) == 2:
                text = substituted(directive.args[1], values)
                values.pop(directive.value.lstrip("$"), None)
                if not variables(text):
                    values[directive.value.lstrip("$")] = text
    return values


class Content:
    """Gives routes their targets."""

    def __init__(self, imported: Imported, upstreams: Upstreams, folder: Path | None) -> None:
        self._imported = imported
        self._upstreams = upstreams
        self._folder = folder
        self.locations: list[Location] = []
        """Those of the server at hand; the importer sets them."""

    def file(self, name: str) -> str:
        """Return a name of a file that does not depend on where the gateway is started."""
        return name if self._folder is None else str(self._folder / name)

    def give_up(self, route: Route, directive: Directive, reason: str, proposal: str = "") -> None:
        """Close a route whose content cannot be carried over."""
        self._imported.close(route, self._imported.lose(directive.origin, str(directive)[:200], reason, proposal))

    def add(self, route: Route, choice: Choice, named: dict[str, Location]) -> str:
        """Add what a location does; returns what its directives begin with: ``proxy``, ``grpc`` or nothing."""
        context = choice.location.context
        tried = context.own("try_files")
        last = tried[-1].args[-1] if tried and tried[-1].args else ""
        sent_on = named[last].context.own("proxy_pass") if last in named else []
        if tried and (context.own("proxy_pass") or (sent_on and context.one("root") is None)):
            # Files are looked for before anything is sent on: below the root, or where nginx was installed.
            if not sent_on:
                self.give_up(
                    route, tried[-1], "it looks for a file before it sends requests on", "write a route for each"
                )
                return "proxy"
            self._imported.note(tried[-1].origin, str(tried[-1]), f"files are not looked for: {last} gets all requests")
            self.proxy(route, sent_on[-1], choice, named[last].context)
            return "proxy"
        for name in ("proxy_pass", "grpc_pass"):
            found = context.own(name)
            if found:
                self.proxy(route, found[-1], choice, context)
                return name.removesuffix("_pass")
        foreign = next((each for each in context.directives if each.name in FOREIGN), None)
        if foreign is not None:
            self.give_up(route, foreign, "the gateway speaks HTTP only", "put a server of HTTP in front of it")
            return ""
        return self.static(route, choice, context, named)

    def respond(self, route: Route, directive: Directive, context: Context) -> None:
        """Add what ``return`` does."""
        made = response_keys(directive, set_values(context))
        if made is None:
            self.give_up(route, directive, "its text depends on the request", "write `redirect` or `respond`")
            return
        text = context.text("default_type")
        if "body" in made.get("respond", {}) and text:
            made["respond"]["headers"] = {"content-type": text}
        route.keys |= made

    def proxy(self, route: Route, directive: Directive, choice: Choice, context: Context) -> None:
        """Send requests to an upstream."""
        prefix = directive.name.removesuffix("_pass")
        text = substituted(directive.value, set_values(context))
        if "://" not in text and prefix == "grpc":
            text = f"grpc://{text}"
        place = place_of(text)
        if place is None:
            self.give_up(route, directive, "where it goes depends on the request", "write a target for each place")
            return
        scheme, host, uri = place
        if uri not in {None, "$request_uri"}:
            made = self._uri_keys(choice, str(uri))
            if made is None:
                self.give_up(route, directive, "its path is made in a way that is not known", "write `rewrite`")
                return
            route.keys |= made
        sent = host_keys(context, prefix, host, is_named=self._upstreams.block(host) is not None)
        if sent is None:
            self._imported.lose(
                directive.origin,
                f"Host of {directive}",
                "it depends on the request, and the endpoint's is sent",
                "write `rewrite: {host: ...}`",
            )
        for key, value in (sent or {}).items():
            route.keys[key] = {**route.keys.get(key, {}), **value} if isinstance(value, dict) else value
        route.keys["target"] = self._upstreams.target(scheme, host, directive, context)
        route.keys |= route_keys(context, self._upstreams.endpoints(route.keys["target"]), prefix)

    def _uri_keys(self, choice: Choice, uri: str) -> dict[str, Any] | None:
        location = choice.location
        if choice.is_regex:
            found = choice.regex()
            made = None if found is None else template_of(uri, found[1])
            return None if made is None else {"rewrite": {"template": made}}
        if variables(uri) or set(uri) & {":", "*", "?"}:
            return None
        if location.kind == "=":
            return {"rewrite": {"template": uri}}
        if uri == location.pattern:
            return {"path_policy": {"duplicate_slash": "merge"}}
        if uri.endswith("/"):
            found = choice.regex(_REST)
            return None if found is None else {"path_regex": found[0], "rewrite": {"template": f"{uri}:rest"}}
        if location.pattern.endswith("/") or choice.region.outside:
            return None
        self._imported.note(
            location.directive.origin,
            location.name,
            "takes whole segments: a path that only begins alike is not rewritten",
        )
        return {"path_regex": None, "path_prefix": location.pattern, "rewrite": {"prefix": uri}}

    def static(self, route: Route, choice: Choice, context: Context, named: dict[str, Location]) -> str:
        """Serve files, or what ``try_files`` has instead of them."""
        config: dict[str, Any] = {}
        alias = context.own("alias")
        root = alias[-1] if alias else context.one("root")
        if root is None:
            route.keys["respond"] = {"status": 404}
            return ""
        if variables(root.value):
            self.give_up(route, root, "where it is depends on the request", "bind `static` for each place")
            return ""
        config["root"] = self.file(root.value)
        if alias and not self._alias(route, choice, config):
            self.give_up(
                route, root, "an alias of an expression is made of its groups", "bind `static` with a `rewrite`"
            )
            return ""
        if self._index(choice, context, config) and context.is_on("autoindex"):
            config["listing"] = True
        config["symlinks"] = True
        prefix = self._try_files(route, choice, context, config, named)
        route.plugins.append(Binding("static", config, root.origin))
        return prefix

    def _index(self, choice: Choice, context: Context, config: dict[str, Any]) -> bool:
        """Add what stands for a directory; returns whether all of it could be carried over.

        nginx looks for the location of an index again, and one may run it or guard it.
        """
        index = context.one("index")
        names = [each for each in index.args if not variables(each)] if index is not None else ["index.html"]
        kept = [each for each in names if not is_taken(each, choice, self.locations)]
        if index is not None or kept != names:
            config["index"] = kept
        for each in names if kept != names else ():
            if each not in kept:
                origin = choice.location.directive.origin if index is None else index.origin
                reason = "another location takes it, which may run it or guard it"
                self._imported.lose(origin, f"index {each}", reason, "write a route for the directory")
        return kept == names

    def _alias(self, route: Route, choice: Choice, config: dict[str, Any]) -> bool:
        if choice.is_regex:
            return False
        if choice.location.kind == "=":
            path = Path(config["root"])
            config["root"] = str(path.parent)
            route.keys["rewrite"] = {"template": f"/{path.name}"}
            return True
        found = choice.regex("/?(?P<rest>.*)" if not choice.location.pattern.endswith("/") else _REST)
        assert found is not None
        route.keys |= {"path_regex": found[0], "rewrite": {"template": "/:rest"}}
        return True

    def _try_files(
        self, route: Route, choice: Choice, context: Context, config: dict[str, Any], named: dict[str, Location]
    ) -> str:
        found = context.own("try_files")
        if not found or not found[-1].args:
            return ""
        *tried, last = found[-1].args
        if not set(tried) <= _FILES:
            self._imported.lose(
                found[-1].origin,
                str(found[-1]),
                "a file is looked for by the path only",
                "see `extensions` and `index` of `static`",
            )
        if "$uri.html" in tried:
            config["extensions"] = [".html"]
        if last.startswith("@") and last in named:
            config["fallthrough"] = True
            inner = named[last].context
            passed = inner.own("proxy_pass")
            if passed:
                self.proxy(route, passed[-1], choice, inner)
                return "proxy"
            self.give_up(route, named[last].directive, "a named location must send requests on", "write a target")
        elif (
            last.startswith("/")
            and not variables(last.partition("?")[0])
            and not last.partition("?")[0].endswith(".php")
        ):
            config["fallback"] = last.partition("?")[0].lstrip("/")
            reason = "a missing file gets this page where the client takes HTML or the path has no extension, else 404"
            self._imported.note(found[-1].origin, str(found[-1]), reason, "see `fallback` of `static`")
        elif not last.startswith("="):
            self.give_up(
                route, found[-1], "its last place is none of `=404`, a file and a named location", "bind `static`"
            )
        return ""
