"""What we ask of an authority (RFC 8555), by certbot's library, which blocks: all of this runs in `thread`.

The library has no key rollover (section 7.3.5), no ``replaces`` (RFC 9773 section 5) and no TLS-ALPN-01 (RFC 8737), it
repeats a request only once when its nonce is refused, and takes any amount of what a server sends. That is added here.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any, Final

import requests
from acme import challenges, client, errors, jws, messages
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from gateway_plugin_sdk import GatewayError
from josepy.json_util import field
from josepy.jwa import ES256
from josepy.jwk import JWK

from gateway_plugin_acme.config import AuthorityConfig
from gateway_plugin_acme.crypto import key_pem, renewal_identifier
from gateway_plugin_acme.renewal import Window

_LARGEST: Final = 1024 * 1024
"""Bytes of a response; a chain of certificates has some 6 KB."""
_NONCES: Final = 20
"""Attempts with a fresh nonce each, where the authority refuses those that it has given (section 6.5)."""
RATE_LIMITED: Final = "rateLimited"
_PROBLEM: Final = "urn:ietf:params:acme:error:"
_USER_AGENT: Final = "gateway-plugin-acme"


class AuthorityError(GatewayError):
    """An authority that does not respond, responds with garbage, or refuses."""

    def __init__(self, reason: str, code: str = "", retry_after: float | None = None, *, is_away: bool = False) -> None:
        """Say what happened.

        :param code: the authority's own (section 6.7), such as ``rateLimited``; empty if there is none.
        :param retry_after: seconds until it may be asked again, if that is known.
        :param is_away: whether it did not respond.
        """
        super().__init__(reason)
        self.code, self.retry_after, self.is_away = code, retry_after, is_away


@challenges.ChallengeResponse.register
class TlsAlpn01Response(challenges.KeyAuthorizationChallengeResponse):
    """The response to a challenge of RFC 8737."""

    typ = "tls-alpn-01"


@challenges.Challenge.register
class TlsAlpn01(challenges.KeyAuthorizationChallenge):
    """A challenge of RFC 8737."""

    response_cls = TlsAlpn01Response
    typ = response_cls.typ

    def validation(self, account_key: JWK, **_: Any) -> str:
        """Return the key authorization."""
        return self.key_authorization(account_key)


class _NewOrder(messages.NewOrder):
    """An order that says which certificate it replaces."""

    replaces: str | None = field("replaces", omitempty=True)


@dataclass(frozen=True, slots=True)
class Challenge:
    """One way to prove that a name is ours."""

    kind: str
    url: str
    token: str
    key_authorization: str
    dns_value: str
    """What the TXT record has for DNS-01 (section 8.4)."""


@dataclass(frozen=True, slots=True)
class Authorization:
    """Whether a name is proved to be ours."""

    url: str
    name: str
    is_wildcard: bool
    status: str
    challenges: tuple[Challenge, ...]
    error: str
    retry_after: float | None = None
    """Seconds until it is to be looked at again, if the authority has given them (section 7.5.1)."""


@dataclass(frozen=True, slots=True)
class Order:
    """A certificate that was asked for."""

    url: str
    status: str
    authorizations: tuple[str, ...]
    finalize: str
    certificate: str
    error: str
    retry_after: float | None = None
    """Seconds until it is to be looked at again, if the authority has given them (section 7.4)."""


class _Network(client.ClientNetwork):
    """Sends requests; reads no more and waits no longer than it should."""

    def __init__(self, key: JWK, timeout: float, ca: str | None) -> None:
        super().__init__(key, alg=ES256, user_agent=_USER_AGENT, timeout=max(1, round(timeout)))
        self.verify_ssl = ca or True  # type: ignore[assignment]  # requests takes the path of a file as well
        self._seconds = timeout
        self.last_fields: Mapping[str, str] = {}

    def _send_request(self, method: str, url: str, *args: Any, **kwargs: Any) -> requests.Response:
        self.last_fields = {}
        end = time.monotonic() + self._seconds
        kwargs["headers"] = {"User-Agent": self.user_agent, **(kwargs.get("headers") or {})}
        kwargs |= {"verify": self.verify_ssl, "timeout": self._seconds, "stream": True}
        response = self.session.request(method, url, *args, **kwargs)
        self.last_fields = response.headers
        body = bytearray()
        try:
            for part in response.iter_content(65536):
                body += part
                if len(body) > _LARGEST:
                    raise errors.ClientError(f"the response is larger than {_LARGEST} bytes")
                if time.monotonic() > end:
                    raise requests.Timeout("the response does not end in time")
        finally:
            response.close()
        response._content = bytes(body)  # noqa: SLF001 - requests has no bound of its own
        response.encoding = "utf-8"
        return response

    def post(self, *args: Any, **kwargs: Any) -> requests.Response:
        for attempt in range(_NONCES):
            try:
                return self._post_once(*args, **kwargs)
            except messages.Error as error:
                if error.code != "badNonce" or attempt == _NONCES - 1:
                    raise
        raise AssertionError("the last attempt returns or raises")


class Authority(client.ClientV2):
    """An authority, and our account there. Every method raises `AuthorityError`."""

    def __init__(
        self, config: AuthorityConfig, account_key: bytes, account_url: str, wall: Callable[[], float]
    ) -> None:
        """Ask for the directory.

        :param account_key: in PEM; an elliptic curve's.
        :param account_url: that of the account; empty until it is registered.
        :param wall: returns seconds since the epoch.
        """
        self._wall = wall
        self._key = JWK.load(account_key)
        ca = None if config.ca is None else str(config.ca)
        self._network = _Network(self._key, config.timeout, ca)
        with self._errors():
            directory = client.ClientV2.get_directory(config.url, self._network)
            for name in ("newNonce", "newAccount", "newOrder"):
                directory[name]
        super().__init__(directory, self._network)
        self._config = config
        if account_url:
            self._use(account_url)

    def _use(self, account_url: str) -> None:
        self._network.account = messages.RegistrationResource(uri=account_url, body=messages.Registration())

    @contextmanager
    def _errors(self) -> Iterator[None]:
        """Turn whatever the library raises into an error that says what the authority did."""
        try:
            yield
        except GatewayError:
            raise
        except messages.Error as error:
            texts = [error.detail or error.title or error.typ]
            texts += [
                f"{each.identifier.value if each.identifier else ''}: {each.detail}" for each in error.subproblems or ()
            ]
            code = error.typ.removeprefix(_PROBLEM)
            raise AuthorityError(f"{'; '.join(texts)} ({code})", code, self._retry_after()) from error
        except (requests.ConnectionError, requests.Timeout) as error:
            raise AuthorityError(_network_reason(error), is_away=True) from error
        except errors.ConflictError as error:
            raise AuthorityError(f"the authority reports a conflict with {error.location}", "conflict") from error
        except errors.ClientError as error:
            cause = error.args[0] if error.args else error
            status = cause.status_code if isinstance(cause, requests.Response) else 0
            what = f"status {status}" if status else str(cause) or repr(error)
            code = RATE_LIMITED if status == 429 else ""  # of a proxy in front of the authority
            raise AuthorityError(
                f"the authority responds with what is no ACME: {what}", code, self._retry_after()
            ) from error
        except Exception as error:  # the library's own code, for whatever a server sends
            raise AuthorityError(f"the authority responds with what is no ACME: {error!r}") from error

    def _retry_after(self) -> float | None:
        text = self._network.last_fields.get("Retry-After")
        if text is None:
            return None
        try:
            return (
                max(float(text), 0.0)
                if text.isdigit()
                else max(parsedate_to_datetime(text).timestamp() - self._wall(), 0.0)
            )
        except (ValueError, TypeError, OverflowError):
            return None

    def register(self, email: str | None, *, only_existing: bool = False) -> str:
        """Return the URL of our account, which is made if there is none for the key, unless ``only_existing``."""
        with self._errors():
            account = self._config.external_account
            binding = None
            if account is not None:
                binding = messages.ExternalAccountBinding.from_data(
                    self._key.public_key(), account.key_id, account.hmac_key.reveal(), self.directory
                )
            new = messages.NewRegistration(
                contact=() if email is None else (f"mailto:{email}",),
                terms_of_service_agreed=True,
                **({} if binding is None or only_existing else {"external_account_binding": binding}),
                **({"only_return_existing": True} if only_existing else {}),
            )
            response = self._post(self.directory["newAccount"], new)
            url = response.headers["Location"]
            self._use(url)
            return url

    def new_order(self, names: tuple[str, ...], replaces: bytes | None = None) -> Order:  # type: ignore[override]
        """Ask for a certificate.

        :param replaces: the chain of the certificate that this is a renewal of.
        """
        with self._errors():
            more: dict[str, Any] = {}
            if replaces is not None and self._has("renewalInfo"):
                more["replaces"] = renewal_identifier(replaces)
            if self._config.profile is not None:
                more["profile"] = self._config.profile
            identifiers = [messages.Identifier(typ=messages.IDENTIFIER_FQDN, value=name) for name in names]
            order = _NewOrder(identifiers=identifiers, **more)
            response = self._post(self.directory["newOrder"], order)
            return self._order(response, response.headers["Location"])

    def order(self, url: str) -> Order:
        """Return how an order is now."""
        with self._errors():
            return self._order(self._post_as_get(url), url)

    def authorization(self, url: str) -> Authorization:
        """Return how an authorization is now."""
        with self._errors():
            body = messages.Authorization.from_json(self._post_as_get(url).json())
            failed = [each.error for each in body.challenges or () if each.error is not None]
            return Authorization(
                url,
                body.identifier.value,
                bool(body.wildcard),
                body.status.name,
                tuple(self._challenges(body)),
                "; ".join(f"{each.detail} ({each.code or each.typ})" for each in failed),
                self._retry_after(),
            )

    def _challenges(self, body: messages.Authorization) -> Iterator[Challenge]:
        for each in body.challenges or ():
            if isinstance(each.chall, challenges.KeyAuthorizationChallenge):
                key_authorization = each.chall.key_authorization(self._key)
                value = challenges.DNS01(token=each.chall.token).validation(self._key)
                token = each.chall.encode("token")
                yield Challenge(each.chall.typ, each.uri, token, key_authorization, value)

    def begin_validation(self, challenge: Challenge) -> None:
        """Have the authority look."""
        with self._errors():
            self._post(challenge.url, TlsAlpn01Response(key_authorization=challenge.key_authorization))

    def finalize(self, order: Order, request: bytes) -> Order:
        """Hand in the request for a certificate, in PEM, once every name is proved."""
        with self._errors():
            wrapped = messages.CertificateRequest(csr=x509.load_pem_x509_csr(request))
            return self._order(self._post(order.finalize, wrapped), order.url)

    def certificate(self, order: Order) -> bytes:
        """Return the chain of an order that is valid."""
        with self._errors():
            return self._post_as_get(order.certificate).content

    def revoke(self, chain: bytes, reason: int = 0) -> None:  # type: ignore[override]
        """Revoke a certificate (section 7.6)."""
        with self._errors():
            self._revoke(x509.load_pem_x509_certificate(chain), reason, self.directory["revokeCert"])

    def suggested_window(self, chain: bytes) -> tuple[Window | None, float | None]:
        """Return when the authority suggests to renew, and in how many seconds to ask again (RFC 9773).

        :returns: None for both if the authority suggests nothing.
        """
        with self._errors():
            identifier = renewal_identifier(chain)
            if identifier is None or not self._has("renewalInfo"):
                return None, None
            response = self._network.get(f"{self.directory['renewalInfo'].rstrip('/')}/{identifier}")
            found = messages.RenewalInfo.from_json(response.json()).suggested_window
            return Window(found.start.timestamp(), found.end.timestamp()), self._retry_after()

    def change_key(self, new_key: ec.EllipticCurvePrivateKey) -> None:
        """Give the account another key (section 7.3.5)."""
        with self._errors():
            pem = key_pem(new_key)
            key, url = JWK.load(pem), self.directory["keyChange"]
            account = self._network.account
            assert account is not None, "the account is registered"
            payload = {"account": account.uri, "oldKey": self._key.public_key().to_json()}
            inner = jws.JWS.sign(_json(payload), key=key, alg=ES256, nonce=None, url=url)
            self._post(url, inner)
            self._key = self._network.key = key

    def _has(self, resource: str) -> bool:
        try:
            return bool(self.directory[resource])
        except KeyError:
            return False

    def _order(self, response: requests.Response, url: str) -> Order:
        body = messages.Order.from_json(response.json())
        error = "" if body.error is None else f"{body.error.detail} ({body.error.code or body.error.typ})"
        return Order(
            url, body.status.name, tuple(body.authorizations or ()), body.finalize or "", body.certificate or "", error,
            self._retry_after(),
        )  # fmt: skip


def account_key() -> bytes:
    """Return a new key for an account, in PEM."""
    return key_pem(ec.generate_private_key(ec.SECP256R1()))


def load_account_key(pem: bytes) -> ec.EllipticCurvePrivateKey:
    """Return a key that `account_key` made.

    :raises GatewayError: it is none.
    """
    try:
        key = serialization.load_pem_private_key(pem, None)
    except (ValueError, TypeError) as error:
        raise GatewayError(f"the account's key in the storage cannot be read: {error}") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise GatewayError("the account's key in the storage is of another kind")
    return key


def _json(value: object) -> bytes:
    return json.dumps(value).encode()


def _network_reason(error: requests.ConnectionError | requests.Timeout) -> str:
    if isinstance(error, requests.Timeout):
        return "the authority does not respond in time"
    if isinstance(error, requests.exceptions.SSLError):
        return f"the authority's own certificate is not trusted: {error}"
    return f"the authority is away: {error}"
