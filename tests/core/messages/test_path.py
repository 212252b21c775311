from __future__ import annotations

import re
from typing import Any
from urllib.parse import unquote, unquote_to_bytes

import pytest
from gateway_core.errors import BadPathError
from gateway_core.messages.path import (
    DEFAULT_POLICY,
    DUPLICATE_SLASH,
    ENCODED_BACKSLASH,
    ENCODED_SLASH,
    INVALID_UTF8,
    NAMELESS,
    PathPolicy,
    arrival_policy,
    decode_match_text,
    encode_match_text,
    encode_path,
    fold_case,
    is_plain_path,
    other_readings,
    read_path,
    segment_name,
)
from hypothesis import given
from hypothesis import strategies as st

PIECES = [
    *"/ab;.%\\ A~",
    "%2f",
    "%2F",
    "%2e",
    "%5c",
    "%25",
    "%3b",
    "%00",
    "%0a",
    "%20",
    "%C3%A9",
    "%c0%af",
    "%ff",
    "\u00e9",
]
PATHS = st.lists(st.sampled_from(PIECES), max_size=10).map(lambda pieces: "/" + "".join(pieces))


@pytest.mark.parametrize(
    ("raw", "path", "flags"),
    [
        ("/", "/", 0),
        ("/api/users/7", "/api/users/7", 0),
        ("/.well-known/x", "/.well-known/x", 0),
        ("/a/...", "/a/...", 0),
        ("/[x]|{y}^`", "/[x]|{y}^`", 0),
        # decoded once
        ("/%61pi", "/api", 0),
        ("/%61%70%69", "/api", 0),
        ("/caf%c3%a9", "/caf\u00e9", 0),
        ("/a%20b%3Fc%23", "/a b?c#", 0),
        ("/100%25", "/100%25", 0),
        ("/%2541", "/%2541", 0),
        ("/%252e%252E", "/%252e%252E", 0),
        ("/%252f", "/%252f", 0),
        ("/%253bx", "/%253bx", 0),
        # path parameters
        ("/a;x", "/a", 0),
        ("/a%3Bx", "/a", 0),
        ("/a;x=1;y/b;z", "/a/b", 0),
        ("/a;", "/a", 0),
        ("/a/;x", "/a/", NAMELESS),
        ("/;x", "/", NAMELESS),
        ("/a;x=%20", "/a", 0),
        # runs of slashes, also those that path parameters hide
        ("//", "/", DUPLICATE_SLASH),
        ("//a", "/a", DUPLICATE_SLASH),
        ("/a//b", "/a/b", DUPLICATE_SLASH),
        ("/a///b//", "/a/b/", DUPLICATE_SLASH),
        ("/;x/a", "/a", DUPLICATE_SLASH | NAMELESS),
        ("/a/;x/;y/b", "/a/b", DUPLICATE_SLASH | NAMELESS),
        # what a policy decides on
        ("/a%2fb", "/a%2Fb", ENCODED_SLASH),
        ("/a;x%2Fb", "/a", ENCODED_SLASH),
        ("/a%5cb", "/a%5Cb", ENCODED_BACKSLASH),
        ("/a%ff", "/a%FF", INVALID_UTF8),
        ("/a%c3", "/a%C3", INVALID_UTF8),
        ("/a%ed%a0%80", "/a%ED%A0%80", INVALID_UTF8),
        ("/a;%ff", "/a", INVALID_UTF8),
        ("/%2f%5c%ff//", "/%2F%5C%FF/", ENCODED_SLASH | ENCODED_BACKSLASH | INVALID_UTF8 | DUPLICATE_SLASH),
    ],
)
def test_spellings_of_a_path_have_one_match_path(raw: str, path: str, flags: int) -> None:
    assert read_path(raw) == (path, flags)


