from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import pytest
from gateway_core.clock import ManualClock
from gateway_core.config import ConfigError, Document, GatewayConfig, LoadedConfig, Place, load_config
from gateway_core.config.models.base import Section
from gateway_core.config.values import CANONICAL
from gateway_core.tasks import Yielder
from hypothesis import HealthCheck, given, reject, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from tests.core.config.conftest import Catalogue, Load, received

TEXT = """\
listen: [":8080", {address: ":8443", tls: {cert: a, key: b}}]
trusted_proxies: [10.0.0.0/8, "::1"]
limits: {max_head_bytes: 64KiB, header_timeout: 250ms}
plugins:
  - {name: logger, config: {format: json}, timeout: 1s, quarantine: {}}
upstreams:
  - name: users
    endpoints: [{url: "http://127.0.0.1:8081"}]
    health_check: {expected_statuses: [200, 204]}
    retries: {on: [502]}
routes:
  - path: /a
    headers: {x-a: "1", x-b: {regex: "a+"}, x-c: {present: true}}
    target: users
    plugins: [{name: auth, config: {secret: "${S}", leeway: 5s}}]
  - {path: /b, redirect: {path: /c}}
"""


def test_canonical_form_brings_back_the_same_configuration(load: Load) -> None:
    loaded = load(TEXT, environ={"S": "secret"})

    again = received(loaded.to_lines())

    assert again == loaded
    assert again.config.routes[0].plugins[0].config == {"secret": "secret", "leeway": "5s"}
    assert again.config.upstreams[0].retries is not None


FORMS = [
    "error_pages: [{statuses: [404], target: u, path: /404.html}]",
    "error_pages: [{statuses: [404, 500-599], from: [upstream], status: 503, body: sorry}]",
    "error_pages: [{statuses: [404]}]",
    "listen: {address: ':8080', https_redirect: true}",
    "listen: {address: ':8080', https_redirect: {port: 8443}}",
    "listen: [{name: a, address: ':8080', client_address: {hops: 1}}, {address: 'unix:/run/a.sock', mode: '0660'}]",
    "listen: {address: ':8443', tls: {cert: a, key: b, certificates: [{cert: c, key: d}]}}",
    "admin: {listen: 'unix:/run/admin.sock'}",
    "admin: {health_listen: ':9091'}",
    "client_address: {header: x-a}\ntrusted_proxies: ['unix:', 10.0.0.0/8]\nvia: edge\nstrip_headers: [x-user]",
    "plugins: [{name: logger, order: after, when: {methods: [GET], scheme: https, client_ip: 10.0.0.0/8}}]",
]
ROUTE_FORMS = [
    "path_prefix: [/a, /b], target: u",
    "target: ':x', path_regex: '/(?P<x>.*)'",
    "path: '/:x', params: {x: {none_of: [a]}}, cookies: {c: {one_of: ['1']}}, query: {q: {present: false}}, target: u",
    "hosts: [':t.example'], target: u, rewrite: {template: '/:t'}",
    "path: '/a/:x', target: u, rewrite: {query: {set: {x: ':x'}, remove: [y]}}",
    "path: /a, target: u, strip_path: true, rewrite: {host: b.example}, rewrite_response: {location: true}",
    "path: /a, redirect: {scheme: https}",
    "path: /a, redirect: {prefix: /b, port: 8443, status: 301}",
    "path: /a, redirect: {path: /b, query: {remove: [x]}}",
    "path: /a, respond: {}",
    "path: /a, respond: {status: 204, headers: {x: y}}",
    "path: /a, targets: [{target: u, weight: 9}, {target: 'http://h', backup: true}], sticky_cookie: {name: c}",
    "path: /a, targets: [{target: u, rewrite: {prefix: /x}}, {target: 'unix:/run/b.sock'}], hash_on: client_ip",
    "path: /a, target: u, mirror: {target: u, percent: 5}, timeouts: {total: 0}, retries: {on: [502, reset]}",
    "path: /a, target: u, error_pages: [{statuses: [500-599], path: /e}], buffer_request: 1MiB, enabled: false",
    "path: /a, target: u, client_ip: 10.0.0.0/8, scheme: http, plugins: [{name: logger, id: x, mode: shadow}]",
]


@pytest.mark.parametrize("text", [*FORMS, *[f"routes: [{{id: r, {route}}}]" for route in ROUTE_FORMS]])
def test_every_form_is_brought_back(load: Load, text: str) -> None:
    routes = "" if text.startswith("routes") else "routes: [{id: r, path: /r, target: u}]\n"
    loaded = load(f"upstreams: [{{name: u, endpoints: [{{url: 'http://127.0.0.1:1'}}]}}]\n{routes}{text}\n")

    again = received(loaded.to_lines())

    assert again == loaded


def routes_of(*numbers: int) -> str:
    routes = [f"{{id: r{each}, path: /r/{each}, target: u}}" for each in numbers]
    return f"upstreams: [{{name: u, endpoints: [{{url: 'http://127.0.0.1:1'}}]}}]\nroutes: [{', '.join(routes)}]\n"


def test_routes_and_upstreams_of_lines_that_are_as_before_are_the_same_objects(load: Load) -> None:
    before = load(routes_of(*range(400)))
    read = received(before.to_lines())
    after = load(routes_of(1000, *range(1, 200), *range(201, 400), 1001))

    again = received(after.to_lines(), known=read.parts)

    assert again == after
    assert again.config.upstreams[0] is read.config.upstreams[0]
    old = {id(route) for route in read.config.routes}
    # A line has 32 routes at most, and each of the four changes is in one or two.
    assert sum(id(route) in old for route in again.config.routes) >= 400 - 4 * 2 * 32
    # What it knows is this configuration alone.
    assert sum(len(routes) for routes, _ in again.parts.values()) == len(after.config.routes)


