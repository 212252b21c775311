from __future__ import annotations

from gateway_core.admin.throttle import MOST_FAILURES, WINDOW, LoginThrottle


def test_an_address_that_failed_often_waits_until_the_window_is_over() -> None:
    throttle = LoginThrottle()

    for number in range(MOST_FAILURES):
        assert throttle.wait("192.0.2.1", 100.0 + number) == 0
        throttle.note_failure("192.0.2.1", 100.0 + number)

    assert throttle.wait("192.0.2.1", 110.0) == WINDOW - 10
    assert throttle.wait("192.0.2.2", 110.0) == 0
    assert throttle.wait("192.0.2.1", 100.0 + WINDOW) == 0


def test_a_network_of_64_bits_is_one_address() -> None:
    throttle = LoginThrottle()

    for number in range(MOST_FAILURES):
        throttle.note_failure(f"2001:db8::{number:x}", 100.0)

    assert throttle.wait("2001:db8::ffff", 100.0) == WINDOW
    assert throttle.wait("2001:db8:0:1::1", 100.0) == 0


def test_memory_is_bounded() -> None:
    throttle = LoginThrottle()

    for number in range(5000):
        throttle.note_failure(f"10.0.{number >> 8}.{number & 255}", 1.0)

    assert len(throttle._failures) == 1024
