"""What is in force, over all workers: routes, upstreams, listeners, plugins, sources, the configuration as a whole."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from gateway_core.admin.operation import Call, Operation
from gateway_core.admin.replies import Reply, json_reply
from gateway_core.admin.resources.paging import Page, PageQuery, page_of
from gateway_core.admin.route_view import bindings_of, chain_of, path_text, target_text
from gateway_core.config import LoadedConfig, RouteConfig
from gateway_core.config.api_document import Kind, StoredObject, shown
from gateway_core.errors import RefusedError
from gateway_core.observe.live_events import time_text


class RouteQuery(PageQuery):
    """Which routes."""

    target: str | None = None
    """Those whose requests go to this upstream or URL."""
    plugin: str | None = None
    """Those whose chain has a binding of this plugin."""
    host: str | None = None
    """Those that name this host."""
    enabled: bool | None = None
    """Those that are enabled, or are not."""
    owner: Literal["api", "files"] | None = None
    """Those of the API's document, or of files and sources."""
    sort: Literal["order", "id", "path"] = "order"
    """Their order."""


async def _routes(call: Call) -> Reply:
    loaded, document = await call.view.loaded(), await call.view.writer.document()
    found = [route for route in loaded.config.routes if _is_wanted(route, loaded, call.query, call.view.writer.name)]
    if call.query.sort == "id":
        found.sort(key=lambda route: route.id)
    elif call.query.sort == "path":
        found.sort(key=path_text)
    page = page_of([{"id": route.id} for route in found], call.query)
    shown_routes = found[call.query.offset : call.query.offset + call.query.limit]
    page["items"] = [_route(route, loaded, document.routes.get(route.id), call) for route in shown_routes]
    return _versioned(page, loaded)


def _is_wanted(route: RouteConfig, loaded: LoadedConfig, query: RouteQuery, own: str) -> bool:
    if query.enabled is not None and route.enabled is not query.enabled:
        return False
    if query.host is not None and query.host not in route.hosts:
        return False
    if query.target is not None and query.target not in {route.target, *(each.target for each in route.targets)}:
        return False
    if query.plugin is not None:
        names = {each.name for each in (*loaded.config.plugins, *route.plugins) if each.enabled}
        if query.plugin not in names:
            return False
    if query.owner is not None and (_place(loaded, "routes", route.id).file == own) is not (query.owner == "api"):
        return False
    text = query.q.lower()
    return not text or any(
        text in each.lower() for each in (route.id, path_text(route), target_text(route), *route.hosts)
    )


def _place(loaded: LoadedConfig, kind: Kind, name: str) -> Any:
    return loaded.places_by_name(kind)[name]


def _route(route: RouteConfig, loaded: LoadedConfig, stored: StoredObject | None, call: Call) -> dict[str, Any]:
    place, used = _place(loaded, "routes", route.id), call.view.last_used.at.get(route.id)
    return {
        "id": route.id,
        "path": path_text(route),
        "hosts": list(route.hosts),
        "methods": sorted(route.methods),
        "target": target_text(route),
        "enabled": route.enabled,
        "chain": chain_of(route, loaded.config),
        "last_used": None if used is None else time_text(used),
        "place": str(place),
        "owner": "api" if place.file == call.view.writer.name else "files",
        "revision": None if stored is None else stored.revision,
    }


async def _one_route(call: Call) -> Reply:
    loaded, document, name = await call.view.loaded(), await call.view.writer.document(), call.path["name"]
    route = next((each for each in loaded.config.routes if each.id == name), None)
    if route is None:
        raise RefusedError(404, "not-found", f"there is no route {name!r}")
    stored = document.routes.get(name)
    targets = dict.fromkeys((route.target, *(each.target for each in route.targets)))
    content = {
        **_route(route, loaded, stored, call),
        "upstreams": [each for each in targets if each in loaded.places_by_name("upstreams")],
        "bindings": bindings_of(name, loaded),
        "value": None if stored is None else shown(dict(stored.value)),
    }
    return _versioned(content, loaded, stored)


def _versioned(content: Mapping[str, Any], loaded: LoadedConfig, stored: StoredObject | None = None) -> Reply:
    headers = {"Gateway-Version": loaded.version}
    if stored is not None:
        headers["ETag"] = stored.etag
    return json_reply(content, headers=headers)