@pytest.mark.parametrize(
    ("raw", "quoted"),
    [
        ("", "''"),
        ("*", "'*'"),
        ("api", "'api'"),
        ("http://a/b", "'http://a/b'"),
        ("/a?b", "'?'"),
        ("/a#b", "'#'"),
        ("/a b", "' '"),
        ("/a\tb", r"'\t'"),
        ("/a\n", r"'\n'"),
        ("/a\x00", r"'\x00'"),
        ("/a\x7f", r"'\x7f'"),
        ("/caf\u00e9", "'\u00e9'"),
        ("/a\ud800", r"'\ud800'"),
        ("/a\\b", r"'\\'"),
        ("/a%", "'%'"),
        ("/a%2", "'%2'"),
        ("/a%zz", "'%zz'"),
        ("/a%%41", "'%%4'"),
        ("/a%u002f", "'%u0'"),
        ("/a%00", "%00"),
        ("/a%0A", "%0A"),
        ("/a%1f", "%1f"),
        ("/a%7F", "%7F"),
        ("/a;%00", "%00"),
        ("/.", "'.'"),
        ("/..", "'..'"),
        ("/a/../b", "'..'"),
        ("/a/.", "'.'"),
        ("/a//../b", "'..'"),
        ("/%2e", "'.'"),
        ("/a/%2E%2e/b", "'..'"),
        ("/a/.%2e", "'..'"),
        ("/a/..;/b", "'..'"),
        ("/a/.;x=1/b", "'.'"),
        ("/a/%2e%2e;/b", "'..'"),
        ("/a/..%3bx", "'..'"),
        ("/a%2f..%2Fb", "'..'"),
        ("/a%2F%2e%2e", "'..'"),
        ("/a%2F..;x%2Fb", "'..'"),
        ("/a;x%2F..%2Fb", "'..'"),
        ("/a%5C..%5Cb", "'..'"),
        ("/..%5Cb", "'..'"),
        ("/a%2F.%5Cb", "'.'"),
        ("/a%c0%af", "overlong"),
        ("/a%c1%9c", "overlong"),
        ("/a%e0%80%af", "overlong"),
        ("/a%f0%80%80%af", "overlong"),
        ("/a%f8%80%80%80%af", "overlong"),
        ("/a%fc%80%80%80%80%af", "overlong"),
        ("/%c0%ae%c0%ae/", "overlong"),
        ("/a%c0%80", "overlong"),
        ("/a;%c0%af", "overlong"),
    ],
)
def test_what_has_more_than_one_reading_is_refused(raw: str, quoted: str) -> None:
    with pytest.raises(BadPathError) as caught:
        read_path(raw)

    assert quoted in str(caught.value)


@pytest.mark.parametrize(
    ("raw", "path"),
    [
        ("/Admin", "/admin"),
        ("/%41DMIN/X%2fY", "/admin/x%2Fy"),
        ("/CAF%C3%89", "/caf\u00e9"),
        ("/Stra%C3%9Fe", "/strasse"),
        ("/adm\u0131n", "/admin"),
        ("/adm\u0130n", "/admin"),
        ("/\u212aey", "/key"),
        ("/%FF", "/%FF"),
        ("/a.b/.x", "/a.b/.x"),
    ],
)
def test_case_is_folded_but_not_that_of_escapes(raw: str, path: str) -> None:
    assert read_path(encode_path(raw), folds_case=True)[0] == path


@pytest.mark.parametrize(
    "raw", ["/admin.", "/admin./x", "/admin%2e", "/admin%20", "/admin.;x", "/a%2Fadmin.%2Fb", "/..."]
)
def test_where_case_is_folded_segments_that_windows_shortens_are_refused(raw: str) -> None:
    read_path(raw)

    with pytest.raises(BadPathError, match=r"path_policy\.case"):
        read_path(raw, folds_case=True)


def read_by_the_letter(raw: str) -> str | None:
    """The four steps as one reads them, slowly; None for 400, with every policy at keep."""
    if not re.fullmatch(r"(/([!-~]|%[0-9a-fA-F]{2})*)", raw) or re.search(
        r"[\\?#]|%(?![0-9a-fA-F]{2})|%[01].|%7[fF]", raw
    ):
        return None
    segments = []
    for segment in raw.split("/")[1:]:
        whole = unquote_to_bytes(segment)
        if re.search(rb"[\xc0\xc1][\x80-\xbf]|\xe0[\x80-\x9f]|\xf0[\x80-\x8f]", whole):
            return None
        for part in re.split(rb"[/\\]", whole):
            if part.split(b";")[0] in {b".", b".."}:
                return None
        cut = re.split(";|%3[bB]", segment)[0]
        segments.append(re.sub("%(2f|25|5c)", lambda found: found[0].upper(), cut, flags=re.IGNORECASE))
    path = re.sub("//+", "/", "/" + "/".join(segments))

    def decode(found: re.Match[str]) -> str:
        kept = {b"%": "%25", b"/": "%2F", b"\\": "%5C"}
        data = unquote_to_bytes(found[0])
        return "".join(
            kept.get(char.encode(errors="surrogateescape"), char)
            if not "\udc80" <= char <= "\udcff"
            else f"%{ord(char) - 0xDC00:02X}"
            for char in data.decode(errors="surrogateescape")
        )

    return re.sub("(%..)+", decode, path)


@given(PATHS)
def test_a_path_is_read_by_the_letter_of_the_four_steps(raw: str) -> None:
    try:
        path: str | None = read_path(raw)[0]
    except BadPathError:
        path = None

    assert path == read_by_the_letter(raw)


@pytest.mark.parametrize(
    ("raw", "readings"),
    [
        ("/;x/a", ["/a", "/;x/a"]),
        ("/%3Bx/a;y", ["/;x/a", "/;x/a"]),
        ("/;x/%3by//b/;", ["/;y/b/", "/;x/;y/b/;"]),
        ("/;%2f%25/a", ["/a", "/;%2F%25/a"]),
    ],
)
def test_servers_that_cut_fewer_path_parameters_see_more_segments(raw: str, readings: list[str]) -> None:
    assert other_readings(raw) == readings


@given(PATHS)
def test_a_path_without_a_segment_of_parameters_only_has_no_other_readings(raw: str) -> None:
    try:
        path, flags = read_path(raw)
    except BadPathError:
        return

    assert bool(flags & NAMELESS) or set(other_readings(raw)) == {path}


