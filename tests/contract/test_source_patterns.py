"""The regular expressions in our own sources: none that a client's text can keep busy."""

from __future__ import annotations

import importlib
import pkgutil
import re
from collections.abc import Iterator
from typing import Any

import pytest
from gateway_core.regex import LONGEST_TEXT
from gateway_core.regex.parser import Parser
from gateway_core.regex.work import Mode, longest_text

DISTRIBUTIONS = (
    "gateway_core",
    "gateway_plugin_sdk",
    "gateway_tokens",
    "gateway_plugin_auth",
    "gateway_plugin_authorize",
    "gateway_plugin_oidc",
    "gateway_plugin_ratelimit",
    "gateway_plugin_logger",
    "gateway_plugin_static",
    "gateway_plugin_acme",
    "gateway_plugin_etcd",
    "gateway_plugin_kubernetes",
    "gateway_plugin_compress",
    "gateway_plugin_consul",
    "gateway_plugin_cors",
    "gateway_plugin_fault",
    "gateway_plugin_forward_auth",
    "gateway_plugin_headers",
    "gateway_plugin_ip",
    "gateway_plugin_mock",
    "gateway_plugin_upstream_auth",
    "gateway_plugin_cache",
    "gateway_plugin_grpc_web",
    "gateway_plugin_transform",
    "gateway_plugin_aggregate",
    "gateway_plugin_validate",
    "gateway_import",
    "gateway_openapi",
)

ONLY_MATCHED = "never searched for, and linear where it is matched"
OPERATORS = "sees what operators write, and error texts of libraries about it"
EXCEPTIONS = {
    "gateway_core.config.address._HOST": ONLY_MATCHED,
    "gateway_core.config.json_nodes._TOKEN": OPERATORS,
    "gateway_core.config.merge_documents._OWN_KEY": "linear, but for the number of its names",
    "gateway_core.config.problems._STEP": OPERATORS,
    "gateway_core.config.redaction._REFERENCE": OPERATORS,
    "gateway_core.config.redaction._NAMED_SECRET": OPERATORS,
    "gateway_core.config.source._URL": OPERATORS,
    "gateway_core.config.source._SCHEME": OPERATORS,
    "gateway_core.config.toml_nodes._ERROR": OPERATORS,
    "gateway_plugin_aggregate.config._PATH": OPERATORS,
    "gateway_import.formats.krakend._DURATION": ONLY_MATCHED,
    "gateway_plugin_cache.structured._BARE": ONLY_MATCHED,
    "gateway_plugin_compress.config._TYPE": OPERATORS,
    "gateway_core.config.toml_nodes._TABLE": OPERATORS,
    "gateway_core.config.toml_nodes._ASSIGNMENT": OPERATORS,
    "gateway_core.config.redaction._URL": OPERATORS,
    "gateway_core.config.redaction._PARAMETER": OPERATORS,
    "gateway_core.messages.addresses._ELEMENT": ONLY_MATCHED,
    "gateway_core.messages.addresses._PAIRS": "sees elements of at most 1024 characters that _ELEMENT matched",
    "gateway_core.proxy.wire.fields._SCHEME": ONLY_MATCHED,
    "gateway_core.proxy.wire.field_names._SPECIAL_LINE": "linear, but for the number of its names",
    "gateway_core.proxy.wire.request_head._USUAL_LINE": ONLY_MATCHED,
    "gateway_core.regex.parser._GROUP": ONLY_MATCHED,
    "gateway_core.regex.parser._QUANTIFIER": OPERATORS,
    "gateway_core.snapshot.checks._PLACEHOLDER": OPERATORS,
    "gateway_tokens.texts._URL": OPERATORS,
    "gateway_tokens.confirmation._THUMBPRINT": ONLY_MATCHED,
    "gateway_plugin_auth.client_certificates._HASH": ONLY_MATCHED,
    "gateway_plugin_auth.passwords._DES": ONLY_MATCHED,
    "gateway_plugin_logger.redaction.bodies._SCALAR": ONLY_MATCHED,
}
"""What is not linear wherever it is searched for, and why that does no harm."""


def patterns() -> Iterator[tuple[str, re.Pattern[Any]]]:
    for name in DISTRIBUTIONS:
        package = importlib.import_module(name)
        for module in pkgutil.walk_packages(package.__path__, f"{name}."):
            if module.name.endswith("__main__") or ".testing" in module.name:
                continue
            for key, value in vars(importlib.import_module(module.name)).items():
                if isinstance(value, re.Pattern):
                    yield f"{module.name}.{key}", value


def limit_of(pattern: re.Pattern[Any], mode: Mode) -> int:
    text = pattern.pattern if isinstance(pattern.pattern, str) else pattern.pattern.decode("latin-1")
    letters = {"i": re.IGNORECASE, "m": re.MULTILINE, "x": re.VERBOSE}
    flags = "".join([letter for letter, flag in letters.items() if pattern.flags & flag])
    tree = Parser(f"(?{flags}){text}" if flags else text).parse()
    return longest_text(tree, mode, 200_000, 100_000, LONGEST_TEXT)


FOUND = dict(patterns())


@pytest.mark.parametrize("name", sorted(FOUND.keys() - EXCEPTIONS.keys()))
def test_a_pattern_of_ours_is_linear_wherever_it_is_searched_for(name: str) -> None:
    assert limit_of(FOUND[name], Mode.SEARCH) == LONGEST_TEXT, (
        "no two repetitions may take the same characters; if clients never have a say in what it sees, list it above"
    )


@pytest.mark.parametrize("name", sorted(name for name, why in EXCEPTIONS.items() if why == ONLY_MATCHED))
def test_an_exception_is_linear_where_it_is_matched(name: str) -> None:
    assert limit_of(FOUND[name], Mode.FULL) == LONGEST_TEXT


def test_every_exception_is_one() -> None:
    needless = [name for name in EXCEPTIONS if limit_of(FOUND[name], Mode.SEARCH) == LONGEST_TEXT]

    assert needless == []
