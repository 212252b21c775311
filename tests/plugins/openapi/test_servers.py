from __future__ import annotations

from gateway_openapi.servers import server_paths


def test_paths_of_servers_have_the_defaults_of_their_variables_and_come_longest_first() -> None:
    document = {
        "servers": [
            {"url": "https://api.example.com/v{major}", "variables": {"major": {"default": 2}}},
            {"url": "/base/v1/"},
            {"url": "https://[broken"},
            7,
        ]
    }

    assert server_paths(document) == [["base", "v1"], ["v2"], []]
    assert server_paths({}) == [[]]


def test_servers_of_paths_and_operations_count_as_well() -> None:
    document = {
        "servers": [{"url": "/v1"}],
        "paths": {
            "/a": {
                "servers": [{"url": "https://b.example.com/of/path"}],
                "get": {"servers": [{"url": "/of/an/operation"}]},
            },
            "/b": 7,
            "/c": {"get": {}, "parameters": []},
        },
    }

    assert server_paths(document) == [["of", "an", "operation"], ["of", "path"], ["v1"], []]
    assert server_paths({"paths": []}) == [[]]
