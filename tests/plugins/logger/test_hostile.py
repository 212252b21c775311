"""What clients may send: it never raises, and never breaks a line or a field, whatever the format."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import pytest
from gateway_core.messages.headers import headers_of_block
from gateway_plugin_logger.config import LoggerConfig
from gateway_plugin_logger.config.sinks import SyslogSink
from gateway_plugin_logger.fields import FIELDS
from gateway_plugin_logger.open_sinks import make_filter, make_forms
from gateway_plugin_logger.sinks.syslog import make_head
from gateway_plugin_sdk import Identity, Record, Request, Response, RouteInfo
from hypothesis import given
from hypothesis import strategies as st

Event = tuple[Request, Response, Record]

_EVIL = [
    "\n",
    "\r\n",
    '"',
    "\\",
    "\x00",
    "\x1b[31m",
    "\u2028",
    "\x85",
    "\ud800",
    "é",
    " ",
    "=",
    "}",
    '","x":"',
    "\\u000a",
]
_TEXT = st.lists(st.one_of(st.sampled_from(_EVIL), st.text(max_size=5)), max_size=6).map("".join)
_WIRE = _TEXT.map(lambda text: re.sub(r"[\r\n\0]", "", text).encode("utf-8", "surrogatepass"))
_CLAIMS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | _TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_TEXT, inner, max_size=3).map(MappingProxyType),
    max_leaves=6,
)
_NAMES = ["User-Agent", "Referer", "Cookie", "X-Tenant", "traceparent", "Content-Type"]


@st.composite
def events(draw: Any) -> Event:
    block = b"".join(b"\r\n" + name.encode() + b": " + draw(_WIRE) for name in _NAMES)
    fields = headers_of_block(block)
    request = Request(draw(_TEXT), "/" + draw(_TEXT), fields, host=draw(_TEXT), client_ip=draw(_TEXT))
    request.request_id, request.peer_ip = draw(_TEXT), draw(_TEXT)
    request.route = RouteInfo("r", "/:id")
    request.path_params = {"id": draw(_TEXT)}
    request.identity = Identity(draw(_TEXT), "jwt")
    request.identity = Identity("u", "jwt", {"org": draw(_CLAIMS), "a": draw(_CLAIMS)})
    request.state["x"] = draw(_CLAIMS)
    record = Record()
    record.started_at, record.error, record.upstream = 1_795_389_621.123, draw(_TEXT), "u"
    response = Response(draw(st.integers(200, 599)), b"", headers=headers_of_block(b"\r\nLocation: " + draw(_WIRE)))
    return request, response, record


ALL: Mapping[str, Any] = {
    "fields": [name for name in FIELDS if not name.endswith("_body")]
    + ["header:x-tenant", "query:k", "cookie:c", "param:id", "claim:org.id", "claim:a", "state:x"],
    "add": {"both": "{client_ip} {header:user-agent} {path}"},
    "redact": {"show": ["*"]},
    "skip": {"paths": ["/never*"], "hosts": ["never"], "when": "claim('org.id') == 7 and 'never' in path"},
}
TEMPLATE = '[{client_ip}] "{method} {path} {query}" ua="{user_agent}" c={claim:org.id} s={state:x} h={header:x-tenant}'


def line_of(event: Event, **config: Any) -> str:
    options = LoggerConfig.model_validate({**ALL, **config})
    passes = make_filter(options)
    assert passes is not None
    passes(*event)
    return make_forms(options).line(*event)


def assert_one_line(line: str) -> None:
    assert line.endswith("\n")
    assert line[:-1].isascii()
    assert line[:-1].isprintable()


@given(events())
def test_json_is_one_object_with_the_members_that_were_asked_for(event: Event) -> None:
    line = line_of(event, missing="null")

    assert_one_line(line)
    assert list(json.loads(line)) == [*ALL["fields"], "both"]


@given(events())
def test_logfmt_has_the_keys_that_were_asked_for_and_no_others(event: Event) -> None:
    line = line_of(event, format="logfmt")

    assert_one_line(line)
    keys = [key for key, _ in re.findall(r'([^\s="]+)=("(?:[^"\\]|\\.)*"|\S*)(?: |$)', line[:-1])]
    assert set(keys) <= {*ALL["fields"], "both"}
    assert len(keys) == len(set(keys))


@pytest.mark.parametrize("name", ["common", "combined"])
@given(event=events())
def test_lines_of_web_servers_have_their_fields(name: str, event: Event) -> None:
    line = line_of(event, format=name)

    assert_one_line(line)
    quoted = r' "(?:[^"\\]|\\.)*"'
    rest = quoted * 2 if name == "combined" else ""
    assert re.fullmatch(rf"\S+ - \S+ \[[^\]]+\]{quoted} \d{{3}} \d+{rest}\n", line)


@given(events())
def test_a_template_keeps_what_stands_between_its_fields(event: Event) -> None:
    line = line_of(event, format=TEMPLATE)

    assert_one_line(line)
    assert re.fullmatch(r'\[.*\] "(?:[^"\\]|\\.)*" ua="(?:[^"\\]|\\.)*" c=.* s=.* h=.*\n', line)


@given(events())
def test_records_of_otlp_are_json_with_each_attribute_once(event: Event) -> None:
    options = LoggerConfig.model_validate(
        {**ALL, "sinks": [{"type": "otlp", "endpoint": "http://c", "body": "{method} {path}"}]}
    )
    forms = make_forms(options)
    (render,) = forms.otel.values()

    record = json.loads(render(*event))

    keys = [attribute["key"] for attribute in record["attributes"]]
    assert len(keys) == len(set(keys))
    json.dumps(record).encode("utf-8")


@given(events())
def test_messages_of_syslog_have_their_head(event: Event) -> None:
    head = make_head(SyslogSink(type="syslog", address="udp://127.0.0.1:514"), "logger")

    message = head(*event) + line_of(event)

    assert_one_line(message)
    assert re.match(r"<\d{1,3}>1 \S+ \S+ \S+ \S+ \S+ -(?: |\[)", message)
