"""What goes beside the target of a route: error pages, caches, compression, sizes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from gateway_import.model import Binding, Imported, Route
from gateway_import.nginx.directives import Context, Directive
from gateway_import.nginx.values import duration, size

DEFAULT_BODY: Final = "1m"
"""client_max_body_size unless it is given."""
_HTML: Final = "text/html"


def error_pages(imported: Imported, context: Context, target_of: Callable[[str], str | None]) -> list[dict[str, Any]]:
    """Return the pages of a location.

    :param target_of: the upstream that serves a path of the server, if one does.
    """
    made = []
    for each in context.all("error_page"):
        if len(each.args) < 2:
            continue
        *codes, place = each.args
        status = next((code[1:] for code in codes if code.startswith("=")), None)
        statuses = [int(code) for code in codes if code.isdigit()]
        target = target_of(place) if place.startswith("/") else None
        if target is None or status == "" or not statuses:
            imported.lose(
                each.origin,
                str(each),
                "its page is no response of an upstream",
                'write `error_pages` with a `body`, such as "$${file:/path/to/50x.html}"'.replace("$$", "$"),
            )
            continue
        page: dict[str, Any] = {"statuses": statuses, "path": place, "target": target}
        if status and status.isdigit():
            page["status"] = int(status)
        if context.is_on("proxy_intercept_errors"):
            page["from"] = ["gateway", "plugin", "upstream"]
        made.append(page)
    return made


def body_size(context: Context, imported: Imported) -> int | str:
    """Return the longest body of a request."""
    directive = context.one("client_max_body_size")
    found = size(directive.value if directive else DEFAULT_BODY)
    if found is None:
        assert directive is not None
        imported.lose(directive.origin, str(directive), "it is no size: nginx's default is used")
        found = "1MiB"
    return found


def compression(context: Context, route: Route) -> None:
    """Compress what nginx compresses."""
    codings = [ours for name, ours in (("brotli", "br"), ("gzip", "gzip")) if context.is_on(name)]
    if not codings:
        return
    source = "brotli" if codings[0] == "br" else "gzip"
    types = context.one(f"{source}_types")
    directive = context.one(source)
    assert directive is not None
    names = [each for each in types.args if each != _HTML] if types else []
    config: dict[str, Any] = {"codings": codings, "types": ["*/*"] if "*" in names else [_HTML, *names]}
    least = context.text("gzip_min_length")
    if least.isdigit():
        config["min_size"] = int(least)
    if config["types"] == ["*/*"]:
        del config["types"]
    route.plugins.append(Binding("compress", config, directive.origin))


def cache(context: Context, route: Route, imported: Imported) -> None:
    """Keep responses where nginx does."""
    found = context.one("proxy_cache")
    if found is None or found.is_off or route.is_closed or "target" not in route.keys:
        return
    config: dict[str, Any] = {}
    for each in context.all("proxy_cache_valid"):
        time = duration(each.args[-1]) if each.args else None
        if time and (len(each.args) == 1 or {"200", "any"} & set(each.args[:-1])):
            config["default_ttl"] = time
    stale = context.one("proxy_cache_use_stale")
    if stale is not None and not stale.is_off:
        config["stale_if_error"] = "1d"
        if "updating" in stale.args:
            config["stale_while_revalidate"] = "1m"
    key: Directive | None = context.one("proxy_cache_key")
    if key is not None:
        imported.note(key.origin, str(key), "responses are kept by host and target, and by what plugins write")
    imported.note(
        found.origin,
        str(found),
        "requests with cookies pass by the cache, and those with credentials share nothing",
        "see `cookies` of the plugin `cache`",
    )
    route.plugins.append(Binding("cache", config, found.origin))
