"""How much of the quotas is used, as in Graph's headers, and its refusals when nothing is left.

https://developers.facebook.com/docs/graph-api/overview/rate-limiting
"""

import json
from dataclasses import dataclass

from dev.sandbox.meta.edges import ADS_INSIGHTS
from dev.sandbox.meta.errors import envelope
from dev.sandbox.wire import Json, Refusal, Response

TIER = "standard_access"


@dataclass
class Usage:
    """Used percentages of the application's and the ad account's quota, and minutes until the latter is restored."""

    app: float = 3
    account: float = 2
    minutes: int = 0

    def check(self, use_case: str) -> None:
        if self.app >= 100:
            raise Refusal(envelope(4, "(#4) Application request limit reached", status=403))
        if use_case and self.account >= 100:
            code = 80000 if use_case == ADS_INSIGHTS else 80004
            message = f"(#{code}) There have been too many calls to this ad-account. Wait a bit and try again."
            raise Refusal(envelope(code, message, subcode=2446079))

    def headers(self, use_case: str, business_id: str) -> dict[str, str]:
        told: dict[str, Json] = {"X-App-Usage": _calls(self.app)}
        if use_case:
            case = {"type": use_case, **_calls(self.account), "estimated_time_to_regain_access": self.minutes}
            told["X-Business-Use-Case-Usage"] = {business_id: [{**case, "ads_api_access_tier": TIER}]}
            told["X-Ad-Account-Usage"] = {
                "acc_id_util_pct": self.account,
                "reset_time_duration": 60 * self.minutes,
                "ads_api_access_tier": TIER,
            }
        if use_case == ADS_INSIGHTS:
            throttle = {"app_id_util_pct": self.app, "acc_id_util_pct": self.account, "ads_api_access_tier": TIER}
            told["x-fb-ads-insights-throttle"] = throttle
        return {name: json.dumps(value, separators=(",", ":")) for name, value in told.items()}


def with_headers(response: Response, headers: dict[str, str]) -> Response:
    return Response(response.status, response.body, {**response.headers, **headers})


def _calls(percent: float) -> Json:
    return {"call_count": int(percent), "total_time": int(percent / 2), "total_cputime": int(percent / 3)}
