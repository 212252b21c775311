"""What becomes of a body: bytes in, bytes out."""

from __future__ import annotations

import copy
import json
import marshal
from collections.abc import Callable
from typing import Any, Final
from urllib.parse import parse_qsl

from gateway_plugin_sdk.strict_json import JsonError, read_json
from jmespath.exceptions import JMESPathError

from gateway_plugin_transform.budget import Budget, OverBudgetError
from gateway_plugin_transform.config import ChangeConfig
from gateway_plugin_transform.pointers import MISSING, pop, put, read_pointer, remove
from gateway_plugin_transform.templates import Make, compile_expression, compile_template

_MOST_FIELDS: Final = 1000
_GROWTH: Final = 4
"""How many times as large as the limit for bodies a result may be."""


class ChangeError(ValueError):
    """A body cannot be changed; the message has no part of it."""


class TooLargeError(ChangeError):
    """A body is too large for what the change does with it."""


class Change:
    """The changes of one direction, compiled."""

    def __init__(self, config: ChangeConfig, limit: int, max_operations: int) -> None:
        """Compile.

        :param limit: bytes of the largest body that is changed.
        """
        self._limit = limit
        self._budget = budget = Budget(max_operations)
        self._makes: list[Make] = []
        if config.jmespath is not None:
            self._makes.append(compile_expression(config.jmespath, budget))
        if config.template is not None:
            self._makes.append(compile_template(config.template, budget))
        self._renames = [(read_pointer(old), read_pointer(new)) for old, new in config.rename.items()]
        self._removes = [read_pointer(each) for each in config.remove]
        self._defaults = [(read_pointer(place), value) for place, value in config.default.items()]
        self._sets = [(read_pointer(place), value) for place, value in config.set.items()]

    def apply(self, value: Any) -> Any:
        """Return what a value becomes; the value itself may be changed."""
        budget = self._budget
        budget.begin()
        for make in self._makes:
            value = make(value)
        if self._makes and (self._renames or self._removes or self._defaults or self._sets):
            # Parts of it may be those of the configuration, or be there twice.
            # Version 2 of marshal has no references, and takes a fifth of the time of JSON.
            value = marshal.loads(marshal.dumps(value, 2))  # noqa: S302 - written in the same line
        for old, new in self._renames:
            found = pop(value, old, budget)
            if found is not MISSING:
                put(value, new, found, budget)
        for place in self._removes:
            remove(value, place, budget)
        for place, given in self._defaults:
            put(value, place, copy.deepcopy(given), budget, only_if_absent=True)
        for place, given in self._sets:
            put(value, place, copy.deepcopy(given), budget)
        return value

    def json(self, data: bytes) -> bytes:
        """Return what JSON becomes.

        :raises ChangeError: it is none, has a name twice, or the expression cannot take it.
        """
        return self._write(read_json, data)

    def form(self, data: bytes) -> bytes:
        """Return the JSON that a form becomes.

        :raises ChangeError: it is none.
        """
        return self._write(_read_form, data)

    def _write(self, read: Callable[[bytes], Any], data: bytes) -> bytes:
        try:
            value = self.apply(read(data))
            made = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
        except JsonError as error:
            raise ChangeError(f"the body cannot be read: {error}") from None
        except OverBudgetError:
            raise TooLargeError("the change of this body takes too many operations") from None
        except JMESPathError:
            raise ChangeError("the body is not what the change expects") from None
        except RecursionError:
            raise ChangeError("the body is nested too deep") from None
        except (ValueError, TypeError):  # numbers out of range, half of a surrogate pair, what is no text in UTF-8
            raise ChangeError("the body is no JSON that can be changed") from None
        if len(made) > _GROWTH * self._limit:
            raise ChangeError("the changed body is too large")
        return made


def _read_form(data: bytes) -> dict[str, Any]:
    fields = parse_qsl(
        data.decode(), keep_blank_values=True, strict_parsing=bool(data), errors="strict", max_num_fields=_MOST_FIELDS
    )
    made: dict[str, Any] = {}
    for name, text in fields:
        if name not in made:
            made[name] = text
        elif isinstance(made[name], list):
            made[name].append(text)
        else:
            made[name] = [made[name], text]
    return made
