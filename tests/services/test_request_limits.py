"""Request limits: what a key and its studio may send, across any number of containers, and how limits are reported."""

import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from uuid import UUID

import pytest
from pg8000.native import Connection as Superuser

from chalicelib import clock
from chalicelib.data.postgres.driver import query_statistics
from chalicelib.errors import TooManyRequests, Unauthorized
from chalicelib.secret import Secret
from chalicelib.services.api_keys import create_api_key
from chalicelib.services.authentication import CACHE_SECONDS, ApiKeyCache, forget_callers, reauthenticate
from chalicelib.services.request_limits import PART, Limit
from chalicelib.services.studios import create_studio
from chalicelib.settings import get_settings
from tests.conftest import Api, Database, LogLines, Studios

Limited = Callable[..., None]
BURST = 20
ITEM = r'"(\w+)";(\w)=(\d+);(\w)=(\d+)'


@pytest.fixture
def limited(clean_database: Database, monkeypatch: pytest.MonkeyPatch) -> Limited:
    """Sets the limits of a key and a studio: requests per second, and burst."""

    def limit(*, key: tuple[int, int] = (1, BURST), studio: tuple[int, int] = (1, 10 * BURST)) -> None:
        for name, (per_second, burst) in {"KEY": key, "STUDIO": studio}.items():
            monkeypatch.setenv(f"{name}_REQUESTS_PER_SECOND", str(per_second))
            monkeypatch.setenv(f"{name}_REQUEST_BURST", str(burst))
        get_settings.cache_clear()
        forget_callers()

    return limit


