from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path
from random import Random
from typing import ClassVar

import pytest
from gateway_core.clock import SystemClock
from gateway_core.config import ConfigError, ConfigModel, Document, OptionalFileName, PositiveDuration, Secret
from gateway_core.config.sources import (
    SourceContext,
    SourceState,
    SourceUrl,
    UnknownSourceError,
    make_source,
    source_url,
)
from gateway_core.config.sources.factories import configured_urls, with_config, with_configured
from gateway_core.config.sources.http_source import HttpSource
from gateway_core.config.values import PositiveSize

from tests.core.config.conftest import Load


def no_session() -> None:
    raise AssertionError("nothing is to be connected yet")


CONTEXT = SourceContext(SystemClock(), Random(1), {}, no_session)  # type: ignore[arg-type]


class Options(ConfigModel):
    name: str = ""
    wait: PositiveDuration = 1.0
    verify: bool = True
    most: PositiveSize = 10
    token: Secret = Secret("")
    ca: OptionalFileName = ""


class Mine:
    config_model: ClassVar[type[Options] | None] = Options

    def __init__(self, url: SourceUrl, context: SourceContext) -> None:
        self.url = url

    async def documents(self) -> AsyncIterator[SourceState]:
        yield SourceState(())


def test_the_scheme_decides() -> None:
    extensions = {"mine": Mine, "http": Mine}

    assert isinstance(make_source(SourceUrl.parse("mine://h/x"), CONTEXT, extensions), Mine)
    assert isinstance(make_source(SourceUrl.parse("https://h/x"), CONTEXT, extensions), HttpSource)
    assert isinstance(make_source(SourceUrl.parse("http://127.0.0.1/x"), CONTEXT, extensions), HttpSource)


def test_a_source_gets_its_options_as_its_model_reads_them() -> None:
    text = "mine://h/x?name=123&wait=250ms&verify=false&most=1KiB&token=hush"

    made = make_source(SourceUrl.parse(text), CONTEXT, {"mine": Mine})

    assert isinstance(made, Mine)
    assert made.url.config == Options.model_validate(
        {"name": "123", "wait": "250ms", "verify": False, "most": 1024, "token": "hush"}
    )


@pytest.mark.parametrize(
    ("query", "text"),
    [
        ("waitt=5s", 'unknown option "waitt": did you mean "wait"?'),
        ("team=shop", 'unknown option "team": there are ca, most, name, token, verify and wait'),
        ("wait=5", 'option wait: "5" is not a duration: write for example 250ms'),
        ("wait=0", 'option wait: "0" is not longer than 0'),
        ("wait=", 'option wait: "" is not a duration'),
        ("most=big", 'option most: "big" is not a size'),
        ("verify=maybe", 'option verify: "maybe" is text, where true or false is expected'),
        ("team=hush&token=hush", 'unknown option "team"'),
    ],
)
def test_an_option_that_cannot_be_is_refused_by_name_and_without_secrets(query: str, text: str) -> None:
    with pytest.raises(ValueError, match=re.escape(text)) as caught:
        make_source(SourceUrl.parse(f"mine://h/x?{query}"), CONTEXT, {"mine": Mine})

    assert "hush" not in str(caught.value)


def test_a_source_without_a_model_takes_no_options() -> None:
    class Plain(Mine):
        config_model = None

    with pytest.raises(ValueError, match='unknown option "a": it takes no keys'):
        source_url(Plain, "mine://h/x?a=1")
    assert source_url(Plain, "mine://h/x").config == {}


def test_names_of_files_in_options_begin_at_the_file_that_names_the_source(tmp_path: Path) -> None:
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / "b.yaml").write_text(
        "sources: [{url: 'mine://h/a?ca=ca.pem'}, {url: 'mine://h/b?ca=/x.pem'}]"
    )
    (tmp_path / "gateway.yaml").write_text("include: inner/*.yaml")

    found = configured_urls([tmp_path / "gateway.yaml"], {})

    assert [with_config(Mine, url).config.ca for url in found] == [f"{tmp_path}/inner/ca.pem", "/x.pem"]
    assert source_url(Mine, "mine://h/a?ca=ca.pem").config.ca == "ca.pem"


