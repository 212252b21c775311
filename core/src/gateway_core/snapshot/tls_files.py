"""What is wrong with the files that TLS sections name, for a check as for a process that fails to use them. Blocks."""

from __future__ import annotations

import ssl
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

from pydantic import BaseModel

from gateway_core.config import ConfigProblem, PlaceOf, UpstreamConfig
from gateway_core.config.documents import LARGEST_FILE, ReadFailure, read_bytes
from gateway_core.upstreams.transport import TlsSettings, make_tls_context, unusable


def upstream_tls_problems(config: UpstreamConfig, key_path: str, place_of: PlaceOf) -> Iterator[ConfigProblem]:
    """Find why the files of an upstream's TLS section cannot be used."""
    settings = TlsSettings(config.tls)
    failures = list(unreadable_files(config.tls, key_path, [Path(name) for name in settings.config.files], place_of))
    yield from failures
    try:
        if settings.config.files and not failures:
            make_tls_context(settings)
    except (OSError, ssl.SSLError) as error:
        reason, remedy = unusable(settings, error)
        yield ConfigProblem(place_of(key_path), key_path, reason, code="tls.unusable", remedy=remedy)


def unreadable_files(
    section: BaseModel, key_path: str, files: Collection[Path], place_of: PlaceOf
) -> Iterator[ConfigProblem]:
    """Find the keys of a TLS section whose files cannot be read."""
    for key, text in _texts_in(section.model_dump(), key_path):
        if Path(text) in files and isinstance(data := read_bytes(Path(text), limit=LARGEST_FILE), ReadFailure):
            yield ConfigProblem(place_of(key), key, f"the file {text!r} {data.reason}", code=data.code)


def _texts_in(value: object, key_path: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, str):
        yield key_path, value
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from _texts_in(item, f"{key_path}.{key}")
    elif isinstance(value, (list, tuple)):
        for index, item in enumerate(value):
            yield from _texts_in(item, f"{key_path}[{index}]")
