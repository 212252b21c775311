"""Authentication of Kong and its consumers, as one binding of auth for each route.

Kong runs each authentication of a route: all must pass, unless they name an anonymous consumer. Groups of consumers are
claims of their credentials, which acl's groups are compared with. A plugin of one consumer counts as a guard over that
consumer: one that cannot be carried over takes the consumer's credentials away, so that its requests are refused.
"""

from __future__ import annotations

from typing import Any, Final

from gateway_import.kong.entities import BOOKKEEPING, Entities, KongConsumer, KongPlugin
from gateway_import.kong.plugins import ADVICE, CONSUMER_HEADER, HARMLESS, Placed
from gateway_import.kong.scoped import is_carried, members
from gateway_import.kong.secrets import secret
from gateway_import.model import Binding, EnvReference, Finding, Imported
from gateway_import.sections import Section

AUTHENTICATIONS: Final = (
    "jwt", "key-auth", "key-auth-enc", "basic-auth", "openid-connect", "oauth2", "hmac-auth", "ldap-auth",
    "ldap-auth-advanced", "mtls-auth", "session",
)  # fmt: skip
_HEADERS: Final = {
    CONSUMER_HEADER: "consumer", "X-Consumer-Groups": "groups", "X-Consumer-Custom-ID": "custom_id",
    "X-Consumer-ID": "id", "X-Credential-Identifier": "credential", "X-Anonymous-Consumer": "anonymous",
}  # fmt: skip
"""Fields that Kong sets or removes after an authentication, so that an upstream may believe them, with claims of ours;
one without its claim is removed. Nothing gives a claim for the last two: ids that Kong makes are in no file."""
_SHORTEST: Final = {"HS256": 32, "HS384": 48, "HS512": 64}
"""Bytes of secrets that this gateway accepts (RFC 7518 section 3.2)."""


class Consumers:
    """Who there is, without those whose own guards were lost."""

    def __init__(self, imported: Imported, entities: Entities) -> None:
        self.imported = imported
        self.entities = entities
        self.secrets: dict[tuple[str, int, str], EnvReference] = {}
        self.refused = self._refused()
        self.known = [each for each in entities.consumers if each.name not in self.refused]

    def _refused(self) -> dict[str, Finding]:
        refused: dict[str, Finding] = {}
        for plugin in self.entities.plugins:
            if not plugin.enabled or (plugin.consumer is None and plugin.group is None):
                continue
            if is_carried(self.entities, plugin):
                continue
            if plugin.name in HARMLESS:
                self.imported.lose(plugin.origin, plugin.what, "plugins of one consumer are none here", "use when")
                continue
            those = members(self.entities, plugin)
            names = ", ".join(repr(each.name) for each in those) or "none"
            if plugin.name == "request-termination" and _is_all_of_them(plugin, those):
                reason = f"requests of {names} get 401, as those without credentials do"
                finding = self.imported.note(plugin.origin, plugin.what, reason)
                refused.update((each.name, finding) for each in those)
                continue
            reason = f"a plugin of one consumer has no counterpart; the credentials of {names} are left out"
            finding = self.imported.lose_guard(
                plugin.origin, plugin.what, reason, "see overrides of ratelimit, and authorize", []
            )
            refused.update((each.name, finding) for each in those)
        return refused

    def secret(self, section: Section, key: str, consumer: KongConsumer, what: str) -> EnvReference | None:
        """Return the variable for a secret; the same one wherever the credential is used."""
        value = section.text(key)
        if value is None:
            return None
        place = (section.origin.file, section.origin.line, f"{what} {value}")
        if place not in self.secrets:
            name = f"{consumer.name} {what}"
            self.secrets[place] = secret(
                self.imported, value, name, f"{what} of {consumer.name!r}", section.origin_of(key)
            )
        return self.secrets[place]


def _is_all_of_them(plugin: KongPlugin, members: list[KongConsumer]) -> bool:
    """Whether it refuses all that consumers send with credentials: it is everywhere, or they have none."""
    is_everywhere = plugin.route is None and plugin.service is None
    has_credentials = any(sections for each in members for sections in each.credentials.values())
    has_trigger = plugin.config is not None and "trigger" in plugin.config
    return bool(members) and not has_trigger and (is_everywhere or not has_credentials)