async def _upstreams(call: Call) -> Reply:
    loaded, document = await call.view.loaded(), await call.view.writer.document()
    text = call.query.q.lower()
    names = sorted(each.name for each in loaded.config.upstreams if text in each.name.lower())
    page = page_of([{"name": name} for name in names], call.query)
    running = await _running(call)
    page["items"] = [
        _upstream(each["name"], running, loaded, document.upstreams.get(each["name"]), call) for each in page["items"]
    ]
    return _versioned(page, loaded)


async def _one_upstream(call: Call) -> Reply:
    loaded, document, name = await call.view.loaded(), await call.view.writer.document(), call.path["name"]
    if name not in loaded.places_by_name("upstreams"):
        raise RefusedError(404, "not-found", f"there is no upstream {name!r}")
    stored = document.upstreams.get(name)
    content = _upstream(name, await _running(call), loaded, stored, call)
    content["routes"] = [
        route.id for route in loaded.config.routes if name in {route.target, *(each.target for each in route.targets)}
    ]
    return _versioned({**content, "value": None if stored is None else shown(dict(stored.value))}, loaded, stored)


async def _running(call: Call) -> dict[str, list[Mapping[str, Any]]]:
    running: dict[str, list[Mapping[str, Any]]] = {}
    for each in (await call.view.status()).get("upstreams", ()):
        running.setdefault(each["name"], []).append(each)
    return running


def _upstream(
    name: str,
    running: Mapping[str, list[Mapping[str, Any]]],
    loaded: LoadedConfig,
    stored: StoredObject | None,
    call: Call,
) -> dict[str, Any]:
    place = _place(loaded, "upstreams", name)
    return {
        "name": name,
        "place": str(place),
        "owner": "api" if place.file == call.view.writer.name else "files",
        "revision": None if stored is None else stored.revision,
        "workers": running.get(name, []),
    }


async def _listeners(call: Call) -> Reply:
    loaded, status = await call.view.loaded(), await call.view.status()
    certificates = [
        each for process in (status, *status.get("workers", ())) for each in process.get("certificates", ())
    ]
    listeners = [
        {
            "name": listen.name,
            "address": listen.address,
            "hosts": list(listen.hosts),
            "tls": listen.tls is not None,
            "place": str(loaded.place_of(f"listen[{index}]")),
        }
        for index, listen in enumerate(loaded.config.listen)
    ]
    unique = {(each["listener"], each["name"]): each for each in certificates}
    return _versioned({"listeners": listeners, "certificates": list(unique.values())}, loaded)


async def _plugins(call: Call) -> Reply:
    return json_reply(dict(await call.view.plugins()))


async def _one_plugin(call: Call) -> Reply:
    return json_reply(dict(await call.view.describe_plugin(call.path["name"])))


async def _sources(call: Call) -> Reply:
    return json_reply({"sources": (await call.view.status()).get("sources", [])})


async def _config(call: Call) -> Reply:
    status, document = await call.view.status(), await call.view.writer.document()
    names = ("version", "last_reload", "last_failed_reload", "warnings")
    content = {name: status.get(name) for name in names}
    content["document"] = {"place": call.view.writer.name, "revision": document.revision}
    return _versioned(content, await call.view.loaded())


def _read(path: str, summary: str, handle: Any, *, query: Any = None, result: Any = dict[str, Any]) -> Operation:
    more = {} if query is None else {"query": query}
    return Operation("GET", path, "viewer", summary, handle, result=result, errors=(404, 503), **more)


OPERATIONS: tuple[Operation, ...] = (
    _read("routes", "List the routes in force", _routes, query=RouteQuery, result=Page),
    _read("routes/{name}", "Return a route with its chain and the place of each binding", _one_route),
    _read("upstreams", "List the upstreams, as each worker has them", _upstreams, query=PageQuery, result=Page),
    _read("upstreams/{name}", "Return an upstream, as each worker has it, and the routes to it", _one_upstream),
    _read("listeners", "List listeners and certificates", _listeners),
    _read("plugins", "Return plugins, bindings, commands, times and quarantines of each worker", _plugins),
    _read("plugins/{name}", "Return what a plugin does, its hooks and the JSON Schema of its options", _one_plugin),
    _read("sources", "List the sources of the configuration", _sources),
    _read("config", "Return the version in force, the last reloads, and the revision of the API's document", _config),
)
