"""A third-party OAuth 2.0 server: Authlib's, on loopback, strict about PKCE, with rotating refresh tokens."""

import secrets
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import flask
from authlib.integrations.flask_oauth2 import AuthorizationServer
from authlib.oauth2.rfc6749 import grants
from authlib.oauth2.rfc7636 import CodeChallenge
from werkzeug.serving import make_server

HOST = "auth.example.com"
CLIENT_ID, SCOPES = "client:one", ("calendar", "openid")


@dataclass
class Client:
    """The interface that Authlib requires of a client, RFC 6749, 2."""

    secret: str
    auth_method: str
    redirect_uri: str

    def get_client_id(self) -> str:
        return CLIENT_ID

    def get_default_redirect_uri(self) -> str:
        return self.redirect_uri

    def get_allowed_scope(self, scope: str) -> str:
        return " ".join(each for each in scope.split() if each in SCOPES)

    def check_redirect_uri(self, redirect_uri: str) -> bool:
        return redirect_uri == self.redirect_uri

    def check_client_secret(self, client_secret: str) -> bool:
        return client_secret == self.secret

    def check_endpoint_auth_method(self, method: str, endpoint: str) -> bool:
        return method == self.auth_method

    def check_response_type(self, response_type: str) -> bool:
        return response_type == "code"

    def check_grant_type(self, grant_type: str) -> bool:
        return grant_type in ("authorization_code", "refresh_token")


@dataclass
class Code:
    """An authorization code, with the values that its exchange must match."""

    code: str
    redirect_uri: str
    scope: str
    code_challenge: str
    code_challenge_method: str

    def get_redirect_uri(self) -> str:
        return self.redirect_uri

    def get_scope(self) -> str:
        return self.scope


@dataclass
class Token:
    access_token: str
    refresh_token: str
    scope: str
    revoked: bool = False

    def check_client(self, client: Client) -> bool:
        return True

    def get_scope(self) -> str:
        return self.scope


@dataclass
class Server:
    """The server's address, and what it has issued."""

    url: str = ""
    client: Client | None = None
    codes: dict[str, Code] = field(default_factory=dict)
    tokens: list[Token] = field(default_factory=list)

    def find(self, refresh_token: str) -> Token | None:
        living = (each for each in self.tokens if not each.revoked)
        return next((each for each in living if each.refresh_token == refresh_token), None)

    def save_token(self, token: Mapping[str, Any], request: Any) -> None:
        self.tokens.append(Token(token["access_token"], token["refresh_token"], token["scope"]))


def _grants(server: Server) -> tuple[type[Any], type[Any]]:
    class CodeGrant(grants.AuthorizationCodeGrant):  # type: ignore[misc]  # Authlib is not typed
        TOKEN_ENDPOINT_AUTH_METHODS = ["client_secret_basic", "client_secret_post"]

        def save_authorization_code(self, code: str, request: Any) -> None:
            params = request.payload.data
            server.codes[code] = Code(
                code, params["redirect_uri"], params["scope"], params["code_challenge"], params["code_challenge_method"]
            )

        def query_authorization_code(self, code: str, client: Client) -> Code | None:
            return server.codes.get(code)

        def delete_authorization_code(self, authorization_code: Code) -> None:
            del server.codes[authorization_code.code]

        def authenticate_user(self, authorization_code: Code) -> str:
            return "user"

    class RefreshGrant(grants.RefreshTokenGrant):  # type: ignore[misc]
        TOKEN_ENDPOINT_AUTH_METHODS = ["client_secret_basic", "client_secret_post"]
        INCLUDE_NEW_REFRESH_TOKEN = True

        def authenticate_refresh_token(self, refresh_token: str) -> Token | None:
            return server.find(refresh_token)

        def authenticate_user(self, refresh_token: Token) -> str:
            return "user"

        def revoke_old_credential(self, refresh_token: Token) -> None:
            refresh_token.revoked = True

    return CodeGrant, RefreshGrant


def _app(server: Server) -> flask.Flask:
    app = flask.Flask(__name__)
    app.config["OAUTH2_REFRESH_TOKEN_GENERATOR"] = True
    authlib = AuthorizationServer(app, query_client=lambda _: server.client, save_token=server.save_token)
    code_grant, refresh_grant = _grants(server)
    authlib.register_grant(code_grant, [CodeChallenge(required=True)])
    authlib.register_grant(refresh_grant)

    @app.get(f"/{HOST}/authorize")
    def authorize() -> Any:
        return authlib.create_authorization_response(grant_user="user", grant=authlib.get_consent_grant())

    app.post(f"/{HOST}/token")(lambda: authlib.create_token_response())
    return app


@contextmanager
def oauth_server(*, auth_method: str, redirect_uri: str) -> Iterator[Server]:
    server = Server(client=Client(secrets.token_urlsafe(24) + "+/=%", auth_method, redirect_uri))
    http = make_server("127.0.0.1", 0, _app(server), threaded=True)
    server.url = f"http://127.0.0.1:{http.port}"
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        http.shutdown()
        http.server_close()
        thread.join()
