"""An OpenID provider on a real socket, made of authlib; it misbehaves on request.

Users need not type anything: every visitor of the authorization endpoint is ``user``.
"""

from __future__ import annotations

import base64
import hashlib
import json
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final, cast
from urllib.parse import parse_qsl, urlencode, urlsplit

import jwt
from authlib.oauth2.rfc6749 import AuthorizationServer, OAuth2Request
from authlib.oauth2.rfc6749.grants import AuthorizationCodeGrant, RefreshTokenGrant
from authlib.oauth2.rfc6749.requests import BasicOAuth2Payload
from authlib.oauth2.rfc7523 import JWTBearerClientAssertion
from authlib.oauth2.rfc7636 import CodeChallenge
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

AUTH_METHODS: Final = ["client_secret_basic", "client_secret_post", "private_key_jwt", "none"]
LOGOUT_EVENT: Final = "http://schemas.openid.net/event/backchannel-logout"
Answer = tuple[int, Any, list[tuple[str, str]]]


class Client:
    """The one client, as authlib asks for it."""

    def __init__(self, provider: Provider) -> None:
        self.provider = provider

    def get_client_id(self) -> str:
        return self.provider.client_id

    def get_default_redirect_uri(self) -> str:
        return self.provider.redirect_uris[0]

    def get_allowed_scope(self, scope: str) -> str:
        return scope

    def check_redirect_uri(self, uri: str) -> bool:
        return uri in self.provider.redirect_uris

    def check_client_secret(self, secret: str) -> bool:
        return secret in self.provider.client_secrets

    def check_endpoint_auth_method(self, method: str, endpoint: str) -> bool:
        return method in self.provider.auth_methods

    def check_response_type(self, kind: str) -> bool:
        return kind == "code"

    def check_grant_type(self, kind: str) -> bool:
        return kind in {"authorization_code", "refresh_token"}


class FormRequest(OAuth2Request):  # type: ignore[misc]  # authlib has no types
    @property
    def form(self) -> Any:
        return self.payload.data

    @property
    def args(self) -> Any:
        return self.payload.data


class Code:
    """An authorization code."""

    def __init__(self, data: dict[str, str], user: str) -> None:
        self.data, self.user = data, user
        self.code_challenge = data.get("code_challenge")
        self.code_challenge_method = data.get("code_challenge_method")

    def get_redirect_uri(self) -> str:
        return self.data["redirect_uri"]

    def get_scope(self) -> str:
        return self.data["scope"]


class RefreshToken:
    def __init__(self, text: str, user: str, scope: str) -> None:
        self.text, self.user, self.scope = text, user, scope

    def check_client(self, client: Client) -> bool:
        return True

    def get_scope(self) -> str:
        return self.scope


class KeyAuthentication(JWTBearerClientAssertion):  # type: ignore[misc]  # authlib has no types
    """Authenticates the client by its key (RFC 7523)."""

    CLIENT_AUTH_METHOD = "private_key_jwt"

    def __init__(self, provider: Provider) -> None:
        super().__init__()
        self.provider = provider

    def get_audiences(self) -> list[str]:
        # Of the tests' choice; the issuer unless they choose.
        return self.provider.assertion_audiences or [self.provider.issuer]

    def validate_jti(self, claims: Any, jti: str) -> bool:
        self.provider.assertions[jti] += 1
        return self.provider.assertions[jti] == 1

    def resolve_client_public_key(self, client: Client) -> Any:
        return self.provider.client_key


class CodeGrant(AuthorizationCodeGrant):  # type: ignore[misc]  # authlib has no types
    TOKEN_ENDPOINT_AUTH_METHODS = AUTH_METHODS

    def save_authorization_code(self, code: str, request: Any) -> None:
        self.server.provider.codes[code] = Code(request.payload.data, request.user)

    def query_authorization_code(self, code: str, client: Client) -> Code | None:
        found: Code | None = self.server.provider.codes.get(code)
        return found

    def delete_authorization_code(self, code: Code) -> None:
        codes = self.server.provider.codes
        for text in [text for text, each in codes.items() if each is code]:
            del codes[text]

    def authenticate_user(self, code: Code) -> str:
        return code.user