def sections(kind: type[Section]) -> Iterator[type[Section]]:
    for each in kind.__subclasses__():
        yield each
        yield from sections(each)


@pytest.mark.parametrize(
    ("section", "name"),
    [
        (each, name)
        for each in sections(Section)
        for name, field in each.model_fields.items()
        if not (field.is_required() or field.default_factory_takes_validated_data)
    ],
)
def test_what_a_key_is_without_being_given_may_be_given(section: type[Section], name: str) -> None:
    """The canonical form gives every key; what its section says of several keys together is not looked at here."""
    field = section.model_fields[name]
    annotation: Any = Annotated[field.annotation, "", *field.metadata]
    kind: TypeAdapter[Any] = TypeAdapter(annotation)
    default = field.get_default(call_default_factory=True)

    written = kind.dump_python(default, mode="json", context=CANONICAL)

    assert kind.validate_python(written, context=CANONICAL) == default


def test_no_line_is_long(load: Load) -> None:
    routes = "\n".join(f"  - {{id: r{number}, path: /{number}, target: 'http://h'}}" for number in range(300))
    loaded = load(f"routes:\n{routes}\n")

    lines = list(loaded.to_lines())

    assert max(len(line) for line in lines) < 20_000
    assert all(b"\n" not in line for line in lines)
    assert received(lines) == loaded


async def test_requests_have_turns_while_routes_are_read(load: Load) -> None:
    loaded = load("routes:\n" + "\n".join(f"  - {{path: /{number}, target: 'http://h'}}" for number in range(300)))
    always = Yielder(ManualClock(), 0)  # its slices are used up at once
    reading = asyncio.get_running_loop().create_task(LoadedConfig.from_lines(tuple(loaded.to_lines()), always))

    turns = 0
    while not reading.done():
        await asyncio.sleep(0)
        turns += 1

    assert turns >= 300 / 5
    assert (await reading).config == loaded.config


def test_canonical_form_has_all_defaults(load: Load) -> None:
    config = json.loads(next(load("routes: []").to_lines()))["config"]

    assert config["limits"]["idle_timeout"] == 75.0
    absent = dict.fromkeys(("name", "tls", "mode", "owner", "trusted_proxies", "client_address"))
    own = {"hosts": [], "default": True, "http2": True, "https_redirect": None, "proxy_protocol": False}
    assert config["listen"] == [{"address": "127.0.0.1:8080", **own, **absent}]


def test_canonical_form_of_another_version_is_refused(load: Load) -> None:
    head = json.loads(next(load("routes: []").to_lines()))
    other = json.dumps({**head, "format": 99}).encode()

    with pytest.raises(ValueError, match="has format 99, not 1"):
        received([other])


def test_version_depends_on_what_is_configured_and_on_nothing_else(load: Load) -> None:
    version = load("workers: 2\nlog: {level: info}\nroutes: []").version

    assert load("# comment\nlog: {}\n\nworkers: 0x2\nroutes: []").version == version
    assert load("workers: ${N}\nroutes: []", environ={"N": "2"}).version == version
    assert load("workers: 3\nroutes: []").version != version


def test_things_have_places(load: Load) -> None:
    loaded = load(TEXT, environ={"S": "secret"})

    assert set(loaded.places) == {
        "listen[0]", "listen[1]", "listen[1].tls.cert", "listen[1].tls.key",
        "plugins[0]", "upstreams[0]", "upstreams[0].endpoints[0]", "routes[0]",
        "routes[0].plugins[0]", "routes[1]",
    }  # fmt: skip
    assert loaded.places["routes[0].plugins[0]"] == Place("gateway.yaml", 15, 15)
    assert loaded.place_of("routes[0].plugins[0].config.secret") == Place("gateway.yaml", 15, 15)
    assert loaded.place_of("workers") == Place("configuration")


def test_place_of_an_unknown_thing_is_the_first_file() -> None:
    loaded = LoadedConfig(GatewayConfig(), {}, (Path("a.yaml"),))

    assert loaded.place_of("routes[0]") == Place("a.yaml")


NAMES = st.sampled_from(["a", "b", "users"])
ROUTES = st.fixed_dictionaries(
    {"path": st.sampled_from(["/", "/a", "/b/:id"]), "target": st.sampled_from(["users", "http://127.0.0.1:1"])},
    optional={
        "methods": st.lists(st.sampled_from(["GET", "PUT"]), max_size=2),
        "headers": st.dictionaries(
            st.sampled_from(["x-a", "x-b"]), st.just("1") | st.just({"present": False}), max_size=2
        ),
        "priority": st.integers(-5, 5),
        "max_body_bytes": st.sampled_from(["1KiB", 7]),
        "timeouts": st.fixed_dictionaries({}, optional={"response": st.sampled_from(["1s", "1ms"])}),
        "plugins": st.lists(st.just({"name": "logger", "config": {"format": "json"}}), max_size=1),
    },
)


@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(ROUTES, max_size=4), st.lists(NAMES, unique=True, max_size=2))
def test_any_valid_configuration_survives_its_canonical_form(routes: list[dict[str, Any]], names: list[str]) -> None:
    upstreams = [{"name": name, "endpoints": [{"url": "http://127.0.0.1:1"}]} for name in names]
    text = json.dumps({"routes": routes, "upstreams": upstreams})
    try:
        loaded = load_config([], environ={}, catalog=Catalogue(), extra_documents=[Document("g", text)])
    except ConfigError:
        reject()

    again = received(loaded.to_lines())

    assert again == loaded
