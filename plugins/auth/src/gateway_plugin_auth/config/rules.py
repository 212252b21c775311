"""Configuration of what a known caller must be allowed."""

from __future__ import annotations

from typing import Annotated, Any, Final

from gateway_plugin_sdk import MISSING, ConfigModel, Pattern, claim_path
from gateway_tokens.texts import Header, OneOrMore, check_distinct, many
from pydantic import Field, field_validator, model_validator

from gateway_plugin_auth.rules import AccessRules, Rule, SetRule, contains, is_any_of, is_same, matches

_TESTS: Final = ("equals", "one_of", "none_of", "contains", "regex", "present")


class ClaimRule(ConfigModel):
    """A condition on one claim: ``claim`` and exactly one test."""

    claim: str = Field(min_length=1)
    """Dotted path of the claim, such as ``realm_access.roles``; a name that has dots itself is found, too."""

    equals: Any = None
    """The claim is this JSON value."""

    one_of: tuple[Any, ...] = ()
    """The claim is one of these JSON values."""

    none_of: tuple[Any, ...] = ()
    """Neither the claim nor, if it is a list, a member of it is one of these JSON values; it may be absent."""

    contains: Any = None
    """The claim is a list that has this member, or a text that has this word."""

    regex: Pattern | None = None
    """The claim, or a member of a list, matches this regular expression from end to end."""

    present: bool | None = None
    """``true``: the claim is there, whatever it is; ``false``: it is not."""

    @model_validator(mode="after")
    def _has_one_test(self) -> ClaimRule:
        given = [name for name in _TESTS if getattr(self, name) not in (None, ())]
        if len(given) != 1:
            found = " and ".join(given) or "none"
            raise ValueError(f"a claim rule has exactly one of {', '.join(_TESTS)}, not {found}")
        return self

    def compiled(self) -> Rule:
        """Return the rule that the configuration describes."""
        read = claim_path(self.claim)
        if self.equals is not None:
            return Rule(read, lambda value: is_same(value, self.equals))
        if self.one_of:
            return Rule(read, lambda value: any(is_same(value, item) for item in self.one_of))
        if self.none_of:
            return Rule(read, lambda value: not is_any_of(value, self.none_of))
        if self.contains is not None:
            return Rule(read, lambda value: contains(value, self.contains))
        if self.regex is not None:
            pattern = self.regex
            return Rule(read, lambda value: matches(value, pattern))
        return Rule(read, lambda value: (value is not MISSING) is self.present)


class SetRuleConfig(ConfigModel):
    """What a set-like claim must have: every text of ``all`` and, if there are any, one text of ``any``."""

    all: tuple[str, ...] = ()
    """Texts that must all be there."""

    any: tuple[str, ...] = ()
    """Texts of which one must be there."""

    claim: OneOrMore | None = None
    """Dotted path, or paths, of the claim: a list of texts, or one text with spaces between."""

    @model_validator(mode="after")
    def _asks_for_something(self) -> SetRuleConfig:
        if "" in (*self.all, *self.any):
            raise ValueError("an empty text is held by no caller: remove it")
        if not self.all and not self.any:
            raise ValueError("nothing is asked for: give all or any with at least one text")
        return self

    def compiled(self, default_paths: tuple[str, ...]) -> SetRule:
        """Return the rule that the configuration describes."""
        readers = tuple(map(claim_path, many(self.claim) or default_paths))
        return SetRule(readers, frozenset(self.all), frozenset(self.any))


class AccessOptions(ConfigModel):
    """Options that every provider has."""

    scopes: SetRuleConfig | None = None
    """Scopes that the caller must have; by default in ``scope`` or ``scp``. Else 403 with ``insufficient_scope``."""

    roles: SetRuleConfig | None = None
    """Roles that the caller must have; by default in ``roles``. Else 403."""

    claims: tuple[ClaimRule, ...] = ()
    """Conditions on claims, all of which must be met. Else 403."""

    claims_to_headers: dict[Header, Annotated[str, Field(min_length=1)]] = {}
    """Claims for the upstream, as header name and dotted path. What a client sends under such a name is dropped."""

    identity_prefix: str = ""
    """Text before the caller's name, so that two providers' callers of one name stay apart."""

    hide_credentials: bool = False
    """Whether to take the credentials out before the request goes upstream."""

    @field_validator("claims_to_headers")
    @classmethod
    def _headers_differ(cls, value: dict[str, str]) -> dict[str, str]:
        check_distinct(value)
        return value

    def access_rules(self) -> AccessRules:
        """Return what a caller must meet."""
        return AccessRules(
            self.scopes.compiled(("scope", "scp")) if self.scopes is not None else None,
            self.roles.compiled(("roles",)) if self.roles is not None else None,
            tuple(rule.compiled() for rule in self.claims),
        )
