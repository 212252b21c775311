from __future__ import annotations

import pytest
from gateway_core.config import StatusRange
from gateway_core.config.values import InvalidValueError
from pydantic import TypeAdapter


@pytest.mark.parametrize(
    ("value", "within", "text"),
    [(404, range(404, 405), "404"), ("404", range(404, 405), "404"), ("500-599", range(500, 600), "500-599"),
     ("5xx", range(500, 600), "500-599")],
)  # fmt: skip
def test_statuses_are_one_a_range_or_a_hundred(value: object, within: range, text: str) -> None:
    statuses = StatusRange.parse(value)

    assert [status for status in range(100, 1000) if status in statuses] == list(within)
    assert str(statuses) == text
    assert StatusRange.parse(text) == statuses


@pytest.mark.parametrize(
    "value", ["", "20", "xx", "0xx", "200-", "-200", "2000", "200 - 300", "\u00b2\u2070\u2070", True, None]
)
def test_anything_else_is_refused(value: object) -> None:
    with pytest.raises(InvalidValueError, match="write for example 404, 500-599 or 5xx"):
        StatusRange.parse(value)


def test_a_range_that_ends_before_it_begins_is_refused_with_the_other_order() -> None:
    with pytest.raises(InvalidValueError, match="ends before it begins: write 400-500"):
        StatusRange.parse("500-400")


def test_a_model_writes_what_it_reads() -> None:
    kind = TypeAdapter(tuple[StatusRange, ...])

    assert kind.dump_python(kind.validate_python([404, "5xx"])) == ("404", "500-599")
