"""An API server for tests: pages, watches with bookmarks, expiry, dropped connections, tokens, writes with conflicts.

It behaves as real servers were seen to behave: a version that has expired is a response 200 with one event ``ERROR`` in
the stream, bookmarks are objects without anything but a version, and a watch ends after its ``timeoutSeconds``. Objects
can be created, replaced, patched and deleted; a write with an old ``resourceVersion`` is a conflict (409), so that
Leases elect one leader; ``status`` is changed through its subresource only.
"""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from aiohttp import web

Object = dict[str, Any]
Key = tuple[str, str, str]
"""Plural, namespace, name."""

GROUPS = {
    "services": "/api/v1",
    "configmaps": "/api/v1",
    "endpointslices": "/apis/discovery.k8s.io/v1",
    "leases": "/apis/coordination.k8s.io/v1",
}


class Asked(NamedTuple):
    """What a path names."""

    group: str
    namespace: str
    plural: str
    name: str
    part: str

    @classmethod
    def parse(cls, path: str) -> Asked:
        parts = path.strip("/").split("/")
        size = 2 if parts[0] == "api" else 3
        group, rest = "/" + "/".join(parts[:size]), parts[size:]
        namespace = ""
        if len(rest) > 2 and rest[0] == "namespaces":
            namespace, rest = rest[1], rest[2:]
        plural, name, part = (*rest, "", "", "")[:3]
        return cls(group, namespace, plural, name, part)


def matches(item: Object, labels: str, fields: str) -> bool:
    """Tell whether an object is selected; of the fields only ``metadata.name`` is known."""
    own = item["metadata"].get("labels") or {}
    for term in filter(None, labels.split(",")):
        name, equals, value = term.partition("=")
        if name not in own or (equals and own[name] != value.removeprefix("=")):
            return False
    return not fields or fields == f"metadata.name={item['metadata']['name']}"


