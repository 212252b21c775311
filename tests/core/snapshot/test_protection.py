"""Which requests reach what a route protects by another route; found with the router that serves them."""

from __future__ import annotations

from pathlib import Path

import pytest
from gateway_core.config import LoadedConfig
from gateway_core.hooks import Plugin
from gateway_core.hookspecs import hookimpl
from gateway_core.messages import Request, Response
from gateway_core.packages import PluginRegistry
from gateway_core.snapshot import load


class Guard(Plugin[dict[str, object]]):
    name = "guard"
    config_schema = {"type": "object"}
    provides = frozenset({"identity"})

    @hookimpl
    def gateway_pre_proxy(self, request: Request) -> Response | None:
        return Response.problem(401)


class Addresses(Guard):
    name = "addresses"
    provides = frozenset()
    access_control = True


class Tokens(Guard):
    """Knows callers in another way."""

    name = "tokens"


class Colours(Guard):
    name = "colours"
    provides = frozenset()


def check(tmp_path: Path, text: str) -> LoadedConfig:
    registry = PluginRegistry(find=dict)
    for plugin in (Guard, Addresses, Tokens, Colours):
        registry.register(plugin)
    path = tmp_path / "gateway.yaml"
    path.write_text(text)
    return load([path], registry=registry, environ={})


def warnings(tmp_path: Path, text: str) -> list[str]:
    loaded = check(tmp_path, text)
    return [each.text for each in loaded.warnings if each.code == "route.protection-bypassed"]


def routes(*lines: str) -> str:
    upstreams = "upstreams: [{name: app, endpoints: [{url: 'http://127.0.0.1:1'}]}, {name: site, endpoints: [{url: 'http://127.0.0.1:2'}]}]\n"
    return upstreams + "routes:\n" + "".join(f"  - {{{line}}}\n" for line in lines)


ADMIN = "id: admin, target: app, plugins: [{name: guard}]"
ALL = "id: all, path_prefix: /, target: app"


@pytest.mark.parametrize(
    ("condition", "request_line"),
    [
        ("path_prefix: /admin, methods: [GET]", "POST /admin/1 (another method)"),
        ("path_prefix: /admin, methods: [GET, POST, PUT, DELETE, PATCH, HEAD, OPTIONS]", ""),
        ("path: '/admin/:id', methods: [DELETE]", "GET /admin/1 (another method)"),
        ("path: '/admin/*rest', methods: [GET]", "POST /admin/1 (another method)"),
        ("path_regex: '^/admin(/[a-z]+)?$', methods: [GET]", "POST /admin/a (another method)"),
        ("path_prefix: /admin, headers: {x-beta: on}", "GET /admin/1 (without the header x-beta)"),
        ("path_prefix: /admin, headers: {x-beta: {regex: 'v[0-9]+'}}", "GET /admin/1 (without the header x-beta)"),
        (
            "path_prefix: /admin, headers: {x-beta: {present: false}}",
            "GET /admin/1 with x-beta: 1 (with the header x-beta)",
        ),
        ("path_prefix: /admin, query: {mode: edit}", "GET /admin/1 (without the parameter mode)"),
        ("path_prefix: /admin, hosts: [admin.example.com]", "GET /admin/1 at host other.example.com (another host)"),
        ("path_prefix: /admin, hosts: ['*.example.com']", "GET /admin/1 at host other.com (another host)"),
        ("path: /admin", "GET /admin/ (a / behind the path)"),
        ("path: '/admin/:id'", "GET /admin/1/ (a / behind the path)"),
        ("path_regex: '/admin/[a-z]+'", "GET /admin/a/ (a / behind the path)"),
        ("path_prefix: /admin", ""),
        ("path_prefix: /", ""),
        ("path: '/admin/*rest'", ""),
    ],
)
def test_a_condition_that_fails_leads_round_the_protection(tmp_path: Path, condition: str, request_line: str) -> None:
    condition = condition.replace("x-beta: on}", "x-beta: 'on'}")
    every = ALL if condition != "path_prefix: /" else ALL.replace("path_prefix: /", "path_prefix: /public")
    if "path_regex" in condition:
        every = ALL.replace("path_prefix: /", "path_regex: /.*")  # any other path comes before regular expressions

    found = warnings(tmp_path, routes(f"{condition}, {ADMIN}", every))

    assert [request_line in message for message in found] == ([True] if request_line else []), found


