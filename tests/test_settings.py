"""Settings come from the environment alone, and refuse to start on what is missing or unsafe."""

from collections.abc import Iterator

import pytest

from chalicelib.errors import SettingsError
from chalicelib.settings import Settings, get_settings

ENCRYPTION_KEY = "0123456789abcdef" * 4
KEY_ARN = "arn:aws:kms:eu-central-1:123456789012:key/11111111-2222-3333-4444-555555555555"
OTHER_ARN = "arn:aws:kms:eu-west-1:123456789012:key/mrk-0123456789abcdef0123456789abcdef"
LOCAL = {
    "ANSEL_STAGE": "local",
    "DATABASE_URL": "postgresql://ansel:db-canary@127.0.0.1:5432/ansel",
    "ENCRYPTION_KEY": ENCRYPTION_KEY,
}
PROD = {
    "ANSEL_STAGE": "prod",
    "DATABASE_URL": "postgresql://ansel:db-canary@db.internal:5432/ansel",
    "KMS_KEY_IDS": KEY_ARN,
    "SYNC_QUEUE_URL": "https://sqs.eu-central-1.amazonaws.com/123456789012/sync",
}


@pytest.fixture
def fresh_settings() -> Iterator[None]:
    get_settings.cache_clear()
    yield
    get_settings.cache_clear()


def test_the_local_stage_needs_a_database_and_an_encryption_key_only() -> None:
    settings = Settings.from_environ(LOCAL)

    assert settings.stage == "local"
    assert settings.database_url.reveal() == LOCAL["DATABASE_URL"]
    assert settings.encryption_key is not None
    assert settings.encryption_key.reveal() == ENCRYPTION_KEY
    assert settings.kms_key_ids == ()
    assert settings.log_level == "INFO"
    assert settings.sync_log_retention_days == 400


def test_a_deployed_stage_reads_every_variable() -> None:
    google = {"GOOGLE_CLIENT_ID": "id", "GOOGLE_CLIENT_SECRET": "google-canary", "LOG_LEVEL": "debug"}
    kept = {"SYNC_LOG_RETENTION_DAYS": " 90 "}
    settings = Settings.from_environ({**PROD, **google, **kept, "KMS_KEY_IDS": f" {KEY_ARN} , {OTHER_ARN},"})

    assert settings.kms_key_ids == (KEY_ARN, OTHER_ARN)
    assert settings.encryption_key is None
    assert settings.sync_queue_url == PROD["SYNC_QUEUE_URL"]
    assert settings.google_client_id == "id"
    assert settings.google_client_secret.reveal() == "google-canary"
    assert settings.log_level == "DEBUG"
    assert settings.sync_log_retention_days == 90


@pytest.mark.parametrize("stage", ["test", "dev", "prod"])
def test_an_encryption_key_outside_local_refuses_to_start(stage: str) -> None:
    with pytest.raises(SettingsError, match="ENCRYPTION_KEY is for the local stage only"):
        Settings.from_environ({**PROD, "ANSEL_STAGE": stage, "ENCRYPTION_KEY": ENCRYPTION_KEY})


@pytest.mark.parametrize("stage", ["test", "dev", "prod"])
@pytest.mark.parametrize("variable", ["DATABASE_URL", "KMS_KEY_IDS", "SYNC_QUEUE_URL"])
@pytest.mark.parametrize("value", [None, "", "  "])
def test_a_deployed_stage_without_a_needed_variable_names_it(stage: str, variable: str, value: str | None) -> None:
    environ = {**PROD, "ANSEL_STAGE": stage}
    del environ[variable]
    with pytest.raises(SettingsError, match=f"{variable} is not set"):
        Settings.from_environ(environ if value is None else {**environ, variable: value})


@pytest.mark.parametrize("stage", [None, "", "production", "LOCAL"])
def test_an_unknown_stage_refuses_to_start(stage: str | None) -> None:
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
def test_a_wrong_value_is_refused_by_the_name_of_its_variable(variable: str, value: str) -> None:
    with pytest.raises(SettingsError, match=variable):
        Settings.from_environ({**LOCAL, variable: value})


@pytest.mark.parametrize("key", ["alias/ansel", KEY_ARN.replace("key/", "alias/"), KEY_ARN.rsplit("/", 1)[1], "x"])
def test_a_kms_key_that_could_wrap_but_not_unwrap_is_refused(key: str) -> None:
    with pytest.raises(SettingsError, match="KMS_KEY_IDS must be ARNs"):
        Settings.from_environ({**PROD, "KMS_KEY_IDS": f"{KEY_ARN},{key}"})


@pytest.mark.parametrize("variable", ["DATABASE_URL", "ENCRYPTION_KEY", "GOOGLE_CLIENT_SECRET"])
def test_settings_show_no_secret(variable: str) -> None:
    environ = {**LOCAL, "GOOGLE_CLIENT_SECRET": "google-canary"}

    assert environ[variable] not in repr(Settings.from_environ(environ))


def test_a_refusal_does_not_repeat_the_value() -> None:
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
