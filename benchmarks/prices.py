"""AWS's list prices, from which the bill is computed: us-east-1, US dollars, on demand, no free tiers or discounts."""

AS_OF = "2026-11-22"
"""When they were looked up; check the pricing page of each service again."""
HOURS = 730.0
"""A month, as AWS counts it."""

LAMBDA_REQUESTS = 0.20 / 1e6
LAMBDA_GB_SECOND = 0.0000133334
"""arm64, the first 7.5 billion per month"""
LAMBDA_VCPU_MB = 1769
"""The memory that comes with one virtual core: Lambda Developer Guide, Configure Lambda function memory"""
API_GATEWAY_REQUESTS = 3.50 / 1e6
"""REST API, the first 333 million per month"""
SQS_REQUESTS = 0.40 / 1e6
KMS_KEY = 1.00
KMS_REQUESTS = 0.03 / 1e4
SECRET = 0.40
LOGS_INGESTED_GB = 0.50
LOGS_KEPT_GB = 0.03
CUSTOM_METRIC = 0.30
ALARM = 0.10
DASHBOARD = 3.00
TRACES = 5.00 / 1e6
COMPOSITE_ALARM = 0.50
HEALTH_CHECK = 1.50
"""Of Route 53: an endpoint at AWS, over HTTPS. AWS's page was not read for this price and the one above"""
NAT_HOUR = 0.045
NAT_GB = 0.045
PUBLIC_IPV4_HOUR = 0.005
"""In use or not; looked up on 2026-12-01"""
ENDPOINT_HOUR = 0.01
"""An interface endpoint in one availability zone"""
EGRESS_GB = 0.09
STORAGE_GB = 0.115
"""gp3, for one availability zone"""
RDS_HOUR = {
    "db.t4g.micro": 0.016,
    "db.t4g.medium": 0.065,
    "db.r7g.large": 0.239,
    "db.r7g.2xlarge": 0.956,
    "db.r7g.4xlarge": 1.912,
}
"""RDS for PostgreSQL in one availability zone"""
RDS_VCPUS = {"db.t4g.micro": 2, "db.t4g.medium": 2, "db.r7g.large": 2, "db.r7g.2xlarge": 8, "db.r7g.4xlarge": 16}
PROXY_VCPU_HOUR = 0.015
"""Of the database's vCPUs"""
WAF_ACL = 5.00
WAF_RULE = 1.00
WAF_REQUESTS = 0.60 / 1e6
