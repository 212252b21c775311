from __future__ import annotations

from collections.abc import Callable

import pytest
from gateway_core.config import ConfigError, LoadedConfig, RouteTimeoutsConfig, TimeoutsConfig
from gateway_core.messages import Request
from gateway_core.routing import Match
from gateway_core.snapshot import CompiledRoute, Environment, Snapshot, compile_snapshot
from gateway_core.snapshot.route import timeouts_of

Load = Callable[[str], LoadedConfig]


def match(snapshot: Snapshot, path: str) -> Match[CompiledRoute]:
    found = snapshot.router.match("GET", "", path, "", lambda _: ())
    assert isinstance(found, Match)
    return found


async def compiled(load_text: Load, environment: Environment, text: str) -> Snapshot:
    return (await compile_snapshot(load_text(text), environment)).snapshot


async def test_a_route_knows_its_upstream_chain_and_settings(load_text: Load, environment: Environment) -> None:
    snapshot = await compiled(
        load_text,
        environment,
        """
limits: {max_body_bytes: 10MB}
plugins: [{name: noted}]
upstreams:
  - {name: users, timeouts: {response: 7s}, endpoints: [{id: one, url: "http://127.0.0.1:1"}]}
routes:
  - {id: user, description: somebody, path: "/users/:id", target: users, strip_path: true, timeouts: {idle: 5s}}
  - {id: own, path: /own, target: users, max_body_bytes: 1MiB, retries: {attempts: 2}, plugins: [{name: noted, id: x}]}
""",
    )

    found = match(snapshot, "/users/7")
    route = found.payload
    assert (route.info.id, route.info.pattern, route.info.description) == ("user", "/users/:id", "somebody")
    assert route.pick_target(Request("GET", "/"), 1.0).upstream is snapshot.upstreams["users"]
    assert [endpoint.id for endpoint in snapshot.upstreams["users"].endpoints] == ["one"]
    assert route.own.path is not None
    assert route.own.path(found.params, "/users/7") == "/7"
    assert route.timeouts == TimeoutsConfig.model_validate({"connect": "2s", "response": "7s", "idle": "5s"})
    assert route.max_body_bytes == 10_000_000
    assert route.retry is None
    assert route.chain is snapshot.global_chain
    own = snapshot.routes["own"]
    assert own.max_body_bytes == 1 << 20
    assert own.retry is not None
    assert [binding.id for binding in own.chain.bindings] == ["noted", "x"]
    await snapshot.aclose()


async def test_a_url_is_an_upstream_with_one_endpoint_shared_by_its_routes(
    load_text: Load, environment: Environment
) -> None:
    snapshot = await compiled(
        load_text,
        environment,
        "routes: [{id: a, path: /a, target: 'http://127.0.0.1:9'}, {id: b, path: /b, target: 'http://127.0.0.1:9'}]",
    )

    upstream = snapshot.routes["a"].upstream

    assert upstream is not None
    assert upstream is snapshot.routes["b"].upstream
    assert [(endpoint.host, endpoint.port) for endpoint in upstream.endpoints] == [("127.0.0.1", 9)]
    await snapshot.aclose()


async def test_several_targets_share_by_weight(load_text: Load, environment: Environment) -> None:
    snapshot = await compiled(
        load_text,
        environment,
        """
routes:
  - id: split
    path: /
    targets: [{target: "http://127.0.0.1:1", weight: 3}, {target: "http://127.0.0.1:2", weight: 1}]
    mirror: {target: "http://127.0.0.1:3", percent: 50}
""",
    )
    route = snapshot.routes["split"]

    picked = [route.pick_target(Request("GET", "/"), 1.0).upstream.name for _ in range(8)]

    assert sorted(picked) == ["http://127.0.0.1:1"] * 6 + ["http://127.0.0.1:2"] * 2
    (mirror,) = route.mirrors
    assert mirror.upstream is snapshot.upstreams["http://127.0.0.1:3"]
    assert mirror.percent == 50.0
    assert mirror.credentials is not None
    await snapshot.aclose()


async def test_a_redirect_responds_itself(load_text: Load, environment: Environment) -> None:
    snapshot = await compiled(
        load_text, environment, "routes: [{id: r, path: '/old/:id', redirect: {status: 301, path: '/new/:id'}}]"
    )
    found = match(snapshot, "/old/7")
    request = Request("GET", "/old/7?x=1", host="example.com")
    request.path_params = found.params

    assert found.payload.own_response is not None
    response = found.payload.own_response(request)

    assert (response.status, response.headers["location"]) == (301, "/new/7?x=1")
    await snapshot.aclose()


