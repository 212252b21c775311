from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from gateway_core.hooks import Plugin
from gateway_core.hookspecs import hookimpl
from gateway_core.packages import PluginRegistry, PluginUnavailableError

Install = Callable[..., Path]

HEAD = """
from pydantic import Field
from gateway_core.config import ConfigModel
from gateway_core.hookspecs import hookimpl
from gateway_core.hooks import Plugin

"""


def plugin(name: str, body: str = "    pass", head: str = "") -> str:
    return f"{HEAD}{head}\nclass Made(Plugin):\n    '''What it does.'''\n    name = {name!r}\n{body}\n"


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Return a function that puts a distribution on the path: its modules and its metadata, as pip writes them."""
    monkeypatch.syspath_prepend(tmp_path)
    before = set(sys.modules)

    def write(distribution: str, version: str, modules: dict[str, str], entry_points: dict[str, str]) -> Path:
        for name, source in modules.items():
            (tmp_path / f"{name}.py").write_text(source)
        folder = distribution.replace("-", "_")
        for old in tmp_path.glob(f"{folder}-*.dist-info"):
            for file in old.iterdir():
                file.unlink()
            old.rmdir()
        metadata = tmp_path / f"{folder}-{version}.dist-info"
        metadata.mkdir()
        (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n")
        lines = "\n".join(f"{name} = {value}" for name, value in entry_points.items())
        (metadata / "entry_points.txt").write_text(f"[gateway.plugins]\n{lines}\n")
        importlib.invalidate_caches()
        return metadata

    yield write
    for name in set(sys.modules) - before:
        if Path(getattr(sys.modules[name], "__file__", None) or "/").is_relative_to(tmp_path):
            del sys.modules[name]


def remove(metadata: Path) -> None:
    for file in metadata.iterdir():
        file.unlink()
    metadata.rmdir()
    importlib.invalidate_caches()


def test_a_plugin_is_found_by_its_entry_point_and_loaded_when_asked_for(install: Install) -> None:
    body = "    @hookimpl\n    def gateway_log(self, request): ..."
    install("zoo-one", "1.2", {"zoo_one": plugin("zoo-one", body)}, {"zoo-one": "zoo_one:Made"})
    registry = PluginRegistry()

    assert "zoo-one" in registry.names()
    assert "zoo_one" not in sys.modules

    info = registry.info("zoo-one")
    assert info is not None
    assert (info.distribution, info.version, info.kind, info.state) == ("zoo-one", "1.2", "plugin", "loaded")
    assert (info.hooks, info.doc, info.error) == (("gateway_log",), "What it does.", None)
    assert registry.plugin("zoo-one") is info.cls


def test_describing_one_plugin_loads_no_other(install: Install) -> None:
    install("zoo-a", "1", {"zoo_a": plugin("zoo-a")}, {"zoo-a": "zoo_a:Made"})
    install("zoo-b", "1", {"zoo_b": plugin("zoo-b")}, {"zoo-b": "zoo_b:Made"})

    assert PluginRegistry().describe("zoo-a") is not None

    assert ("zoo_a" in sys.modules, "zoo_b" in sys.modules) == (True, False)


@pytest.mark.parametrize(
    ("source", "error"),
    [
        ("import nothing_of_that_name", "ModuleNotFoundError: No module named 'nothing_of_that_name' ({file}:1)"),
        ("\nraise RuntimeError('no luck')", "RuntimeError: no luck ({file}:2)"),
        ("import sys; sys.exit('bye')", "SystemExit: bye ({file}:1)"),
        ("raise KeyboardInterrupt", "KeyboardInterrupt ({file}:1)"),
        (
            f"import sys; sys.setrecursionlimit(400)\n{plugin('zoo-broken')}",
            "its import lowers the recursion limit of the",
        ),
        ("class Odd(Exception):\n    def __str__(self): return 5\nraise Odd", "Odd ({file}:3)"),
        ("def broken(:", "SyntaxError: invalid syntax ({file}:1)"),
        ("class Other: ...", "AttributeError: module 'zoo_broken' has no attribute 'Made'"),
        (plugin("other"), "plugin 'zoo-broken': the class Made is named 'other': use one name"),
        ("class Made: ...", "plugin 'zoo-broken': <class 'zoo_broken.Made'> is no subclass of Plugin and has no"),
        (plugin("zoo-broken", "    def stop(self): ..."), "plugin 'zoo-broken': stop is not an async def"),
        (
            plugin("zoo-broken", "    default_on_error = 'maybe'"),
            "default_on_error is 'maybe': use 'deny' or 'continue'",
        ),
        (plugin("zoo-broken", "    needs = 'identity'"), "needs is 'identity': make it a frozenset of names"),
        (plugin("zoo-broken", "    provides = ['a']"), "provides is ['a']: make it a frozenset of names"),
        (plugin("zoo-broken", "    responses = 'every'"), "responses is 'every': use 'entered' or 'all'"),
        (plugin("zoo-broken", "    config_schema = {'type': 'objekt'}"), "its configuration's schema is broken: type"),
        (
            plugin("zoo-broken", "    def gateway_logg(self): ..."),
            "gateway_logg ({file}:11) is not a hook: did you mean",
        ),
        (
            plugin(
                "zoo-broken", "    @hookimpl\n    def gateway_request(self, request):\n        return request.target"
            ),
            "request.target ({file}:13) is gone: use request.received.target",
        ),
        (
            plugin("zoo-broken", "    @hookimpl(trylast=True)\n    def gateway_log(self): ..."),
            "@hookimpl(trylast=True) on gateway_log is gone: use the order in which the configuration lists",
        ),
        ("from gateway_plugin_sdk import Pauses", "gateway_plugin_sdk.Pauses is gone: use Backoff"),
    ],
)
def test_a_plugin_that_does_not_load_says_why_and_breaks_nothing_else(
    install: Install, tmp_path: Path, source: str, error: str
) -> None:
    install("zoo-broken", "1", {"zoo_broken": source}, {"zoo-broken": "zoo_broken:Made"})
    install("zoo-fine", "1", {"zoo_fine": plugin("zoo-fine")}, {"zoo-fine": "zoo_fine:Made"})
    registry = PluginRegistry()

    limit = sys.getrecursionlimit()
    broken, fine = registry.info("zoo-broken"), registry.info("zoo-fine")

    assert sys.getrecursionlimit() == limit
    assert fine is not None
    assert fine.state == "loaded"
    assert broken is not None
    assert broken.state == "broken"
    assert error.replace("{file}", str(tmp_path / "zoo_broken.py")) in str(broken.error)
    description = registry.describe("zoo-broken")
    assert description is not None
    assert description.load_error == broken.error
    with pytest.raises(PluginUnavailableError, match="plugin 'zoo-broken' does not load: "):
        registry.plugin("zoo-broken")


def test_a_name_that_two_distributions_publish_is_an_error_that_names_both(install: Install) -> None:
    install("zoo-a", "1", {"zoo_a": plugin("zoo")}, {"zoo": "zoo_a:Made"})
    install("zoo-b", "2", {"zoo_b": plugin("zoo")}, {"zoo": "zoo_b:Made"})

    info = PluginRegistry().info("zoo")

    assert info is not None
    assert "several distributions publish the name 'zoo': zoo-" in str(info.error)
    assert "zoo-a 1" in str(info.error)
    assert "zoo-b 2" in str(info.error)
    assert "zoo_a" not in sys.modules


def test_a_missing_plugin_is_named_with_the_closest_one(install: Install) -> None:
    install("zoo-one", "1", {"zoo_one": plugin("zoo-one")}, {"zoo-one": "zoo_one:Made"})
    registry = PluginRegistry()

    assert registry.describe("zoo-on") is None
    with pytest.raises(PluginUnavailableError, match="plugin 'zoo-on' is not installed: did you mean \"zoo-one\""):
        registry.plugin("zoo-on")


def test_an_extension_is_not_suggested_as_a_plugin(install: Install) -> None:
    source = HEAD + "@hookimpl\ndef gateway_strategies():\n    return {}"
    install("zoo-one", "1", {"zoo_one": source}, {"zoo-one": "zoo_one"})
    registry = PluginRegistry()

    with pytest.raises(PluginUnavailableError, match=r"plugin 'zoo-on' is not installed$"):
        registry.plugin("zoo-on")


def test_a_scan_finds_new_plugins_and_keeps_what_is_loaded(install: Install) -> None:
    install("zoo-a", "1", {"zoo_a": plugin("zoo-a")}, {"zoo-a": "zoo_a:Made"})
    registry = PluginRegistry()
    loaded = registry.plugin("zoo-a")
    install("zoo-b", "1", {"zoo_b": plugin("zoo-b")}, {"zoo-b": "zoo_b:Made"})

    report = registry.scan()

    assert (report.added, report.needs_restart) == (("zoo-b",), False)
    assert registry.plugin("zoo-a") is loaded
    assert registry.plugin("zoo-b").name == "zoo-b"
    assert registry.scan().added == ()


def test_a_plugin_that_was_broken_can_be_mended_without_a_restart(install: Install) -> None:
    install("zoo-a", "1", {"zoo_a": "raise ValueError"}, {"zoo-a": "zoo_a:Made"})
    registry = PluginRegistry()
    assert registry.infos()
    install(
        "zoo-a",
        "1.0.1",
        {"zoo_a": plugin("zoo-a") + "\n# another size for the cache of byte code"},
        {"zoo-a": "zoo_a:Made"},
    )

    assert registry.scan().added == ("zoo-a",)

    assert registry.version("zoo-a") == "1.0.1"
    assert registry.plugin("zoo-a").name == "zoo-a"


def test_a_broken_plugin_is_tried_again_after_a_scan(install: Install, tmp_path: Path) -> None:
    install("zoo-a", "1", {"zoo_a": "import zoo_dependency\n" + plugin("zoo-a")}, {"zoo-a": "zoo_a:Made"})
    registry = PluginRegistry()
    assert registry.infos()
    (tmp_path / "zoo_dependency.py").touch()

    assert registry.scan().added == ()

    assert registry.plugin("zoo-a").name == "zoo-a"


def test_an_upgrade_and_an_uninstall_of_what_runs_are_reported_and_change_nothing(install: Install) -> None:
    install("zoo-a", "1", {"zoo_a": plugin("zoo-a")}, {"zoo-a": "zoo_a:Made"})
    metadata = install("zoo-b", "1", {"zoo_b": plugin("zoo-b")}, {"zoo-b": "zoo_b:Made"})
    registry = PluginRegistry()
    running = registry.plugin("zoo-a"), registry.plugin("zoo-b")
    install("zoo-a", "2", {}, {"zoo-a": "zoo_a:Made"})
    remove(metadata)

    report = registry.scan()

    assert (report.changed, report.orphaned, report.needs_restart) == (("zoo-a",), ("zoo-b",), True)
    assert [info.state for info in registry.states() if info.name in {"zoo-a", "zoo-b"}] == ["changed", "orphaned"]
    assert (registry.plugin("zoo-a"), registry.plugin("zoo-b")) == running
    assert registry.version("zoo-a") == "1"


def test_what_was_never_loaded_and_is_uninstalled_is_forgotten(install: Install) -> None:
    metadata = install("zoo-a", "1", {"zoo_a": plugin("zoo-a")}, {"zoo-a": "zoo_a:Made"})
    registry = PluginRegistry()
    assert "zoo-a" in registry.names()
    remove(metadata)

    assert registry.scan().removed == ("zoo-a",)
    assert "zoo-a" not in registry.names()


def test_an_extension_is_listed_and_cannot_be_bound(install: Install) -> None:
    source = HEAD + "@hookimpl\ndef gateway_strategies():\n    return {}"
    install("zoo-ext", "1", {"zoo_ext": source}, {"zoo-ext": "zoo_ext"})
    registry = PluginRegistry()

    info = registry.info("zoo-ext")
    description = registry.describe("zoo-ext")

    assert info is not None
    assert (info.kind, info.hooks, info.cls) == ("extension", ("gateway_strategies",), None)
    assert description is not None
    assert "it is an extension, which works without being bound" in str(description.load_error)


def test_a_request_hook_outside_a_plugin_class_is_an_error(install: Install) -> None:
    install("zoo-ext", "1", {"zoo_ext": HEAD + "@hookimpl\ndef gateway_log(request): ..."}, {"zoo-ext": "zoo_ext"})

    info = PluginRegistry().info("zoo-ext")

    assert info is not None
    assert "gateway_log needs a class that subclasses Plugin" in str(info.error)


def test_a_description_carries_what_the_configuration_layer_checks(install: Install) -> None:
    head = """
