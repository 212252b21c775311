from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from gateway_plugin_sdk.testing import InvalidConfigError, assert_plugin_ok, one_route
from gateway_plugin_static import Static
from gateway_plugin_static.config import CacheRule, StaticConfig

pytestmark = pytest.mark.in_turn


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({}, "root"),
        ({"root": "{root}/none"}, "names no directory: create it, or correct the path"),
        ({"root": "{root}/file"}, "is no directory: name the directory that it is in"),
        ({"root": "{root}", "index": ["a/b"]}, "is not the name of a file"),
        ({"root": "{root}", "fallback": "../x"}, "is not a file below the root"),
        ({"root": "{root}", "fallback": "none.html"}, "create it, or correct the path"),
        ({"root": "{root}", "not_found": "sub"}, "is a directory"),
        ({"root": "{root}", "extensions": ["html"]}, "begin it with a dot"),
        ({"root": "{root}", "dot_names": ["git"]}, "is not a name with a dot in front"),
        ({"root": "{root}", "precompressed": ["deflate"]}, "precompressed[0]"),
        ({"root": "{root}", "types": {".x": "html"}}, "is not a media type"),
        ({"root": "{root}", "charset": "utf 8"}, "is not a charset"),
        ({"root": "{root}", "hide": [""]}, "takes no file"),
        ({"root": "{root}", "etag": "md5"}, "etag"),
        ({"root": "{root}", "max_ranges": -1}, "max_ranges"),
        ({"root": "{root}", "threads": 0}, "threads"),
        ({"root": "{root}", "cache": [{"files": ["*"]}]}, "exactly one of control, max_age and immutable"),
        ({"root": "{root}", "cache": [{"files": [], "immutable": True}]}, "cache[0].files"),
        ({"root": "{root}", "cache": [{"files": ["*"], "control": "a\nb"}]}, "cache[0].control"),
    ],
)
def test_what_cannot_be_meant_is_a_problem_with_its_place(
    gateway: Any, tmp_path: Path, config: dict[str, Any], message: str
) -> None:
    (tmp_path / "file").write_text("x")
    (tmp_path / "sub").mkdir()
    if "root" in config:
        config = {**config, "root": config["root"].format(root=tmp_path)}

    with pytest.raises(InvalidConfigError) as caught:
        gateway(one_route("http://127.0.0.1:9", {"name": "static", "config": config}), plugins=[Static])

    assert message in str(caught.value)
    assert "routes[0].plugins[0].config" in str(caught.value)


def test_a_route_with_the_plugin_needs_no_target_unless_files_fall_through(gateway: Any, tmp_path: Path) -> None:
    binding = {"name": "static", "config": {"root": str(tmp_path)}}
    route = {"id": "files", "path_prefix": "/", "plugins": [binding]}
    assert gateway({"routes": [route]}, plugins=[Static]).get("/x").status == 404

    binding["config"] = {"root": str(tmp_path), "fallthrough": True}
    with pytest.raises(InvalidConfigError, match="none of its plugins responds"):
        gateway({"routes": [route]}, plugins=[Static])


def test_cache_rules_say_what_caches_read() -> None:
    def value(**rule: Any) -> str:
        return CacheRule(files=("*",), **rule).value

    assert value(immutable=True) == "max-age=31536000, immutable"
    assert value(max_age="1h") == "max-age=3600"
    assert value(max_age=0) == "no-cache"
    assert value(control="private") == "private"


def test_a_page_that_nothing_leads_to_is_a_warning(tmp_path: Path) -> None:
    (tmp_path / "404.html").write_text("x")
    config = StaticConfig(root=str(tmp_path), fallthrough=True, not_found="404.html")

    (finding,) = Static.check_config(config)

    assert (finding.severity, finding.code, finding.path) == ("warning", "no-effect", ("not_found",))


def test_every_option_is_described() -> None:
    models = (StaticConfig, CacheRule)

    assert all(field.description for model in models for field in model.model_fields.values())


def test_the_plugin_keeps_to_what_plugins_should(tmp_path: Path) -> None:
    assert_plugin_ok(Static, {"root": str(tmp_path)})
