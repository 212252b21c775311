"""Whatever may hold a secret is typed so: over every option of every configuration model of the repository."""

from __future__ import annotations

import json
import pkgutil
import re
import tomllib
from collections.abc import Iterator, Mapping
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any, Final

import pytest
from gateway_core.config import ConfigModel
from gateway_core.config.redaction import is_marked_secret
from gateway_core.config.secret import USERINFO_KEY
from pydantic import BaseModel

from tests.contract.repository import DISTRIBUTIONS, PLUGINS

_SUSPICIOUS: Final = re.compile(
    r"passw|passphrase|secret|token|credential|private"
    r"|(^|_)(keys?|jwks|salt|pem|authorization|cookie|headers|ur[li]s?|endpoints?|proxy|webhook|dsn|servers?)$"
)
"""Names of options that may hold a secret, or a URL with a user and a password."""

EXCEPTIONS: Final[Mapping[str, str]] = tomllib.loads(Path(__file__).with_name("not_secret.toml").read_text("utf-8"))


@cache
def models() -> tuple[type[BaseModel], ...]:
    """Return every configuration model of the repository."""
    for distribution in DISTRIBUTIONS:
        package = import_module(distribution.package.name)
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if not module.name.endswith("__main__") and ".template" not in module.name:
                import_module(module.name)
    names = tuple(distribution.package.name for distribution in DISTRIBUTIONS)
    return tuple(model for model in _below(ConfigModel) if model.__module__.split(".")[0] in names)


def _below(model: type[BaseModel]) -> Iterator[type[BaseModel]]:
    for child in model.__subclasses__():
        yield child
        yield from _below(child)


def suspicious_options() -> Iterator[tuple[str, Mapping[str, Any]]]:
    for model in models():
        schema = model.model_json_schema()
        # A model that refers to itself is one of its own definitions.
        top = schema["$defs"][schema["$ref"].rpartition("/")[2]] if "$ref" in schema else schema
        for name, option in top.get("properties", {}).items():
            if _SUSPICIOUS.search(name) and option.get("type") not in {"boolean", "integer", "number"}:
                yield f"{model.__module__.split('.')[0]}:{name}", option


def hides(schema: object) -> bool:
    """Whether a schema marks something in it as secret."""
    if isinstance(schema, Mapping):
        return is_marked_secret(schema) or bool(schema.get(USERINFO_KEY)) or any(map(hides, schema.values()))
    return isinstance(schema, list) and any(map(hides, schema))


def test_every_option_that_may_hold_a_secret_is_typed_as_one() -> None:
    shown = [place for place, option in suspicious_options() if place not in EXCEPTIONS and not hides(option)]

    assert shown == [], "type them Secret or SecretUrl, or say in tests/contract/not_secret.toml why they hold none"


def test_no_exception_is_left_over() -> None:
    there = {place for place, option in suspicious_options() if not hides(option)}

    assert sorted(EXCEPTIONS.keys() - there) == []
    assert all(EXCEPTIONS.values()), "an exception needs a reason"


@pytest.mark.parametrize("distribution", PLUGINS, ids=lambda each: each.name)
def test_plugins_use_the_type_of_the_sdk(distribution: Any) -> None:
    texts = {source: source.read_text("utf-8") for source in distribution.sources}

    assert [source for source, text in texts.items() if "SecretStr" in text] == []


def test_defaults_of_schemas_show_no_credentials() -> None:
    texts = [json.dumps(model.model_json_schema()) for model in models()]

    assert [text for text in texts if re.search(r'"default": "[a-z]+://[^"/]*@', text)] == []