class Config(ConfigModel):
    secret: str = Field(json_schema_extra={"writeOnly": True})
    by: str = "ip"
"""
    body = """
    config_model = Config
    default_on_error = "continue"
    provides = frozenset({"a"})
    needs = frozenset({"b"})

    def __init__(self, config, context):
        super().__init__(config, context)
        self.needs = frozenset({config.by})
"""
    install("zoo-a", "1", {"zoo_a": plugin("zoo-a", body, head)}, {"zoo-a": "zoo_a:Made"})

    description = PluginRegistry().describe("zoo-a")

    assert description is not None
    assert description.label == "zoo-a 1"
    assert description.default_on_error == "continue"
    assert description.provides == {"a"}
    assert description.needs == {"b"}
    assert description.provides_of is None
    assert description.needs_of is not None
    assert description.needs_of({"secret": "s", "by": "identity"}) == {"identity"}
    assert description.needs_of({}) == {"b"}
    assert description.secret_paths == {"secret"}
    assert description.schema["required"] == ["secret"]
    assert description.check is not None
    assert list(description.check({"secret": "s"})) == []
    assert list(description.check({"secret": 5})) != []


def test_a_class_can_be_registered_by_hand_and_survives_scans() -> None:
    class Made(Plugin[Any]):
        name = "by-hand"

        @hookimpl
        def gateway_log(self) -> None: ...

    registry = PluginRegistry()
    registry.register(Made)
    registry.scan()

    assert registry.plugin("by-hand") is Made
    info = registry.info("by-hand")
    assert info is not None
    assert (info.state, info.distribution) == ("loaded", "")


def test_the_plugins_of_this_repository_load() -> None:
    infos = {info.name: info for info in PluginRegistry().infos()}

    assert {name: infos[name].error for name in ("auth", "ratelimit", "logger")} == dict.fromkeys(
        ("auth", "ratelimit", "logger")
    )


def test_who_only_serves_makes_a_schema_when_a_description_is_asked_for(install: Install) -> None:
    body = "    config_schema = {'type': 'object', 'properties': {'a': {'type': 'string', 'writeOnly': True}}}"
    install("gateway-plugin-made", "1", {"made_mod": plugin("made", body)}, {"made": "made_mod:Made"})
    registry = PluginRegistry(describes=False)

    assert registry.plugin("made").name == "made"
    info = registry.info("made")
    assert info is not None
    assert info.schema is None

    description = registry.describe("made")
    assert description is not None
    assert description.secret_paths == {"a"}
    info = registry.info("made")
    assert info is not None
    assert info.schema is not None
