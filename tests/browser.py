"""A consent: a browser goes through it at the platform over real HTTP, and the studio completes it."""

from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import urllib3

from tests.conftest import PUBLIC_URL, Answer, Api

RETURN_TO = "https://app.studio.example/settings"


def ask(api: Api, platform: str = "google", **wanted: Any) -> str:
    """The URL to which the studio sends its browser."""
    answer = api.post(f"/api/oauth/{platform}/authorize", wanted)
    assert answer.status == 201, answer.text
    return str(answer.json["authorizeUrl"])


def decide(authorize_url: str, **choices: str) -> str:
    """Answers the platform's page (`auto`, `account`, `scopes`); returns the path it redirects the browser to."""
    url = f"{authorize_url}&{urlencode({'auto': 'approve', **choices})}"
    answer = urllib3.request("GET", url, redirect=False)
    assert answer.status == 302, answer.data
    assert answer.headers["Location"].startswith(f"{PUBLIC_URL}/api/oauth/"), answer.headers["Location"]
    return answer.headers["Location"].removeprefix(PUBLIC_URL).removesuffix("#_=_")


def come_back(api: Api, path: str) -> Answer:
    """The callback as a browser calls it: without a key."""
    return api.get(path, Authorization="")


def walk(api: Api, platform: str = "google", *, wanted: dict[str, Any] | None = None, **choices: str) -> Answer:
    """The browser's part, up to the callback's response; `wanted` goes into the request, `choices` are the user's."""
    return come_back(api, decide(ask(api, platform, **(wanted or {})), **choices))


def code_of(answer: Answer) -> str:
    """The one-time code that a callback shows or sends to the studio's page; empty if there is none."""
    if answer.status == 303:
        return query_of(answer.headers["Location"]).get("completionCode", "")
    return str(answer.json["completionCode"]) if answer.status == 200 else ""


def complete(api: Api, code: str, platform: str = "google") -> Answer:
    return api.post(f"/api/oauth/{platform}/complete", {"code": code})


def consent(api: Api, platform: str = "google", *, wanted: dict[str, Any] | None = None, **choices: str) -> Answer:
    """Everything up to the connection; a consent without a code ends with the callback's response."""
    came = walk(api, platform, wanted=wanted, **choices)
    code = code_of(came)
    return complete(api, code, platform) if code else came


def query_of(url: str) -> dict[str, str]:
    """The parameters of a URL, each of which occurs once."""
    params = parse_qs(urlsplit(url).query, keep_blank_values=True, strict_parsing=True)
    assert all(len(values) == 1 for values in params.values()), params
    return {name: value for name, (value,) in params.items()}
