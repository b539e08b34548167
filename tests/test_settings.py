"""Settings come from the environment only; missing or unsafe ones prevent the start."""

from collections.abc import Iterator

import pytest

from chalicelib.errors import SettingsError
from chalicelib.platforms.registry import NAMES, get_platform
from chalicelib.secret import Secret
from chalicelib.settings import (
    KEYED_PLATFORMS,
    OAUTH_PLATFORMS,
    DatabaseLogin,
    Limits,
    OAuthClient,
    Settings,
    get_settings,
)
from tests.environments import ENCRYPTION_KEY, KEY_ARN, LOCAL, PROD, SECRET_ARN

OTHER_ARN = "arn:aws:kms:eu-west-1:123456789012:key/mrk-0123456789abcdef0123456789abcdef"
LAMBDA = {
    "AWS_REGION": "eu-central-1",
    "AWS_ACCESS_KEY_ID": "ASIAEXAMPLE",
    "AWS_SECRET_ACCESS_KEY": "key-canary",
    "AWS_SESSION_TOKEN": "token-canary",
    "AWS_LAMBDA_FUNCTION_NAME": "ansel-prod-tick",
}
CONSENT = {
    "PUBLIC_URL": "https://api.studio.example/v1/",
    "RETURN_URLS": " https://app.studio.example/settings , https://other.example,",
    "GOOGLE_CLIENT_ID": "google-id",
    "GOOGLE_CLIENT_SECRET": "google-canary",
    "META_CLIENT_ID": "meta-id",
    "META_CLIENT_SECRET": " new-canary , old-canary,",
}


@pytest.fixture
def fresh_settings() -> Iterator[None]:
    get_settings.cache_clear()
    yield
    get_settings.cache_clear()


def test_the_local_stage_needs_only_a_database_and_an_encryption_key() -> None:
    settings = Settings.from_environ(LOCAL)

    assert settings.stage == "local"
    assert settings.database.url.reveal() == LOCAL["DATABASE_URL"]
    assert settings.encryption_key is not None
    assert settings.encryption_key.reveal() == ENCRYPTION_KEY
    assert settings.kms_key_ids == ()
    assert settings.log_level == "INFO"
    assert settings.sync_log_retention_days == 400
    assert settings.audit_retention_days == 730


def test_a_deployed_stage_reads_every_variable() -> None:
    keys = {"YELP_API_KEY": " yelp-canary ", "KMS_KEY_IDS": f" {KEY_ARN} , {OTHER_ARN},"}
    optional = {"SYNC_LOG_RETENTION_DAYS": " 90 ", "LOG_LEVEL": "debug"}
    settings = Settings.from_environ({**PROD, **CONSENT, **keys, **optional})

    assert settings.kms_key_ids == (KEY_ARN, OTHER_ARN)
    assert settings.encryption_key is None
    assert settings.sync_queue_url == PROD["SYNC_QUEUE_URL"]
    assert settings.public_url == "https://api.studio.example/v1"
    assert settings.return_urls == ("https://app.studio.example/settings", "https://other.example")
    assert settings.oauth_clients["google"] == OAuthClient("google-id", (Secret("google-canary"),))
    assert settings.oauth_clients["meta"] == OAuthClient("meta-id", (Secret("new-canary"), Secret("old-canary")))
    assert settings.oauth_clients.keys() == {"google", "meta"}
    assert settings.platform_api_keys == {"yelp": Secret("yelp-canary")}
    assert settings.log_level == "DEBUG"
    assert settings.sync_log_retention_days == 90


