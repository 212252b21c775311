"""What is asked of a provider's endpoints: tokens for a code, newer tokens, claims of a user, an end to tokens."""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Callable, Mapping
from typing import Any, Final
from urllib.parse import quote_plus

from gateway_tokens.documents import FetchError
from gateway_tokens.loaders import Client
from gateway_tokens.reading import decode_json

from gateway_plugin_oidc.provider import Provider
from gateway_plugin_oidc.session import Tokens

_LONGEST_CODE: Final = 64
_NEEDS_LOGIN: Final = frozenset({"invalid_grant", "interaction_required", "login_required", "consent_required"})
"""What ends a grant: Entra has the codes of the authorization endpoint here too, when it wants another factor."""
_JSON: Final = {"Accept": "application/json"}


Assertions = Callable[[Provider], Mapping[str, str]]


class ProviderAwayError(Exception):
    """The provider does not respond, or with something that is no response of OpenID Connect."""


class TokensRefusedError(Exception):
    """The provider refuses; `code` is its ``error`` (RFC 6749 section 5.2)."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code

    @property
    def needs_login(self) -> bool:
        """Whether only another login of the user helps; otherwise the fault is ours or the provider's."""
        return self.code in _NEEDS_LOGIN


class Endpoints:
    """Asks a provider as one client."""

    def __init__(
        self, client: Client, client_id: str, client_secret: str, method: str, assertions: Assertions | None = None
    ) -> None:
        """Take what the client is.

        :param method: ``basic``, ``post``, ``none``, or ``auto`` for what the provider's metadata says.
        :param assertions: gives the fields that authenticate the client by a key, whatever the method is.
        """
        self._client = client
        self._id = client_id
        self._secret = client_secret
        self._method = method
        self._assertions = assertions

    async def redeem(self, provider: Provider, code: str, redirect_uri: str, verifier: str) -> Tokens:
        """Return the tokens for an authorization code.

        :raises TokensRefusedError: the code is used, old or another client's; `ProviderAwayError`.
        """
        form = {"grant_type": "authorization_code", "code": code, "redirect_uri": redirect_uri}
        return await self._tokens(provider, {**form, "code_verifier": verifier})

    async def refresh(self, provider: Provider, refresh_token: str) -> Tokens:
        """Return newer tokens.

        :raises TokensRefusedError: the refresh token is used or old; `ProviderAwayError`.
        """
        return await self._tokens(provider, {"grant_type": "refresh_token", "refresh_token": refresh_token})

    async def revoke(self, provider: Provider, refresh_token: str) -> None:
        """Have the provider end a refresh token (RFC 7009), if it can.

        :raises ProviderAwayError: it does not respond.
        """
        if provider.revocation_endpoint and refresh_token:
            form = {"token": refresh_token, "token_type_hint": "refresh_token"}
            await self._post(provider, provider.revocation_endpoint, form)

    async def userinfo(self, provider: Provider, access_token: str) -> Mapping[str, Any]:
        """Return what the provider says of a user (OpenID Connect Core section 5.3).

        :raises ProviderAwayError: it says nothing that can be used.
        """
        headers = {**_JSON, "Authorization": f"Bearer {access_token}"}
        try:
            status, body = await self._client.send("GET", provider.userinfo_endpoint, headers)
            found = decode_json(body) if status == 200 else None
        except (FetchError, ValueError) as error:
            raise ProviderAwayError(f"userinfo: {error}") from error
        if not isinstance(found, dict):
            raise ProviderAwayError(f"userinfo: the provider responds {status}")
        return found

    async def _tokens(self, provider: Provider, form: Mapping[str, str]) -> Tokens:
        status, found = await self._post(provider, provider.token_endpoint, form)
        if status in {400, 401, 403} and isinstance(found, dict):
            code = found.get("error")
            if isinstance(code, str):
                raise TokensRefusedError(code[:_LONGEST_CODE])
        if status != 200 or not isinstance(found, dict):
            raise ProviderAwayError(f"the token endpoint responds {status}")
        return tokens_of(found)

    async def _post(self, provider: Provider, url: str, form: Mapping[str, str]) -> tuple[int, Any]:
        headers, fields = self._authenticated(provider, form)
        try:
            status, body = await self._client.send("POST", url, headers, fields)
        except FetchError as error:
            raise ProviderAwayError(str(error)) from error
        try:
            return status, decode_json(body) if body else None
        except ValueError:
            return status, None

    def _authenticated(self, provider: Provider, form: Mapping[str, str]) -> tuple[dict[str, str], dict[str, str]]:
        method = self._method
        if self._assertions is not None:
            return dict(_JSON), {**form, "client_id": self._id, **self._assertions(provider)}
        if method == "auto":
            offered = provider.auth_methods
            only_post = "client_secret_post" in offered and "client_secret_basic" not in offered
            method = "none" if not self._secret else "post" if only_post else "basic"
        if method == "basic":
            # Both are encoded as in a form before they are joined (RFC 6749 section 2.3.1).
            pair = f"{quote_plus(self._id)}:{quote_plus(self._secret)}"
            return {**_JSON, "Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}, dict(form)
        fields = {**form, "client_id": self._id}
        if method == "post":
            fields["client_secret"] = self._secret
        return dict(_JSON), fields


def tokens_of(found: Mapping[str, Any]) -> Tokens:
    """Read the response of a token endpoint.

    :raises ProviderAwayError: it is none.
    """
    access, kind = found.get("access_token"), found.get("token_type", "Bearer")
    if not isinstance(access, str) or not access.isascii() or not access.isprintable() or not isinstance(kind, str):
        raise ProviderAwayError("the token endpoint gives no access token")
    if kind.lower() != "bearer":
        raise ProviderAwayError("the token endpoint gives tokens of another type than Bearer")
    return Tokens(access, _optional(found, "refresh_token"), _optional(found, "id_token"), _seconds(found))


def _optional(found: Mapping[str, Any], name: str) -> str:
    value = found.get(name)
    return value if isinstance(value, str) and value.isascii() and value.isprintable() else ""


def _seconds(found: Mapping[str, Any]) -> float:
    value = found.get("expires_in")
    # Some providers write it as a text.
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 12:
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 1e11:
        return math.inf
    return float(value)


def shown_error(error: str) -> str:
    """Return a provider's error as a log line may have it."""
    return json.dumps(error[:_LONGEST_CODE])