class RefreshGrant(RefreshTokenGrant):  # type: ignore[misc]  # authlib has no types
    TOKEN_ENDPOINT_AUTH_METHODS = AUTH_METHODS
    INCLUDE_NEW_REFRESH_TOKEN = True

    def authenticate_refresh_token(self, text: str) -> RefreshToken | None:
        provider = self.server.provider
        with provider.lock:  # good for one use; the second ends all that came of the first (RFC 9700 section 4.14.2)
            found: RefreshToken | None = provider.refresh_tokens.pop(text, None)
            if found is None:
                provider.requests["reuse"] += 1
                provider.refresh_tokens.clear()
        return found

    def authenticate_user(self, credential: RefreshToken) -> str:
        return credential.user

    def revoke_old_credential(self, credential: RefreshToken) -> None:
        """It is gone already."""


class Server(AuthorizationServer):  # type: ignore[misc]  # authlib has no types
    def __init__(self, provider: Provider) -> None:
        super().__init__()
        self.provider = provider
        self.register_grant(CodeGrant, [CodeChallenge(required=True)])
        self.register_grant(RefreshGrant)
        self.register_client_auth_method(KeyAuthentication.CLIENT_AUTH_METHOD, KeyAuthentication(provider))
        self.register_token_generator("default", self.make_tokens)

    def query_client(self, client_id: str) -> Client | None:
        return Client(self.provider) if client_id == self.provider.client_id else None

    def save_token(self, token: Any, request: Any) -> None:
        """Everything is kept by `make_tokens`."""

    def send_signal(self, name: str, *args: Any, **kwargs: Any) -> None:
        """Nothing listens there."""

    def create_oauth2_request(self, request: Any) -> OAuth2Request:
        method, path, headers, fields = request
        made = FormRequest(method, f"https://provider{path}", headers=headers)
        made.payload = BasicOAuth2Payload(fields)
        return made

    def handle_response(self, status: int, body: Any, headers: Any) -> Answer:
        return status, body, list(headers)

    def make_tokens(self, grant_type: str, client: Any, user: str, scope: str, **_: Any) -> dict[str, Any]:
        provider = self.provider
        access, refresh = f"access-{uuid.uuid4().hex}", f"refresh-{uuid.uuid4().hex}"
        provider.access_tokens[access] = user
        tokens: dict[str, Any] = {"token_type": "Bearer", "access_token": access, "scope": scope}
        if provider.expires_in is not None:
            tokens["expires_in"] = provider.expires_in
        if provider.gives_refresh_tokens:
            provider.refresh_tokens[refresh] = RefreshToken(refresh, user, scope)
            tokens["refresh_token"] = refresh
        return tokens


