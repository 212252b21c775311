from __future__ import annotations

from typing import Any

from gateway_plugin_ratelimit.responses import retry_after
from hypothesis import given
from hypothesis import strategies as st


@given(
    wait=st.floats(0, 1e6),
    jitter=st.floats(0, 10),
    draw=st.floats(0, 1, exclude_max=True),
)
def test_retry_after_is_never_zero_never_early_and_late_by_at_most_the_jitter(
    wait: Any, jitter: Any, draw: Any
) -> None:
    seconds = retry_after(wait, jitter, draw)

    assert seconds >= 1
    assert seconds >= wait - 1e-5
    assert seconds <= max(1, wait + 1) * (1 + jitter) + 1


def test_short_waits_are_exact_with_the_default_jitter() -> None:
    assert [retry_after(wait, 0.1, 0.999) for wait in (0.001, 1.0, 1.2, 9.0)] == [1, 1, 2, 9]
    assert retry_after(60, 0.1, 0.999) == 66