@pytest.mark.parametrize(
    ("protected", "other", "way"),
    [
        ("path_prefix: /admin", "path_prefix: /pub, strip_path: true", "GET /pub/admin/1 (rewritten to /admin/1)"),
        ("path: /admin/:id", "path: '/pub/*rest', strip_path: true", "GET /pub/admin/1 (rewritten to /admin/1)"),
        ("path_prefix: /admin", "path_prefix: /p, rewrite: {prefix: /admin}", "GET /p/1 (rewritten to /admin/1)"),
        ("path_prefix: /admin", "path_prefix: /, rewrite: {prefix: /admin/}", "GET /1 (rewritten to /admin/1)"),
        ("path_prefix: /", "path_prefix: /static, strip_path: true", "GET /static/1 (rewritten to /1)"),
        ("path_prefix: /api, strip_path: true", "path_prefix: /", 'GET /1 (what "admin" rewrites to)'),
        (
            "path_prefix: /v1, rewrite: {prefix: /x}",
            "path_prefix: /v2, rewrite: {prefix: /x}, hosts: ['*.b.test'], methods: [PUT]",
            "PUT /v2/1 at host any.b.test (rewritten to /x/1)",
        ),
    ],
)
def test_a_rewrite_leads_round_the_protection(tmp_path: Path, protected: str, other: str, way: str) -> None:
    (found,) = warnings(tmp_path, routes(f"{protected}, {ADMIN}", f"id: other, {other}, target: app"))

    assert way in found


@pytest.mark.parametrize(
    "other",
    ["path_prefix: /pub, rewrite: {prefix: /pub2}", "path: /pub, strip_path: true", "path_prefix: /admin/pub"],
)
def test_rewrites_that_lead_elsewhere_are_not_warned_of(tmp_path: Path, other: str) -> None:
    assert warnings(tmp_path, routes(f"path_prefix: /admin, {ADMIN}", f"id: other, {other}, target: app")) == []


def test_the_message_names_both_routes_and_the_remedy(tmp_path: Path) -> None:
    (warning,) = check(tmp_path, routes(f"path_prefix: /admin, methods: [GET], {ADMIN}", ALL)).warnings

    assert str(warning) == (
        f"{tmp_path}/gateway.yaml:3:5: routes[0]: warning: "
        'route "admin" is protected by "guard", but POST /admin/1 (another method) is taken by route "all" at '
        f"{tmp_path}/gateway.yaml:4:5, which sends it to the same target without it: "
        'bind "guard" there too, or add a route with it for these requests'
    )


@pytest.mark.parametrize(
    ("protected", "other"),
    [
        # Another target, no target, or another path of the target.
        (f"path_prefix: /admin, methods: [GET], {ADMIN}", "id: all, path_prefix: /, target: site"),
        (f"path_prefix: /admin, methods: [GET], {ADMIN}", "id: all, path_prefix: /, redirect: {scheme: https}"),
        (f"path: /api/x, strip_path: true, {ADMIN}", "id: all, path_prefix: /api, rewrite: {prefix: /v2}, target: app"),
        # The same protection, by the same plugin or by one that provides the same.
        (f"path_prefix: /admin, methods: [GET], {ADMIN}", f"{ALL}, plugins: [{{name: guard, config: {{a: 1}}}}]"),
        (f"path_prefix: /admin, methods: [GET], {ADMIN}", f"{ALL}, plugins: [{{name: tokens}}]"),
        # An exemption: the other route names what it takes.
        (f"path_prefix: /, {ADMIN}", "id: login, path: /login, target: app"),
        (f"path_prefix: /, {ADMIN}", "id: login, path: /login, methods: [POST], target: app"),
        (f"path_prefix: /, methods: [GET], {ADMIN}", "id: login, path: /login, target: app"),
        # Hosts that are named both.
        (f"path_prefix: /, hosts: [a.test], {ADMIN}", "id: b, path_prefix: /, hosts: [b.test], target: app"),
        # Nothing that protects.
        ("id: a, path_prefix: /a, methods: [GET], target: app, plugins: [{name: colours}]", ALL),
        ("id: a, path_prefix: /a, methods: [GET], target: app, plugins: [{name: guard, mode: shadow}]", ALL),
        # Case is another path to the router and to most upstreams.
        (f"path_prefix: /admin, {ADMIN}", "id: upper, path_prefix: /ADMIN, target: app"),
    ],
)
def test_there_is_no_warning_where_nothing_is_passed_by(tmp_path: Path, protected: str, other: str) -> None:
    assert warnings(tmp_path, routes(protected, other)) == []


def test_a_protected_route_that_is_not_enabled_leaves_its_requests_to_the_next_one(tmp_path: Path) -> None:
    text = routes(f"{ADMIN}, path_prefix: /admin, enabled: false", ALL)

    (warning,) = warnings(tmp_path, text)

    assert 'protected by "guard", but GET /admin/1 (the route is not enabled) is taken by route "all"' in warning


@pytest.mark.parametrize(
    "other",
    [
        "id: all, path_prefix: /, target: site",
        "id: all, path_prefix: /, target: app, plugins: [{name: guard}]",
        "id: all, path_prefix: /, target: app, enabled: false",
        "id: all, path_prefix: /, target: app, headers: {x-beta: on}",
    ],
)
def test_a_route_that_is_not_enabled_is_no_warning_where_nothing_takes_its_requests(tmp_path: Path, other: str) -> None:
    assert not warnings(tmp_path, routes(f"{ADMIN}, path_prefix: /admin, enabled: false", other))


def test_what_is_not_enabled_is_no_way_round(tmp_path: Path) -> None:
    assert not warnings(tmp_path, routes(f"{ADMIN}, path_prefix: /admin, methods: [GET]", f"{ALL}, enabled: false"))


