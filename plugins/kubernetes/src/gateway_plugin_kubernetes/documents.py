"""Configuration documents out of ConfigMaps."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePosixPath

from gateway_plugin_sdk import Document
from gateway_plugin_sdk.unstable import DOCUMENT_FORMATS, document_format

from gateway_plugin_kubernetes.objects import ConfigMap
from gateway_plugin_kubernetes.store import Key


def documents_of(maps: Mapping[Key, ConfigMap]) -> tuple[Document, ...]:
    """Return the documents in the order of namespace, name and key.

    A key without an ending is YAML; keys with other endings (a certificate beside the configuration) are left out.
    """
    return tuple(
        Document(f"configmap/{namespace}/{name}/{key}", text, DOCUMENT_FORMATS[PurePosixPath(key).suffix])
        for (namespace, name), item in sorted(maps.items())
        for key, text in item.texts
        if document_format(key) is not None
    )