@pytest.mark.parametrize("prefix", ["", "MIGRATION_"])
def test_a_login_declares_the_source_of_its_password(prefix: str) -> None:
    def login(**variables: str) -> DatabaseLogin:
        named = {f"{prefix}DATABASE_{name}": value for name, value in variables.items()}
        return DatabaseLogin.from_environ({**LAMBDA, **named}, "prod", prefix)

    plain, by_token = login(URL="postgresql://u@h/d"), login(URL="postgresql://u@h/d", AUTH="iam")
    by_secret = login(URL="postgresql://h/d", AUTH="secret", SECRET_ARN=SECRET_ARN)
    assert (plain.auth, plain.identity, plain.application_name) == ("password", None, "ansel-prod-tick")
    assert (by_secret.auth, by_secret.secret_arn) == ("secret", SECRET_ARN)
    assert by_token.identity is not None
    assert by_token.identity.secret_access_key == Secret("key-canary")
    assert by_token.identity.session_token == Secret("token-canary")
    assert (by_token.identity.region, by_token.identity.access_key_id) == ("eu-central-1", "ASIAEXAMPLE")
    assert "canary" not in f"{by_token} {by_secret!r}"


def test_the_settings_contain_the_applications_login() -> None:
    settings = Settings.from_environ({**PROD, **LAMBDA, "DATABASE_AUTH": "iam", "PLATFORM_SECRETS_ARN": SECRET_ARN})
    assert (settings.database.auth, settings.database.stage) == ("iam", "prod")
    assert settings.platform_secrets_arn == SECRET_ARN
    assert "canary" not in repr(settings)


def test_credentials_outside_the_environment_are_none() -> None:
    assert DatabaseLogin.from_environ({**PROD, "DATABASE_AUTH": "iam"}, "prod").identity is None
    assert DatabaseLogin.from_environ(PROD, "prod").application_name == "ansel"


@pytest.mark.parametrize(
    ("variables", "problem"),
    [
        ({"DATABASE_AUTH": "kerberos"}, "DATABASE_AUTH must be one of password, iam, secret"),
        ({"DATABASE_AUTH": "secret"}, "DATABASE_SECRET_ARN is not set"),
        ({"DATABASE_AUTH": "secret", "DATABASE_SECRET_ARN": "ansel/prod"}, "DATABASE_SECRET_ARN must be the ARN"),
        ({"DATABASE_SECRET_ARN": SECRET_ARN}, "DATABASE_SECRET_ARN is for DATABASE_AUTH=secret only"),
        ({"PLATFORM_SECRETS_ARN": KEY_ARN}, "PLATFORM_SECRETS_ARN must be the ARN of a secret"),
    ],
)
def test_an_inconsistent_login_or_secret_is_rejected(variables: dict[str, str], problem: str) -> None:
    with pytest.raises(SettingsError, match=problem):
        Settings.from_environ({**PROD, **variables})


@pytest.mark.parametrize("stage", ["test", "dev", "prod"])
def test_an_encryption_key_outside_local_prevents_the_start(stage: str) -> None:
    with pytest.raises(SettingsError, match="ENCRYPTION_KEY is for the local stage only"):
        Settings.from_environ({**PROD, "ANSEL_STAGE": stage, "ENCRYPTION_KEY": ENCRYPTION_KEY})


@pytest.mark.parametrize("stage", ["test", "dev", "prod"])
@pytest.mark.parametrize("variable", ["DATABASE_URL", "KMS_KEY_IDS", "SYNC_QUEUE_URL"])
@pytest.mark.parametrize("value", [None, "", "  "])
def test_a_missing_variable_is_named(stage: str, variable: str, value: str | None) -> None:
    environ = {**PROD, "ANSEL_STAGE": stage}
    del environ[variable]
    with pytest.raises(SettingsError, match=f"{variable} is not set"):
        Settings.from_environ(environ if value is None else {**environ, variable: value})


@pytest.mark.parametrize("stage", ["dev", "review-2", "production"])
def test_a_deployed_stage_has_a_free_name_and_is_never_plain(stage: str) -> None:
    assert Settings.from_environ({**PROD, "ANSEL_STAGE": stage}).stage == stage
    with pytest.raises(SettingsError, match=f"ENCRYPTION_KEY is for the local stage only; {stage} wraps"):
        Settings.from_environ({**LOCAL, "ANSEL_STAGE": stage})


