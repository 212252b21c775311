"""What only this machine can tell of a configuration: whether files that it names can be used, and sockets made."""

from __future__ import annotations

from collections.abc import Iterator

from gateway_core.clock import SystemClock
from gateway_core.config import ConfigProblem, LoadedConfig, parse_listen
from gateway_core.process.certificates import CertificateError, files_of, load_certificates
from gateway_core.process.sockets import unknown_owner, unusable_path
from gateway_core.snapshot.tls_files import unreadable_files, upstream_tls_problems


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

    A serving process looks for them only where it fails, so that what it says is what ``gateway check`` says.
    """
    for index, listen in enumerate(loaded.config.listen):
        if listen.tls is None:
            continue
        key_path = f"listen[{index}].tls"
        failures = list(unreadable_files(listen.tls, key_path, files_of(listen.tls), loaded.place_of))
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
        yield from upstream_tls_problems(upstream, f"upstreams[{index}].tls", loaded.place_of)
