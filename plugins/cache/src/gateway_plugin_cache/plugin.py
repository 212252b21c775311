"""The plugin: responds with what is stored, and stores what passes.

A hit is a plain function: URL, variant, age, and a response that is made once a second. A request that finds nothing
fresh forwards itself within its hook, so that the upstream's response, a 304 and a failure that something stale helps
with are known before anything is sent; an observer stores the body as it passes.

Decisions are elsewhere: what a request asks of a cache (`request_control`), how long a response is fresh (`freshness`),
whether it may be stored (`storing`, `admission`), what a client gets of it (`responses`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Hashable, Sequence
from functools import partial
from typing import Final

from gateway_plugin_sdk import (
    CommandError,
    FieldNames,
    Plugin,
    PluginContext,
    Record,
    Request,
    Response,
    command,
    hookimpl,
)

from gateway_plugin_cache.admission import Admission, Lookup
from gateway_plugin_cache.config import CacheConfig
from gateway_plugin_cache.entries import (
    NEVER,
    Entry,
    ParameterNames,
    Stamp,
    VariantFields,
    target_uri,
    vary_values,
    without_parameters,
)
from gateway_plugin_cache.fetches import Fetch, FetchEnd, Fetches
from gateway_plugin_cache.purging import Purger, PurgeSelector, invalidated_uris
from gateway_plugin_cache.request_control import PLAIN, ControlReader, RequestControl, is_identified
from gateway_plugin_cache.responses import Responder
from gateway_plugin_cache.revalidation import Revalidator
from gateway_plugin_cache.stores.memory import MemoryStore, note_use
from gateway_plugin_cache.stores.purge_log import PurgeRecord
from gateway_plugin_cache.stores.sharing import Sharing
from gateway_plugin_cache.stores.valkey import RESULTS, Result

_Reply = Response | Awaitable[Response | None] | None
_READS: Final = frozenset({"GET", "HEAD"})
_SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})
_NEWER: Final = frozenset({"no-cache", "max-age", "min-fresh"})
"""Directives of requests that no stale response satisfies."""
_INVALIDATION_TIMEOUT: Final = 2.0
"""Seconds that the response to an unsafe request waits for the other workers."""
_RESULTS: Final = ("hit", "stale", "collapsed", "validated", "miss", "bypass")


class Cache(Plugin[CacheConfig]):
    """A shared cache."""

    name = "cache"
    config_model = CacheConfig
    shares_responses = True
    ignores_own_responses = True

    def __init__(self, config: CacheConfig, context: PluginContext) -> None:
        super().__init__(config, context)
        self._slot = f"cache {context.route or ''}/{context.binding}"
        self._control_reader = ControlReader(config.credentials, config.cookies != "bypass", config.client_directives)
        cookies = () if isinstance(config.cookies, str) else config.cookies
        ignored = FieldNames(config.ignore_written) if config.ignore_written else None
        self._variant_fields = VariantFields(config.vary, cookies, ignored)
        self._removes_query = ParameterNames.of(config.remove_query) if config.remove_query else None
        self._responder = Responder(config.cache_status, config.max_ranges, config.tags)
        self._store = MemoryStore(config.memory.size, config.max_variants)
        self._admission = Admission(config, self._store, context.clock)
        self._now = context.clock.monotonic
        self._waits = 0.0 if config.collapse is None else config.collapse.timeout
        self._fetches = Fetches(0.0 if config.collapse is None else config.collapse.pass_for, self._now)
        self._revalidator = Revalidator(self._admission, self._store, self._fetches)
        self._purger = Purger(self._store, self._fetches, self._now)
        self._recorded: dict[Request, Fetch] = {}
        """Fetches whose response is on its way to the client of their request."""
        requests = self.metrics.local_counter(
            "gateway_cache_requests", "Requests to routes with a cache, by what it did.", ("route", "binding", "result")
        )
        shared = self.metrics.counter(
            "gateway_cache_valkey", "Responses at Valkey, by what became of them.", ("route", "binding", "result")
        )
        self._shared_counts = {each: shared.labels(context.route or "", context.binding, each) for each in RESULTS}
        self._sharing: Sharing | None = None
        labels = partial(requests.labels, context.route or "", context.binding)
        self._counts = {result: labels(result) for result in _RESULTS}
        self._count_hit = self._counts["hit"].inc

    async def start(self) -> None:
        """Prepare to share responses, if that is configured; the server may be away."""
        if (options := self.config.valkey) is None:
            return
        sharing = Sharing(
            self.config, options, self._slot, self.clock, self._store, self._admission, self._purger, self.log,
            self._count_shared,
        )  # fmt: skip
        await sharing.store.start()
        self._sharing = sharing
        self._admission.on_stored = self._share
        self.spawn(sharing.store.follow())

    async def stop(self) -> None:
        """Close what `start` opened."""
        if self._sharing is not None:
            await self._sharing.store.stop()

    # -- requests

    @hookimpl
    def gateway_pre_proxy(self, request: Request) -> _Reply:
        """Respond with what is stored, or fetch it."""
        if request.method not in _READS:
            return None
        if self._removes_query is not None and request.query_string:
            request.query_string = without_parameters(request.query_string, self._removes_query)
        control = self._control_reader.read(request)
        if control.bypass is not None:
            self._pass(request, "bypass", f"fwd=bypass; detail={control.bypass}")
            return None
        base_variant = self._variant_fields.of(request, has_forwarded=control.has_forwarded)
        url, now = target_uri(request), self._now()
        has_credentials = control.has_credentials or is_identified(request)
        resource = self._store.resources.get(url)
        entry = None if resource is None else resource.find(base_variant, request)
        if entry is not None:
            if has_credentials and not entry.is_public:
                self._pass(request, "miss", "fwd=miss; detail=credentials")
                return None
            if control.is_plain and now < entry.prepared_until:  # as almost always
                note_use(entry)
                self._count_hit()
                return entry.prepared
            if (response := self._stored(entry, request, control, now, has_credentials)) is not None:
                return response
        headers = request.headers
        own = headers if entry is None else headers.copy()
        lookup = Lookup(request, url, base_variant, control, has_credentials, now, own, self._seen())
        if entry is None:
            return self._miss(lookup, None, "uri-miss" if resource is None else "vary-miss")
        return self._miss(lookup, entry, "request" if entry.age(now) < entry.policy.lifetime else "stale")

    def _stored(
        self, entry: Entry, request: Request, control: RequestControl, now: float, has_credentials: bool
    ) -> Response | None:
        """Respond with what is stored, if it is good enough for the request as it is."""
        age, policy = entry.age(now), entry.policy
        if control.accepts(age, policy.lifetime):
            note_use(entry)
            self._count_hit()
            if control.is_plain:
                return self._responder.hit(entry, now)
            return self._responder.reply(entry, request.method, request.headers, control, now, "hit")
        if age < policy.stale_while_revalidate and _NEWER.isdisjoint(control.directives.values):
            return self._stale(entry, request, control, now, has_credentials)
        return None

    def _seen(self) -> Stamp:
        return NEVER if self._sharing is None else self._sharing.seen

    def _count_shared(self, result: Result) -> None:
        self._shared_counts[result].inc()

    def _pass(self, request: Request, count: str, result: str) -> None:
        """Let a request go upstream without a part in it."""
        self._counts[count].inc()
        request.state[self._slot] = result

    def _miss(self, lookup: Lookup, entry: Entry | None, reason: str) -> _Reply:
        sharing = self._sharing
        if sharing is None or not sharing.store.is_asked or self._fetches.is_passed(self._key(lookup)):
            return self._upstream(lookup, entry, reason)
        return self._shared(sharing, lookup, entry, reason)

    async def _shared(self, sharing: Sharing, lookup: Lookup, entry: Entry | None, reason: str) -> Response | None:
        """Respond with what another gateway stored, or fetch it."""
        found = await sharing.find(lookup, entry)
        if found is not None and (found.is_public or not lookup.has_credentials):
            now, control, request = self._now(), lookup.control, lookup.request
            if control.accepts(found.age(now), found.policy.lifetime):
                self._count_hit()
                return self._responder.reply(found, request.method, lookup.headers, control, now, "hit; detail=valkey")
            entry, lookup.headers = found, lookup.headers.copy()
        reply = self._upstream(lookup, entry, reason)
        return await reply if isinstance(reply, Awaitable) else reply

    def _share(self, lookup: Lookup, entry: Entry) -> None:
        if self._sharing is not None and (saving := self._sharing.save(lookup, entry)) is not None:
            self.spawn(saving)

    def _upstream(self, lookup: Lookup, entry: Entry | None, reason: str) -> _Reply:
        control = lookup.control
        if "only-if-cached" in control.directives:
            response = Response.problem(504, "there is no stored response")
            self._responder.mark(response, f"fwd={reason}; detail=only-if-cached")
            return response
        # Parts are not put together, HEAD has no body, and a 304 that a client asked for is about what it has already:
        # none of these is worth to be stored or waited for.
        is_alone = control.has_range or control.is_conditional or lookup.request.method == "HEAD"
        key = self._key(lookup)
        if is_alone and (entry is None or not entry.has_validator):
            self._pass(lookup.request, "miss", f"fwd={reason}")
            return None
        # What is passed may be stored all the same: else an error that one client caused would keep it out.
        if not self._waits or is_alone or self._fetches.is_passed(key):
            return self._fetch(lookup, entry, self._fetches.begin(key, lookup.url, is_shared=False), reason)
        # What is under way now may have ended when the coroutine begins: this request waits for it all the same.
        return self._collapsed(lookup, entry, key, reason, self._fetches.running(key))

    def _key(self, lookup: Lookup) -> Hashable:
        """Return what requests have in common that may wait for one response."""
        resource = self._store.resources.get(lookup.url)
        values = () if resource is None else vary_values(resource.vary, lookup.headers)
        return lookup.url, lookup.base_variant, values, lookup.has_credentials

    async def _collapsed(
        self, lookup: Lookup, entry: Entry | None, key: Hashable, reason: str, running: Fetch | None
    ) -> Response | None:
        """Wait for the fetch that is under way, or begin one.

        :param running: that was under way when the request was looked up.
        """
        deadline = lookup.started + self._waits
        running = running or self._fetches.running(key)
        while running is not None:
            end = await running.wait(max(0.0, deadline - self._now()))
            found = running.entry if end is FetchEnd.STORED else None
            if found is not None and self._is_for(found, lookup):
                # Those who wait share it even if its lifetime is 0: it was fetched for all of them.
                self._counts["collapsed"].inc()
                result = f"fwd={reason}; collapsed"
                return self._responder.reply(
                    found, lookup.request.method, lookup.headers, lookup.control, self._now(), result
                )
            if end is not FetchEnd.FAILED:
                # For want of time, or because the response is not for this request: none waits a second time.
                return await self._fetch(lookup, entry, self._fetches.begin(key, lookup.url, is_shared=False), reason)
            running = self._fetches.running(key)
        return await self._fetch(lookup, entry, self._fetches.begin(key, lookup.url, is_shared=True), reason)

    def _is_for(self, entry: Entry, lookup: Lookup) -> bool:
        """Return whether a response that another request got is for this one as well."""
        is_shared = entry.is_public or not lookup.has_credentials
        return is_shared and entry.variant == lookup.base_variant + vary_values(entry.vary, lookup.headers)

    async def _fetch(self, lookup: Lookup, entry: Entry | None, fetch: Fetch, reason: str) -> Response | None:
        """Forward a request, and have the response stored."""
        request = lookup.request
        try:
            if entry is not None:
                entry.make_conditional(request.headers)
            response = await request.forward()
            if entry is not None:
                if response.status == 304 and response.is_streamed and entry.has_validator:
                    return self._validated(lookup, entry, response, fetch, reason)
                is_stale_used = entry.age(self._now()) < entry.policy.stale_if_error
                if response.status >= 500 and is_stale_used and _NEWER.isdisjoint(lookup.control.directives.values):
                    self._counts["stale"].inc()
                    result = f"fwd={reason}; fwd-status={response.status}; detail=stale-if-error"
                    fetch.failed()
                    return self._responder.reply(
                        entry, request.method, lookup.headers, lookup.control, self._now(), result
                    )
            self._counts["miss"].inc()
            stored = self._take(lookup, response, fetch)
        except BaseException:
            fetch.failed()
            raise
        self._responder.hide(response)
        self._responder.mark(response, f"fwd={reason}; fwd-status={response.status}; {stored}")
        return response

    def _take(self, lookup: Lookup, response: Response, fetch: Fetch) -> str:
        """Have a response stored as it passes; return what became of that, as a parameter of Cache-Status."""
        candidate = "method" if lookup.request.method != "GET" else self._admission.candidate(lookup, response)
        if isinstance(candidate, str):
            fetch.not_stored()
            return f"detail={candidate}"
        self._recorded[lookup.request] = fetch
        self._admission.record(response, fetch, candidate)
        return "stored"

    def _validated(self, lookup: Lookup, entry: Entry, response: Response, fetch: Fetch, reason: str) -> Response:
        """Respond with what a 304 made fresh."""
        self._counts["validated"].inc()
        stored = self._admission.validated(lookup, entry, response, fetch)
        result = f"fwd={reason}; fwd-status=304"
        reply = self._responder.reply(
            stored or entry, lookup.request.method, lookup.headers, lookup.control, self._now(), result
        )
        for value in response.headers.get_all("Set-Cookie"):  # for this client alone
            reply.headers.add("Set-Cookie", value)
        return reply

    # -- stale responses

    def _stale(
        self, entry: Entry, request: Request, control: RequestControl, now: float, has_credentials: bool
    ) -> Response:
        """Respond with what is stale, and validate it in the background (RFC 5861 section 3)."""
        note_use(entry)
        self._counts["stale"].inc()
        if request.method == "GET" and self._revalidator.is_due(entry, now):
            copy = request.detach()
            headers = copy.headers.copy()
            for name in ("Range", "If-Range"):
                copy.headers.remove(name)
            base_variant = self._variant_fields.of(request)
            lookup = Lookup(copy, entry.url, base_variant, PLAIN, has_credentials, now, headers, self._seen())
            self.spawn(self._revalidator.begin(lookup, self._key(lookup), entry))
        return self._responder.reply(entry, request.method, request.headers, control, now, "hit")

    # -- invalidation

    @hookimpl
    def gateway_response(self, request: Request, response: Response) -> Awaitable[None] | None:
        """Drop what an unsafe request changed (RFC 9111 section 4.4), and mark the response to one that was passed."""
        if request.method not in _SAFE:
            urls = self._stored_under(invalidated_uris(request, response))
            return self._invalidate(urls) if urls else None
        if response.status < 400 and response.produced_by != "gateway" and not response.is_problem:
            response.from_upstream = True  # as when it is sent again, also if a plugin behind the cache made it
        result = request.state.get(self._slot)
        if result is not None:
            self._responder.hide(response)
            self._responder.mark(response, result)
        return None

    @hookimpl
    def gateway_log(self, request: Request, response: Response, record: Record) -> None:  # noqa: ARG002
        """End the fetch of a request whose client got another response than the one that was to be stored.

        An earlier binding may have sent its own, or failed: then no filter of the body was ever made.
        """
        if self._recorded and (fetch := self._recorded.pop(request, None)) is not None:
            fetch.failed()

    def _stored_under(self, urls: Sequence[str]) -> list[str]:
        """Return URLs as responses are stored under them: without the parameters that are taken out."""
        names, found = self._removes_query, []
        for url in urls:
            path, _, query = url.partition("?")
            kept = without_parameters(query, names) if names is not None and query else query
            found.append(f"{path}?{kept}" if kept else path)
        return found

    async def _invalidate(self, urls: list[str]) -> None:
        """Drop what is stored for some URLs, in all workers, before the client knows of the change."""
        self.invalidate(urls)
        if self._sharing is not None:
            await self._sharing.announce(PurgeRecord(tuple(urls)))
        try:
            async with asyncio.timeout(_INVALIDATION_TIMEOUT):
                await self.everywhere("invalidate", urls=urls)
        except (CommandError, TimeoutError) as error:
            self.log.warning("a changed URL may still be cached by another worker: %s", str(error) or "no response")

    @command(role="operator")
    def invalidate(self, urls: list[str]) -> int:
        """Drop the responses for some URLs, and return how many there were."""
        return self._purger.drop(urls)

    @command(role="operator")
    async def purge(
        self, url: str | None = None, tag: str | None = None, prefix: str | None = None, soft: bool = False
    ) -> int:
        """Drop responses by URL, tag or the beginning of a URL, all without any of these; return how many there were.

        :param url: with scheme, host and query; or path and query alone, for every host. Likewise ``prefix``.
        :param soft: have them validated before they are used again, instead of dropping them.
        """
        purged = PurgeSelector(url, tag, prefix)
        if self._sharing is not None:
            await self._sharing.announce(PurgeRecord((), purged, soft))
        return await self._purger.purge(purged, soft=soft)

    @command(role="viewer")
    def stats(self) -> dict[str, int]:
        """Return how much this worker stores and fetches, and how many requests wait for a fetch."""
        store = self._store
        return {
            "entries": len(store),
            "bytes": store.used,
            "evictions": store.evictions,
            "fetches": len(self._fetches),
            "waiting": self._fetches.waiting,
        }
