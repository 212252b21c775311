"""Configurations of what extensions make by name: discoveries, strategies, certificates.

A factory is a class that declares a ``config_model``, as a plugin does, and is given an instance of it. One without
takes no keys.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from pydantic import BaseModel, ValidationError

from gateway_core.config.location import KeyPath, format_path
from gateway_core.config.model_errors import explain_model_errors
from gateway_core.config.problems import ConfigFinding
from gateway_core.config.redaction import is_at_secret, schema_secret_paths
from gateway_core.config.suggestions import quote, shown


class ConfiguredFactory(Protocol):
    """A class that makes things from a configuration."""

    @property
    def config_model(self) -> type[Any] | None:
        """The pydantic model of its configuration; None takes no keys, and is given an empty mapping."""
        ...


def factory_config(factory: ConfiguredFactory, raw: Mapping[str, Any]) -> Any:
    """Return what a factory is given for a configuration.

    :raises ValueError: its model refuses the configuration; the text names keys, and shows no secret.
    """
    findings, config = _read(factory, raw)
    if findings:
        told = (f"{format_path(each.path)}: {each.message}" if each.path else each.message for each in findings)
        raise ValueError("; ".join(told))
    return config


def factory_findings(factory: ConfiguredFactory, raw: Mapping[str, Any]) -> Sequence[ConfigFinding]:
    """Return what a factory's model refuses about a configuration."""
    return _read(factory, raw)[0]


def _read(factory: ConfiguredFactory, raw: Mapping[str, Any]) -> tuple[Sequence[ConfigFinding], Any]:
    model: type[BaseModel] | None = getattr(factory, "config_model", None)
    if model is None:
        return [ConfigFinding((key,), _takes_none(key), code="key.unknown", is_key=True) for key in raw], {}
    try:
        return (), model.model_validate(raw)
    except ValidationError as error:
        return list(explain_model_errors(model, error, _show_for(model))), None


def _show_for(model: type[BaseModel]) -> Any:
    patterns = [tuple(path.split(".")) for path in schema_secret_paths(model.model_json_schema())]

    def show(path: KeyPath, value: object) -> str:
        hidden = is_at_secret(patterns, tuple(str(part) for part in path))
        # A mapping may hold a secret further down, so only plain values are shown.
        return "the value" if hidden or isinstance(value, Mapping | list) else shown(value)

    return show


def _takes_none(key: str) -> str:
    return f"unknown key {quote(key)}: it takes no keys, so leave it out"
