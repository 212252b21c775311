"""What `gateway check` reports of a valid configuration: the files that it names, and what is weak in it.

Each file is read by the code that reads it at the start, so that what passes here also starts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Final, Literal, TypeVar

from gateway_plugin_sdk import ConfigFinding
from gateway_plugin_sdk.certificates import certificate_findings
from gateway_tokens.fetch import FetchOptions
from gateway_tokens.keys import KeySet, from_jwks
from gateway_tokens.reading import read_file

from gateway_plugin_auth.config import ApiKeyProvider, AuthConfig, BasicProvider, IntrospectionProvider, JwtOptions
from gateway_plugin_auth.config.jwt import revealed
from gateway_plugin_auth.config.possession import PossessionOptions
from gateway_plugin_auth.htpasswd import read_users, weak_lines
from gateway_plugin_auth.revocation_source import read_revocations
from gateway_plugin_auth.weak_hashes import weak_kind

Path = tuple[str | int, ...]
ValueT = TypeVar("ValueT")

_MOST_LINES: Final = 5
_REMEDY: Final = "a graphics card tries millions of passwords a second, make new hashes with htpasswd -nB NAME"


def findings(config: AuthConfig) -> Iterator[ConfigFinding]:
    """Yield what is wrong with the files of a configuration, and warnings about weak hashes and unusable keys."""
    if not config.providers:
        yield from _of_tokens(config, ())
    for name, provider in config.providers.items():
        path: Path = ("providers", name)
        if isinstance(provider, BasicProvider):
            yield from _of_users(provider, path)
        elif isinstance(provider, ApiKeyProvider):
            yield from _of_keys(provider, path)
        elif isinstance(provider, IntrospectionProvider):
            yield from _of_introspection(provider, path)
        else:
            yield from _of_tokens(provider, path)


def _of_users(config: BasicProvider, path: Path) -> Iterator[ConfigFinding]:
    for index, user in enumerate(config.users):
        kind = weak_kind(user.password_hash.reveal())
        if kind is not None:
            message = f"the {kind} hash of user {user.name!r} is weak: {_REMEDY}"
            yield _finding((*path, "users", index, "password_hash"), message, "weak-hash", "warning")
    if config.users_file is None:
        return
    weak: list[tuple[int, str]] = []

    def read(data: bytes) -> None:
        read_users(data)
        weak.extend(weak_lines(data))

    yield from _in_file(config.users_file, (*path, "users_file"), read)
    if weak:
        kinds = ", ".join(dict.fromkeys(kind for _, kind in weak))
        lines = ", ".join(str(line) for line, _ in weak[:_MOST_LINES]) + (" ..." if len(weak) > _MOST_LINES else "")
        message = f"{config.users_file} has weak hashes ({kinds}) in line {lines}: {_REMEDY}"
        yield _finding((*path, "users_file"), message, "weak-hash", "warning")


def _of_keys(config: ApiKeyProvider, path: Path) -> Iterator[ConfigFinding]:
    if config.keys_file is not None:
        from gateway_plugin_auth.key_file import read_entries  # noqa: PLC0415 - only where there is such a file

        yield from _in_file(config.keys_file, (*path, "keys_file"), read_entries)


def _of_introspection(config: IntrospectionProvider, path: Path) -> Iterator[ConfigFinding]:
    if config.client_secret_file is not None:
        yield from _by_reading(config.client_secret_text, (*path, "client_secret_file"))
    if config.client_key is not None:
        from gateway_tokens.client_key import ClientKey  # noqa: PLC0415 - only where a key is configured

        yield from _by_reading(partial(ClientKey, config.client_key, "", lambda: 0.0), (*path, "client_key"))
    yield from _of_possession(config, path)


def _by_reading(read: Callable[[], object], path: Path) -> Iterator[ConfigFinding]:
    try:
        read()
    except OSError as error:
        yield _finding(path, f"the file cannot be read: {error.strerror or error}", "file-unreadable")
    except ValueError as error:
        yield _finding(path, str(error), "file-invalid")


def _of_tokens(config: JwtOptions, path: Path) -> Iterator[ConfigFinding]:
    if config.jwks is not None:
        keys = from_jwks(revealed(config.jwks), config.algorithms, secrets_allowed=True)
        yield from _unusable(keys.unusable, "", (*path, "jwks"))
    if config.jwks_file is not None:
        unusable: list[str] = []

        def read(data: bytes) -> None:
            keys: KeySet = from_jwks(data, config.algorithms, secrets_allowed=True)
            unusable.extend(keys.unusable)

        yield from _in_file(config.jwks_file, (*path, "jwks_file"), read)
        yield from _unusable(unusable, f"{config.jwks_file}: ", (*path, "jwks_file"))
    if config.revocation is not None and config.revocation.file is not None:
        yield from _in_file(config.revocation.file, (*path, "revocation", "file"), read_revocations)
    yield from _of_certificates(config.fetch, (*path, "fetch"))
    yield from _of_possession(config, path)


def _of_possession(config: PossessionOptions, path: Path) -> Iterator[ConfigFinding]:
    if config.dpop is not None and config.dpop.valkey is not None and (tls := config.dpop.valkey.tls) is not None:
        yield from certificate_findings(
            (*path, "dpop", "valkey", "tls"), {"ca": tls.ca, "cert": tls.cert, "key": tls.key}
        )


def _of_certificates(options: FetchOptions, path: Path) -> Iterator[ConfigFinding]:
    return certificate_findings(path, {"ca": options.ca, "cert": options.cert, "key": options.key})


def _in_file(name: str, path: Path, read: Callable[[bytes], object]) -> Iterator[ConfigFinding]:
    try:
        read(read_file(name))
    except FileNotFoundError:
        yield _finding(path, f"there is no file {name!r}: create it, or correct the path", "file-missing")
    except OSError as error:
        yield _finding(path, f"{name!r} cannot be read: {error.strerror or error}", "file-unreadable")
    except ValueError as error:
        yield _finding(path, f"{name}: {error}", "file-invalid")


def _unusable(reasons: Iterable[str], place: str, path: Path) -> Iterator[ConfigFinding]:
    for reason in reasons:
        message = f"{place}{reason}: it is left out, remove it or correct it"
        yield _finding(path, message, "unusable-key", "warning")


def _finding(path: Path, message: str, code: str, severity: Literal["error", "warning"] = "error") -> ConfigFinding:
    return ConfigFinding(path, message, code=code, severity=severity)
