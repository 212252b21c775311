from __future__ import annotations

from gateway_core.messages import BodyFilter, Headers


def test_a_filter_passes_everything_on_unless_a_subclass_does_something() -> None:
    body_filter = BodyFilter()

    assert body_filter.feed(b"a") == b"a"
    assert body_filter.finish(Headers()) == b""
