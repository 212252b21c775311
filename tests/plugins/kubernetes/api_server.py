"""An API server for tests: lists with pages, chunked watches with bookmarks, expiry, dropped connections, tokens.

It behaves as real servers were seen to behave: a version that has expired is an answer 200 with one event ``ERROR`` in
the stream, bookmarks are objects without anything but a version, and a watch ends after its ``timeoutSeconds``.
"""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import Iterable, Mapping
from typing import Any

from aiohttp import web

Object = dict[str, Any]
Key = tuple[str, str, str]
"""Plural, namespace, name."""

GROUPS = {
    "services": "/api/v1",
    "configmaps": "/api/v1",
    "endpointslices": "/apis/discovery.k8s.io/v1",
}


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
        """Answers for the next requests, whatever they ask for."""
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
        app.router.add_get("/{path:.*}", self._answer)
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
        plural, namespace = self._asked(request)
        if key[0] != plural or namespace not in {"", key[1]}:
            return None
        labels, fields = request.query.get("labelSelector", ""), request.query.get("fieldSelector", "")
        is_in, was_in = matches(item, labels, fields), before is not None and matches(before, labels, fields)
        if not is_in and not was_in:
            return None
        kind = kind if is_in == was_in or kind == "DELETED" else ("ADDED" if is_in else "DELETED")
        return json.dumps({"type": kind, "object": item}).encode() + b"\n"

    def _asked(self, request: web.Request) -> tuple[str, str]:
        parts = request.path.strip("/").split("/")
        return parts[-1], parts[-2] if "namespaces" in parts else ""

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        self.requests.append(request)
        self.certificates.append(request.get_extra_info("peercert") or None)
        if self.refusals:
            return self.refusals.pop(0)
        if request.headers.get("Authorization", "").removeprefix("Bearer ") not in self.tokens:
            return status(401, "Unauthorized")
        plural, _ = self._asked(request)
        if plural not in self.kinds or not request.path.startswith(self.kinds[plural]):
            return status(404, "the server could not find the requested resource")
        return await self._watch(request) if "watch" in request.query else self._list(request)

    def _list(self, request: web.Request) -> web.Response:
        plural, namespace = self._asked(request)
        labels, fields = request.query.get("labelSelector", ""), request.query.get("fieldSelector", "")
        items = [
            item
            for key, item in sorted(self.objects.items())
            if key[0] == plural and namespace in {"", key[1]} and matches(item, labels, fields)
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


def status(code: int, message: str, headers: Mapping[str, str] | None = None) -> web.Response:
    return web.json_response({"kind": "Status", "code": code, "message": message}, status=code, headers=headers)


def pod(address: str, *, ready: bool | None = True, terminating: bool | None = None) -> Object:
    """Return an endpoint of an EndpointSlice."""
    conditions = {"ready": ready, "terminating": terminating}
    return {
        "addresses": [address],
        "conditions": {name: value for name, value in conditions.items() if value is not None},
    }
