"""Nothing that a client sends makes a `Request`, or a plugin of ours, fail."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from gateway_core.clock import SystemClock
from gateway_core.hooks import Suspended, start_log_phase, start_phase, start_response_phase
from gateway_core.hooks.shadow import copy_request
from gateway_core.leases import Leases
from gateway_core.messages import Attempt, Identity, Record, Request, Response, TlsInfo
from gateway_core.messages.headers import headers_of_block
from gateway_core.metrics import Metrics
from gateway_core.packages import PluginRegistry
from gateway_core.snapshot import Environment, Snapshot
from gateway_core.upstreams.runtime import UpstreamRuntime
from hypothesis import given
from hypothesis import strategies as st

from tests.core.proxy.kit import compile_config
from tests.security.heads import fields, methods, request_of, targets, values

CONFIG = """
trusted_proxies: [192.0.2.0/24]
plugins:
  - name: logger
    config:
      path: {folder}/out.log
      fields: [time, client_ip, identity, method, path, query, target, host, status, referer, user_agent,
               "cookie:session", "header:x-tenant", "header:authorization", "claim:org.id", "query:q"]
      redact: {{query: [q, token], hash_key: some-key, rules: [{{action: mask_ip, fields: [client_ip]}},
               {{action: hash, fields: [identity, "header:x-tenant"]}}]}}
  - name: logger
    id: combined
    config:
      path: {folder}/combined.log
      format: combined
      only: {{when: "status >= 500 or matches(header('user-agent'), '(?i)bot') or in_network(client_ip, '10.0.0.0/8')"}}
      sample: {{rate: 0.5, by: trace_id}}
  - {{name: ratelimit, config: {{rate: 1000000, key: "header:X-Tenant"}}}}
  - {{name: ratelimit, id: query, config: {{rate: 1000000, key: "query:q"}}}}
  - {{name: ratelimit, id: cookie, config: {{rate: 1000000, key: "cookie:session"}}}}
  - {{name: ratelimit, id: path, config: {{rate: 1000000, key: [client_ip, path]}}}}
  - name: auth
    config:
      providers:
        tokens:
          scheme: jwt
          secret: an-hmac-secret-of-more-than-64-bytes-so-that-it-is-enough-for-HS512-too
          claims_to_headers: {{X-User: sub}}
        keys:
          scheme: api-key
          key_from: [{{header: X-API-Key}}, {{query: q}}, {{cookie: session}}]
          keys: [{{subject: phone, key: a-key-that-is-long-enough-to-be-one}}]
        people:
          scheme: basic
          users: [{{name: alice, password_hash: "$2b$04$qlFhEZWGWkVwkbvof.EMfOrmiJc5e8shBziq4es2mo1Fg3FUcRSYS"}}]
routes:
  - {{id: all, path_prefix: /, target: "http://127.0.0.1:1"}}
"""


class Running:
    """The first-party plugins in one chain, without sockets."""

    def __init__(self, loop: asyncio.AbstractEventLoop, snapshot: Snapshot) -> None:
        self.loop = loop
        self.snapshot = snapshot

    def finished(self, outcome: Any) -> Any:
        return self.loop.run_until_complete(outcome.finish()) if isinstance(outcome, Suspended) else outcome

    def faults(self) -> dict[str, int]:
        return {each.id: each.faults.count for each in self.snapshot.bindings if each.faults.count}


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder: Path = tmp_path_factory.mktemp("plugins")
    loop = asyncio.new_event_loop()
    clock = SystemClock()

    async def start() -> Snapshot:
        environment = Environment(PluginRegistry(), Leases(), UpstreamRuntime(clock), clock, Metrics())
        return await compile_config(CONFIG.format(folder=folder), environment, folder)

    snapshot = loop.run_until_complete(start())
    yield Running(loop, snapshot)
    loop.run_until_complete(snapshot.aclose())
    loop.close()


def look_at_everything(thing: object, *names: str) -> None:
    """Read every attribute, and call whatever needs no argument, or only a name."""
    for attribute in dir(thing):
        if attribute.startswith("_") or attribute in {"detach", "read_nowait"}:  # which need a request in progress
            continue
        value = getattr(thing, attribute)
        if not callable(value) or inspect.iscoroutinefunction(value):
            continue
        wanted = [
            each
            for each in inspect.signature(value).parameters.values()
            if each.default is each.empty and each.kind is not each.VAR_POSITIONAL and each.kind is not each.VAR_KEYWORD
        ]
        if not wanted:
            value()
        elif [each.name for each in wanted] == ["name"]:
            for name in names:
                value(name)
    repr(thing)


@given(methods, targets, fields)
def test_nothing_in_a_head_makes_a_request_raise(
    running: Running, method: str, target: str, pairs: list[tuple[str, bytes]]
) -> None:
    request = request_of(running.snapshot, method, target, pairs)
    if request is None:
        return

    look_at_everything(request, "session", "x-tenant", "cookie", "content-type")
    look_at_everything(request.headers, "cookie", "content-length")
    look_at_everything(copy_request(request, next(iter(running.snapshot.bindings))))
    list(request.headers)
    assert len(request.headers) == len(request.headers.items())
    assert request.headers == request.headers.copy()


@given(st.integers(1001, 5000), st.sampled_from(["a=1", "a", "", "%ff=%ff", "a;b"]))
def test_any_number_of_query_parameters_is_read(count: int, pair: str) -> None:
    request = Request("GET", "/?" + "&".join([pair] * count))

    assert len(request.query) == (count if pair else 0)


@given(st.integers(200, 599), fields)
def test_nothing_in_an_upstreams_head_makes_a_response_raise(status: int, pairs: list[tuple[str, bytes]]) -> None:
    block = b"".join(b"\r\n%b: %b" % (name.encode(), value) for name, value in pairs)
    response = Response.streamed(status, "OK", block)

    look_at_everything(response)
    look_at_everything(headers_of_block(block), "content-type")


@given(values.map(lambda value: value.decode("latin-1")))
def test_identities_certificates_and_records_hold_any_text(text: str) -> None:
    look_at_everything(Identity(text, text, {text: text}))
    look_at_everything(TlsInfo("TLSv1.3", text, {"subject": ((("commonName", text),),)}))
    record = Record()
    record.attempts = [Attempt(text, "reset")]
    look_at_everything(record)


@given(methods, targets, fields, st.integers(200, 599), fields)
def test_first_party_plugins_never_fail_over_what_clients_and_upstreams_send(
    running: Running,
    method: str,
    target: str,
    pairs: list[tuple[str, bytes]],
    status: int,
    responded: list[tuple[str, bytes]],
) -> None:
    request = request_of(running.snapshot, method, target, pairs)
    if request is None:
        return
    route = running.snapshot.routes["all"]
    request.route = route.info
    block = b"".join(b"\r\n%b: %b" % (name.encode(), value) for name, value in responded)
    response = Response.streamed(status, "OK", block)

    running.finished(start_phase(route.chain.request, request))
    running.finished(start_phase(route.chain.route_match, request, route.info))
    running.finished(start_phase(route.chain.pre_proxy, request))
    running.finished(start_response_phase(route.chain.response, request, response))
    running.finished(start_log_phase(route.chain.log, request, response, Record()))

    assert running.faults() == {}