@pytest.mark.parametrize("stage", [None, "", "LOCAL", "prod-", "re--view", "1st", "p", "p" * 22, "prod\n"])
def test_an_impossible_stage_prevents_the_start(stage: str | None) -> None:
    environ = {key: value for key, value in LOCAL.items() if key != "ANSEL_STAGE"}
    with pytest.raises(SettingsError, match="ANSEL_STAGE"):
        Settings.from_environ(environ if stage is None else {**environ, "ANSEL_STAGE": stage})


@pytest.mark.parametrize("stage", ["dev", "prod"])
def test_platforms_are_not_redirected_in_a_real_stage(stage: str) -> None:
    with pytest.raises(SettingsError, match="PLATFORM_SANDBOX_URL is not allowed"):
        Settings.from_environ({**PROD, "ANSEL_STAGE": stage, "PLATFORM_SANDBOX_URL": "http://127.0.0.1:9000"})


@pytest.mark.parametrize("base", [LOCAL, {**PROD, "ANSEL_STAGE": "test"}])
def test_platforms_may_be_redirected_in_local_and_test(base: dict[str, str]) -> None:
    settings = Settings.from_environ({**base, "PLATFORM_SANDBOX_URL": "http://127.0.0.1:9000/"})

    assert settings.platform_sandbox_url == "http://127.0.0.1:9000"


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("ENCRYPTION_KEY", "0" * 63),
        ("ENCRYPTION_KEY", "0" * 65),
        ("ENCRYPTION_KEY", "g" * 64),
        ("ENCRYPTION_KEY", "\uff10" * 64),
        ("ENCRYPTION_KEY", "0" * 64 + "\n"),
        ("ENCRYPTION_KEY", ""),
        ("LOG_LEVEL", "LOUD"),
        ("KEY_REQUESTS_PER_SECOND", "0"),
        ("KEY_REQUEST_BURST", "-1"),
        ("STUDIO_REQUESTS_PER_SECOND", "1.5"),
        ("STUDIO_REQUEST_BURST", "100001"),
        ("STUDIO_PLATFORM_CALLS_PER_MINUTE", "six"),
        ("AUDIT_RETENTION_DAYS", "364"),
        ("SYNC_LOG_RETENTION_DAYS", "29"),
        ("SYNC_LOG_RETENTION_DAYS", "3651"),
        ("SYNC_LOG_RETENTION_DAYS", "-400"),
        ("SYNC_LOG_RETENTION_DAYS", "400.5"),
        ("SYNC_LOG_RETENTION_DAYS", "\u0664\u0660\u0660"),
        ("PLATFORM_SANDBOX_URL", "127.0.0.1:9000"),
        ("PLATFORM_SANDBOX_URL", "file:///etc"),
        ("KMS_KEY_IDS", KEY_ARN),
    ],
)
def test_an_invalid_value_is_rejected_by_its_variables_name(variable: str, value: str) -> None:
    with pytest.raises(SettingsError, match=variable):
        Settings.from_environ({**LOCAL, variable: value})


def test_limits_come_from_variables_or_defaults() -> None:
    assert Settings.from_environ(LOCAL).limits == Limits(
        key_requests_per_second=20,
        key_request_burst=100,
        studio_requests_per_second=60,
        studio_request_burst=300,
        studio_platform_calls_per_minute=6,
    )
    environ = {**LOCAL, "KEY_REQUEST_BURST": "7", "STUDIO_PLATFORM_CALLS_PER_MINUTE": "1"}
    assert Settings.from_environ(environ).limits == Limits(key_request_burst=7, studio_platform_calls_per_minute=1)


def test_the_platforms_in_settings_match_their_credential() -> None:
    by_credential = {name: get_platform(name).credential for name in NAMES}
    assert {name for name, kind in by_credential.items() if kind == "oauth"} == set(OAUTH_PLATFORMS)
    assert {name for name, kind in by_credential.items() if kind == "api_key"} == set(KEYED_PLATFORMS)


