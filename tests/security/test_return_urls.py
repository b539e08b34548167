"""Where a browser may be redirected: the origin and the start of the path must match an allowed URL."""

import pytest

from chalicelib.security.return_urls import is_allowed, with_params

ALLOWED = ("https://app.studio.example/settings", "https://other.example", "http://127.0.0.1:3000/")


@pytest.mark.parametrize(
    "url",
    [
        "https://app.studio.example/settings",
        "https://app.studio.example/settings/",
        "https://app.studio.example/settings/connections",
        "https://app.studio.example/settings?tab=2&back=/a/b%20c",
        "https://app.studio.example/settings/@me/it's(1)~",
        "https://other.example",
        "https://other.example/",
        "https://other.example/anything/at.all",
        "http://127.0.0.1:3000",
        "http://127.0.0.1:3000/done",
    ],
)
def test_an_allowed_url_and_paths_below_it_are_accepted(url: str) -> None:
    assert is_allowed(url, ALLOWED)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "/settings",
        "//app.studio.example/settings",
        "https:app.studio.example/settings",
        "https:/app.studio.example/settings",
        "https:///app.studio.example/settings",
        "javascript:alert(1)//app.studio.example/settings",
        "http://app.studio.example/settings",
        "https://evil.example/settings",
        "https://app.studio.example.evil.example/settings",
        "https://evil-app.studio.example/settings",
        "https://app.studio.example@evil.example/settings",
        "https://app.studio.example:secret@evil.example/settings",
        "https://user@app.studio.example/settings",
        "https://evil.example\\@app.studio.example/settings",
        "https://app.studio.example\\.evil.example/settings",
        "https://app.studio.example/settings\\..\\..\\evil",
        "https://app.studio.example:444/settings",
        "https://app.studio.example:443/settings",
        "https://app.studio.example:/settings",
        "http://127.0.0.1/done",
        "http://127.0.0.1:30000/done",
        "HTTPS://app.studio.example/settings",
        "https://APP.studio.example/settings",
        "https://app.studio.example/Settings",
        "https://app.studio.example./settings",
        "https://app.studio.example/settings#part",
        "https://app.studio.example/settings?a=1#part",
        "https://app.studio.example/settingsevil",
        "https://app.studio.example/",
        "https://app.studio.example",
        "https://app.studio.example//settings",
        "https://app.studio.example/settings//evil.example",
        "https://app.studio.example/settings/../admin",
        "https://app.studio.example/settings/..",
        "https://app.studio.example/settings/./x",
        "https://app.studio.example/settings/%2e%2e/admin",
        "https://app.studio.example/settings%2f..%2fadmin",
        "https://app.studio.example/settings%2fx",
        "https://app.studio.example/settings%5cx",
        "https://app.studio.example/settings\n",
        "https://app.studio.example/set\ttings",
        " https://app.studio.example/settings",
        "https://app.studio.example/settings /x",
        "https://app.studio.example/settings?a=\r\nSet-Cookie: a",
        "https://app.studio.example/settings/\u2025/x",
        "https://app\u3002studio.example/settings",
        "https://[::1]/settings",
        "http://[",
        "https://[app.studio.example/settings",
        "https://app.studio.example]/settings",
        "https://[not-an-address]/settings",
        "https://app.studio.example:port/settings",
        "https://app.studio.example:99999/settings",
        "https://app\u2100.studio.example/settings",
    ],
)
def test_all_other_urls_are_refused(url: str) -> None:
    assert not is_allowed(url, ALLOWED)


def test_no_url_is_allowed_unless_configured() -> None:
    assert not is_allowed("https://app.studio.example/settings", ())


def test_the_result_of_an_authorization_is_added_to_the_existing_query() -> None:
    params = {"status": "connected", "missing": "", "off": "a b&c"}
    assert with_params("https://a.example/x", params) == "https://a.example/x?status=connected&off=a+b%26c"
    assert with_params("https://a.example/x?tab=1", params) == "https://a.example/x?tab=1&status=connected&off=a+b%26c"
