from __future__ import annotations

import json
import re
from typing import Any

import pytest
from gateway_core.messages.headers import headers_of_block
from gateway_plugin_logger.fields import FIELDS, find_value
from gateway_plugin_logger.formats.build import FormatError, build_otel_renderer, build_renderer, check_template
from gateway_plugin_sdk import Identity, Record, Request, Response
from hypothesis import given, settings
from hypothesis import strategies as st

OPTIONAL = [name for name, field in FIELDS.items() if field.value.optional]


def test_combined_lines_are_those_of_apache_and_nginx(make_event: Any) -> None:
    event = make_event(headers={"Referer": "https://example.com/", "User-Agent": 'odd "agent"'})

    line = build_renderer("combined", (), {}, find_value)(*event)

    assert line == (
        '203.0.113.9 - alice [22/Nov/2026:23:20:21 +0000] "GET /api/users/7?page=2 HTTP/1.1" 200 1024 '
        '"https://example.com/" "odd \\x22agent\\x22"\n'
    )


def test_common_lines_say_a_dash_for_what_is_not_there(make_event: Any) -> None:
    line = build_renderer("common", (), {}, find_value)(*make_event("/", subject=None))

    assert line == '203.0.113.9 - - [22/Nov/2026:23:20:21 +0000] "GET / HTTP/1.1" 200 1024\n'


def test_another_word_may_stand_for_what_is_not_there(make_event: Any) -> None:
    line = build_renderer("{referer} {status}", (), {}, find_value, placeholder="none")

    assert line(*make_event()) == "none 200\n"


def test_logfmt_quotes_only_what_needs_it(make_event: Any) -> None:
    event = make_event(headers={"user-agent": "a b"})

    line = build_renderer("logfmt", ("status", "user_agent", "error", "duration_ms"), {"env": "prod"}, find_value)(
        *event
    )

    assert line == 'status=200 user_agent="a b" duration_ms=12.500 env=prod\n'


def test_an_added_field_keeps_the_type_of_a_single_field_and_is_text_otherwise(make_event: Any) -> None:
    added = {"code": "{status}", "label": "{method} {status}", "fixed": "a{{b", "gone": "{error}", "claims": "{claims}"}

    line = json.loads(build_renderer("json", (), added, find_value)(*make_event(claims={"n": [1]})))

    assert line == {"code": 200, "label": "GET 200", "fixed": "a{b", "claims": {"n": [1]}}


def test_missing_fields_are_left_out_or_null(make_event: Any) -> None:
    fields = ("error", "status", "aborted")

    assert build_renderer("json", fields, {}, find_value)(*make_event()) == '{"status":200}\n'
    assert (
        build_renderer("json", fields, {}, find_value, nulls=True)(*make_event())
        == '{"error":null,"status":200,"aborted":null}\n'
    )


@settings(max_examples=60)
@given(
    st.lists(st.sampled_from(list(FIELDS)), unique=True, max_size=6),
    st.booleans(),
    st.sampled_from(["json", "logfmt"]),
    st.booleans(),
)
def test_commas_are_right_whatever_is_missing(fields: list[str], is_empty: bool, name: str, nulls: bool) -> None:
    from gateway_plugin_sdk import Attempt, Identity, Record, Request, Response

    request, response, record = Request("GET", "/?a=1"), Response(200), Record()
    if not is_empty:
        request.identity = Identity("a", "b", {"c": "d"})
        request.headers.add("user-agent", "x")
        record.error, record.aborted, record.upstream, record.upstream_duration = "e", "client", "u", 0.1
        record.attempts = [Attempt("a", "responded", 200), Attempt("b", "responded", 200)]

    line = build_renderer(name, fields, {}, find_value, nulls=nulls)(request, response, record)

    assert line.endswith("\n")
    if name == "json":
        said = json.loads(line)
        assert [key for key in fields if key in said] == list(said)
        assert set(said) >= {key for key in fields if nulls or not FIELDS[key].value.optional}
    else:
        assert "  " not in line
        assert not line.startswith(" ")


