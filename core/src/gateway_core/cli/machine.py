"""What only this machine can tell of a configuration: whether files that it names can be used, and sockets made."""

from __future__ import annotations

import ssl
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

from pydantic import BaseModel

from gateway_core.clock import SystemClock
from gateway_core.config import ConfigProblem, LoadedConfig, parse_listen
from gateway_core.config.documents import LARGEST_FILE, ReadFailure, read_bytes
from gateway_core.process.certificates import CertificateError, files_of, load_certificates
from gateway_core.process.sockets import unknown_owner, unusable_path
from gateway_core.upstreams.transport import TlsSettings, make_tls_context, unusable


def socket_problems(loaded: LoadedConfig) -> Iterator[ConfigProblem]:
    """Find unix sockets that cannot be made, or not given to their owner, on this machine; a start would fail."""
    places = [(f"listen[{index}].address", listen.parsed) for index, listen in enumerate(loaded.config.listen)]
    if loaded.config.admin is not None:
        places.append(("admin.listen", parse_listen(loaded.config.admin.listen)))
    for key_path, address in places:
        if address.path and (reason := unusable_path(address.path)) is not None:
            yield ConfigProblem(loaded.place_of(key_path), key_path, reason, code="listen.unavailable")
    for index, listen in enumerate(loaded.config.listen):
        unknown = None if listen.owner is None else unknown_owner(listen.owner)
        if unknown is not None:
            key_path = f"listen[{index}].owner"
            message = f"there is no {unknown} on this machine"
            yield ConfigProblem(
                loaded.place_of(key_path),
                key_path,
                message,
                code="listen.owner-unknown",
                remedy="create it, or give its number",
            )


def certificate_problems(loaded: LoadedConfig) -> Iterator[ConfigProblem]:
    """Find what is wrong with the certificate files of listeners and upstreams. Blocks.

    A job for the serving process goes without: that reads them itself when it applies a configuration, and waits for
    files that are missing.
    """
    for index, listen in enumerate(loaded.config.listen):
        if listen.tls is None:
            continue
        key_path = f"listen[{index}].tls"
        failures = list(_unreadable(loaded, key_path, listen.tls, files_of(listen.tls)))
        yield from failures
        try:
            if not failures and (text := load_certificates(listen.tls).warning(SystemClock().wall())):
                place = loaded.place_of(f"{key_path}.client_crl")
                code = "tls.revocation-expired"
                yield ConfigProblem(place, f"{key_path}.client_crl", text, code=code, severity="warning")
        except CertificateError as error:
            place = loaded.place_of(key_path)
            yield ConfigProblem(place, key_path, error.reason, code="tls.unusable", remedy=error.remedy)
    for index, upstream in enumerate(loaded.config.upstreams):
        settings = TlsSettings.of(upstream.tls)
        key_path = f"upstreams[{index}].tls"
        failures = list(_unreadable(loaded, key_path, upstream.tls, [Path(name) for name in settings.files]))
        yield from failures
        try:
            if settings.files and not failures:
                make_tls_context(settings)
        except (OSError, ssl.SSLError) as error:
            reason, remedy = unusable(settings, error)
            yield ConfigProblem(loaded.place_of(key_path), key_path, reason, code="tls.unusable", remedy=remedy)


def _unreadable(
    loaded: LoadedConfig, section: str, settings: BaseModel, files: Collection[Path]
) -> Iterator[ConfigProblem]:
    """Find the keys of a TLS section whose files cannot be read."""
    for key, text in _texts_in(settings.model_dump(), section):
        if Path(text) in files and isinstance(data := read_bytes(Path(text), limit=LARGEST_FILE), ReadFailure):
            yield ConfigProblem(loaded.place_of(key), key, f"the file {text!r} {data.reason}", code=data.code)


def _texts_in(value: object, key_path: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, str):
        yield key_path, value
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from _texts_in(item, f"{key_path}.{key}")
    elif isinstance(value, (list, tuple)):
        for index, item in enumerate(value):
            yield from _texts_in(item, f"{key_path}[{index}]")
