"""Bearer tokens of the admin API in a file of the state directory: made, listed, revoked. Blocking.

Only hashes are kept. The gateway looks at the file with each login, so that a token that is made or revoked counts at
once, without a reload.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, get_args

from gateway_core.admin.access import Token, digest_of
from gateway_core.config import AdminRole
from gateway_core.config.state_files import read_state
from gateway_core.private_files import locked, write_private

FORMAT: Final = 1
FILE_NAME: Final = "admin-tokens.json"
PREFIX: Final = "gwa_"
"""What every token begins with, so that scanners for secrets find those that were published."""

_MOST_TOKENS: Final = 1000
_LARGEST: Final = 4 << 20
"""Bytes of the file: several times what as many tokens take."""


class TokenFileError(Exception):
    """The file cannot be used; the text says why."""


@dataclass(frozen=True, slots=True)
class KeptToken:
    """A token of the file."""

    id: str
    token: Token
    created: float
    """Seconds since the epoch."""

    def to_plain(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        token = self.token
        return {
            "id": self.id,
            "name": token.name,
            "role": token.role,
            "hash": token.digest,
            "tail": token.may_tail,
            "created": self.created,
            "expires": token.expires,
        }

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> KeptToken:
        """Undo `to_plain`.

        :raises ValueError: it is no token.
        """
        role, expires = plain["role"], plain["expires"]
        if role not in get_args(AdminRole) or not str(plain["hash"]).startswith("sha256:"):
            raise ValueError(f"token {plain['id']} has no role or hash that is known")
        until = None if expires is None else float(expires)
        identifier = str(plain["id"])
        token = Token(str(plain["name"]), role, str(plain["hash"]), until, bool(plain["tail"]), identifier)
        return cls(identifier, token, float(plain["created"]))


def make_token(
    name: str, role: AdminRole, now: float, *, lifetime: float | None, may_tail: bool = False
) -> tuple[str, KeptToken]:
    """Return a new token and what is kept of it.

    :param lifetime: seconds; None for one that does not expire.
    """
    identifier = secrets.token_hex(4)
    text = f"{PREFIX}{identifier}_{secrets.token_urlsafe(32)}"
    expires = None if lifetime is None else now + lifetime
    return text, KeptToken(identifier, Token(name, role, digest_of(text), expires, may_tail, identifier), now)


def expire_named(tokens: Sequence[KeptToken], name: str, at: float) -> list[KeptToken]:
    """Return tokens of which those with a name expire at a time, unless they do so earlier."""
    return [
        replace(each, token=replace(each.token, expires=at))
        if each.token.name == name and (each.token.expires is None or each.token.expires > at)
        else each
        for each in tokens
    ]


class TokenFile:
    """The tokens of a state directory."""

    def __init__(self, state: Path) -> None:
        """Name the file; nothing is read or written yet."""
        self.path = state / FILE_NAME
        self._stamp: tuple[int, int, int] | None = None
        self._found: tuple[KeptToken, ...] = ()

    @property
    def is_there(self) -> bool:
        """Whether the file was there when it was loaded last; it stays when its last token is revoked."""
        return self._stamp is not None

    def load(self) -> tuple[KeptToken, ...]:
        """Return the tokens; the file is read again when it was changed.

        :raises TokenFileError: it cannot be used, so that nothing is known of any token.
        """
        try:
            status = self.path.stat()
        except FileNotFoundError:
            self._stamp, self._found = None, ()
            return ()
        except OSError as error:
            raise TokenFileError(f"{self.path} cannot be read: {error.strerror}") from error
        stamp = (status.st_mtime_ns, status.st_size, status.st_ino)
        if stamp != self._stamp:
            self._found = self._read()
            self._stamp = stamp
        return self._found

    def _read(self) -> tuple[KeptToken, ...]:
        try:
            return read_state(self.path, _LARGEST, _tokens)
        except OSError as error:
            raise TokenFileError(f"{self.path} cannot be read: {error.strerror}") from error
        except ValueError as error:
            raise TokenFileError(f"{self.path} cannot be used: {error}") from error

    def change(self, edit: Callable[[Sequence[KeptToken]], Sequence[KeptToken]]) -> None:
        """Change the tokens that are there; no other process changes them meanwhile.

        :raises TokenFileError: they cannot be read or written.
        """
        try:
            with locked(self.path.parent):
                tokens = edit(self.load())
                if len(tokens) > _MOST_TOKENS:
                    raise TokenFileError(f"there are {_MOST_TOKENS} tokens already: revoke some")
                write_private(self.path, {"format": FORMAT, "tokens": [each.to_plain() for each in tokens]})
        except OSError as error:
            raise TokenFileError(f"{self.path} cannot be written: {error.strerror}") from error


def _tokens(plain: Any) -> tuple[KeptToken, ...]:
    if plain["format"] != FORMAT:
        raise ValueError("it is of another version of the gateway")
    return tuple(map(KeptToken.from_plain, plain["tokens"]))
