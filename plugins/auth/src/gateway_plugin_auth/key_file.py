"""Files of API keys: a JSON object a line, or a JSON list of the same objects.

`gateway auth key` writes lines. ``#`` begins a comment. An empty file is refused, as one that was cut off is empty.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from gateway_tokens.reading import decode_json, decode_text
from pydantic import TypeAdapter, ValidationError

from gateway_plugin_auth.config.api_key import ApiKeyEntry, KnownKeys

_ENTRIES: Final = TypeAdapter(tuple[ApiKeyEntry, ...])


def read_entries(data: bytes) -> tuple[ApiKeyEntry, ...]:
    """Read a file of keys.

    :raises ValueError: it is none; names the line and the reason, and shows no key.
    """
    text = decode_text(data)
    if not text.strip():
        raise ValueError("it is empty: write a key, or a comment (#) if there are none")
    if is_list(text):
        return _read_list(text)
    return tuple(entry for _, entry in read_lines(text))


def is_list(text: str) -> bool:
    """Return whether a file of keys is a JSON list."""
    return text.lstrip().startswith("[")


def read_lines(text: str) -> Iterator[tuple[int, ApiKeyEntry]]:
    """Yield the keys of a file with one a line, and the number of each one's line, from 0 on.

    :raises ValueError: a line is no key; names the line and the reason, and shows no key.
    """
    known = KnownKeys()
    for index, line in enumerate(text.split("\n")):
        stripped = line.strip()
        if not stripped or stripped.startswith("#"):
            continue
        try:
            entry = ApiKeyEntry.model_validate(_of_line(stripped))
            known.add(entry)
        except ValidationError as error:
            raise ValueError(f"line {index + 1}: {_shown(error)}") from None
        except ValueError as error:
            raise ValueError(f"line {index + 1}: {error}") from None
        yield index, entry


def _of_line(line: str) -> object:
    try:
        return decode_json(line)
    except ValueError as error:
        raise ValueError(f"not a JSON object on one line: {str(error).removeprefix('line 1 ')}") from None


def _read_list(text: str) -> tuple[ApiKeyEntry, ...]:
    try:
        value = decode_json(text)
    except ValueError as error:
        raise ValueError(f"this is not a JSON list of keys: {error}") from None
    try:
        entries = _ENTRIES.validate_python(value)
    except ValidationError as error:
        raise ValueError(_shown(error)) from None
    known = KnownKeys()
    for entry in entries:
        known.add(entry)
    return entries


def _shown(error: ValidationError) -> str:
    first = error.errors(include_input=False, include_url=False)[0]
    place = "".join(f"[{part!r}]" for part in first["loc"])
    return f"{place}: {first['msg']}" if place else first["msg"]