@pytest.fixture
def still(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Stops the containers' clocks, which a test then advances. The database's clock keeps running."""
    started = clock.monotonic()

    def advance(seconds: float) -> None:
        monkeypatch.setattr(clock, "monotonic", lambda: started + seconds)

    advance(0)
    return advance


def bearer(key: Secret) -> str:
    return f"Bearer {key.reveal()}"


def new_key(studio_id: UUID | None = None) -> str:
    return bearer(create_api_key(studio_id or create_studio("Studio"), "test", ["admin"]))


def seconds_until_full(superuser: Superuser, name: str | None = None) -> float:
    """Seconds until a bucket is full: the studio's, or that of its only key."""
    which = "name = 'studio'" if name == "studio" else "name NOT IN ('studio', 'platform_calls')"
    ((seconds,),) = superuser.run(f"SELECT extract(epoch FROM full_at - now())::float8 FROM rate_limit WHERE {which}")
    return float(seconds)


def empty(superuser: Superuser, name: str | None = None) -> None:
    """Empties a bucket, so that it has room in a minute."""
    which = "name = 'studio'" if name == "studio" else "name NOT IN ('studio', 'platform_calls')"
    superuser.run(f"UPDATE rate_limit SET full_at = now() + interval '1 hour' WHERE {which}")


def database_seconds(superuser: Superuser) -> float:
    return float(superuser.run("SELECT extract(epoch FROM clock_timestamp())::float8")[0][0])


def admitted(cache: ApiKeyCache, key: str, attempts: int) -> int:
    count = 0
    for _ in range(attempts):
        try:
            cache.authenticate(key)
        except TooManyRequests:
            continue
        count += 1
    return count


def items(field: str) -> dict[str, dict[str, int]]:
    """The items of a structured header field whose parameters are integers."""
    matches = [re.fullmatch(ITEM, item) for item in field.split(", ")]
    assert all(matches), field
    return {each[1]: {each[2]: int(each[3]), each[4]: int(each[5])} for each in matches if each}


def test_a_key_may_send_its_burst_and_then_its_rate(
    limited: Limited, still: Callable[[float], None], superuser: Superuser
) -> None:
    limited()
    key, cache, started = new_key(), ApiKeyCache(), database_seconds(superuser)
    count = admitted(cache, key, 3 * BURST)
    assert BURST <= count <= BURST + database_seconds(superuser) - started


def test_each_container_lets_a_key_exceed_its_limit_by_part_of_its_burst(
    limited: Limited, still: Callable[[float], None], superuser: Superuser
) -> None:
    limited(key=(1, 10 * BURST))
    key, started = new_key(), database_seconds(superuser)
    containers = [ApiKeyCache() for _ in range(4)]
    with ThreadPoolExecutor(8) as threads:
        counts = list(threads.map(lambda cache: admitted(cache, key, 5 * BURST), containers * 4))
    elapsed = database_seconds(superuser) - started
    slack = len(containers) * 10 * BURST // PART
    assert 10 * BURST <= sum(counts) <= 10 * BURST + elapsed + slack


def test_locally_admitted_requests_are_charged_with_the_next_lookup(
    limited: Limited, still: Callable[[float], None], superuser: Superuser
) -> None:
    limited(key=(1, 100))
    key, cache = new_key(), ApiKeyCache()
    with query_statistics() as statistics:
        assert admitted(cache, key, 11) == 11
    assert statistics.round_trips == 1
    assert 0 < seconds_until_full(superuser) <= 1
    still(CACHE_SECONDS)
    before = database_seconds(superuser)
    cache.authenticate(key)
    elapsed = database_seconds(superuser) - before
    for bucket in ("key", "studio"):
        assert 11 - elapsed - 1 <= seconds_until_full(superuser, bucket) <= 12


def test_a_container_checks_more_often_near_the_limit(
    limited: Limited, still: Callable[[float], None], superuser: Superuser
) -> None:
    limited(key=(1, 100))
    key, cache = new_key(), ApiKeyCache()
    with query_statistics() as statistics:
        admitted(cache, key, 100)
    assert 5 < statistics.round_trips < 30


def test_a_rejected_request_names_the_limit_and_when_to_retry(
    limited: Limited, studios: Studios, still: Callable[[float], None], superuser: Superuser, log_lines: LogLines
) -> None:
    limited()
    api = studios.new()
    assert api.get("/api/connections").status == 200
    empty(superuser)
    still(CACHE_SECONDS)
    answer = api.get("/api/connections")
    assert (answer.status, answer.headers["Content-Type"]) == (429, "application/problem+json")
    assert answer.json["code"] == "too_many_requests"
    seconds = int(answer.headers["Retry-After"])
    assert 59 <= seconds <= 61
    assert items(answer.headers["RateLimit"]) == {"key": {"r": 0, "t": seconds}}
    assert items(answer.headers["RateLimit-Policy"]) == {"key": {"q": BURST, "w": BURST}}
    (done,) = [line for line in log_lines.named("request.done") if line["status"] == 429]
    assert (done["studio_id"], done["code"]) == (str(api.studio_id), "too_many_requests")


def test_a_container_rejects_locally_while_it_trusts_its_cached_key(
    limited: Limited, still: Callable[[float], None], superuser: Superuser
) -> None:
    limited()
    key, cache = new_key(), ApiKeyCache()
    cache.authenticate(key)
    empty(superuser)
    still(CACHE_SECONDS)

    def look_ups() -> int:
        with query_statistics() as statistics:
            admitted(cache, key, 50)
        return statistics.round_trips

    assert [look_ups(), look_ups()] == [1, 0]
    still(2 * CACHE_SECONDS)
    superuser.run("UPDATE rate_limit SET full_at = now()")
    assert admitted(cache, key, 1) == 1


def test_rejected_requests_do_not_extend_the_wait(
    limited: Limited, still: Callable[[float], None], superuser: Superuser
) -> None:
    limited()
    key = new_key()
    ApiKeyCache().authenticate(key)
    empty(superuser)
    for _ in range(20):
        assert admitted(ApiKeyCache(), key, 1) == 0
    assert seconds_until_full(superuser) <= BURST + 60
    assert seconds_until_full(superuser, "studio") <= 1


def test_a_limit_is_shared_by_all_keys_of_a_studio_and_no_others(
    limited: Limited, still: Callable[[float], None], superuser: Superuser
) -> None:
    limited(studio=(1, BURST))
    studio_id = create_studio("Busy")
    keys = [new_key(studio_id) for _ in range(3)]
    started = database_seconds(superuser)
    count = sum(admitted(ApiKeyCache(), key, BURST) for key in keys)
    assert BURST <= count <= BURST + database_seconds(superuser) - started
    with pytest.raises(TooManyRequests) as refused:
        ApiKeyCache().authenticate(new_key(studio_id))
    assert items(refused.value.headers["RateLimit"])["studio"]["r"] == 0
    assert admitted(ApiKeyCache(), new_key(), BURST) == BURST


def test_a_hammering_key_takes_nothing_from_other_keys_of_its_studio(
    limited: Limited, still: Callable[[float], None], superuser: Superuser
) -> None:
    limited(studio=(1, 2 * BURST))
    studio_id = create_studio("Studio")
    hammering, other = new_key(studio_id), new_key(studio_id)
    ApiKeyCache().authenticate(hammering)
    empty(superuser)
    for _ in range(3 * BURST):
        admitted(ApiKeyCache(), hammering, 1)
    assert admitted(ApiKeyCache(), other, BURST) == BURST


def test_a_debt_is_forgotten_after_a_minute(
    limited: Limited, still: Callable[[float], None], superuser: Superuser
) -> None:
    limited()
    key = new_key()
    ApiKeyCache().authenticate(key)
    empty(superuser)
    admitted(ApiKeyCache(), key, 1)
    assert seconds_until_full(superuser) <= BURST + 60


def test_knowing_only_a_keys_id_does_not_use_up_its_limit(limited: Limited, superuser: Superuser) -> None:
    limited()
    prefix, id, secret = new_key().split("_")
    for _ in range(3):
        with pytest.raises(Unauthorized):
            ApiKeyCache().authenticate(f"{prefix}_{id}_{secret[::-1]}")
    assert superuser.run("SELECT count(*) FROM rate_limit") == [[0]]


def test_a_revoked_key_is_charged_nothing(limited: Limited, superuser: Superuser) -> None:
    limited()
    key = new_key()
    superuser.run("UPDATE api_key SET revoked_at = now()")
    with pytest.raises(Unauthorized):
        ApiKeyCache().authenticate(key)
    assert superuser.run("SELECT count(*) FROM rate_limit") == [[0]]


def test_reauthenticating_a_key_is_not_charged(limited: Limited, superuser: Superuser) -> None:
    limited()
    reauthenticate(new_key())
    assert superuser.run("SELECT count(*) FROM rate_limit") == [[0]]


def test_requests_that_could_not_be_charged_are_charged_later(
    limited: Limited, still: Callable[[float], None], superuser: Superuser, monkeypatch: pytest.MonkeyPatch
) -> None:
    limited(key=(1, 100))
    key, cache = new_key(), ApiKeyCache()
    admitted(cache, key, 5)
    still(CACHE_SECONDS)
    superuser.run("ALTER FUNCTION cross_tenant.charge_api_key RENAME TO gone")
    with pytest.raises(Exception, match="charge_api_key"):
        cache.authenticate(key)
    superuser.run("ALTER FUNCTION cross_tenant.gone RENAME TO charge_api_key")
    cache.authenticate(key)
    assert 4 < seconds_until_full(superuser) <= 6


def test_every_response_to_a_key_shows_its_remaining_limit(
    limited: Limited, studios: Studios, still: Callable[[float], None]
) -> None:
    limited(key=(20, 100), studio=(60, 300))
    api = studios.new("connections:read")
    answers = [
        api.get("/api/connections"),
        api.get("/api/connections/google"),
        api.get("/api/metrics/overview"),
        api.get("/api/connections/nothing"),
        api.send("PATCH", "/api/connections"),
    ]
    assert [answer.status for answer in answers] == [200, 404, 403, 404, 405]
    limits = [items(answer.headers["RateLimit"]) for answer in answers[:4]]
    assert [each["key"]["r"] for each in limits] == [99, 98, 97, 96]
    assert [each["studio"]["r"] for each in limits] == [299, 298, 297, 296]
    assert limits[0]["key"]["t"] == 5
    assert answers[0].headers["RateLimit-Policy"] == '"key";q=100;w=5, "studio";q=300;w=5'


@pytest.mark.parametrize("path", ["/api/health", "/api/openapi.json", "/api/oauth/google/callback?state=x"])
def test_a_public_route_has_no_rate_limit_headers(api: Api, path: str) -> None:
    assert not [name for name in api.get(path).headers if name.startswith("RateLimit")]


def test_an_invalid_key_gets_no_rate_limit_headers(api: Api) -> None:
    answer = Api(api._client, api.studio_id, "wrong").get("/api/connections")
    assert answer.status == 401
    assert not [name for name in answer.headers if name.startswith("RateLimit")]


@pytest.mark.parametrize(
    ("limit", "remaining", "seconds"),
    [(Limit("key", 20, 100), 0.5, 1), (Limit("key", 20, 100), -99, 5), (Limit("key", 1, 5), -2.5, 4)],
)
def test_the_wait_is_in_whole_seconds_until_there_is_room(limit: Limit, remaining: float, seconds: int) -> None:
    assert limit.wait_seconds(remaining) == seconds


def test_buckets_are_unlogged(superuser: Superuser) -> None:
    assert superuser.run("SELECT relpersistence FROM pg_class WHERE relname = 'rate_limit'") == [["u"]]


def test_the_previous_release_still_finds_its_keys(limited: Limited, superuser: Superuser) -> None:
    key_id = new_key().split("_")[1]
    rows = superuser.run("SELECT cross_tenant.find_api_key(:id)", id=UUID(key_id))
    assert rows
