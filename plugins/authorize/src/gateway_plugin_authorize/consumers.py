"""Consumers out of a file: who is behind which credentials, and in which groups.

    consumers:
      - name: shop
        groups: [partners]
        credentials:
          - {scheme: api-key, subject: shop-key-1}
          - {scheme: jwt, subject: 8f3c, issuer: https://login.example.com}

A credential is what an earlier plugin found out of the caller (`Identity`): no secret is in the file.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final

import yaml
from gateway_plugin_sdk import ConfigModel, Identity
from pydantic import Field, ValidationError

Name = Annotated[str, Field(min_length=1)]


class Credential(ConfigModel):
    """What identifies a consumer."""

    scheme: Name
    """How the caller was found out: ``jwt``, ``api-key``, ``basic`` or a plugin's own word."""

    subject: Name
    """The caller's name there."""

    issuer: Name | None = None
    """The ``iss`` claim that its token must have."""


class Consumer(ConfigModel):
    """A user of the API."""

    name: Annotated[str, Field(pattern=r"^[!-~]([ -~]*[!-~])?$")]
    """The name, which rules use and the upstream may get."""

    groups: tuple[Name, ...] = ()
    """The groups that it is in."""

    credentials: Annotated[tuple[Credential, ...], Field(min_length=1)]
    """What identifies it."""


class ConsumerFile(ConfigModel):
    """The file."""

    consumers: tuple[Consumer, ...]
    """In any order."""


class ConsumersError(ValueError):
    """The file cannot be used; the text says where and why."""


_PLACE: Final = "consumers"


class Consumers:
    """Finds the consumer of an identity."""

    __slots__ = ("_by_credential", "names")

    def __init__(self, consumers: tuple[Consumer, ...]) -> None:
        """Index them.

        :raises ConsumersError: two have one name or credential.
        """
        self._by_credential: dict[tuple[str, str], list[tuple[str | None, Consumer]]] = {}
        self.names: frozenset[str] = frozenset(consumer.name for consumer in consumers)
        seen: set[object] = set()
        for index, consumer in enumerate(consumers):
            if consumer.name in seen:
                raise ConsumersError(f"{_PLACE}[{index}]: the name {consumer.name!r} is taken")
            seen.add(consumer.name)
            for number, each in enumerate(consumer.credentials):
                key = (each.scheme, each.subject)
                if (*key, each.issuer) in seen:
                    place = f"{_PLACE}[{index}].credentials[{number}]"
                    raise ConsumersError(f"{place}: {each.scheme}:{each.subject} identifies another consumer already")
                seen.add((*key, each.issuer))
                self._by_credential.setdefault(key, []).append((each.issuer, consumer))
        for entries in self._by_credential.values():
            entries.sort(key=lambda entry: entry[0] is None)  # one with an issuer counts first

    def find(self, identity: Identity) -> Consumer | None:
        """Return the consumer that an identity belongs to."""
        for issuer, consumer in self._by_credential.get((identity.scheme, identity.subject), ()):
            if issuer is None or identity.claims.get("iss") == issuer:
                return consumer
        return None


class _Loader(yaml.SafeLoader):
    """Refuses a key that comes twice, of which YAML would keep the last."""


def _mapping(loader: _Loader, node: yaml.MappingNode) -> dict[Any, Any]:
    seen: set[str] = set()
    for key, _ in node.value:
        if str(key.value) in seen:
            raise ConsumersError(f"line {key.start_mark.line + 1}: the key {key.value!r} comes twice")
        seen.add(str(key.value))
    return dict(loader.construct_pairs(node, deep=True))


_Loader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)


def read_consumers(text: str) -> Consumers:
    """Read a file of consumers, in YAML or JSON.

    :raises ConsumersError: it cannot be used.
    """
    try:
        document = yaml.load(text.removeprefix("\ufeff"), _Loader)  # noqa: S506 - a SafeLoader
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        if isinstance(error, ConsumersError):
            raise
        mark = getattr(error, "problem_mark", None)
        where = f"line {mark.line + 1}: " if mark is not None else ""
        raise ConsumersError(
            f"{where}is not YAML: {getattr(error, 'problem', None) or 'it nests too deeply'}"
        ) from None
    if not isinstance(document, Mapping):
        raise ConsumersError("has no consumers: begin with a line 'consumers:'")
    try:
        return Consumers(ConsumerFile.model_validate(document).consumers)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise ConsumersError(f"{_written(first['loc'])}: {first['msg'].lower()}") from None


def _written(place: tuple[int | str, ...]) -> str:
    text = ""
    for step in place:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else step
    return text or "the file"
