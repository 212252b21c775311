from __future__ import annotations

from typing import Any

import pytest
from gateway_plugin_logger.fields import FieldNameError, find_value
from gateway_plugin_logger.formats.build import build_renderer


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("header:X-Tenant", "a, b"),
        ("response_header:server", "x"),
        ("query:page", "2 3"),
        ("cookie:theme", "dark"),
        ("param:id", "7"),
        ("claim:org.name", "Acme"),
        ("claim:roles", "[\\x22a\\x22,\\x22b\\x22]"),
        ("state:logger.note", "5"),
        ("header:x-none", "-"),
        ("claim:none", "-"),
    ],
)
def test_lookups_read_what_they_name(name: str, expected: str, make_event: Any) -> None:
    event = make_event(
        "/?page=2+3&page=4",
        headers={"x-tenant": "a", "cookie": "theme=dark; id=1"},
        response_headers={"Server": "x"},
        claims={"org": {"name": "Acme"}, "roles": ["a", "b"]},
    )
    event.request.headers.add("X-Tenant", "b")
    event.request.state["logger.note"] = 5

    assert build_renderer(f"{{{name}}}", (), {}, find_value)(*event) == expected + "\n"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("statsu", "'statsu' is no field; did you mean 'status'?"),
        ("zzz", "'zzz' is no field; the fields are time, "),
        ("head:x", "'head:x' is no field: before the colon comes one of header, "),
        ("header:", "'header:' is no field: a name follows the colon"),
        ("header:a b", "'a b' is not a header name"),
    ],
)
def test_names_that_are_no_fields_are_refused_with_a_hint(name: str, message: str) -> None:
    with pytest.raises(FieldNameError) as refused:
        find_value(name)

    assert str(refused.value).startswith(message)
