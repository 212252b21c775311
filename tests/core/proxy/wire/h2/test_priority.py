"""The Priority field."""

from __future__ import annotations

import pytest
from gateway_core.proxy.wire.h2.priority import Priority, read_priority


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("", Priority(None, False)),
        ("u=0", Priority(0, False)),
        ("u=7, i", Priority(7, True)),
        ("i, u=3", Priority(3, True)),
        ("i=?1,u=1", Priority(1, True)),
        ("i=?0", Priority(None, False)),
        ("u=8", Priority(None, False)),
        ("u=-1", Priority(None, False)),
        ("u=12", Priority(None, False)),
        ("xu=1", Priority(None, False)),
        ("u=2;x=1, i;y", Priority(2, True)),
        ("nonsense \xff", Priority(None, False)),
    ],
)
def test_what_is_understood_counts_and_the_rest_says_nothing(value: str, expected: Priority) -> None:
    assert read_priority(value) == expected
