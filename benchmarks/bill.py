"""`python -m benchmarks.bill [--measure]`: the monthly AWS bill: what invocations use, at list prices.

Prints the tables of docs/cost.md. The usage is in benchmarks/usage.json; `--measure` measures it again.
"""

import argparse
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import msgspec

from benchmarks import prices
from benchmarks.consumption import Usage
from benchmarks.stack import Stack
from benchmarks.table import Row, Table
from chalicelib.work_queue import SENDERS, SQS_BATCH

USAGE = Path(__file__).with_name("usage.json")
DAYS = prices.HOURS / 24
GB = 1e9


@dataclass(frozen=True)
class Assumptions:
    """What cannot be measured in the product. Per studio, unless stated otherwise."""

    runs_per_day: float = 2 * 24 * 4 + 2 * 4
    """Google's two streams every 15 minutes and Meta's two every 6 hours, the defaults"""
    requests_per_day: float = 50
    platform_ms: float = 300
    """How long a platform takes to respond to a call"""
    queue_ms: float = 15
    """How long SQS takes to accept ten messages"""
    platform_bytes: float = 20_000
    """Sent and received per call, TLS included"""
    stored_gb: float = 0.02
    """After a year, indexes included"""
    traced: float = 0.05
    """Of invocations beyond the first in a second, which is always traced; X-Ray's default rule"""
    logs_kept_months: float = 1


@dataclass(frozen=True)
class Fleet:
    """A deployment with this many studios: a stage's template, with parameters that differ from its defaults."""

    name: str
    studios: int
    stage: str = "prod"
    parameters: Mapping[str, str] = field(default_factory=dict)
    memory_gb: float = 1.0
    """Of API and worker; the tick has half. Times measured on a whole core are longer on a share of one"""

    @cached_property
    def stack(self) -> Stack:
        return Stack(self.stage, self.parameters)


IDLE = (Fleet("dev, idle", 0, "dev"), Fleet("prod, idle", 0))
"""What `make deploy` creates with its defaults, before anybody uses it"""
SIZES = (
    Fleet("10 studios", 10, parameters={"Egress": "nat", "PrivateEndpoints": "false", "DatabaseStandby": "false"}),
    Fleet("1,000 studios", 1_000, parameters={"DatabaseInstanceClass": "db.r7g.large"}),
    Fleet(
        "100,000 studios",
        100_000,
        parameters={"DatabaseInstanceClass": "db.r7g.4xlarge", "DatabaseMaxStorage": "4000"},
    ),
)
FLEETS = (*IDLE, *SIZES)
METRICS = "Metrics, alarms, dashboard"
STANDING = {
    "AWS::CloudWatch::CompositeAlarm": (METRICS, prices.COMPOSITE_ALARM),
    "AWS::CloudWatch::Dashboard": (METRICS, prices.DASHBOARD),
    "AWS::EC2::EIP": ("Public IPv4 addresses", prices.PUBLIC_IPV4_HOUR * prices.HOURS),
    "AWS::EC2::NatGateway": ("NAT gateways", prices.NAT_HOUR * prices.HOURS),
    "AWS::KMS::Key": ("KMS", prices.KMS_KEY),
    "AWS::Route53::HealthCheck": (METRICS, prices.HEALTH_CHECK),
    "AWS::SecretsManager::Secret": ("Secrets Manager", prices.SECRET),
}
"""The item and the price per month of each resource of a type. Alarms, endpoints and databases depend on properties"""
QUEUE_POLLS = 5 * 60 / 20 * 60 * prices.HOURS
"""Lambda's five pollers, each with a long poll of 20 seconds, while the queue is empty"""


@dataclass(frozen=True)
class Load:
    """The usage of a month."""

    runs: float
    requests: float
    ticks: float
    gb_seconds: float
    log_gb: float
    kms_calls: float
    platform_gb: float
    answer_gb: float
    tick_seconds: float
    """Per tick, with the runs spread evenly"""
    busy_cores: float
    """Upper bound for the database: as if it worked for as long as statements take"""


def load(fleet: Fleet, usage: Usage, assumptions: Assumptions) -> Load:
    """A month of this fleet."""
    runs, requests = (fleet.studios * DAYS * each for each in (assumptions.runs_per_day, assumptions.requests_per_day))
    ticks = 60 * prices.HOURS
    share = min(1.0, fleet.memory_gb * 1024 / prices.LAMBDA_VCPU_MB)
    run_ms = usage.sync.ms / share + usage.sync.api_calls * assumptions.platform_ms
    tick_ms = (ticks * usage.tick.ms + runs * usage.tick_per_run.ms) / (
        share / 2
    ) + runs / SQS_BATCH / SENDERS * assumptions.queue_ms
    parts = ((runs, usage.sync), (requests, usage.api), (ticks, usage.tick), (runs, usage.tick_per_run))
    return Load(
        runs=runs,
        requests=requests,
        ticks=ticks,
        gb_seconds=(runs * run_ms + requests * usage.api.ms / share + tick_ms / 2) / 1000 * fleet.memory_gb,
        log_gb=sum(times * each.log_bytes for times, each in parts) / GB,
        kms_calls=sum(times * each.kms_calls for times, each in parts),
        platform_gb=runs * usage.sync.api_calls * assumptions.platform_bytes / GB,
        answer_gb=requests * usage.api.answer_bytes / GB,
        tick_seconds=tick_ms / ticks / 1000,
        busy_cores=sum(times * each.database_ms for times, each in parts) / 1000 / (prices.HOURS * 3600),
    )


