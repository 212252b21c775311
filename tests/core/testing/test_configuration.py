from __future__ import annotations

from pathlib import Path

from gateway_core.packages import PluginRegistry
from gateway_core.testing.configuration import load_text, one_route


def listens(config: str | dict[str, object], directory: Path | None = None) -> list[str]:
    loaded = load_text(config, PluginRegistry(find=dict), environ={}, directory=directory)
    return [each.address for each in loaded.config.listen]


def test_it_listens_on_a_free_port_unless_it_says_otherwise() -> None:
    assert listens({}) == ["127.0.0.1:0"]
    assert listens("workers: 1") == ["127.0.0.1:0"]
    assert listens({"listen": "127.0.0.1:8181"}) == ["127.0.0.1:8181"]
    assert listens('# mine\nlisten: "127.0.0.1:8181"') == ["127.0.0.1:8181"]


def test_indented_text_is_taken_as_it_is_meant() -> None:
    text = """
        listen: 127.0.0.1:8282
        routes: []
    """

    assert listens(text) == ["127.0.0.1:8282"]


def test_relative_files_start_in_the_directory(tmp_path: Path) -> None:
    (tmp_path / "address").write_text("127.0.0.1:8383")

    assert listens("listen: ${file:address}", tmp_path) == ["127.0.0.1:8383"]


def test_one_route_takes_names_and_mappings() -> None:
    config = one_route("http://a", "x", {"name": "y", "config": {"k": 1}}, methods=["GET"])

    assert config["routes"] == [
        {
            "id": "test",
            "path_prefix": "/",
            "target": "http://a",
            "plugins": [{"name": "x"}, {"name": "y", "config": {"k": 1}}],
            "methods": ["GET"],
        }
    ]
