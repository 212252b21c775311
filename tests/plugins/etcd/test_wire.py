from __future__ import annotations

import contextlib
import json

import pytest
from gateway_plugin_etcd.errors import CompactedError, EtcdError, UnauthenticatedError, UnavailableError
from gateway_plugin_etcd.wire import Deleted, KeyValue, encoded, error_of, read_page, read_refusal, read_watch_message
from hypothesis import given
from hypothesis import strategies as st

HEADER = {"cluster_id": "14841639068965178418", "member_id": "1", "revision": "7", "raft_term": "2"}


def line(**result: object) -> bytes:
    return json.dumps({"result": {"header": HEADER, **result}}).encode()


def test_what_is_left_out_is_zero_false_or_a_put() -> None:
    message = read_watch_message(
        line(
            events=[
                {"kv": {"key": encoded(b"/a"), "mod_revision": "6"}},
                {"type": "DELETE", "kv": {"key": encoded(b"/b"), "mod_revision": "7"}},
            ]
        )
    )

    assert message.revision == 7
    assert not message.is_created
    assert message.events == (KeyValue(b"/a", b"", 6), Deleted(b"/b", 7))
    assert read_page({"header": HEADER}).entries == ()


def test_a_watch_says_when_it_has_begun() -> None:
    assert read_watch_message(line(created=True)).is_created


def test_a_compacted_watch_has_to_list_again() -> None:
    message = read_watch_message(line(watch_id="4", canceled=True, compact_revision="9"))

    assert message.watch == 4
    assert isinstance(message.refusal, CompactedError)
    assert "revision 9" in str(message.refusal)


@pytest.mark.parametrize(
    ("reason", "kind"),
    [
        ("rpc error: code = PermissionDenied desc = etcdserver: permission denied", UnauthenticatedError),
        ("etcdserver: no leader", UnavailableError),
    ],
)
def test_a_canceled_watch_says_why(reason: str, kind: type[EtcdError]) -> None:
    message = read_watch_message(line(watch_id="4", created=True, canceled=True, cancel_reason=reason))

    assert message.watch == 4
    assert type(message.refusal) is kind
    assert reason in str(message.refusal)


@pytest.mark.parametrize(
    ("code", "message", "kind"),
    [
        (14, "etcdserver: no leader", UnavailableError),
        (4, "context deadline exceeded", UnavailableError),
        (16, "etcdserver: invalid auth token", UnauthenticatedError),
        (3, "etcdserver: revision of auth store is old", UnauthenticatedError),
        (11, "etcdserver: mvcc: required revision has been compacted", CompactedError),
        (7, "etcdserver: permission denied", EtcdError),
    ],
)
def test_a_grpc_status_tells_what_to_do(code: int, message: str, kind: type[EtcdError]) -> None:
    assert type(error_of(code, message)) is kind
    body = json.dumps({"error": message, "code": code, "message": message}).encode()
    assert type(read_refusal(400, body)) is kind
    with pytest.raises(kind, match=message):
        read_watch_message(json.dumps({"error": {"grpc_code": code, "message": message}}).encode())


@pytest.mark.parametrize(("status", "kind"), [(404, EtcdError), (502, UnavailableError)])
def test_a_refusal_that_is_not_etcds_is_told_by_its_status(status: int, kind: type[EtcdError]) -> None:
    error = read_refusal(status, b"<html>nothing here</html>")

    assert type(error) is kind
    assert str(error) == f"it responds {status}: <html>nothing here</html>"


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["header", "revision", "events", "kv", "key", "result", "error"]), inner)
    ),
    max_leaves=8,
)


@pytest.mark.parametrize("header", [{}, {"revision": "0"}, {"revision": "-1"}])
def test_a_listing_without_a_revision_is_none(header: dict[str, str]) -> None:
    with pytest.raises(EtcdError, match="malformed"):
        read_page({"header": header, "kvs": []})


@given(values)
def test_nonsense_is_an_error_of_ours(value: object) -> None:
    with contextlib.suppress(EtcdError):
        read_watch_message(json.dumps(value).encode())
    if isinstance(value, dict):
        with contextlib.suppress(EtcdError):
            read_page(value)


@given(st.integers(), st.binary())
def test_any_refusal_can_be_read(status: int, body: bytes) -> None:
    assert isinstance(read_refusal(status, body), EtcdError)
