"""A property that an assignment takes the place of."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar, overload

_Owner = TypeVar("_Owner")
_Value = TypeVar("_Value")


class overridable_property(Generic[_Owner, _Value]):  # noqa: N801 - a decorator, as `functools.cached_property` is
    """Computes an attribute each time, until another value is assigned to it.

    `functools.cached_property` would make a ``__dict__`` for what is only read, and CPython 3.11 takes a lock for it.
    """

    def __init__(self, read: Callable[[_Owner], _Value]) -> None:
        self._read = read
        self.__doc__ = read.__doc__

    @overload
    def __get__(self, owner: None, kind: type[_Owner]) -> overridable_property[_Owner, _Value]: ...
    @overload
    def __get__(self, owner: _Owner, kind: type[_Owner]) -> _Value: ...
    def __get__(self, owner: _Owner | None, kind: type[_Owner]) -> overridable_property[_Owner, _Value] | _Value:
        return self if owner is None else self._read(owner)
