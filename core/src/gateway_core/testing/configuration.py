"""Configurations that tests write inline."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from textwrap import dedent
from typing import Any, Final

from gateway_core.config import ConfigError, Document, DocumentFormat, LoadedConfig
from gateway_core.config.documents import ALL_RIGHTS
from gateway_core.packages import PluginRegistry
from gateway_core.packages.distributions import path_stamp
from gateway_core.packages.installed import RememberedPlugins
from gateway_core.snapshot import load

Config = str | Mapping[str, Any]
"""YAML text, or a mapping of the same shape."""

INSTALLED: Final = RememberedPlugins(path_stamp)
"""What is installed, read once for all gateways of a process, and again when something is installed."""

NAME: Final = "gateway.yaml"
_LISTEN: Final = re.compile(r"""^["']?listen["']?\s*:""", re.MULTILINE)


class InvalidConfigError(ConfigError):
    """A configuration of a test that the gateway refuses; its text has every problem with its source line."""

    def __str__(self) -> str:
        return self.render()


def one_route(target: str, *bindings: Mapping[str, Any] | str, **route: Any) -> dict[str, Any]:
    """Return a configuration with one route for every path.

    :param target: where it goes: an upstream's URL.
    :param bindings: the route's plugins, as in a configuration, or just their names.
    :param route: more keys of the route.
    """
    plugins = [{"name": each} if isinstance(each, str) else dict(each) for each in bindings]
    return {"routes": [{"id": "test", "path_prefix": "/", "target": target, "plugins": plugins, **route}]}


def load_text(
    config: Config, registry: PluginRegistry, *, environ: Mapping[str, str], directory: Path | None = None
) -> LoadedConfig:
    """Load and check a configuration as the gateway does; it listens on a free port unless it says otherwise.

    :raises InvalidConfigError: with every problem that was found.
    """
    try:
        return load([], registry=registry, environ=environ, documents=_documents(config, directory or Path.cwd()))
    except ConfigError as error:
        raise InvalidConfigError(error.problems) from None


def _documents(config: Config, directory: Path) -> Sequence[Document]:
    if isinstance(config, str):
        text = dedent(config)
        listens = _LISTEN.search(text) is not None
        document = Document(NAME, text, DocumentFormat.YAML, directory, ALL_RIGHTS)
    else:
        listens = "listen" in config
        document = Document(NAME, json.dumps(config, indent=2), DocumentFormat.JSON, directory, ALL_RIGHTS)
    if listens:
        return [document]
    return [document, Document("listen.yaml", 'listen: "127.0.0.1:0"\n', DocumentFormat.YAML, directory)]
