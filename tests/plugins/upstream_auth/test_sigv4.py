"""Signatures against those that AWS publishes: its documentation of S3, of IAM, and its test suite."""

from __future__ import annotations

import hmac
from hashlib import sha256

import pytest
from gateway_plugin_upstream_auth import sigv4

SUITE = ("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", "20150830T123600Z", "us-east-1", "service")
S3 = ("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "20130524T000000Z", "us-east-1", "s3")
BUCKET = "examplebucket.s3.amazonaws.com"


def signature(
    account: tuple[str, str, str, str, str],
    method: str,
    path: str,
    query: str,
    fields: list[tuple[str, str]],
    payload: str = sigv4.EMPTY_HASH,
) -> str:
    key_id, secret, when, region, service = account
    request, names = sigv4.canonical_request(
        method, sigv4.canonical_path(path, service), sigv4.canonical_query(query), fields, payload
    )
    key = sigv4.signing_key(secret, when[:8], region, service)
    return sigv4.authorization(key, key_id, when, request, names).rpartition("Signature=")[2]


@pytest.mark.parametrize(
    ("method", "path", "query", "fields", "body", "expected"),
    [
        ("GET", "/", "", [], b"", "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"),
        ("POST", "/", "", [], b"", "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"),
        ("GET", "/", "Param2=value2&Param1=value1", [], b"",
         "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500"),
        ("POST", "/", "", [("Content-Type", "application/x-www-form-urlencoded")], b"Param1=value1",
         "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a"),
        ("GET", "/example/..", "", [], b"", "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"),
        ("GET", "//", "", [], b"", "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"),
        ("GET", "/./", "", [], b"", "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"),
        ("GET", "/", "", [("My-Header1", " value1"), ("My-Header2", ' "a   b   c"')], b"",
         "acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736"),
        ("GET", "/", "", [("My-Header1", "value2"), ("My-Header1", "value2"), ("My-Header1", "value1")], b"",
         "c9d5ea9f3f72853aea855b47ea873832890dbdd183b4468f858259531a5138ea"),
    ],
    ids=["get", "post", "query order", "form", "relative", "slashes", "slash dot slash", "trim", "duplicates"],
)  # fmt: skip
def test_the_test_suite_of_aws(
    method: str, path: str, query: str, fields: list[tuple[str, str]], body: bytes, expected: str
) -> None:
    signed = [("host", "example.amazonaws.com"), ("x-amz-date", SUITE[2]), *fields]

    assert signature(SUITE, method, path, query, signed, sha256(body).hexdigest()) == expected


def test_the_example_of_iam() -> None:
    fields = [
        ("host", "iam.amazonaws.com"),
        ("content-type", "application/x-www-form-urlencoded; charset=utf-8"),
        ("x-amz-date", "20150830T123600Z"),
    ]

    found = signature((*SUITE[:4], "iam"), "GET", "/", "Action=ListUsers&Version=2010-05-08", fields)

    assert found == "5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7"


@pytest.mark.parametrize(
    ("method", "path", "query", "fields", "body", "expected"),
    [
        ("GET", "/test.txt", "", [("Range", "bytes=0-9")], b"",
         "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"),
        ("PUT", "/test$file.text", "",
         [("Date", "Fri, 24 May 2013 00:00:00 GMT"), ("x-amz-storage-class", "REDUCED_REDUNDANCY")],
         b"Welcome to Amazon S3.", "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd"),
        ("GET", "/", "lifecycle", [], b"", "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"),
        ("GET", "/", "max-keys=2&prefix=J", [], b"",
         "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"),
    ],
    ids=["object", "upload", "lifecycle", "list"],
)  # fmt: skip
def test_the_examples_of_s3(
    method: str, path: str, query: str, fields: list[tuple[str, str]], body: bytes, expected: str
) -> None:
    payload = sha256(body).hexdigest()
    signed = [("host", BUCKET), ("x-amz-content-sha256", payload), ("x-amz-date", S3[2]), *fields]

    assert signature(S3, method, path, query, signed, payload) == expected


@pytest.mark.parametrize(
    ("path", "s3", "other"),
    [
        ("/a%20b", "/a%20b", "/a%2520b"),
        ("/a:b", "/a%3Ab", "/a%3Ab"),
        ("/a//b/", "/a//b/", "/a/b/"),
        ("/a%2fb", "/a/b", "/a%252fb"),
        ("/%e1%88%b4", "/%E1%88%B4", "/%25e1%2588%25b4"),
        ("/a/../b/.", "/a/../b/.", "/b/"),
        ("/", "/", "/"),
    ],
)
def test_s3_takes_a_path_as_it_is_and_others_encode_it_once_more(path: str, s3: str, other: str) -> None:
    assert (sigv4.canonical_path(path, "s3"), sigv4.canonical_path(path, "execute-api")) == (s3, other)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("b=2&a=1", "a=1&b=2"),
        ("a=2&a=1&a", "a=&a=1&a=2"),
        ("a=x+y&b=%2b", "a=x%20y&b=%2B"),
        ("a=b=c&&d=%c3%a9", "a=b%3Dc&d=%C3%A9"),
        ("A=1&a=2&-=3", "-=3&A=1&a=2"),
        ("", ""),
    ],
)
def test_a_query_is_decoded_encoded_and_sorted(query: str, expected: str) -> None:
    assert sigv4.canonical_query(query) == expected


def test_host_type_and_the_fields_of_aws_are_signed_and_nothing_else() -> None:
    fields = [("Accept", "*/*"), ("X-Amz-Meta-A", "1"), ("Content-Type", "text/plain"), ("X-Request-Id", "1")]

    assert [name for name, _ in sigv4.fields_to_sign("h", fields)] == ["host", "X-Amz-Meta-A", "Content-Type"]


def test_field_values_are_signed_as_the_bytes_that_are_sent() -> None:
    # What came in UTF-8 is text in Latin-1 here, each byte a character; only spaces and tabs are left out around it.
    value = "é\xa0".encode().decode("latin-1")
    text, names = sigv4.canonical_request("GET", "/", "", [("x-amz-meta-a", f" {value}\t")], sigv4.EMPTY_HASH)
    key = sigv4.signing_key("s", "20150830", "r", "s3")

    signed = sigv4.authorization(key, "id", "20150830T123600Z", text, names).rpartition("Signature=")[2]

    canonical = b"GET\n/\n\nx-amz-meta-a:" + "é\xa0".encode() + f"\n\nx-amz-meta-a\n{sigv4.EMPTY_HASH}".encode()
    to_sign = f"AWS4-HMAC-SHA256\n20150830T123600Z\n{key.scope}\n{sha256(canonical).hexdigest()}"
    assert signed == hmac.new(key.key, to_sign.encode(), "sha256").hexdigest()
