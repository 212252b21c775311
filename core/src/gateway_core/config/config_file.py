"""Config types for what a configuration only names: a file, or an upstream.

Each marks its place in the JSON Schema of a plugin (`FILE_KEY`, `DIRECTORY_KEY`, `OUTPUT_KEY`, `PROGRAM_KEY`,
`UPSTREAM_KEY`), by which the configuration layer finds the values: files and directories are relative to the document
that names them; they and programs are refused in remote documents without the right to them; files that are read are
watched; names of upstreams are looked up. `ENVIRONMENT_KEY` marks an option of an extension that the environment
provides.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from stat import S_ISDIR
from typing import Annotated, Any, Final, get_args

from pydantic import AfterValidator, BaseModel, GetCoreSchemaHandler, GetJsonSchemaHandler, WithJsonSchema
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import core_schema

from gateway_core.config.documents import LARGEST, NotRegularError, read_regular
from gateway_core.config.values import InvalidValueError

FILE_KEY: Final = "x-file"
DIRECTORY_KEY: Final = "x-directory"
OUTPUT_KEY: Final = "x-output"
STREAM_KEY: Final = "x-output-or-stdout"
PROGRAM_KEY: Final = "x-program"
"""Marks the items of an option that is a program with its arguments."""
UPSTREAM_KEY: Final = "x-upstream"
TRUSTED_KEY: Final = "x-from-trusted-peer"
"""Marks an option about a field of requests that the gateway takes from trusted peers only."""
ENVIRONMENT_KEY: Final = "x-environment"
"""Marks an option that comes from the environment unless it is given: in documents without the right to the environment
it is empty then, so that none of them has a credential sent to an address of its own."""


class ConfigFile:
    """A file that a configuration names: checked, watched, and part of what its binding is.

    When its content changes the configuration is reloaded, and the binding gets a new instance: what an instance reads
    is what it was made for. It is refused in documents that come from elsewhere than this machine.
    """

    __slots__ = ("path",)

    def __init__(self, path: str | Path) -> None:
        self.path: Final = Path(path)

    def read_bytes(self) -> bytes:
        """Return the content. Blocks.

        :raises OSError: it cannot be read, is no regular file, or is larger than 16 MiB.
        """
        return read_regular(self.path, LARGEST)

    def read_text(self, encoding: str = "utf-8") -> str:
        """Return the content as text. Blocks.

        :raises OSError: as `read_bytes`.
        :raises UnicodeDecodeError: it is not in this encoding.
        """
        return self.read_bytes().decode(encoding)

    def __repr__(self) -> str:
        return f"ConfigFile({str(self.path)!r})"

    def __str__(self) -> str:
        return str(self.path)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ConfigFile) and self.path == other.path

    def __hash__(self) -> int:
        return hash(self.path)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: type[Any], handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        return core_schema.no_info_plain_validator_function(
            _checked, serialization=core_schema.plain_serializer_function_ser_schema(str)
        )

    @classmethod
    def __get_pydantic_json_schema__(
        cls, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        return {"type": "string", "minLength": 1, FILE_KEY: True}


def _named_file(name: str) -> str:
    if not name:
        raise InvalidValueError("is not the path of a file")
    return name


def _checked(value: object) -> ConfigFile:
    if isinstance(value, ConfigFile):
        return value
    if not isinstance(value, str) or not value:
        raise InvalidValueError("is not the path of a file")
    file = ConfigFile(value)
    try:
        file.read_bytes()
    except FileNotFoundError:
        raise InvalidValueError("names no file", code="file.missing", remedy="create it, or correct the path") from None
    except NotRegularError as error:
        raise InvalidValueError(f"names {error.strerror}", code="file.not-a-file") from None
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise InvalidValueError(f"cannot be read: {reason}", code="file.unreadable") from None
    return file


FileName = Annotated[
    str, AfterValidator(_named_file), WithJsonSchema({"type": "string", "minLength": 1, FILE_KEY: True})
]
"""A file that is watched and refused in remote documents as a `ConfigFile` is, but whose content is no part of what its
binding is: the instance stays, and reads the file again by itself."""


OptionalFileName = Annotated[str, WithJsonSchema({"type": "string", FILE_KEY: True})]
"""A `FileName` where an empty text stands for none."""


def _named_directory(name: str) -> str:
    if not name:
        raise InvalidValueError("is not the path of a directory")
    try:
        mode = Path(name).stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        remedy = "create it, or correct the path"
        raise InvalidValueError("names no directory", code="file.missing", remedy=remedy) from None
    except (OSError, ValueError) as error:
        reason = (getattr(error, "strerror", None) or str(error)).lower()
        raise InvalidValueError(f"cannot be read: {reason}", code="file.unreadable") from None
    if not S_ISDIR(mode):
        raise InvalidValueError(
            "is no directory", code="file.not-a-directory", remedy="name the directory that it is in"
        )
    return name


DirectoryName = Annotated[
    str, AfterValidator(_named_directory), WithJsonSchema({"type": "string", "minLength": 1, DIRECTORY_KEY: True})
]
"""A directory whose files a plugin reads: relative to the document that names it, and refused in remote documents
without the right to files. It must exist when the configuration is loaded; what is in it is not watched."""

OutputFile = Annotated[
    str, AfterValidator(_named_file), WithJsonSchema({"type": "string", "minLength": 1, OUTPUT_KEY: True})
]
"""A file that a plugin writes: relative to the document that names it, and refused in remote documents without the
right to files."""

OutputFileOrStdout = Annotated[
    str, AfterValidator(_named_file), WithJsonSchema({"type": "string", "minLength": 1, STREAM_KEY: True})
]
"""An `OutputFile`, or ``-`` for standard output."""


def config_files(value: object) -> list[ConfigFile]:
    """Return the files that a plugin's configuration names, wherever in it they are."""
    if isinstance(value, ConfigFile):
        return [value]
    if isinstance(value, BaseModel):
        return [file for name in type(value).model_fields for file in config_files(getattr(value, name))]
    if isinstance(value, dict):
        return [file for inner in value.values() for file in config_files(inner)]
    if isinstance(value, list | tuple | set | frozenset):
        return [file for inner in value for file in config_files(inner)]
    return []


@cache
def names_files(model: type[BaseModel]) -> bool:
    """Whether a model has a `ConfigFile` anywhere: most have none, and their values need not be looked through."""
    return any(_is_file_type(field.annotation, frozenset({model})) for field in model.model_fields.values())


def _is_file_type(annotation: Any, seen: frozenset[Any]) -> bool:
    if annotation is ConfigFile:
        return True
    if isinstance(annotation, type) and issubclass(annotation, BaseModel) and annotation not in seen:
        within = seen | {annotation}
        return any(_is_file_type(field.annotation, within) for field in annotation.model_fields.values())
    return any(_is_file_type(inner, seen) for inner in get_args(annotation))


def _named(text: str) -> str:
    if not text:
        raise InvalidValueError(
            "names no upstream", remedy="give the name of one, or a URL such as http://127.0.0.1:8081"
        )
    return text


UpstreamName = Annotated[str, AfterValidator(_named), WithJsonSchema({"type": "string", UPSTREAM_KEY: True})]
"""The name of an upstream of the configuration, or a URL, as a route's ``target``; `gateway check` looks it up."""
