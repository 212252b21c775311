"""Patterns of routes against what clients send, over real connections."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from gateway_core.testing import RunningGateway, ScriptedUpstream

CONFIG = """
limits: {{max_head_bytes: 40KiB}}
routes:
  - {{id: open, path_prefix: /, target: "{url}", strip_path: false}}
  - id: admin
    path_regex: "/admin/.*[0-9]"
    priority: 1
    redirect: {{host: sso.example.com, status: 302}}
  - id: delete
    path: /items
    query: {{action: {{regex: "del.*e"}}}}
    headers: {{x-mode: {{regex: "[a-z]+!"}}}}
    redirect: {{host: sso.example.com, status: 302}}
"""


@pytest.fixture
def target() -> Iterator[ScriptedUpstream]:
    with ScriptedUpstream() as upstream:
        yield upstream


def statuses(target: ScriptedUpstream, *requests: tuple[str, list[tuple[str, str]]]) -> list[int]:
    with RunningGateway(CONFIG.format(url=target.url)) as gateway:
        return [gateway.get(path, headers=headers).status for path, headers in requests]


MODE = [("x-mode", "a!")]


def test_one_of_several_values_takes_the_more_specific_route(target: ScriptedUpstream) -> None:
    found = statuses(
        target,
        ("/items?action=delete", MODE),
        ("/items?action=x&action=delete", MODE),
        ("/items?action=delete&action=x", [("X-Mode", "b"), *MODE]),
        ("/items?action=del%0Ae", [*MODE, ("X-Mode", "b")]),
        ("/items?action=x", MODE),
    )

    assert found == [302, 302, 302, 302, 200]


def test_a_long_text_is_refused_and_never_counts_as_another(target: ScriptedUpstream, without_re2: None) -> None:
    found = statuses(
        target,
        ("/admin/" + "a" * 7_000, []),
        ("/admin/" + "a" * 9_000, []),
        ("/items?action=" + "a" * 9_000, MODE),
        ("/items?action=delete", [("x-mode", "a" * 9_000)]),
        ("/items?other=" + "a" * 9_000, []),
    )

    assert found == [200, 414, 400, 431, 200]
    assert len(target.requests) == 2


def test_with_re2_long_texts_are_matched(target: ScriptedUpstream) -> None:
    found = statuses(
        target,
        ("/admin/" + "a" * 9_000, []),
        ("/admin/" + "a" * 9_000 + "1", []),
        ("/items?action=del" + "a" * 9_000 + "e", [("x-mode", "a" * 9_000 + "!")]),
    )

    assert found == [200, 302, 302]


CATASTROPHIC = """
limits: {{max_head_bytes: 64KiB}}
routes:
  - {{id: open, path_prefix: /, target: "{url}"}}
  - id: edit
    path_regex: "/api/(?P<a>.*)a(?P<b>.*)a(?P<c>.*)/edit"
    priority: 1
    redirect: {{host: sso.example.com, status: 302}}
  - id: searched
    path: /search
    query: {{q: {{regex: ".*a.*="}}}}
    headers: {{x-one: {{regex: ".*a.*!"}}}}
    redirect: {{host: sso.example.com, status: 302}}
"""
LONG = "a" * 30_000


def ask_all(target: ScriptedUpstream) -> list[int]:
    """Send what takes `re` years; the timeout of the test is far below that."""
    with RunningGateway(CATASTROPHIC.format(url=target.url)) as gateway:
        return [
            gateway.get(path, headers=headers).status
            for path, headers in (
                (f"/api/{LONG}", []),
                (f"/search?q={LONG}", [("x-one", "aa!")]),
                ("/search?q=aa=", [("x-one", LONG)]),
                ("/api/xaxax/edit", []),
                ("/search?q=aa=", [("x-one", "aa!")]),
            )
        ]


def test_no_pattern_that_check_accepts_stalls_the_process(target: ScriptedUpstream) -> None:
    assert ask_all(target) == [200, 200, 200, 302, 302]


def test_no_pattern_stalls_the_process_without_re2(target: ScriptedUpstream, without_re2: None) -> None:
    assert ask_all(target) == [414, 400, 431, 302, 302]