async def test_what_did_not_change_is_the_same_object_in_the_next_snapshot(
    load_text: Load, environment: Environment, noted: list[str]
) -> None:
    def text(weight: int, tag: str) -> str:
        return f"""
plugins: [{{name: noted, config: {{tag: all}}}}]
upstreams: [{{name: u, endpoints: [{{id: e, url: "http://127.0.0.1:1", weight: {weight}}}]}}]
routes: [{{id: r, path: /, target: u, plugins: [{{name: noted, id: own, config: {{tag: {tag}}}}}]}}]
"""

    first = await compile_snapshot(load_text(text(1, "one")), environment)
    second = await compile_snapshot(load_text(text(5, "two")), environment)
    await first.snapshot.aclose()

    assert (first.bindings_made, first.bindings_kept) == (2, 0)
    assert (second.bindings_made, second.bindings_kept) == (1, 1)
    assert noted == ["start all", "start one", "start two", "stop one"]
    await second.snapshot.aclose()
    assert sorted(noted[4:]) == ["stop all", "stop two"]


async def test_endpoints_keep_their_state(load_text: Load, environment: Environment) -> None:
    def text(weight: int) -> str:
        return f"""
upstreams: [{{name: u, endpoints: [{{id: e, url: "http://127.0.0.1:1", weight: {weight}}}]}}]
routes: [{{id: r, path: /, target: u}}]
"""

    first = await compiled(load_text, environment, text(1))
    second = await compiled(load_text, environment, text(5))

    assert first.upstreams["u"].endpoints[0] is second.upstreams["u"].endpoints[0]
    await first.aclose()
    await second.aclose()


async def test_a_certificate_of_an_upstream_that_cannot_be_read_is_a_problem(
    load_text: Load, environment: Environment
) -> None:
    loaded = load_text(
        "upstreams:\n  - {name: u, endpoints: [{url: 'https://127.0.0.1:1'}], tls: {ca: /nowhere/ca.pem}}\n"
    )

    with pytest.raises(ConfigError, match=r"upstreams\[0\]\.tls\.ca: the file ./nowhere/ca.pem. does not exist"):
        await compile_snapshot(loaded, environment)


async def test_a_plugin_that_does_not_start_is_a_problem_with_its_place_and_stops_the_others(
    load_text: Load, environment: Environment, noted: list[str]
) -> None:
    loaded = load_text(
        "plugins:\n  - {name: noted, config: {tag: fine}}\n  - {name: noted, id: bad, config: {fail: true}}\n"
    )

    with pytest.raises(ConfigError) as failed:
        await compile_snapshot(loaded, environment)

    (problem,) = failed.value.problems
    assert problem.key_path == "plugins[1]"
    assert problem.place.line == 3
    assert "no luck today" in problem.text
    assert noted == ["start fine", "stop fine"]
    assert len(environment.instances) == 0


def test_a_route_changes_only_the_timeouts_that_it_names() -> None:
    upstream = TimeoutsConfig.model_validate({"response": "9s"})

    changed = timeouts_of(upstream, RouteTimeoutsConfig.model_validate({"idle": "1s", "total": "4s"}))

    assert timeouts_of(upstream, None) is upstream
    assert (changed.connect, changed.response, changed.idle, changed.total) == (2.0, 9.0, 1.0, 4.0)


async def test_a_target_knows_what_differs_for_its_requests(load_text: Load, environment: Environment) -> None:
    snapshot = await compiled(
        load_text,
        environment,
        """
upstreams:
  - {name: a, preserve_host: true, endpoints: [{url: "http://127.0.0.1:1"}]}
  - {name: b, endpoints: [{url: "http://127.0.0.1:2"}]}
routes:
  - id: split
    path_prefix: /api
    strip_path: true
    targets: [{target: a, weight: 3}, {target: b, rewrite: {prefix: /v2, host: b.test}}, {target: b, backup: true}]
    buffer_request: 1KiB
  - {id: own, path: /own, target: a, preserve_host: false}
  - {id: to, path: /to, redirect: {path: /own}}
""",
    )

    split, own, to = (snapshot.routes[name] for name in ("split", "own", "to"))

    assert [(each.upstream.name, each.weight, each.is_backup) for each in split.targets] == [
        ("a", 3, False),
        ("b", 1, False),
        ("b", 1, True),
    ]
    assert [each.preserve_host for each in split.targets] == [True, False, False]
    assert [each.rewrite.prefix for each in split.targets] == [b"/api", b"/api", b"/api"]
    assert [each.rewrite.host for each in split.targets] == [b"", b"b.test", b""]
    assert split.buffer_request == 1024
    assert [each.preserve_host for each in own.targets] == [False]
    chosen = split.target_for(snapshot.upstreams["a"])
    assert chosen is split.targets[0]
    other = own.target_for(snapshot.upstreams["b"])
    assert (other.upstream.name, other.preserve_host, other.rewrite) == ("b", False, own.own)
    assert to.targets == ()
    await snapshot.aclose()


