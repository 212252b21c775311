"""The document of the admin API: routes and upstreams that were written by it, each with its revision. Pure.

A revision is the number of the change that made an object what it is. It never comes again, also not when an object is
removed and made again, so that an ETag of it names one content for all time.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal

from gateway_core.config.redaction import HIDDEN, is_named_secret, without_credentials
from gateway_core.errors import ProblemMembers, RefusedError

FORMAT: Final = 1

Kind = Literal["routes", "upstreams"]
KEYS: Final[Mapping[Kind, str]] = {"routes": "id", "upstreams": "name"}
"""The key that names an object of each kind."""


@dataclass(frozen=True, slots=True)
class StoredObject:
    """A route or an upstream of the document."""

    revision: int
    value: Mapping[str, Any]

    @property
    def etag(self) -> str:
        """Its strong entity tag (RFC 9110 section 8.8.3)."""
        return f'"{self.revision}"'


@dataclass(frozen=True, slots=True)
class ApiDocument:
    """All that was written by the API."""

    revision: int = 0
    """The number of changes so far."""
    routes: Mapping[str, StoredObject] = field(default_factory=dict)
    upstreams: Mapping[str, StoredObject] = field(default_factory=dict)

    def of(self, kind: Kind) -> Mapping[str, StoredObject]:
        """Return the objects of a kind by their names."""
        return self.routes if kind == "routes" else self.upstreams

    def __bool__(self) -> bool:
        """Whether there is something in it."""
        return bool(self.routes or self.upstreams)

    def put(self, kind: Kind, name: str, value: Mapping[str, Any]) -> ApiDocument:
        """Return the document with an object, which stays where it is if it was there."""
        revision = self.revision + 1
        return self._with(kind, revision, {**self.of(kind), name: StoredObject(revision, value)})

    def remove(self, kind: Kind, name: str) -> ApiDocument:
        """Return the document without an object."""
        return self._with(kind, self.revision + 1, {key: each for key, each in self.of(kind).items() if key != name})

    def _with(self, kind: Kind, revision: int, objects: Mapping[str, StoredObject]) -> ApiDocument:
        if kind == "routes":
            return replace(self, revision=revision, routes=objects)
        return replace(self, revision=revision, upstreams=objects)

    def replaced(self, values: Mapping[Kind, Sequence[Mapping[str, Any]]]) -> ApiDocument:
        """Return the document with other objects; those that stay as they are keep their revisions.

        :raises RefusedError: an object has no name, or that of another one.
        """
        revision = self.revision + 1
        found: dict[Kind, dict[str, StoredObject]] = {"routes": {}, "upstreams": {}}
        for kind, key in KEYS.items():
            before = self.of(kind)
            for index, value in enumerate(values.get(kind, ())):
                name = value.get(key)
                if not isinstance(name, str) or not name:
                    raise RefusedError(422, "invalid", f"{kind}[{index}] has no {key}: the API names each object by it")
                if name in found[kind]:
                    raise RefusedError(422, "invalid", f"{kind}[{index}]: there is another one with the {key} {name!r}")
                old = before.get(name)
                now = restored(value, None if old is None else old.value)
                found[kind][name] = old if old is not None and old.value == now else StoredObject(revision, now)
        return ApiDocument(revision, found["routes"], found["upstreams"])

    def text(self) -> str:
        """Return it as a configuration document, in JSON of one value a line, which problems show lines of."""
        content = {kind: [each.value for each in self.of(kind).values()] for kind in ("upstreams", "routes")}
        return json.dumps({kind: values for kind, values in content.items() if values}, indent=1, ensure_ascii=False)

    def to_plain(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        objects: dict[str, Any] = {
            kind: [[name, each.revision, each.value] for name, each in self.of(kind).items()] for kind in KEYS
        }
        return {"format": FORMAT, "revision": self.revision, **objects}

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> ApiDocument:
        """Undo `to_plain`.

        :raises ValueError: it is damaged, or of another version of the gateway.
        """
        try:
            if plain["format"] != FORMAT:
                raise ValueError("it is of another version of the gateway")
            objects = {
                kind: {str(name): StoredObject(int(revision), dict(value)) for name, revision, value in plain[kind]}
                for kind in KEYS
            }
            return cls(int(plain["revision"]), objects["routes"], objects["upstreams"])
        except (KeyError, TypeError) as error:
            raise ValueError(f"it is damaged: {error!r}") from error


def check_match(if_match: str | None, if_none_match: str | None, stored: StoredObject | None) -> None:
    """Check the preconditions of a write (RFC 9110 section 13.1).

    :raises RefusedError: 428 if there is none, 412 if it does not hold.
    """
    if if_none_match is not None:
        if if_none_match.strip() == "*" and stored is None:
            return
        raise RefusedError(412, "changed", "If-None-Match does not hold: write * to make what does not exist")
    if if_match is None:
        detail = "send If-Match with the ETag that was read, or If-None-Match: * for what does not exist yet"
        raise RefusedError(428, "precondition-required", detail)
    tags = {tag.strip() for tag in if_match.split(",")}
    if stored is None or not tags & {"*", stored.etag}:
        more: ProblemMembers = {} if stored is None else {"revision": stored.revision}
        detail = "it is not there" if stored is None else "it was changed by another writer: read it again"
        raise RefusedError(412, "changed", f"If-Match does not hold: {detail}", more=more)


_REFERENCE: Final = re.compile(r"(?<!\$)\$\{")
_WHOLE: Final = re.compile(r"\$\{(?:[A-Za-z_][A-Za-z0-9_]*|file:[^${}]+)\}")


def has_whole_references(value: Any) -> bool:
    """Whether each reference to a variable or a file is a value of its own, without a default.

    What a value with other text or with a default leads to is not known before it is expanded: it could be the address
    of the admin listener.
    """
    if isinstance(value, Mapping):
        return all(not _REFERENCE.search(key) and has_whole_references(each) for key, each in value.items())
    if isinstance(value, list):
        return all(map(has_whole_references, value))
    return not isinstance(value, str) or not _REFERENCE.search(value) or _WHOLE.fullmatch(value) is not None


def merged(value: Any, patch: Any) -> Any:
    """Return a value with a merge patch applied (RFC 7396 section 2)."""
    if not isinstance(patch, Mapping):
        return patch
    result = dict(value) if isinstance(value, Mapping) else {}
    for key, change in patch.items():
        if change is None:
            result.pop(key, None)
        else:
            result[key] = merged(result.get(key), change)
    return result


# -- secrets: they come in, and never go out

_OPAQUE: Final = frozenset({"config", "body"})
"""Keys of values whose shape the gateway does not know here, such as the configuration of a plugin: all of it is
hidden."""


_SECRETS: Final = frozenset({("health_check", "headers")})
"""Keys, each with the one that it is in, of mappings whose values are secrets by their type."""


def shown(value: Any, key: str = "") -> Any:
    """Return a value as it may leave the gateway: what is or may be a secret is replaced by ``HIDDEN``."""
    if key in _OPAQUE or (key and is_named_secret(key) and not isinstance(value, bool)):
        return HIDDEN
    if isinstance(value, Mapping):
        return {
            name: _hidden(each) if (key, name) in _SECRETS else shown(each, str(name)) for name, each in value.items()
        }
    if isinstance(value, list):
        return [shown(each) for each in value]
    return without_credentials(value) if isinstance(value, str) else value


def _hidden(value: Any) -> Any:
    return dict.fromkeys(value, HIDDEN) if isinstance(value, Mapping) else HIDDEN


def restored(value: Any, before: Any) -> Any:
    """Return a value in which what is hidden (`shown`) is what it was before, so that what is read can be written.

    :raises RefusedError: something is hidden that was not there before.
    """
    if value == HIDDEN:
        if before is None:
            raise RefusedError(422, "invalid", f"{HIDDEN} stands for a value that is there: write the value itself")
        return before
    if isinstance(value, Mapping):
        old = before if isinstance(before, Mapping) else {}
        return {name: restored(each, old.get(name)) for name, each in value.items()}
    if isinstance(value, list):
        return [restored(each, _same(each, index, before)) for index, each in enumerate(value)]
    if isinstance(value, str) and HIDDEN in value and isinstance(before, str) and without_credentials(before) == value:
        return before
    return value


def _same(value: Any, index: int, before: Any) -> Any:
    """Return what a value of a list was before: the one of the same name, else the one at the same index."""
    if not isinstance(before, list):
        return None
    if isinstance(value, Mapping):
        for key in ("id", "name", "url"):
            if isinstance(value.get(key), str):
                named = (each for each in before if isinstance(each, Mapping) and shown(each).get(key) == value[key])
                return next(named, None)
    return before[index] if index < len(before) else None
