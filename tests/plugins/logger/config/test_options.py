from __future__ import annotations

import json
from typing import Any

import jsonschema
import pytest
from gateway_plugin_logger.config import FileSink, LoggerConfig, StdoutSink
from pydantic import BaseModel, ValidationError

SCHEMA = LoggerConfig.model_json_schema()


def test_the_shorthands_are_sinks() -> None:
    assert LoggerConfig().destinations == LoggerConfig(path="-").destinations == (StdoutSink(type="stdout"),)
    assert LoggerConfig(path="a.log").destinations == (FileSink(type="file", path="a.log"),)


@pytest.mark.parametrize(
    ("config", "place", "message"),
    [
        ({"format": "jsn"}, "format", "'jsn' is no format: use json, logfmt, common, combined or a template with"),
        ({"format": "{statsu}"}, "format", "did you mean 'status'?"),
        ({"format": "{status"}, "format", "is not closed"),
        ({"fields": ["time", "tiem"]}, "fields.1", "'tiem' is no field; did you mean 'time'?"),
        ({"add": {"a": "{b"}}, "add.a", "is not closed"),
        ({"add": {"status": "x"}}, "", "'status' would be twice in a line"),
        ({"fields": ["time", "time"]}, "", "'time' would be twice in a line"),
        ({"drop": ["tiem"]}, "drop.0", "did you mean 'time'?"),
        ({"path": "a", "sinks": [{"type": "stdout"}]}, "", "give path or sinks, not both"),
        ({"path": ""}, "path", "is not the path of a file"),
        ({"skip": {"statuses": ["x"]}}, "skip.statuses", "is not a status"),
        ({"only": {"when": "statsu == 1"}}, "only.when", "did you mean 'status'?"),
        ({"sample": {"rate": 2}}, "sample.rate", "less than or equal to 1"),
        ({"redact": {"rules": [{"action": "hide", "fields": ["path"]}]}}, "redact.rules.0", "'mask_ip'"),
        ({"redact": {"rules": [{"action": "hash", "fields": ["pth"]}]}}, "redact.rules.0.hash.fields.0", "'path'"),
        (
            {"redact": {"rules": [{"action": "replace", "fields": ["path"], "pattern": "("}]}},
            "redact.rules.0.replace.pattern",
            "'(' is not a regular expression",
        ),
        ({"sinks": [{"type": "fil", "path": "x"}]}, "sinks.0", "'file'"),
        ({"sinks": [{"type": "syslog", "address": "host"}]}, "sinks.0.syslog.address", "'host' is no address"),
        ({"sinks": [{"type": "http", "url": "ftp://x"}]}, "sinks.0.http.url", "not a URL"),
        ({"sinks": [{"type": "http", "url": "https://x", "tls": {"cert": __file__}}]}, "sinks.0.http.tls", "give both"),
        (
            {"format": "combined", "sinks": [{"type": "http", "url": "http://x", "body": "array"}]},
            "",
            "needs format: json",
        ),
        ({"sinks": [{"type": "otlp", "endpoint": "http://x", "body": "{x}"}]}, "sinks.0.otlp.body", "'x' is no field"),
        ({"formats": "json"}, "formats", "not permitted"),
    ],
)
def test_what_cannot_work_is_refused_at_its_place(config: dict[str, Any], place: str, message: str) -> None:
    with pytest.raises(ValidationError) as refused:
        LoggerConfig.model_validate(config)

    problems = [(".".join(map(str, error["loc"])), error["msg"]) for error in refused.value.errors()]
    assert any(where.startswith(place) and message in text for where, text in problems), problems


def test_the_schema_is_valid_and_takes_what_the_model_takes() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    validator = jsonschema.Draft202012Validator(SCHEMA)
    config = {
        "format": "{status}",
        "sinks": [
            {"type": "file", "path": "a", "rotate": {"every": "1d", "max_size": "1MiB"}},
            {"type": "otlp", "endpoint": "http://x"},
        ],
        "skip": {"statuses": [200, "3xx"]},
        "redact": {"rules": [{"action": "mask_ip", "fields": ["client_ip"]}]},
    }

    LoggerConfig.model_validate(config)
    assert not list(validator.iter_errors(config))
    assert list(validator.iter_errors({"unknown": 1}))


def _models(schema: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {"LoggerConfig": schema, **schema["$defs"]}


@pytest.mark.parametrize(("name", "model"), _models(SCHEMA).items())
def test_every_option_is_described_and_unknown_ones_are_refused(name: str, model: dict[str, Any]) -> None:
    assert model["additionalProperties"] is False
    assert model["description"]
    undescribed = [
        key for key, option in model["properties"].items() if not option.get("description") and "$ref" not in option
    ]
    assert undescribed in ([], ["type"], ["action"])


def test_secrets_are_not_shown() -> None:
    config = LoggerConfig.model_validate(
        {
            "redact": {"hash_key": "TOP-SECRET"},
            "sinks": [{"type": "http", "url": "http://x", "headers": {"authorization": "TOP-SECRET"}}],
        }
    )

    assert "TOP-SECRET" not in repr(config)
    assert "TOP-SECRET" not in json.dumps(config.model_dump(mode="json"))
    assert '"password"' in json.dumps(SCHEMA)


def test_configurations_cannot_be_changed() -> None:
    config: BaseModel = LoggerConfig()

    with pytest.raises(ValidationError):
        config.format = "x"  # type: ignore[attr-defined]