@pytest.mark.parametrize("stage", ["local", "test", "dev", "prod"])
def test_the_public_url_may_follow_the_oauth_clients(stage: str) -> None:
    """It is unknown until the API was created; until then, authorizations alone are refused."""
    environ = {**(LOCAL if stage == "local" else PROD), **CONSENT, "ANSEL_STAGE": stage}
    del environ["PUBLIC_URL"]
    settings = Settings.from_environ(environ)
    assert (settings.public_url, "google" in settings.oauth_clients) == ("", True)


@pytest.mark.parametrize(("present", "missing"), [("ID", "SECRET"), ("SECRET", "ID")])
def test_an_incomplete_oauth_client_names_the_missing_half(present: str, missing: str) -> None:
    with pytest.raises(SettingsError, match=f"PINTEREST_CLIENT_{missing} is not set"):
        Settings.from_environ({**LOCAL, f"PINTEREST_CLIENT_{present}": "something"})


@pytest.mark.parametrize("variable", ["PUBLIC_URL", "RETURN_URLS"])
@pytest.mark.parametrize(
    "url",
    [
        "app.studio.example",
        "//app.studio.example",
        "ftp://app.studio.example",
        "javascript:alert(1)",
        "https://",
        "https:///path",
        "https://app.studio.example/?next=1",
        "https://app.studio.example/#part",
        "https://user@app.studio.example",
        "https://APP.studio.example",
        "https://app.studio.example\\path",
        "https://app.studio.example//path",
        "https://app.studio.example/%2e",
        "https://app.studio.example:port",
        "https://app.studio.example:99999",
        "https://*.studio.example",
    ],
)
def test_a_url_for_browsers_must_be_plain(variable: str, url: str) -> None:
    with pytest.raises(SettingsError, match=f"{variable} must be https"):
        Settings.from_environ({**LOCAL, variable: url})


@pytest.mark.parametrize("variable", ["PUBLIC_URL", "RETURN_URLS"])
def test_plain_http_for_browsers_is_allowed_in_local_and_test_only(variable: str) -> None:
    url = {variable: "http://127.0.0.1:8000"}
    assert "http://127.0.0.1:8000" in repr(Settings.from_environ({**LOCAL, **url}))
    assert Settings.from_environ({**PROD, **url, "ANSEL_STAGE": "test"}).stage == "test"
    for stage in ("dev", "prod"):
        with pytest.raises(SettingsError, match=variable):
            Settings.from_environ({**PROD, **url, "ANSEL_STAGE": stage})


@pytest.mark.parametrize("key", ["alias/ansel", KEY_ARN.replace("key/", "alias/"), KEY_ARN.rsplit("/", 1)[1], "x"])
def test_a_kms_key_that_could_wrap_but_not_unwrap_is_rejected(key: str) -> None:
    with pytest.raises(SettingsError, match="KMS_KEY_IDS must be ARNs"):
        Settings.from_environ({**PROD, "KMS_KEY_IDS": f"{KEY_ARN},{key}"})


def test_settings_show_no_secret() -> None:
    text = repr(Settings.from_environ({**LOCAL, **CONSENT, "YELP_API_KEY": "yelp-canary"}))

    assert "google-id" in text
    assert ENCRYPTION_KEY not in text
    assert "canary" not in text


def test_an_error_does_not_repeat_the_value() -> None:
    with pytest.raises(SettingsError) as refused:
        Settings.from_environ({**LOCAL, "ENCRYPTION_KEY": "canary" * 11})

    assert "canary" not in f"{refused.value} {refused.value.message}"


def test_the_environment_is_read_once(monkeypatch: pytest.MonkeyPatch, fresh_settings: None) -> None:
    for name in ("KMS_KEY_IDS", "PLATFORM_SANDBOX_URL", "LOG_LEVEL"):
        monkeypatch.delenv(name, raising=False)
    for name, value in LOCAL.items():
        monkeypatch.setenv(name, value)
    first = get_settings()
    monkeypatch.setenv("ANSEL_STAGE", "prod")

    assert get_settings() is first