def traces(invocations: float, assumptions: Assumptions) -> float:
    """Of one function in a month: the first invocation of each second, and a share of the others.

    Invocations arrive at random, so this is the expected number of seconds that have one.
    """
    seconds = prices.HOURS * 3600
    first = seconds * -math.expm1(-invocations / seconds)
    return first + (invocations - first) * assumptions.traced


def standing(stack: Stack) -> dict[str, float]:
    """US dollars per month, by item, for resources that cost the same however much they are used."""
    dollars = dict.fromkeys((item for item, _ in STANDING.values()), 0.0)
    for kind, (item, price) in STANDING.items():
        dollars[item] += stack.count(kind) * price
    return dollars


def bill(fleet: Fleet, usage: Usage, assumptions: Assumptions) -> dict[str, float]:
    """US dollars per month, by item."""
    of, stack, hours = load(fleet, usage, assumptions), fleet.stack, prices.HOURS
    fixed = standing(stack)
    stored = max(stack.allocated_gb, fleet.studios * assumptions.stored_gb)
    return {
        "Lambda: requests": (of.runs + of.requests + of.ticks) * prices.LAMBDA_REQUESTS,
        "Lambda: time": of.gb_seconds * prices.LAMBDA_GB_SECOND,
        "API Gateway": of.requests * prices.API_GATEWAY_REQUESTS,
        "SQS": (of.runs * (0.1 + 2) + QUEUE_POLLS) * prices.SQS_REQUESTS,
        "KMS": fixed["KMS"] + of.kms_calls * prices.KMS_REQUESTS,
        "Secrets Manager": fixed["Secrets Manager"] + stack.owner_secrets * prices.SECRET,
        "Logs": of.log_gb * (prices.LOGS_INGESTED_GB + assumptions.logs_kept_months * prices.LOGS_KEPT_GB),
        METRICS: fixed[METRICS] + usage.metric_series * prices.CUSTOM_METRIC + stack.alarm_metrics * prices.ALARM,
        "X-Ray": sum(traces(each, assumptions) for each in (of.requests, of.runs, of.ticks)) * prices.TRACES,
        "NAT gateways": fixed["NAT gateways"] + of.platform_gb * prices.NAT_GB,
        "Public IPv4 addresses": fixed["Public IPv4 addresses"],
        "VPC endpoints": stack.endpoint_interfaces * hours * prices.ENDPOINT_HOUR,
        "Traffic to the internet": (of.answer_gb + of.platform_gb / 10) * prices.EGRESS_GB,
        "RDS: instance": stack.database_instances * hours * prices.RDS_HOUR[stack.database_class],
        "RDS: storage": stack.database_instances * stored * prices.STORAGE_GB,
    }


def options(fleet: Fleet, usage: Usage, assumptions: Assumptions) -> dict[str, float]:
    """What the optional parts of the template add."""
    of = load(fleet, usage, assumptions)
    return {
        "RDS Proxy": prices.HOURS * prices.PROXY_VCPU_HOUR * prices.RDS_VCPUS[fleet.stack.database_class],
        "WAF": prices.WAF_ACL + 2 * prices.WAF_RULE + of.requests * prices.WAF_REQUESTS,
    }


def tables(usage: Usage, assumptions: Assumptions) -> Iterator[Table]:
    loads = [load(fleet, usage, assumptions) for fleet in FLEETS]
    bills = [bill(fleet, usage, assumptions) for fleet in FLEETS]
    extras = [options(fleet, usage, assumptions) for fleet in FLEETS]
    columns = ("", *(fleet.name for fleet in FLEETS))
    happens: list[Row] = [
        ("runs", *(of.runs for of in loads)),
        ("runs per second", *(of.runs / prices.HOURS / 3600 for of in loads)),
        ("requests", *(of.requests for of in loads)),
        ("GB-seconds of Lambda", *(of.gb_seconds for of in loads)),
        ("KMS calls", *(of.kms_calls for of in loads)),
        ("GB of logs", *(of.log_gb for of in loads)),
        ("seconds per tick", *(of.tick_seconds for of in loads)),
        ("database", *(f"{fleet.stack.database_class} x {fleet.stack.database_instances}" for fleet in FLEETS)),
        ("peak busy database cores", *(of.busy_cores for of in loads)),
    ]
    yield Table("Usage per month", columns, happens)
    dollars: list[Row] = [(line, *(each[line] for each in bills)) for line in bills[0]]
    totals = [sum(each.values()) for each in bills]
    dollars.append(("total", *totals))
    shares = (total / fleet.studios if fleet.studios else None for total, fleet in zip(totals, FLEETS, strict=True))
    dollars.append(("per studio", *shares))
    dollars += [(f"optional: {line}", *(each[line] for each in extras)) for line in extras[0]]
    yield Table(f"US dollars per month, list prices of {prices.AS_OF}", columns, dollars)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.bill", description=__doc__)
    parser.add_argument("--measure", action="store_true", help="measure what invocations use, and save it")
    if parser.parse_args().measure:
        from benchmarks import usage as measuring

        USAGE.write_bytes(msgspec.json.format(msgspec.json.encode(measuring.measure()), indent=2) + b"\n")
    for table in tables(msgspec.json.decode(USAGE.read_bytes(), type=Usage), Assumptions()):
        print(table.as_markdown(), end="\n\n")


if __name__ == "__main__":
    main()