def test_a_gateway_wide_binding_protects_all_that_do_not_switch_it_off(tmp_path: Path) -> None:
    text = routes("id: admin, path_prefix: /admin, methods: [GET], target: app", ALL)

    assert warnings(tmp_path, "plugins: [{name: guard}]\n" + text) == []
    off = text.replace(ALL, f"{ALL}, plugins: [{{name: guard, enabled: false}}]")
    assert len(warnings(tmp_path, "plugins: [{name: guard}]\n" + off)) == 1


@pytest.mark.parametrize("target", ["'http://127.0.0.1:1'", "again"])
def test_one_address_under_two_names_is_one_target(tmp_path: Path, target: str) -> None:
    text = routes(f"path_prefix: /admin, methods: [GET], {ADMIN}", f"id: all, path_prefix: /, target: {target}")
    text = text.replace("upstreams: [", "upstreams: [{name: again, endpoints: [{url: 'http://127.0.0.1:1'}]}, ")

    assert len(warnings(tmp_path, text)) == 1


def test_a_share_of_the_requests_is_enough(tmp_path: Path) -> None:
    split = "id: all, path_prefix: /, targets: [{target: site, weight: 9}, {target: app}]"

    assert len(warnings(tmp_path, routes(f"path_prefix: /admin, methods: [GET], {ADMIN}", split))) == 1


def test_a_route_in_between_that_protects_takes_the_requests(tmp_path: Path) -> None:
    between = "id: rest, path_prefix: /admin, target: app, plugins: [{name: guard}]"

    assert warnings(tmp_path, routes(f"path_prefix: /admin, methods: [GET], {ADMIN}", between, ALL)) == []


def test_a_more_specific_route_that_a_client_can_choose_is_a_way_round(tmp_path: Path) -> None:
    canary = "id: canary, path_prefix: /admin, headers: {x-canary: '1'}, target: app"

    (message,) = warnings(tmp_path, routes(f"path_prefix: /admin, {ADMIN}", canary))

    assert "GET /admin/1 with x-canary: 1" in message


def test_each_binding_that_is_missing_is_named(tmp_path: Path) -> None:
    both = "id: admin, path: /admin, target: app, plugins: [{name: guard, id: who}, {name: addresses}]"

    (message,) = warnings(tmp_path, routes(both, ALL))

    assert 'is protected by "addresses" and "who"' in message or 'is protected by "who" and "addresses"' in message


@pytest.mark.parametrize(
    ("open_route", "document", "is_told"),
    [
        ("id: projects, path_prefix: /projects, target: app, path_policy: {encoded_slash: keep}", "", True),
        ("id: projects, path: '/projects/a%2Fb', target: app", "path_policy: {encoded_slash: keep}\n", True),
        ("id: projects, path_prefix: /projects, target: app", "", False),
        ("id: projects, path_prefix: /projects, target: site, path_policy: {encoded_slash: keep}", "", False),
        (
            "id: projects, path_prefix: /p, target: app, path_policy: {encoded_slash: keep}, plugins: [{name: guard}]",
            "",
            False,
        ),
    ],
)
def test_encoded_slashes_kept_beside_a_protected_route_with_the_same_target_are_told(
    tmp_path: Path, open_route: str, document: str, is_told: bool
) -> None:
    text = routes("id: admin, path_prefix: /admin, target: app, plugins: [{name: guard}]", open_route)

    told = [each for each in check(tmp_path, document + text).warnings if each.code == "route.encoded-slash-kept"]

    assert [each.key_path for each in told] == (["routes[1]"] if is_told else [])
    assert all("find what route 'admin'" in each.text.replace('"', "'") for each in told)


LISTEN = "listen: [{name: web, address: ':1'}, {name: in, address: ':2', default: false}]\n"
OPEN = "id: open, path: /, target: app"


@pytest.mark.parametrize(("listeners", "number"), [("", 1), (", listeners: [web]", 1), (", listeners: [in]", 0)])
def test_what_another_listener_serves_is_no_bypass(tmp_path: Path, listeners: str, number: int) -> None:
    guarded = "id: guarded, path: /, methods: [GET], target: app, plugins: [{name: guard}]"

    assert len(warnings(tmp_path, LISTEN + routes(guarded, OPEN + listeners))) == number


@pytest.mark.parametrize(
    ("targets", "number"),
    [
        ("[{target: app, plugins: [{name: guard}]}, {target: site, plugins: [{name: guard}]}]", 1),
        ("[{target: app, plugins: [{name: guard}]}, {target: site}]", 0),
    ],
)
def test_a_route_is_protected_if_each_of_its_targets_is(tmp_path: Path, targets: str, number: int) -> None:
    split = f"id: split, path: /, methods: [GET], targets: {targets}"

    assert len(warnings(tmp_path, routes(split, OPEN))) == number


def test_a_rewrite_of_host_or_query_leaves_the_path(tmp_path: Path) -> None:
    guarded = "id: guarded, path: /a, methods: [GET], target: app, plugins: [{name: guard}]"

    assert len(warnings(tmp_path, routes(guarded, "id: open, path_prefix: /, target: app, rewrite: {host: h}"))) == 1
