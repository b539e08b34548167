"""Variables that could redirect a deployed function's calls away from AWS: each is rejected by name."""

import re
from collections.abc import Mapping

from chalicelib.errors import SettingsError

# boto3 honours these, and no deployed function needs them: they come from a developer's environment, or from an
# attacker who can set a function's variables and nothing else.
_REDIRECTS = re.compile(
    r"AWS_ENDPOINT_URL(_\w+)?"  # another KMS or Secrets Manager receives plain data keys, or supplies its own secrets
    r"|HTTPS?_PROXY"  # sees the hosts called, and all traffic without TLS; only boto3 honours it, so it is not needed
    r"|AWS_CA_BUNDLE|REQUESTS_CA_BUNDLE"  # other CAs: with a proxy or a malicious name server, all of the above
    r"|SSLKEYLOGFILE",  # writes the keys of each TLS session to a file, including those to platforms
    re.IGNORECASE,  # proxies are honoured in lower case as well
)
# Allowed: AWS_IGNORE_CONFIGURED_ENDPOINT_URLS, which only undoes a redirect; AWS_CONFIG_FILE, AWS_PROFILE and
# SSL_CERT_FILE, which name files, and a function's files come from its package and its runtime; the location of
# SnapStart's credentials, AWS_CONTAINER_CREDENTIALS_FULL_URI; PYTHONHTTPSVERIFY, which Python 3 ignores; LD_PRELOAD,
# PYTHONPATH, AWS_LAMBDA_EXEC_WRAPPER and the like, with which an attacker's program already runs.

QUEUE_URL = re.compile(
    r"https://sqs\.(?P<region>[a-z0-9-]+)\.amazonaws\.com(\.cn)?/(?P<account>\d{12})/(?P<name>[\w-]{1,80})", re.ASCII
)
"""The format of SQS and CloudFormation; other hosts in amazonaws.com can be anyone's: load balancers, buckets, VMs."""


def ensure_not_redirected(environ: Mapping[str, str], stage: str) -> None:
    """Raises SettingsError naming the variable."""
    for name, value in environ.items():
        if value.strip() and _REDIRECTS.fullmatch(name):
            raise SettingsError(f"{name} is not allowed in {stage}: it redirects calls to AWS, or exposes them")


def ensure_queue_of_aws(name: str, url: str, stage: str) -> None:
    """Raises SettingsError naming the variable."""
    if not QUEUE_URL.fullmatch(url):
        raise SettingsError(f"{name} must be https://sqs.REGION.amazonaws.com/ACCOUNT/NAME in {stage}")