def test_an_unknown_scheme_says_what_there_is() -> None:
    with pytest.raises(UnknownSourceError, match="'etcd' is no source of configuration: known are http, https, mine"):
        make_source(SourceUrl.parse("etcd://h/x"), CONTEXT, {"mine": Mine})


ROUTE = "routes: [{path: /, target: 'http://127.0.0.1:1'}]\n"


def test_local_files_name_sources_with_rights(tmp_path: Path) -> None:
    (tmp_path / "gateway.yaml").write_text("include: inner/*.yaml\nsources: [{url: '${STORE}/a', allow: [env]}]\n")
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / "b.yaml").write_text("sources: [{url: 'etcd://h/b', allow: [files, env]}, {url: etcd://h/c}]")

    found = configured_urls([tmp_path / "gateway.yaml"], {"STORE": "etcd://u:p@h"})

    assert [(str(url), set(url.rights)) for url in found] == [
        ("etcd://h/a", {"env"}),
        ("etcd://h/b", {"env", "files"}),
        ("etcd://h/c", set()),
    ]
    assert found[0].password == "p"


def test_what_cannot_be_read_names_no_source(tmp_path: Path) -> None:
    for name, text in {
        "a.yaml": "sources: [",
        "b.yaml": "sources: [{url: x}, {url: etcd://h/b}]",
        "c.yaml": "x",
    }.items():
        (tmp_path / name).write_text(text)

    assert [str(url) for url in configured_urls([tmp_path, tmp_path / "gone"], {})] == ["etcd://h/b"]


def test_a_source_of_the_command_line_has_no_rights_unless_it_is_configured() -> None:
    given = [SourceUrl.parse("etcd://h/a"), SourceUrl.parse("etcd://h/b")]
    configured = [SourceUrl("etcd", ("h",), "/b", rights=frozenset({"env"})), SourceUrl("etcd", ("h",), "/c")]

    found = with_configured(given, configured)

    assert [(str(url), set(url.rights)) for url in found] == [
        ("etcd://h/a", set()),
        ("etcd://h/b", {"env"}),
        ("etcd://h/c", set()),
    ]


def test_admin_and_sources_of_a_source_are_ignored_with_a_warning(load: Load) -> None:
    remote = Document("etcd://h/a", "admin: {listen: ':9090'}\nsources: [{url: etcd://evil/x}]\n" + ROUTE)

    loaded = load("workers: 1\n", extra_documents=[remote])

    assert loaded.config.admin is None
    assert loaded.config.sources == ()
    assert [(each.code, each.key_path) for each in loaded.warnings] == [
        ("source.key-ignored", "admin"),
        ("source.key-ignored", "sources"),
    ]


def test_what_a_source_substituted_is_shown_in_no_problem(load: Load) -> None:
    text = "routes: [{path: '/${A}', target: '${B}', methods: ['${C}']}]\n"
    remote = Document("etcd://h/a", text, rights=frozenset({"env"}))

    with pytest.raises(ConfigError) as caught:
        load("workers: 1\n", extra_documents=[remote], environ={"A": "hush/x y", "B": "hushhush", "C": "hush-method"})

    assert "hush" not in caught.value.render()


def test_a_source_is_a_url_and_its_rights_are_known(load: Load) -> None:
    with pytest.raises(ConfigError) as caught:
        load("sources: [{url: /etc/x}, {url: https://h/x, allow: [network]}, {}]\n" + ROUTE)

    assert [(each.key_path, each.code) for each in caught.value.problems] == [
        ("sources[0].url", "value.invalid"),
        ("sources[1].allow[0]", "value.not-allowed"),
        ("sources[2]", "key.missing"),
    ]
