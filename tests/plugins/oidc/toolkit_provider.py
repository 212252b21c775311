"""A second real provider: Django OAuth Toolkit, in a process of its own, with a user who logs in by a form.

    python -m tests.plugins.oidc.toolkit_provider REDIRECT_URI

prints its port, then serves until it is ended. It is another implementation (oauthlib, jwcrypto) than the one of the
other tests: RS256, opaque access tokens, rotated refresh tokens, an issuer with a path, a logout that it asks about.
"""

from __future__ import annotations

import os
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any, Final
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

CLIENT_ID: Final = "web"
CLIENT_SECRET: Final = "a-secret-of-the-client"
USER: Final = "alice"
PASSWORD: Final = "correct horse battery staple"

FORM: Final = "<form method=post>{% csrf_token %}{{ form }}<input type=hidden name=next value='{{ next }}'></form>"


def settings(folder: Path) -> dict[str, Any]:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    return {
        "SECRET_KEY": os.urandom(32).hex(), "ALLOWED_HOSTS": ["*"], "ROOT_URLCONF": __name__, "USE_TZ": True,
        "DEFAULT_AUTO_FIELD": "django.db.models.BigAutoField", "LOGIN_URL": "/login/", "LOGGING_CONFIG": None,
        "INSTALLED_APPS": [
            "django.contrib.contenttypes", "django.contrib.auth", "django.contrib.sessions", "oauth2_provider",
        ],
        "MIDDLEWARE": [
            "django.contrib.sessions.middleware.SessionMiddleware",
            "django.middleware.csrf.CsrfViewMiddleware",
            "django.contrib.auth.middleware.AuthenticationMiddleware",
        ],
        "DATABASES": {
            "default": {"ENGINE": "django.db.backends.sqlite3", "NAME": str(folder / "db"), "OPTIONS": {"timeout": 30}}
        },
        "TEMPLATES": [
            {
                "BACKEND": "django.template.backends.django.DjangoTemplates",
                "APP_DIRS": True,
                "OPTIONS": {
                    "context_processors": [
                        "django.template.context_processors.request", "django.contrib.auth.context_processors.auth",
                    ],
                },
            }
        ],
        "PASSWORD_HASHERS": ["django.contrib.auth.hashers.MD5PasswordHasher"],
        "OAUTH2_PROVIDER": {
            "OIDC_ENABLED": True, "OIDC_RSA_PRIVATE_KEY": pem, "PKCE_REQUIRED": True,
            "SCOPES": {"openid": "", "profile": "", "email": ""}, "ALLOWED_REDIRECT_URI_SCHEMES": ["http"],
            "OIDC_RP_INITIATED_LOGOUT_ENABLED": True, "OIDC_RP_INITIATED_LOGOUT_ALWAYS_PROMPT": False,
            "REFRESH_TOKEN_REUSE_PROTECTION": True, "ACCESS_TOKEN_EXPIRE_SECONDS": 3600,
        },
    }  # fmt: skip


class _Quiet(WSGIRequestHandler):
    def log_message(self, *_: object) -> None:
        """Keep the output for the port."""


def main(redirect_uri: str, post_logout_uri: str) -> None:
    import django
    from django.conf import settings as django_settings
    from django.core.management import call_command
    from django.core.wsgi import get_wsgi_application

    with tempfile.TemporaryDirectory() as folder:
        django_settings.configure(**settings(Path(folder)))
        django.setup()
        call_command("migrate", verbosity=0)
        from django.contrib.auth.models import User
        from oauth2_provider.models import Application

        user = User.objects.create_user(USER, "alice@example.com", PASSWORD, first_name="Alice")
        Application.objects.create(
            client_id=CLIENT_ID, client_secret=CLIENT_SECRET, client_type="confidential",
            authorization_grant_type="authorization-code", redirect_uris=redirect_uri, algorithm="RS256",
            post_logout_redirect_uris=post_logout_uri, skip_authorization=True, user=user,
        )  # fmt: skip
        server = make_server("127.0.0.1", 0, get_wsgi_application(), WSGIServer, _Quiet)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        print(server.server_port, flush=True)
        sys.stdin.read()


def _urls() -> list[Any]:
    from django.contrib.auth.views import LoginView
    from django.http import HttpRequest, HttpResponse
    from django.template import RequestContext, Template
    from django.urls import include, path

    class Login(LoginView):  # type: ignore[misc]  # django has no types
        def render_to_response(self, context: dict[str, Any], **_: Any) -> HttpResponse:
            return HttpResponse(Template(FORM).render(RequestContext(self.request, context)))

    def bye(_: HttpRequest) -> HttpResponse:
        return HttpResponse("bye")

    return [
        path("login/", Login.as_view()),
        path("bye/", bye),
        path("o/", include("oauth2_provider.urls", namespace="oauth2_provider")),
    ]


def __getattr__(name: str) -> Any:
    if name == "urlpatterns":  # asked for by Django when it is set up
        return _urls()
    raise AttributeError(name)


if __name__ == "__main__":
    from tests.plugins.oidc import toolkit_provider

    toolkit_provider.main(*sys.argv[1:])
