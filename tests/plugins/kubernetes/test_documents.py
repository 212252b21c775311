from __future__ import annotations

from gateway_plugin_kubernetes.documents import documents_of
from gateway_plugin_kubernetes.objects import ConfigMap
from gateway_plugin_sdk import DocumentFormat


def test_documents_are_ordered_by_name_and_have_the_format_of_their_key() -> None:
    maps = {
        ("shop", "b"): ConfigMap((("routes.yml", "r"), ("upstreams", "u"))),
        ("shop", "a"): ConfigMap((("ca.pem", "no document"), ("x.json", "{}"), ("y.toml", ""))),
        ("back", "z"): ConfigMap(()),
    }

    assert [(each.name, each.text, each.format) for each in documents_of(maps)] == [
        ("configmap/shop/a/x.json", "{}", DocumentFormat.JSON),
        ("configmap/shop/a/y.toml", "", DocumentFormat.TOML),
        ("configmap/shop/b/routes.yml", "r", DocumentFormat.YAML),
        ("configmap/shop/b/upstreams", "u", DocumentFormat.YAML),
    ]
