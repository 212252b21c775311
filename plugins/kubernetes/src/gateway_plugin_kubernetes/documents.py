"""Configuration documents out of ConfigMaps."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Final

from gateway_plugin_sdk import Document, DocumentFormat

from gateway_plugin_kubernetes.mirror import Key
from gateway_plugin_kubernetes.objects import ConfigMap

FORMATS: Final = {
    "": DocumentFormat.YAML,
    ".yaml": DocumentFormat.YAML,
    ".yml": DocumentFormat.YAML,
    ".json": DocumentFormat.JSON,
    ".toml": DocumentFormat.TOML,
}


def documents_of(maps: Mapping[Key, ConfigMap]) -> tuple[Document, ...]:
    """Return the documents in the order of namespace, name and key.

    A key without an ending is YAML; keys with other endings (a certificate beside the configuration) are left out.
    """
    return tuple(
        Document(f"configmap/{namespace}/{name}/{key}", text, FORMATS[PurePosixPath(key).suffix])
        for (namespace, name), item in sorted(maps.items())
        for key, text in item.texts
        if PurePosixPath(key).suffix in FORMATS
    )
