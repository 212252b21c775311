from __future__ import annotations

import pytest
from gateway_core.config import ConfigError
from gateway_core.config.problems import KeyPath
from gateway_core.config.shorthands import shorthand_hint

from tests.core.config.conftest import Load


@pytest.mark.parametrize(
    ("path", "value", "hint"),
    [
        (("listen",), 8080, 'write ":8080" for every interface, or "127.0.0.1:8080"'),
        (("listen", 1), 8080, 'write ":8080" for every interface, or "127.0.0.1:8080"'),
        (("listen",), 99999, ""),
        (("listen",), True, ""),
        (("admin",), "127.0.0.1:9090", 'write {listen: "127.0.0.1:9090"}'),
        (("admin",), 9090, "write {listen: 127.0.0.1:9090}"),
        (("upstreams", 0, "endpoints", 0), "http://a", 'write {url: "http://a"}'),
        (("admin",), True, "write {listen: 127.0.0.1:9090}"),
        (("log",), "json", "write {format: json}"),
        (("log",), "debug", "write {level: debug}"),
        (("routes",), {"a": {}}, "write a list: [{id: ..., path_prefix: /, target: ...}]"),
        (("upstreams",), {"a": {}}, "write a list: [{name: ..., endpoints: [{url: ...}]}]"),
        (("upstreams", 0, "endpoints", 0), "a:1", 'write {url: "http://a:1"}'),
        (("upstreams", 0, "endpoints", 0), "unix:/a", 'write {url: "unix:/a"}'),
        (("upstreams", 0, "endpoints"), "http://a", 'write [{url: "http://a"}]'),
        (("routes", 0, "plugins", 0), "auth", 'write {name: "auth"}'),
        (("routes", 0, "plugins"), "auth", 'write [{name: "auth"}]'),
        (("routes", 0, "plugins"), {"cors": {}}, "write a list: [{name: ..., config: {...}}]"),
        (("routes", 0, "targets", 1), "b", 'write {target: "b"}'),
        (("routes", 0, "targets"), {"a": 1}, "write a list: [{target: a, weight: 9}, {target: b, weight: 1}]"),
        (("routes", 0, "mirror"), "shadow", 'write {target: "shadow"}'),
        (("routes", 0, "respond"), "ok", 'write {body: "ok"}'),
        (("routes", 0, "redirect"), "/new", 'write {path: "/new"}'),
        (
            ("routes", 0, "redirect"),
            "https://a",
            "write {scheme: https, host: www.example.com, path: /new}, each where it changes",
        ),
        (("routes", 0, "rewrite"), "/v2", 'write {prefix: "/v2"}'),
        (
            ("routes", 0, "rewrite"),
            "^/a/(.*)$ /$1 break",
            "write path_regex: /old/(?P<rest>.*) on the route, and {template: /new/:rest} here",
        ),
        (("routes", 0, "sticky_cookie"), "split", 'write {name: "split"}'),
        (("routes", 0, "timeouts"), "5s", "write {total: 5s}"),
        (("routes", 0, "retries"), 3, "write {attempts: 3}"),
        (("error_pages",), {404: "/404.html"}, "write a list: [{statuses: [404], path: /404.html}]"),
        (("limits",), 5, ""),
    ],
)
def test_a_single_value_in_the_place_of_a_section_is_written_out(path: KeyPath, value: object, hint: str) -> None:
    assert shorthand_hint(path, value) == hint


@pytest.mark.parametrize(
    ("route", "hint"),
    [
        ("mirror: shadow", '"shadow" is text, where a list is expected: write {target: "shadow"}'),
        ("plugins: {logger: {}}", "is a mapping, where a list is expected: write a list: [{name: ..., config: {...}}]"),
        ("error_pages: [{statuses: 404}]", "404 is a number, where a list is expected: write [404]"),
        ("methods: 'GET,POST'", '"GET,POST" is text, where a list is expected: write ["GET", "POST"]'),
        ("methods: 'GET | POST'", '"GET | POST" is text, where a list is expected: write ["GET", "POST"]'),
        ("hosts: 'a,,b'", '"a,,b" is text, where a list is expected: write ["a,,b"]'),
        ("methods: GET", '"GET" is text, where a list is expected: write ["GET"]'),
        ("timeouts: 5s", '"5s" is text, where a mapping is expected: write {total: 5s}'),
    ],
)
def test_the_hint_ends_the_problem(load: Load, route: str, hint: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(f'routes: [{{path: /, target: "http://127.0.0.1:9", {route}}}]')

    assert [problem.text for problem in caught.value.problems] == [hint]
