from __future__ import annotations

import logging
import re

import pytest
from gateway_core.events import ENDPOINT_EJECTED, EVENTS, RESERVED_FIELDS, emit


def test_names_say_the_subject_and_what_happened_to_it() -> None:
    assert [name for name in EVENTS if not re.fullmatch(r"[a-z]+(_[a-z]+)*\.[a-z]+(_[a-z]+)*", name)] == []
    assert all(name == event.name for name, event in EVENTS.items())


def test_fields_never_hide_what_every_line_has() -> None:
    assert [event.name for event in EVENTS.values() if RESERVED_FIELDS & set(event.fields)] == []


def test_an_event_is_one_record_with_its_name_level_and_fields(caplog: pytest.LogCaptureFixture) -> None:
    error = ValueError("odd")

    emit(ENDPOINT_EJECTED, "100 % gone", upstream="users", endpoint="a", reason=None, seconds=30.0, error=error)

    (record,) = caplog.records
    assert (record.name, record.levelno, record.getMessage()) == ("gateway.endpoint", logging.WARNING, "100 % gone")
    assert vars(record)["event"] == "endpoint.ejected"
    assert vars(record)["fields"] == {"upstream": "users", "endpoint": "a", "seconds": 30.0}
    assert record.exc_info is not None
    assert record.filename == "test_event.py"


def test_an_event_of_a_plugin_is_written_by_its_logger(caplog: pytest.LogCaptureFixture) -> None:
    emit(ENDPOINT_EJECTED, "text", logger=logging.getLogger("gateway.plugin.mine"))

    assert [record.name for record in caplog.records] == ["gateway.plugin.mine"]
