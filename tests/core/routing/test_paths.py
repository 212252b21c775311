from __future__ import annotations

from urllib.parse import unquote

import pytest
from gateway_core.routing.paths import canonical_path, check_path, decode_canonical, encode_path, encode_segment
from hypothesis import given
from hypothesis import strategies as st


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/api/users/7",
        "//",
        "/a//b/",
        "/.well-known/x",
        "/a/...",
        "/a/.b/c.",
        "/%61pi",
        "/a%2Fb",
        "/a%252e",
        "/%252e%252e/x",
        "/caf%C3%A9",
        "/%ff",
        "/a%0Ab",
        "/a%20b",
        "/~user/;v=1,2/@x:y/'(!$&*+=)'",
        "/[x]|{y}",
    ],
)
def test_ordinary_paths_are_routed(path: str) -> None:
    assert check_path(path) is None


@pytest.mark.parametrize(
    ("path", "quoted"),
    [
        ("", "''"),
        ("*", "'*'"),
        ("api", "'api'"),
        ("http://a/b", "'http://a/b'"),
        ("/.", "'.'"),
        ("/..", "'..'"),
        ("/a/../b", "'..'"),
        ("/a/./b", "'.'"),
        ("/a/..", "'..'"),
        ("/%2e", "'.'"),
        ("/a/%2E%2e/b", "'..'"),
        ("/a/.%2e", "'..'"),
        ("/a%2f..%2Fb", "'..'"),
        ("/a%2F%2e%2e", "'..'"),
        ("/a\\b", "'\\\\'"),
        ("/a%5cb", "%5c"),
        ("/a%5C..%5C", "%5c"),
        ("/a%00", "%00"),
        ("/a\x00", "'\\x00'"),
        ("/a%", "'%'"),
        ("/a%2", "'%2'"),
        ("/a%zz", "'%zz'"),
        ("/a%2gb", "'%2g'"),
        ("/a%%41", "'%%4'"),
        ("/a b", "' '"),
        ("/a\tb", "'\\t'"),
        ("/a\x7f", "'\\x7f'"),
        ("/caf\u00e9", "'\u00e9'"),
        ("/a?b", "'?'"),
        ("/a#b", "'#'"),
    ],
)
def test_paths_that_could_be_read_in_two_ways_are_refused(path: str, quoted: str) -> None:
    problem = check_path(path)

    assert problem is not None
    assert quoted in problem


@pytest.mark.parametrize(
    ("path", "canonical"),
    [
        ("/api", "/api"),
        ("/%61pi", "/api"),
        ("/a%2fb", "/a%2Fb"),
        ("/100%25", "/100%25"),
        ("/%2541", "/%2541"),
        ("/caf%c3%a9", "/caf\u00e9"),
        ("/%ff", "/\ufffd"),
        ("//%2F/", "//%2F/"),
    ],
)
def test_spellings_of_a_path_have_one_canonical_form(path: str, canonical: str) -> None:
    assert canonical_path(path) == canonical
    assert canonical_path(canonical) == canonical


@given(st.text(max_size=20))
def test_an_encoded_segment_is_one_segment_and_decodes_to_itself(text: str) -> None:
    text = text.encode(errors="replace").decode()
    encoded = encode_segment(text)

    assert "/" not in encoded
    assert decode_canonical(canonical_path("/" + encoded)[1:]) == text


@given(st.text(alphabet="ab%/2Ff5c0e.\\", max_size=12).map(lambda text: "/" + text))
def test_an_accepted_path_has_no_dot_segment_however_often_slashes_are_decoded(path: str) -> None:
    if check_path(path) is None:
        assert not {".", ".."} & set(unquote(path).split("/"))
        assert "\\" not in unquote(path)


def test_what_people_type_is_encoded_and_escapes_are_kept() -> None:
    assert encode_path("/caf\u00e9 au/%41?#") == "/caf%C3%A9%20au/%41%3F%23"
