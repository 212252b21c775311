from __future__ import annotations

import json
from typing import Any

import pytest
from gateway_plugin_logger.fields import Kind, Value
from gateway_plugin_logger.formats import styles
from gateway_plugin_logger.formats.compiler import compile_line

SOURCES = {
    Kind.TEXT: "'say \"hi\"'",
    Kind.CLEAN: "'2026'",
    Kind.INTEGER: "200",
    Kind.CODE: "404",
    Kind.NUMBER: "1.5",
    Kind.MILLISECONDS: "0.0015",
    Kind.OBJECT: "{'a': [1, 'x y']}",
}


def written(kind: Kind, style: styles.Style, event: Any) -> str:
    return compile_line([styles.piece(Value(SOURCES[kind], kind), style)])(*event)


@pytest.mark.parametrize(
    ("style", "expected"),
    [
        (styles.JSON, ['"say \\"hi\\""', '"2026"', "200", "404", "1.500", "1.500", '{"a":[1,"x y"]}']),
        (styles.TEXT, ["say \\x22hi\\x22", "2026", "200", "404", "1.500", "1.500", "{\\x22a\\x22:[1,\\x22x y\\x22]}"]),
        (styles.LOGFMT, ['"say \\"hi\\""', "2026", "200", "404", "1.500", "1.500", '"{\\"a\\":[1,\\"x y\\"]}"']),
        (styles.RAW, ['say "hi"', "2026", "200", "404", "1.500", "1.500", '{"a":[1,"x y"]}']),
    ],
)
def test_each_kind_is_written_as_the_style_says(style: styles.Style, expected: list[str], make_event: Any) -> None:
    assert [written(kind, style, make_event()) for kind in SOURCES] == expected


def test_opentelemetry_names_the_type_of_each_value(make_event: Any) -> None:
    assert [json.loads(written(kind, styles.OTEL, make_event())) for kind in SOURCES] == [
        {"stringValue": 'say "hi"'},
        {"stringValue": "2026"},
        {"intValue": "200"},
        {"intValue": "404"},
        {"doubleValue": 1.5},
        {"doubleValue": 1.5},
        {
            "kvlistValue": {
                "values": [
                    {"key": "a", "value": {"arrayValue": {"values": [{"intValue": "1"}, {"stringValue": "x y"}]}}}
                ]
            }
        },
    ]


def test_every_style_knows_every_kind() -> None:
    for style in (styles.JSON, styles.TEXT, styles.LOGFMT, styles.OTEL, styles.RAW):
        assert set(style) == set(Kind)