class RouteAuth:
    """The binding of auth for one route of Kong."""

    def __init__(self, consumers: Consumers, at: dict[str, Placed]) -> None:
        self.consumers = consumers
        self.at = at
        """The plugins of the route by name; those of this module are taken care of here."""
        self.providers: dict[str, dict[str, Any]] = {}
        self.required: list[Any] = []
        self.anonymous: str | None = None
        self.preflight = True

    def bind(self) -> None:
        """Put the binding on the routes; a plugin that cannot be carried over closes them."""
        names = [name for name in AUTHENTICATIONS if name in self.at]
        acl = self.at.get("acl")
        if not names:
            if acl is not None:
                acl.guard("", "it needs an authentication of the same route", ADVICE["acl"])
            return
        for name in names:
            self._add(name, self.at[name])
        if acl is not None:
            self._acl(acl)
        first = self.at[names[0]]
        if not self.required or any(route.is_closed for route in first.routes):
            return
        config: dict[str, Any] = {"providers": self.providers, "require": self._requirement(first)}
        if self.anonymous is not None and "require" in config:
            config["anonymous"] = self.anonymous
        if not self.preflight:
            config["allow_preflight"] = True
        for route in first.routes:
            if not any("claims_to_headers" in each for each in self.providers.values()):
                own = {"request": {"remove": list(_HEADERS)}}
                comments = ["fields that Kong sets, which no client may"]
                route.plugins.append(
                    Binding("headers", own, first.plugin.origin, "consumer-headers", comments=comments)
                )
            what = ", ".join(self.at[name].plugin.what for name in names)
            route.plugins.append(Binding("auth", config, first.plugin.origin, comments=[what]))

    def _requirement(self, first: Placed) -> Any:
        anonymous = {self.at[name].config.text("anonymous") for name in AUTHENTICATIONS if name in self.at}
        given = {each for each in anonymous if each}
        if not given:
            return self.required[0] if len(self.required) == 1 else {"all": self.required}
        requirement = self.required[0] if len(self.required) == 1 else {"any": self.required}
        name = next(iter(given))
        if None in anonymous or self._is_denied(name):
            return requirement if None not in anonymous else {"all": self.required}
        consumer = self.consumers.entities.consumer(name)
        self.anonymous = name if consumer is None else consumer.name
        if "acl" in self.at or self.anonymous in self.consumers.refused:
            first.guard("anonymous", "what may an anonymous consumer do?", "see anonymous and require of auth")
        note = "wrong credentials are refused, which Kong let pass as anonymous"
        self.consumers.imported.note(first.plugin.origin, first.plugin.what, note)
        return {"optional": requirement}

    def _is_denied(self, name: str) -> bool:
        """Whether requests of the anonymous consumer are terminated: the usual way to say that any of them will do."""
        consumer = self.consumers.entities.consumer(name)
        return consumer is not None and any(
            each.name == "request-termination" and each.enabled and each.consumer in consumer.aliases
            for each in self.consumers.entities.plugins
        )

    def _add(self, name: str, at: Placed) -> None:
        at.config.ignore("anonymous")
        if at.config.boolean("run_on_preflight") is False:
            self.preflight = False
        if name in {"key-auth", "key-auth-enc"}:
            self._key_auth(at)
        elif name == "basic-auth":
            self._basic_auth(at)
        elif name == "jwt":
            self._jwt(at)
        elif name == "openid-connect":
            self._openid_connect(at)
        else:
            at.guard("", "there is no such authentication", ADVICE.get(name, "write a plugin"))

    def _provide(self, name: str, provider: dict[str, Any]) -> None:
        self.providers[name] = provider

    def _key_auth(self, at: Placed) -> None:
        config = at.config
        names = config.texts("key_names") or ["apikey"]
        places: list[dict[str, str]] = []
        if config.boolean("key_in_header") is not False:
            places += [{"header": name} for name in names]
        if config.boolean("key_in_query") is not False:
            places += [{"query": name} for name in names]
        if config.boolean("key_in_body"):
            at.lose("key_in_body", "keys are not looked for in bodies", "have clients send them in a header")
        config.ignore("key_in_body")
        keys = []
        for consumer in self.consumers.known:
            for section in consumer.credentials.get("key-auth", ()):
                if "ttl" in section:
                    at.imported.lose(section.origin, f"a key of {consumer.name!r}", "it has a ttl", "give it expires")
                    section.ignore("ttl")
                    continue
                key = self.consumers.secret(section, "key", consumer, "API key")
                if key is not None:
                    keys.append({"subject": consumer.name, "key": key, "claims": self._claims(consumer)})
                section.ignore(*BOOKKEEPING, "consumer")
        provider: dict[str, Any] = {"scheme": "api-key", "key_from": places, "keys": keys}
        self._finish("key-auth", at, provider, is_empty=not keys)

    def _finish(self, name: str, at: Placed, provider: dict[str, Any], *, is_empty: bool) -> None:
        if is_empty:
            at.guard("", "no consumer of the file has a credential for it", "add credentials to the binding of auth")
            return
        if at.config.boolean("hide_credentials"):
            provider["hide_credentials"] = True
        provider["claims_to_headers"] = dict(_HEADERS)
        self._provide(name, provider)
        self.required.append(name)
        at.config.ignore("realm")
        at.rest(is_guard=True)

    def _basic_auth(self, at: Placed) -> None:
        users = []
        for consumer in self.consumers.known:
            for section in consumer.credentials.get("basic-auth", ()):
                user = section.text("username") or ""
                hashed = self.consumers.secret(section, "password", consumer, f"hash of the password of user {user!r}")
                if hashed is None:
                    continue
                users.append({"name": user, "password_hash": hashed, "claims": self._claims(consumer)})
                section.ignore(*BOOKKEEPING, "consumer")
        if users:
            reason = (
                "passwords are kept as hashes: put what htpasswd -nB makes of each into its variable, behind the colon"
            )
            at.imported.note(at.plugin.origin, at.plugin.what, reason)
        self._finish("basic-auth", at, {"scheme": "basic", "users": users}, is_empty=not users)

    def _jwt(self, at: Placed) -> None:
        config = at.config
        if (config.text("key_claim_name") or "iss") != "iss":
            at.guard("key_claim_name", "only iss distinguishes tokens", "bind auth with the key of each consumer")
            return
        places: list[dict[str, str]] = [
            {"header": name, "scheme": "Bearer"} for name in config.texts("header_names") or ["authorization"]
        ]
        parameters = config.texts("uri_param_names") if "uri_param_names" in config else ["jwt"]
        places += [{"query": name} for name in parameters] + [{"cookie": name} for name in config.texts("cookie_names")]
        shared: dict[str, Any] = {"token_from": places}
        if verified := config.texts("claims_to_verify"):
            shared["required_claims"] = verified
        if maximum := config.integer("maximum_expiration"):
            shared["max_lifetime"] = f"{maximum}s"
        is_base64 = config.boolean("secret_is_base64")
        providers: dict[str, dict[str, Any]] = {}
        for consumer in self._permitted():
            for section in consumer.credentials.get("jwt", ()):
                provider = self._jwt_of(at, consumer, section)
                if provider is not None:
                    if is_base64 and "secret" in provider:
                        provider["secret_format"] = "base64"  # noqa: S105 - an encoding
                    providers[f"jwt-{len(providers) + 1}"] = {**provider, **shared, "identity_claim": "iss"}
        if not providers:
            at.guard("", "no consumer that may pass has a credential for it", "add credentials to the binding of auth")
            return
        self.providers |= providers
        self.required.append({"any": list(providers)} if len(providers) > 1 else next(iter(providers)))
        reason = "a token names its issuer, not its consumer: the upstream gets no X-Consumer-Username"
        at.imported.note(at.plugin.origin, at.plugin.what, reason, "see claims_to_headers of auth")
        config.ignore("realm")
        at.rest(is_guard=True)

    def _jwt_of(self, at: Placed, consumer: KongConsumer, section: Section) -> dict[str, Any] | None:
        algorithm = section.text("algorithm") or "HS256"
        key = section.text("key")
        section.ignore(*BOOKKEEPING, "consumer")
        provider: dict[str, Any] = {"scheme": "jwt"}
        if algorithm.startswith("HS"):
            found = self.consumers.secret(section, "secret", consumer, "secret of tokens")
            if found is None or key is None:
                reason = "Kong makes what is not given: a key or a secret of the credential"
                at.imported.lose(section.origin, f"a jwt secret of {consumer.name!r}", reason, "export it with decK")
                return None
            if len(section.text("secret") or "") < _SHORTEST.get(algorithm, 32):
                reason = f"a secret for {algorithm} has {_SHORTEST.get(algorithm, 32)} bytes or more here"
                at.imported.note(section.origin, f"a jwt secret of {consumer.name!r}", reason, "make a new one")
            provider["secret"] = found
        else:
            public = section.text("rsa_public_key")
            if public is None or key is None:
                at.imported.lose(section.origin, f"a jwt key of {consumer.name!r}", "it has no public key", "add it")
                return None
            provider["public_key"] = public
            section.ignore("secret")
        return {**provider, "algorithms": [algorithm], "issuer": key}

    def _claims(self, consumer: KongConsumer) -> dict[str, Any]:
        groups = self._groups_of(consumer)
        return {"consumer": consumer.name, **({"groups": groups} if groups else {}), **consumer.ids}

    def _groups_of(self, consumer: KongConsumer) -> list[str]:
        """Return the groups that acl compares: consumer groups only where it says that they count."""
        acl = self.at.get("acl")
        counts = acl is not None and acl.config.boolean("include_consumer_groups")
        return list(dict.fromkeys(consumer.groups + (consumer.memberships if counts else [])))

    def _permitted(self) -> list[KongConsumer]:
        """Tokens have no groups of Kong's, so acl is decided here: who may not pass gets no provider."""
        acl = self.at.get("acl")
        if acl is None:
            return self.consumers.known
        allow, deny = _groups(acl)
        return [
            each for each in self.consumers.known
            if (not allow or set(allow) & set(self._groups_of(each))) and not set(deny) & set(self._groups_of(each))
        ]  # fmt: skip

    def _acl(self, acl: Placed) -> None:
        allow, deny = _groups(acl)
        acl.config.ignore("hide_groups_header", "always_use_authenticated_groups", "include_consumer_groups")
        if not allow and not deny:
            acl.guard("", "it names no groups", "add allow or deny")
        for provider in self.providers.values():
            if provider["scheme"] == "jwt" and "issuer" in provider and not provider.get("discovery"):
                continue
            if allow:
                provider["roles"] = {"any": allow, "claim": "groups"}
            if deny:
                provider["claims"] = [{"claim": "groups", "none_of": [group]} for group in deny]
        acl.rest(is_guard=True)

    def _openid_connect(self, at: Placed) -> None:
        config = at.config
        methods = config.texts("auth_methods")
        issuer = config.text("issuer")
        if methods != ["bearer"] or issuer is None:
            at.guard("auth_methods", "only auth_methods: [bearer] can be carried over", ADVICE["openid-connect"])
            return
        provider: dict[str, Any] = {
            "scheme": "jwt", "issuer": issuer.removesuffix("/.well-known/openid-configuration"), "discovery": True,
        }  # fmt: skip
        if audience := config.texts("audience_required") or config.texts("audience"):
            provider["audience"] = audience
        if scopes := config.texts("scopes_required"):
            provider["scopes"] = {"all": [word for text in scopes for word in text.split()]}
        if config.boolean("hide_credentials"):
            provider["hide_credentials"] = True
        config.ignore("client_id", "client_secret", "scopes", "ssl_verify", "consumer_optional", "logout_methods")
        self._provide("openid-connect", provider)
        self.required.append("openid-connect")
        at.rest(is_guard=True)


def _groups(acl: Placed) -> tuple[list[str], list[str]]:
    config = acl.config
    return config.texts("allow") or config.texts("whitelist"), config.texts("deny") or config.texts("blacklist")
