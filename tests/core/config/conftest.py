from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import pytest
from gateway_core.clock import SystemClock
from gateway_core.config import (
    ConfigModel,
    Document,
    DocumentFormat,
    Duration,
    LoadedConfig,
    PluginCatalog,
    PluginDescription,
    load_config,
    model_problems,
)
from gateway_core.config.documents import ALL_RIGHTS
from gateway_core.config.loaded import Part
from gateway_core.tasks import Yielder
from pydantic import Field, SecretStr, model_validator

Load = Callable[..., LoadedConfig]


def received(lines: Iterable[bytes], known: Mapping[bytes, Part] | None = None) -> LoadedConfig:
    """Return the configuration that another process makes of these lines."""
    return asyncio.run(LoadedConfig.from_lines(tuple(lines), Yielder(SystemClock()), known or {}))


class AuthConfig(ConfigModel):
    """Who may pass."""

    secret: SecretStr
    """Key of the HMAC algorithms."""
    algorithms: tuple[Literal["HS256", "HS384", "RS256"], ...] = ("HS256",)
    leeway: Duration = 0.0
    audience: str | tuple[str, ...] | None = None
    required_claims: tuple[str, ...] = ()


class RateLimitConfig(ConfigModel):
    rate: float = Field(ge=0)
    burst: int = Field(default=1, ge=1)
    key: str = "client_ip"

    @model_validator(mode="after")
    def _check(self) -> RateLimitConfig:
        if self.burst < self.rate / 100:
            raise ValueError("burst is too small for this rate")
        return self


LOGGER_SCHEMA = {
    "type": "object",
    "properties": {
        "format": {"enum": ["json", "combined"]},
        "path": {"type": "string", "minLength": 1},
        "sample": {"type": "number", "exclusiveMinimum": 0, "maximum": 1},
        "fields": {"type": "array", "items": {"$ref": "#/$defs/field"}, "uniqueItems": True, "maxItems": 3},
    },
    "$defs": {"field": {"type": "string", "pattern": "^[a-z_]+$"}},
    "additionalProperties": False,
}


def needs_identity(config: Mapping[str, Any]) -> Iterable[str]:
    return ["identity"] if config.get("key") == "identity" else []


class Catalogue:
    """Plugins as a real environment would show them: usable ones, a broken one, a badly described one."""

    plugins: Mapping[str, PluginDescription] = {
        item.name: item
        for item in [
            PluginDescription(
                "auth",
                "gateway-plugin-auth",
                "1.0.0",
                AuthConfig.model_json_schema(),
                provides=frozenset({"identity"}),
                check=lambda config: model_problems(AuthConfig, config),
            ),
            PluginDescription(
                "ratelimit",
                "gateway-plugin-ratelimit",
                "1.0.0",
                RateLimitConfig.model_json_schema(),
                needs_of=needs_identity,
                check=lambda config: model_problems(RateLimitConfig, config),
            ),
            PluginDescription("logger", "gateway-plugin-logger", "1.0.0", LOGGER_SCHEMA, default_on_error="continue"),
            PluginDescription("cors", "acme-cors", "2.1.0", {"type": "object"}),
            PluginDescription("audit", "acme-audit", "0.3", {"type": "object"}),
            PluginDescription("quota", "acme-quota", "1.0", {"type": "object"}, needs=frozenset({"tenant"})),
            PluginDescription("geo", "acme-geo", "3.2.1", load_error="ModuleNotFoundError: No module named 'geoip2'"),
            PluginDescription("zookeeper", "acme-zookeeper", "1", load_error="it is an extension", is_extension=True),
            PluginDescription("odd", "acme-odd", "0.1", {"type": "objekt"}),
        ]
    }

    def describe(self, name: str) -> PluginDescription | None:
        return self.plugins.get(name)

    def names(self) -> Sequence[str]:
        return list(self.plugins)


@pytest.fixture
def catalog() -> PluginCatalog:
    return Catalogue()


@pytest.fixture
def load(catalog: PluginCatalog) -> Load:
    """Load a document from its text, or files and directories."""

    def load(
        source: str | Path | Sequence[Path],
        *,
        kind: str = "yaml",
        environ: Mapping[str, str] | None = None,
        **more: Any,
    ) -> LoadedConfig:
        documents = []
        if isinstance(source, str):
            documents = [Document(f"gateway.{kind}", source, DocumentFormat(kind), Path(), ALL_RIGHTS)]
        documents += more.pop("extra_documents", [])
        paths = [] if isinstance(source, str) else source
        return load_config(paths, environ=environ or {}, catalog=catalog, extra_documents=documents, **more)

    return load
