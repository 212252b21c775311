from __future__ import annotations

import pytest
from gateway_plugin_static.names import encode_name, names_of
from hypothesis import given
from hypothesis import strategies as st

DOT_NAMES = (".well-known",)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/", ()),
        ("/a/b.txt", ("a", "b.txt")),
        ("//a//b/", ("a", "b")),
        ("/a;v=1/b%3Bc", ("a;v=1", "b;c")),
        ("/caf%C3%A9", ("café",)),
        ("/%ff", ("\udcff",)),
        ("/100%25", ("100%",)),
        ("/%252e%252e/x", ("%2e%2e", "x")),
        ("/.well-known/acme", (".well-known", "acme")),
        ("/a..b/...x", None),
        ("/..", None),
        ("/a/%2e%2e/b", None),
        ("/.", None),
        ("/a%2Fb", None),
        ("/a%5cb", None),
        ("/a\\b", None),
        ("/a%00", None),
        ("/a%0ab", None),
        ("/.git/config", None),
        ("/a/.env", None),
        ("/%2eenv", None),
        ("/" + "a" * 256, None),
        ("/a" * 65, None),
    ],
)
def test_a_path_is_names_each_decoded_once_or_nothing(path: str, expected: tuple[str, ...] | None) -> None:
    assert names_of(path, DOT_NAMES) == expected


def test_all_dot_names_can_be_served_but_not_those_of_directories_above() -> None:
    assert names_of("/.git/x", ("*",)) == (".git", "x")
    assert names_of("/../x", ("*",)) is None


@given(st.binary(min_size=1, max_size=255).filter(lambda data: not set(data) & {*range(32), 47, 92, 127}))
def test_a_name_is_encoded_so_that_it_reads_as_itself(data: bytes) -> None:
    name = data.decode("utf-8", "surrogateescape")

    if name not in {".", ".."}:
        assert names_of(f"/{encode_name(name)}", ("*",)) == (name,)


@given(st.text("./\\%2efc05;ab\0", max_size=30))
def test_no_path_leads_out_of_the_root(path: str) -> None:
    names = names_of(f"/{path}", ("*",)) or ()

    assert not {"", ".", ".."} & set(names)
    assert not any(set(name) & {"/", "\\", "\0"} for name in names)
