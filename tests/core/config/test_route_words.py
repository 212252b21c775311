from __future__ import annotations

import pytest
from gateway_core.config import ConfigError
from gateway_core.config.route_words import ROUTE_WORDS

from tests.core.config.conftest import Load


@pytest.mark.parametrize(
    ("word", "hint"),
    [
        ("path_beg", "write path_prefix"),
        ("listen_path", "write path_prefix"),
        ("paths", "write path: [/a, /b]; path_prefix and path_regex take lists as well"),
        ("conditions", "write keys of the route itself: headers, query, cookies, params, client_ip"),
        ("hostnames", "write hosts"),
        ("endpoint", "write path"),
        ("status", "write enabled"),
        ("request_body", "write max_body_bytes"),
        ("none_of", "write it as the value of a condition: client_ip: {none_of: [10.0.0.0/8]}"),
        ("limits", "write max_body_bytes; other limits are those of the whole gateway, at the top level"),
    ],
)
def test_a_key_of_another_gateway_on_a_route_is_refused_with_ours(load: Load, word: str, hint: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(f"routes: [{{id: a, path: /, respond: {{}}, {word}: x}}]")

    assert [problem.text for problem in caught.value.problems] == [f'unknown key "{word}": {hint}']


def test_every_hint_says_what_to_write_bind_or_leave_out() -> None:
    beginnings = ("write ", "bind ", "leave ", "it belongs ", "its conditions ")

    assert [word for word, hint in ROUTE_WORDS.items() if not hint.startswith(beginnings)] == []
