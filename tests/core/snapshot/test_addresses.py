from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
from gateway_core.config import ConfigError, parse_listen
from gateway_core.packages import PluginRegistry
from gateway_core.process.sockets import BindError, bind
from gateway_core.snapshot import load
from gateway_core.snapshot.addresses import overlap

HOSTS = ["", "0.0.0.0", "127.0.0.1", "127.0.0.2", "localhost", "[::]", "[::1]"]


def is_refused(one: str, other: str) -> bool:
    """Listen on a free port of one host, then on the same port of the other."""
    with contextlib.closing(bind(parse_listen(f"{one}:0"), "first")) as first:
        port = first.getsockname()[1]
        try:
            bind(parse_listen(f"{other}:{port}"), "second").close()
        except BindError:
            return True
    return False


@pytest.mark.parametrize("one", HOSTS)
@pytest.mark.parametrize("other", HOSTS)
def test_addresses_overlap_where_the_system_refuses_to_bind_both(one: str, other: str) -> None:
    # The port may be taken by another process on the other host: hardly ever five times in a row.
    refused = all(is_refused(one, other) for _ in range(5))

    assert overlap(parse_listen(f"{other}:1"), parse_listen(f"{one}:1")) is refused


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ("unix:/run/a", "unix:/run/a", True),
        ("unix:/run/a", "unix:/run/x/../a", True),
        ("unix:/run/a", "unix:/run/b", False),
        ("unix:/run/a", ":80", False),
        (":0", ":0", False),
        ("a.test:80", "A.test:80", True),
        ("a.test:80", "b.test:80", False),
        ("a.test:80", ":80", True),
        (":80", "a.test:80", True),
        ("[0::1]:80", "[::1]:80", True),
    ],
)
def test_overlaps_that_are_told_without_binding(one: str, other: str, *, expected: bool) -> None:
    assert overlap(parse_listen(one), parse_listen(other)) is expected


@pytest.mark.parametrize(
    ("text", "key_path"),
    [
        ("listen: [':8080', '127.0.0.1:8080']", "listen[1]"),
        ("listen: ':8080'\nadmin: {listen: ':8080'}", "admin.listen"),
        ("listen: '127.0.0.1:8080'\nadmin: {listen: '0.0.0.0:8080'}", "admin.listen"),
        ("admin: {listen: '127.0.0.1:8080'}", "admin.listen"),
    ],
)
def test_overlapping_listeners_are_problems(tmp_path: Path, text: str, key_path: str) -> None:
    path = tmp_path / "gateway.yaml"
    path.write_text(f"{text}\nroutes: [{{id: r, path: /, target: 'http://127.0.0.1:1'}}]\n")

    with pytest.raises(ConfigError) as caught:
        load([path], registry=PluginRegistry(find=dict), environ={})

    assert [(problem.code, problem.key_path) for problem in caught.value.problems] == [("listen.overlap", key_path)]