@given(PATHS)
def test_a_match_path_written_as_a_path_reads_as_itself(raw: str) -> None:
    try:
        path, _ = read_path(raw)
    except BadPathError:
        return

    assert read_path(encode_match_text(path))[0] == path


@given(PATHS)
def test_a_plain_path_is_its_own_match_path_and_others_are_no_shorter_way(raw: str) -> None:
    if is_plain_path(raw):
        assert read_path(raw) == (raw, 0)


@given(PATHS, st.booleans())
def test_an_accepted_path_has_no_dot_segment_wherever_an_upstream_splits_it(raw: str, folds: bool) -> None:
    try:
        read_path(raw, folds)
    except BadPathError:
        return

    for text in (unquote(raw), unquote(re.sub(";[^/]*", "", raw)), re.sub(";[^/]*", "", unquote(raw))):
        assert not {".", ".."} & set(re.split(r"[/\\]", text))
        assert not re.search("[\x00-\x1f\x7f]", text)


@given(st.text(max_size=8), st.text(max_size=8))
def test_folding_is_idempotent_and_joins_what_platforms_join(one: str, other: str) -> None:
    assert fold_case(fold_case(one)) == fold_case(one)
    if one.upper() == other.upper() or one.lower() == other.lower() or one.casefold() == other.casefold():
        assert fold_case(one) == fold_case(other)


@given(st.text(max_size=20))
def test_a_text_that_is_encoded_decodes_to_itself(text: str) -> None:
    text = text.encode(errors="replace").decode().replace(";", "").replace("/", "")
    raw = encode_match_text(text.replace("%", "%25").replace("\\", "%5C"))

    assert "/" not in raw
    assert decode_match_text(segment_name(raw)) == text


def test_bytes_that_are_no_text_decode_to_the_replacement_character() -> None:
    assert decode_match_text("a%FF%2Fb%25") == "a\ufffd/b%"


def test_what_people_type_is_encoded_and_escapes_are_kept() -> None:
    assert encode_path("/caf\u00e9 au/%41?#") == "/caf%C3%A9%20au/%41%3F%23"


POLICIES = st.builds(
    PathPolicy,
    encoded_slash=st.sampled_from(["reject", "keep"]),
    encoded_backslash=st.sampled_from(["reject", "keep"]),
    duplicate_slash=st.sampled_from(["keep", "merge", "reject"]),
    invalid_utf8=st.sampled_from(["reject", "keep"]),
)
POLICY_PATHS = st.lists(st.sampled_from(["/", "a", ";", "%2F", "%5C", "%ff"]), max_size=8).map(
    lambda parts: "/" + "".join(parts)
)


@pytest.mark.parametrize(
    ("raw", "key"),
    [
        ("/a%2Fb", "encoded_slash"),
        ("/a%5cb", "encoded_backslash"),
        ("/a%ff", "invalid_utf8"),
    ],
)
def test_each_key_decides_on_its_own_and_is_named_when_it_refuses(raw: str, key: str) -> None:
    settings: dict[str, Any] = {key: "keep"}

    with pytest.raises(BadPathError, match=rf"path_policy\.{key}$"):
        DEFAULT_POLICY.read(raw)
    assert PathPolicy(**settings).read(raw) == read_path(raw)


def test_runs_of_slashes_are_sent_on_merged_or_refused() -> None:
    raw = "/a//b/;x///c"

    assert PathPolicy().sent(raw) == raw
    assert PathPolicy(duplicate_slash="merge").sent(raw) == "/a/b/;x/c"
    with pytest.raises(BadPathError, match=r"path has '//': path_policy\.duplicate_slash"):
        PathPolicy(duplicate_slash="reject").read(raw)
    with pytest.raises(BadPathError, match="duplicate_slash"):
        PathPolicy(duplicate_slash="reject").read("/;x/admin")


@given(POLICIES, POLICY_PATHS)
def test_what_goes_upstream_never_begins_with_two_slashes_and_matches_the_same(policy: PathPolicy, raw: str) -> None:
    sent = policy.sent(raw)

    assert not sent.startswith("//")
    assert read_path(sent)[0] == read_path(raw)[0]


@given(st.lists(POLICIES, min_size=1, max_size=3), POLICY_PATHS)
def test_on_arrival_is_refused_only_what_no_policy_allows(policies: list[PathPolicy], raw: str) -> None:
    _, flags = read_path(raw)
    arrival = arrival_policy(policies)

    kept = [policy for policy in policies if policy.problem(flags) is None]
    if kept:
        assert arrival.problem(flags) is None
    for name in ("%2F", "%5C", "%ff"):
        _, flag = read_path("/" + name)
        assert (arrival.problem(flag) is None) == any(policy.problem(flag) is None for policy in policies)


def test_case_is_the_documents() -> None:
    assert arrival_policy([PathPolicy(case="insensitive"), PathPolicy()]).read("/Admin") == ("/admin", 0)
