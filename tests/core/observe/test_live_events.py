from __future__ import annotations

from gateway_core.events import ADMIN_OVERRIDE, ADMIN_WRITE, BREAKER_OPENED, LIMIT_REACHED, PLUGIN_QUARANTINED
from gateway_core.observe.live_events import Ring, change_of, frame, is_change


def test_only_what_leaves_the_gateway_in_another_state_is_a_change() -> None:
    assert is_change(BREAKER_OPENED.name)
    assert is_change(PLUGIN_QUARANTINED.name)
    assert is_change(ADMIN_OVERRIDE.name)
    assert not is_change(ADMIN_WRITE.name)
    assert not is_change(LIMIT_REACHED.name)


def test_a_change_has_the_message_and_the_fields_of_its_event_cut_to_a_length() -> None:
    change = change_of(BREAKER_OPENED, "m" * 9000, {"upstream": "users", "count": 3, "lost": ["a" * 9000] * 200}, 0.0)

    assert (change["event"], change["level"], change["at"]) == ("breaker.opened", "warning", "1970-01-01T00:00:00.000Z")
    assert (len(change["message"]), change["fields"]["upstream"], change["fields"]["count"]) == (2000, "users", 3)
    assert (len(change["fields"]["lost"]), len(change["fields"]["lost"][0])) == (100, 2000)


def test_no_text_of_an_event_can_end_it() -> None:
    assert frame("change", {"message": "a\n\nevent: x\r\u2028"}, "e-1").decode().split("\n") == [
        "id: e-1",
        "event: change",
        'data: {"message":"a\\n\\nevent: x\\r\\u2028"}',
        "",
        "",
    ]


def test_a_ring_drops_the_oldest_beyond_a_number_or_a_size() -> None:
    ring = Ring(3, 1000)
    for order in range(1, 6):
        ring.add(order * 10, "change", {}, b"x" * 10)
    assert ([each.number for each in ring.entries], ring.dropped_order, ring.number_at(30)) == ([3, 4, 5], 20, 3)

    ring.add(60, "change", {}, b"x" * 2000)
    assert [each.number for each in ring.after(0)] == [6]
    assert ring.after(6) == []