class ApiServer:
    """Objects, their history, and the watches on them."""

    def __init__(self) -> None:
        self.tokens = {"good"}
        self.kinds = dict(GROUPS)
        self.objects: dict[Key, Object] = {}
        self.requests: list[web.Request] = []
        self.certificates: list[object] = []
        """The client's certificate of each request, if it had one."""
        self.refusals: list[web.Response] = []
        """Responses to the next requests, whatever they ask for."""
        self.largest_page = 500
        self.port = 0
        self._version = 100
        self._oldest = 0
        self._history: list[tuple[int, str, Key, Object, Object | None]] = []
        self._watches: dict[asyncio.Queue[bytes | None], web.Request] = {}
        self._runner: web.AppRunner | None = None

    # -- life

    async def start(self, tls: ssl.SSLContext | None = None) -> None:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._respond)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1, handler_cancellation=True)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self.port, reuse_address=True, ssl_context=tls)
        await site.start()
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        self.drop()
        if self._runner is not None:
            await self._runner.cleanup()
        self._runner = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    # -- what tests do

    def put(self, plural: str, namespace: str, name: str, **content: Any) -> None:
        """Make or change an object; ``labels`` and ``annotations`` go into its metadata."""
        key = (plural, namespace, name)
        metadata = {"name": name, "namespace": namespace}
        metadata |= {part: content.pop(part) for part in ("labels", "annotations") if part in content}
        before = self.objects.get(key)
        self._note("ADDED" if before is None else "MODIFIED", key, {"metadata": metadata, **content}, before)

    def delete(self, plural: str, namespace: str, name: str) -> None:
        key = (plural, namespace, name)
        self._note("DELETED", key, self.objects[key], self.objects[key])

    def put_slice(self, name: str, service: str, endpoints: Iterable[Object], **content: Any) -> None:
        content.setdefault("ports", [{"name": "http", "port": 8080, "protocol": "TCP"}])
        namespace = content.pop("namespace", "shop")
        labels = {"kubernetes.io/service-name": service, **content.pop("labels", {})}
        self.put("endpointslices", namespace, name, labels=labels, endpoints=list(endpoints) or None, **content)

    def expire(self) -> None:
        """Forget the history, as a compaction of etcd and a restart do."""
        self._oldest = self._version = self._version + 1

    def drop(self) -> None:
        """Cut every watch in the middle of whatever it does."""
        for request in self._watches.values():
            if request.transport is not None:
                request.transport.abort()

    def send(self, line: bytes | None) -> None:
        """Send bytes to every watch as they are; None ends them."""
        for queue in self._watches:
            queue.put_nowait(line)

    def bookmark(self) -> None:
        """Tell every watch that nothing it wants has happened up to a new version."""
        self._version += 1
        event = {"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": str(self._version)}, "endpoints": None}}
        self.send(json.dumps(event).encode() + b"\n")

    @property
    def watches(self) -> int:
        return len(self._watches)

    def seen(self, **query: str) -> list[web.Request]:
        """Return the requests that had these parameters."""
        return [each for each in self.requests if query.items() <= each.query.items()]

    # -- inside

    def _note(self, kind: str, key: Key, item: Object, before: Object | None) -> None:
        self._version += 1
        item = {**item, "metadata": {**item["metadata"], "resourceVersion": str(self._version)}}
        if kind == "DELETED":
            del self.objects[key]
        else:
            self.objects[key] = item
        entry = (self._version, kind, key, item, before)
        self._history.append(entry)
        for queue, request in self._watches.items():
            event = self._event(entry, request)
            if event is not None:
                queue.put_nowait(event)

    def _event(self, entry: tuple[int, str, Key, Object, Object | None], request: web.Request) -> bytes | None:
        _, kind, key, item, before = entry
        asked = Asked.parse(request.path)
        if key[0] != asked.plural or asked.namespace not in {"", key[1]}:
            return None
        labels, fields = request.query.get("labelSelector", ""), request.query.get("fieldSelector", "")
        is_in, was_in = matches(item, labels, fields), before is not None and matches(before, labels, fields)
        if not is_in and not was_in:
            return None
        kind = kind if is_in == was_in or kind == "DELETED" else ("ADDED" if is_in else "DELETED")
        return json.dumps({"type": kind, "object": item}).encode() + b"\n"

    async def _respond(self, request: web.Request) -> web.StreamResponse:
        self.requests.append(request)
        self.certificates.append(request.get_extra_info("peercert") or None)
        if self.refusals:
            return self.refusals.pop(0)
        if request.headers.get("Authorization", "").removeprefix("Bearer ") not in self.tokens:
            return status(401, "Unauthorized")
        asked = Asked.parse(request.path)
        if self.kinds.get(asked.plural) != asked.group:
            return status(404, "the server could not find the requested resource")
        if request.method == "GET" and not asked.name:
            return await self._watch(request) if "watch" in request.query else self._list(request)
        return self._one(request.method, asked, await request.read(), request.content_type)

    def _one(self, method: str, asked: Asked, body: bytes, kind: str) -> web.Response:
        """Read or write one object."""
        wanted: Object = json.loads(body) if body else {}
        if method == "POST":
            return self._create(asked, wanted)
        key = (asked.plural, asked.namespace, asked.name)
        before = self.objects.get(key)
        if before is None:
            return status(404, f'{asked.plural} "{asked.name}" not found')
        if method == "DELETE":
            self._note("DELETED", key, before, before)
            return web.json_response({"kind": "Status", "status": "Success"})
        if method == "PATCH":
            if kind not in {"application/merge-patch+json", "application/strategic-merge-patch+json"}:
                return status(415, f"{kind} is not supported")
            version = (wanted.get("metadata") or {}).get("resourceVersion")
            wanted = merged(before, wanted)
        elif method == "PUT":
            version = (wanted.get("metadata") or {}).get("resourceVersion")
        else:
            return web.json_response(before)
        if version is not None and version != before["metadata"]["resourceVersion"]:
            return status(409, f'Operation cannot be fulfilled on {asked.plural} "{asked.name}": it has been modified')
        # Each of the two ways changes its own part only.
        after = {**before, "status": wanted.get("status")} if asked.part else {**wanted, "status": before.get("status")}
        after["metadata"] = {**before["metadata"], **({} if asked.part else wanted.get("metadata") or {})}
        self._note("MODIFIED", key, {name: part for name, part in after.items() if part is not None}, before)
        return web.json_response(self.objects[key])

    def _create(self, asked: Asked, wanted: Object) -> web.Response:
        key = (asked.plural, asked.namespace, str(wanted["metadata"]["name"]))
        if key in self.objects:
            return status(409, f'{asked.plural} "{key[2]}" already exists')
        metadata = {**wanted["metadata"], "namespace": asked.namespace, "uid": f"uid-{self._version}"}
        self._note("ADDED", key, {**wanted, "metadata": metadata}, None)
        return web.json_response(self.objects[key], status=201)

    def _list(self, request: web.Request) -> web.Response:
        asked = Asked.parse(request.path)
        labels, fields = request.query.get("labelSelector", ""), request.query.get("fieldSelector", "")
        items = [
            item
            for key, item in sorted(self.objects.items())
            if key[0] == asked.plural and asked.namespace in {"", key[1]} and matches(item, labels, fields)
        ]
        start = int(request.query.get("continue", "0"))
        limit = min(int(request.query.get("limit", "0")) or len(items), self.largest_page) or 1
        metadata = {"resourceVersion": str(self._version)}
        if start + limit < len(items):
            metadata["continue"] = str(start + limit)
        return web.json_response({"metadata": metadata, "items": items[start : start + limit]})

    async def _watch(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        response.enable_chunked_encoding()
        await response.prepare(request)
        since = int(request.query["resourceVersion"])
        if since < self._oldest:
            gone = {"kind": "Status", "code": 410, "reason": "Expired", "message": f"too old resource version: {since}"}
            await response.write(json.dumps({"type": "ERROR", "object": gone}).encode() + b"\n")
            return response
        queue: asyncio.Queue[bytes | None] = asyncio.Queue()
        for entry in self._history:
            event = self._event(entry, request)
            if entry[0] > since and event is not None:
                queue.put_nowait(event)
        self._watches[queue] = request
        try:
            async with asyncio.timeout(int(request.query.get("timeoutSeconds", "60"))):
                while (line := await queue.get()) is not None:
                    await response.write(line)
        except (TimeoutError, ConnectionError):
            pass
        finally:
            del self._watches[queue]
        return response


def merged(before: Any, patch: Any) -> Any:
    """Return a value after a merge patch (RFC 7396)."""
    if not isinstance(patch, dict):
        return patch
    kept = dict(before) if isinstance(before, dict) else {}
    for name, value in patch.items():
        if value is None:
            kept.pop(name, None)
        else:
            kept[name] = merged(kept.get(name), value)
    return kept


def status(code: int, message: str, headers: Mapping[str, str] | None = None) -> web.Response:
    reasons = {404: "NotFound", 409: "Conflict", 401: "Unauthorized", 410: "Expired"}
    content = {"kind": "Status", "code": code, "reason": reasons.get(code, ""), "message": message}
    return web.json_response(content, status=code, headers=headers)


def pod(address: str, *, ready: bool | None = True, terminating: bool | None = None) -> Object:
    """Return an endpoint of an EndpointSlice."""
    conditions = {"ready": ready, "terminating": terminating}
    return {
        "addresses": [address],
        "conditions": {name: value for name, value in conditions.items() if value is not None},
    }