@given(st.text(max_size=30), st.text(max_size=30), st.text(max_size=30))
@pytest.mark.parametrize("name", ["json", "logfmt", "combined", "{error} {identity} {header:x}"])
def test_nothing_that_a_client_sends_makes_a_second_line(name: str, error: str, subject: str, target: str) -> None:
    request, record = Request("GET", "/" + target), Record()
    request.identity = Identity(subject)
    request.headers = headers_of_block(
        b"\r\nX: " + error.encode("utf-8", "replace").replace(b"\r", b"").replace(b"\n", b"")
    )
    record.error = error

    line = build_renderer(name, ("target", "error", "identity", "header:x"), {}, find_value)(
        request, Response(), record
    )

    assert line.isascii()
    assert line.count("\n") == 1
    if name == "json":
        said = json.loads(line)
        assert (said["target"], said["identity"]) == ("/" + target, subject)


COMBINED = re.compile(
    r"(\S+) - (\S+) \[(\d{2}/[A-Z][a-z]{2}/\d{4}:\d{2}:\d{2}:\d{2} \+0000)\] "
    r'"([^"]*) ([^" ]*) HTTP/([\d.]+)" (\d{3}) (\d+) "([^"]*)" "([^"]*)"\n'
)
HOSTILE = st.text(max_size=20) | st.sampled_from(
    ['" 200 1 "-" "-"\n127.0.0.1 - - [', "a b", "\r\nx", "\x1b[2J", "\u2028", "\ud800", "\\", "\\x22", "-"]
)


@given(HOSTILE, HOSTILE, HOSTILE, st.binary(max_size=20), st.binary(max_size=20))
@settings(max_examples=150)
def test_a_combined_line_has_its_ten_parts_whatever_a_client_sends(
    subject: str, client: str, method: str, agent: bytes, referer: bytes
) -> None:
    block = b"\r\nUser-Agent: " + agent.translate(None, b"\r\n") + b"\r\nReferer: " + referer.translate(None, b"\r\n")
    request = Request(method, "/a", headers_of_block(block), client_ip=client)
    request.identity = Identity(subject)

    line = build_renderer("combined", (), {}, find_value)(request, Response(200), Record())

    assert COMBINED.fullmatch(line)
    assert line.isascii()
    assert line[:-1].isprintable()


def test_a_template_that_names_no_field_is_refused() -> None:
    with pytest.raises(FormatError, match=r"'statsu' is no field; did you mean 'status'\?"):
        check_template("{statsu}")


def test_otlp_records_are_those_of_the_log_data_model(make_event: Any) -> None:
    trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    event = make_event(status=502, headers={"traceparent": trace}, error='upstream "x" is away')
    fields = ("time", "trace_id", "method", "status", "duration_ms", "error", "header:x-tenant", "query")

    record = json.loads(build_otel_renderer(fields, {"env": "prod"}, "{method} {path} {status}", find_value)(*event))

    assert record == {
        "timeUnixNano": "1795389621123000000",
        "observedTimeUnixNano": "1795389621135500000",
        "severityNumber": 17,
        "severityText": "ERROR",
        "body": {"stringValue": "GET /api/users/7 502"},
        "attributes": [
            {"key": "http.request.method", "value": {"stringValue": "GET"}},
            {"key": "http.response.status_code", "value": {"intValue": "502"}},
            {"key": "gateway.duration_ms", "value": {"doubleValue": 12.5}},
            {"key": "error.message", "value": {"stringValue": 'upstream "x" is away'}},
            {"key": "url.query", "value": {"stringValue": "page=2"}},
            {"key": "env", "value": {"stringValue": "prod"}},
        ],
        "traceId": "4bf92f3577b34da6a3ce929d0e0e4736",
        "flags": 1,
        "spanId": "00f067aa0ba902b7",
    }
