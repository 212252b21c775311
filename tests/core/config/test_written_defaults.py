from __future__ import annotations

from typing import Any

from gateway_core.config import ConfigModel, Duration
from gateway_core.config.statuses import StatusRange
from gateway_core.config.written_defaults import with_written_defaults


class Inner(ConfigModel):
    delay: Duration = 1.5
    attempts: int = 3


class Checked(ConfigModel):
    timeout: Duration = 90.0
    bounds: tuple[Duration, ...] = (0.25, 1.0)
    statuses: tuple[StatusRange, ...] = (StatusRange(200, 399), StatusRange(404, 404))
    attempts: int = 3
    label: str | None = None
    may_be: Duration | None = 5.0
    inner: Inner = Inner()
    inners: tuple[Inner, ...] | None = (Inner(),)


def test_durations_and_statuses_are_as_documents_have_them_and_all_else_is_as_it_was() -> None:
    schema: dict[str, Any] = with_written_defaults(Checked.model_json_schema())

    defaults = {name: each["default"] for name, each in schema["properties"].items()}
    assert defaults == {
        "timeout": "90s", "bounds": ["250ms", "1s"], "statuses": ["200-399", 404], "attempts": 3, "label": None,
        "may_be": "5s", "inner": {"delay": "1500ms", "attempts": 3}, "inners": [{"delay": "1500ms", "attempts": 3}],
    }  # fmt: skip
    assert Checked.model_validate(defaults) == Checked()