class Provider:
    """Start it in a ``with`` statement. What a test sets on it holds for the next request."""

    def __init__(self) -> None:
        self.client_id, self.client_secrets = "web", ["s3cret+/%"]
        self.redirect_uris = ["http://127.0.0.1/cb"]
        self.auth_methods = ["client_secret_basic", "client_secret_post"]
        self.client_key: Any = None
        self.assertion_audiences: list[str] = []
        self.assertions: Counter[str] = Counter()
        self.user, self.expires_in = "alice", cast("Any", 3600)
        self.gives_refresh_tokens = True
        self.key: EllipticCurvePrivateKey = ec.generate_private_key(ec.SECP256R1())
        self.key_id = "k1"
        self.extra_claims: dict[str, Any] = {}
        self.metadata_changes: dict[str, Any] = {}
        self.token_error: dict[str, Any] = {}  # what the token endpoint refuses with
        self.is_away = False  # everything gets 503
        self.away_paths: set[str] = set()  # only these get 503
        self.tamper_claims: Callable[[dict[str, Any]], object] = lambda _: None
        self.tamper_tokens: Callable[[dict[str, Any]], object] = lambda _: None
        self.sign: Callable[[dict[str, Any]], str] = self.signed
        self.tamper_callback: Callable[[dict[str, str]], object] = lambda _: None
        self.userinfo: dict[str, Any] = {}
        self.requests: Counter[str] = Counter()
        self.refreshing = threading.Event()
        """Set while a refresh is to go through; cleared, refreshes wait."""
        self.refreshing.set()
        self.codes: dict[str, Code] = {}
        self.refresh_tokens: dict[str, RefreshToken] = {}
        self.access_tokens: dict[str, str] = {}
        self.lock = threading.Lock()
        self._server = Server(self)
        provider = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                self._respond({})

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
                self._respond(dict(parse_qsl(body)))

            def _respond(self, form: dict[str, str]) -> None:
                status, body, headers = provider.respond(self.command, self.path, self.headers, form)
                data = body.encode() if isinstance(body, str) else json.dumps(body).encode()
                self.send_response(status)
                for name, value in headers:
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._http.server_address[1]}"
        self.issuer = self.url
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True)

    def __enter__(self) -> Provider:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.refreshing.set()
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()

    # -- endpoints

    def respond(self, method: str, path: str, headers: Any, form: dict[str, str]) -> Answer:
        parts = urlsplit(path)
        self.requests[parts.path] += 1
        if self.is_away or parts.path in self.away_paths:
            return 503, "away", []
        request = (method, path, headers, form or dict(parse_qsl(parts.query)))
        if parts.path.endswith("/.well-known/openid-configuration"):
            return 200, self.metadata(), [("Content-Type", "application/json")]
        if parts.path == "/jwks":
            return 200, {"keys": [self.jwk()]}, []
        if parts.path == "/authorize":
            return self._authorize(request)
        if parts.path == "/token":
            return (400, self.token_error, []) if self.token_error else self._token(request)
        if parts.path == "/userinfo":
            user = self.access_tokens.get(headers.get("Authorization", "").removeprefix("Bearer "))
            return (200, {"sub": user, **self.userinfo}, []) if user else (401, {}, [])
        if parts.path == "/revoke":
            self.refresh_tokens.pop(form.get("token", ""), None)
            return 200, "", []
        if parts.path == "/logout":
            return 200, "logged out", [("Content-Type", "text/html")]
        return 404, "", []

    def metadata(self) -> dict[str, Any]:
        places = {"authorization": "authorize", "token": "token", "userinfo": "userinfo", "revocation": "revoke"}
        return {
            "issuer": self.issuer,
            **{f"{name}_endpoint": f"{self.url}/{path}" for name, path in places.items()},
            "end_session_endpoint": f"{self.url}/logout",
            "jwks_uri": f"{self.url}/jwks",
            "token_endpoint_auth_methods_supported": self.auth_methods,
            "authorization_response_iss_parameter_supported": True,
            **self.metadata_changes,
        }

    def jwk(self) -> dict[str, Any]:
        made: dict[str, Any] = jwt.algorithms.ECAlgorithm.to_jwk(self.key.public_key(), as_dict=True)
        return {"kid": self.key_id, "use": "sig", "alg": "ES256", **made}

    def _authorize(self, request: Any) -> Answer:
        grant = self._server.get_consent_grant(request, end_user=self.user)
        status, _, headers = self._server.create_authorization_response(request, grant_user=self.user, grant=grant)
        location = dict(headers)["Location"]
        base, _, query = location.partition("?")
        parameters = {**dict(parse_qsl(query)), "iss": self.issuer}
        self.tamper_callback(parameters)
        return status, "", [("Location", f"{base}?{urlencode(parameters)}")]

    def _token(self, request: Any) -> Answer:
        fields = request[3]
        is_refresh = fields.get("grant_type") == "refresh_token"
        if is_refresh:
            self.requests["refresh"] += 1
            self.refreshing.wait(30)
        known = self.codes.get(fields.get("code", ""))
        status, body, headers = self._server.create_token_response(request)
        if status == 200:
            claims = self.claims_for(known.user if known is not None else self.access_tokens[body["access_token"]])
            if known is not None:
                claims["nonce"] = known.data["nonce"]
            digest = hashlib.sha256(body["access_token"].encode()).digest()[:16]
            claims["at_hash"] = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
            self.tamper_claims(claims)
            body["id_token"] = self.sign(claims)
            self.tamper_tokens(body)
        return status, body, headers

    # -- tokens

    def claims_for(self, user: str) -> dict[str, Any]:
        now = int(time.time())  # noqa: TID251 - as another machine does
        claims = {"iss": self.issuer, "sub": user, "aud": self.client_id, "iat": now, "exp": now + 36000}
        return {**claims, "sid": f"sid-of-{user}", "auth_time": now, **self.extra_claims}

    def signed(self, claims: dict[str, Any], **headers: Any) -> str:
        return jwt.encode(claims, self.key, "ES256", {"kid": self.key_id, **headers})

    def logout_token(self, **changes: Any) -> str:
        now = int(time.time())  # noqa: TID251 - as another machine does
        claims = {
            "iss": self.issuer, "aud": self.client_id, "iat": now, "exp": now + 120, "jti": uuid.uuid4().hex,
            "events": {LOGOUT_EVENT: {}}, **changes,
        }  # fmt: skip
        return self.signed({name: value for name, value in claims.items() if value is not None}, typ="logout+jwt")