async def test_targets_may_be_backups_and_keep_their_clients(load_text: Load, environment: Environment) -> None:
    snapshot = await compiled(
        load_text,
        environment,
        """
routes:
  - id: split
    path: /
    hash_on: ["cookie:user", client_ip]
    targets: [{target: "http://127.0.0.1:1"}, {target: "http://127.0.0.1:2"}, {target: "unix:/run/x", backup: true}]
""",
    )
    route = snapshot.routes["split"]
    clients = [Request("GET", "/", client_ip=f"10.0.0.{number}") for number in range(40)]

    picked = [route.pick_target(request, 1.0) for request in clients]

    assert picked == [route.pick_target(request, 1.0) for request in clients]
    assert set(picked) == set(route.targets[:2])
    for target in route.targets[:2]:
        (endpoint,) = target.upstream.endpoints
        endpoint.health.healthy = False
        endpoint.notify()
    assert route.pick_target(clients[0], 1.0).id == "unix:/run/x"
    await snapshot.aclose()


async def test_bindings_of_targets_and_upstreams_run_and_are_listed(load_text: Load, environment: Environment) -> None:
    snapshot = await compiled(
        load_text,
        environment,
        """
plugins: [{name: noted}]
upstreams:
  - {name: a, endpoints: [{url: "http://127.0.0.1:1"}]}
  - {name: b, endpoints: [{url: "http://127.0.0.1:2"}]}
routes:
  - id: split
    path: /
    targets: [{target: a, plugins: [{name: noted, id: mine}]}, {target: b}]
""",
    )

    assert [binding.path for binding in snapshot.bindings] == ["noted", "upstreams/a/mine"]
    to_a, to_b = (snapshot.routes["split"].chain.for_target(name) for name in ("a", "b"))
    assert to_a is not None
    assert to_b is not None
    assert [len(chain.bindings) for chain in (to_a, to_b)] == [2, 1]
    await snapshot.aclose()


ROUTES = """
upstreams:
  - {name: a, endpoints: [{url: "http://127.0.0.1:1"}]}
  - {name: b, endpoints: [{url: "http://127.0.0.1:2"}]}
  - {name: tied, endpoints: [{url: "http://127.0.0.1:3"}], sticky_cookie: {name: tied}}
routes:
  - {id: plain, path: /plain, target: a, timeouts: {response: 3s, idle: 5s}}
  - {id: limited, path: /limited, target: a, max_body_bytes: 1KiB, methods: [POST]}
  - {id: changed, path: /changed, target: a, rewrite: {template: /other}, timeouts: {total: 3s, idle: 5s}}
  - {id: undone, path: /undone, target: a, rewrite_response: {location: true}}
  - {id: timed, path: /timed, target: a, timeouts: {total: 3s}}
  - {id: tied, path: /tied, target: tied}
  - {id: mirrored, path: /mirrored, target: a, mirror: [{target: b}]}
  - {id: hooked, path: /hooked, target: a, plugins: [{name: noted}]}
  - {id: split, path: /split, targets: [{target: a}, {target: b}]}
  - {id: gathered, path: /gathered, target: a, buffer_request: 1KiB}
  - {id: moved, path: /moved, redirect: {host: example.com}}
"""


async def test_a_route_is_transparent_if_nothing_decides_changes_or_shows_its_requests_and_responses(
    load_text: Load, environment: Environment
) -> None:
    snapshot = await compiled(load_text, environment, ROUTES)

    assert {name for name, route in snapshot.routes.items() if route.is_transparent} == {"plain", "limited"}
    await snapshot.aclose()


async def test_a_route_is_direct_if_nothing_but_pre_proxy_hooks_decides_behind_the_match(
    load_text: Load, environment: Environment
) -> None:
    snapshot = await compiled(load_text, environment, ROUTES)

    decided = {name for name, route in snapshot.routes.items() if not route.is_direct}
    rewritten = {name for name, route in snapshot.routes.items() if route.targets and not route.targets[0].is_plain}

    assert decided == {"split", "gathered", "moved"}
    assert {name for name, route in snapshot.routes.items() if route.has_hooks} - decided == {"hooked"}
    assert rewritten == {"changed"}
    changed = snapshot.routes["changed"]
    assert (changed.total, changed.idle) == (3, 5)
    await snapshot.aclose()
