"""Files of users as htpasswd writes them."""

from __future__ import annotations

from collections.abc import Iterator

from gateway_plugin_sdk import Secret
from gateway_tokens.reading import decode_text

from gateway_plugin_auth.config.basic import BasicUser
from gateway_plugin_auth.passwords import check_hash
from gateway_plugin_auth.weak_hashes import weak_kind


def _entries(data: bytes) -> Iterator[tuple[int, str, str]]:
    """Yield the number, the name and the hash of each line that is not empty and no comment.

    :raises ValueError: a line is not ``name:hash``.
    """
    for number, line in enumerate(decode_text(data).split("\n"), start=1):
        stripped = line.strip()
        if not stripped or stripped.startswith("#"):
            continue
        name, colon, password_hash = stripped.partition(":")
        if not colon or not name:
            raise ValueError(f"line {number} is not name:hash")
        yield number, name, password_hash


def read_users(data: bytes) -> tuple[BasicUser, ...]:
    """Read a file as htpasswd writes it.

    :raises ValueError: a line is not ``name:hash`` with a hash that is accepted; the text shows nothing of it, since
        a wrong path may be that of another file.
    """
    users: dict[str, BasicUser] = {}
    for number, name, password_hash in _entries(data):
        try:
            check_hash(password_hash)
        except ValueError as error:
            raise ValueError(f"line {number}: {error}") from None
        if name in users:
            raise ValueError(f"line {number}: this user is there twice")
        users[name] = BasicUser.model_construct(name=name, password_hash=Secret(password_hash))
    return tuple(users.values())


def weak_lines(data: bytes) -> Iterator[tuple[int, str]]:
    """Yield the number and the kind of each line whose hash is of a weak kind.

    :raises ValueError: a line is not ``name:hash``.
    """
    for number, _, password_hash in _entries(data):
        kind = weak_kind(password_hash)
        if kind is not None:
            yield number, kind
