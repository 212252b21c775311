"""The catalogue of fields, as redaction leaves it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

from gateway_plugin_logger.fields import Kind, Value, find_value
from gateway_plugin_logger.redaction.masks import HIDDEN, Mask, hide, in_depth
from gateway_plugin_logger.redaction.queries import LOGIN_PARAMETERS, make_query_mask, make_url_mask, plain_name

SECRET_HEADERS: Final = frozenset(
    {
        "authentication", "dpop", "set-cookie2", "x-amz-cf-signature", "x-amzn-oidc-data", "x-functions-key",
        "x-forwarded-client-cert", "x-session-id",
    }
)  # fmt: skip
"""Fields that carry credentials and nothing else worth reading."""

SECRET_ENDINGS: Final = (
    "access-key", "api-key", "apikey", "auth-key", "authorization", "cookie", "cookie2", "jwt", "jwt-assertion",
    "passwd", "password", "secret", "subscription-key", "token",
)  # fmt: skip
"""What names of other such fields end in: ``Authorization``, ``Private-Token``, ``Ocp-Apim-Subscription-Key``."""


def is_secret_header(name: str) -> bool:
    """Return whether a field carries credentials; ``X_Api_Key`` does as well, as CGI and WSGI read it."""
    plain = name.replace("_", "-")
    return plain.endswith(SECRET_ENDINGS) or plain in SECRET_HEADERS


_HEADER_OBJECTS: Final = {"headers": "header:", "response_headers": "response_header:"}
_LOCATION: Final = "response_header:location"
_URL_HEADERS: Final = frozenset({"header:referer", "header:referrer", _LOCATION, "header:x-original-url"})


@dataclass(frozen=True, slots=True)
class FieldRule:
    """Changes what some fields say."""

    fields: frozenset[str]
    """Names of fields; ``*`` is every field of text."""
    mask: Mask | None
    """None: the field is left out."""


class RedactedFields:
    """Finds the values of fields and hides of them what must not be logged."""

    __slots__ = ("_hidden_parameters", "_own", "_rules", "_shown")

    def __init__(
        self,
        rules: Sequence[FieldRule],
        hidden_parameters: Sequence[str],
        shown: Sequence[str],
        own: Mapping[str, Value] = MappingProxyType({}),
    ) -> None:
        """Prepare.

        :param own: values of the binding itself, which stand in the place of the catalogue's.
        """
        self._rules = tuple(rules)
        self._own = own
        self._shown = frozenset(map(_normal, shown))
        self._hidden_parameters = tuple(
            name for name in hidden_parameters if f"query:{name}".lower() not in {s.lower() for s in self._shown}
        )

    def find(self, name: str) -> Value | None:
        """Return a field's value; None if a rule leaves it out.

        :raises FieldNameError: there is no such field.
        """
        name = _normal(name)
        value = self._own.get(name) or self._without_credentials(name, find_value(name))
        for rule in self._rules:
            if name in rule.fields or ("*" in rule.fields and not value.kind.is_number):
                if rule.mask is None:
                    return None
                value = _masked(value, rule.mask)
        return value

    def _without_credentials(self, name: str, value: Value) -> Value:
        if name in _HEADER_OBJECTS:
            return value.through(self._make_head_filter(_HEADER_OBJECTS[name]))
        if name in {"query", "target", "referer", "upstream_url"} or name in _URL_HEADERS:
            make = make_query_mask if name == "query" else make_url_mask
            return value.through(make(self._hidden_in(name)))
        if name == "query_params":
            return value.through(self._make_parameter_filter())
        return value.through(hide) if self._is_credential(name) else value

    def _hidden_in(self, field: str) -> tuple[str, ...]:
        """Return the parameters whose values are hidden in a URL, which is in this field."""
        more = LOGIN_PARAMETERS if field == _LOCATION and self._hidden_parameters else ()
        return (*self._hidden_parameters, *(name for name in more if f"query:{name}" not in self._shown))

    def _is_credential(self, name: str) -> bool:
        if "*" in self._shown or name in self._shown:
            return False
        kind, _, argument = name.partition(":")
        if kind in {"header", "response_header"}:
            return is_secret_header(argument)
        if kind == "query":
            hidden = self._hidden_parameters
            return "*" in hidden or plain_name(argument) in {plain_name(name) for name in hidden}
        return kind == "cookie"

    def _make_head_filter(self, prefix: str) -> Callable[[dict[str, str]], dict[str, str]]:
        """Return a function that hides credentials in a whole head and applies the rules for single fields of it."""
        rules: dict[str, list[Mask | None]] = {}
        for rule in self._rules:
            for field in rule.fields:
                if field.startswith(prefix):
                    rules.setdefault(field.removeprefix(prefix), []).append(rule.mask)
        masks_of_urls = {name: make_url_mask(self._hidden_in(name)) for name in _URL_HEADERS}

        def masked(name: str, value: str) -> str | None:
            if self._is_credential(prefix + name):
                value = HIDDEN
            elif (masks_url := masks_of_urls.get(prefix + name)) is not None:
                value = masks_url(value)
            for mask in rules.get(name, ()):
                if mask is None:
                    return None
                value = mask(value)
            return value

        def filter_head(head: dict[str, str]) -> dict[str, str]:
            return {name: shown for name, value in head.items() if (shown := masked(name, value)) is not None}

        return filter_head

    def _make_parameter_filter(self) -> Callable[[dict[str, str]], dict[str, str]]:
        def filter_parameters(parameters: dict[str, str]) -> dict[str, str]:
            return {n: HIDDEN if self._is_credential(f"query:{n}") else v for n, v in parameters.items()}

        return filter_parameters


def _masked(value: Value, mask: Mask) -> Value:
    if value.kind.is_number:
        return value.through(lambda number: mask(str(number)), kind=Kind.TEXT)
    if value.kind is Kind.OBJECT:
        deep: Callable[[Any], Any] = in_depth(mask)
        return value.through(deep)
    return value.through(mask, kind=Kind.TEXT)


def _normal(name: str) -> str:
    """Return a field's name as it is compared: names of header fields have no case."""
    kind, colon, argument = name.partition(":")
    return f"{kind}:{argument.lower()}" if colon and kind in {"header", "response_header"} else name
