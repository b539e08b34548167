"""Variables that could lead a deployed function's calls elsewhere than to AWS: each is refused by its name."""

import re
from collections.abc import Mapping

from chalicelib.errors import SettingsError

# What boto3 heeds and nobody deployed needs: it comes with a developer's environment, or from somebody who may set a
# function's variables and nothing else.
_REDIRECTS = re.compile(
    r"AWS_ENDPOINT_URL(_\w+)?"  # another KMS or Secrets Manager is given plain data keys, or gives us its secrets
    r"|HTTPS?_PROXY"  # sees which hosts are called, and all that is not TLS; only boto3 heeds it, so nothing needs it
    r"|AWS_CA_BUNDLE|REQUESTS_CA_BUNDLE"  # other authorities: with a proxy or a false name server, all of the above
    r"|SSLKEYLOGFILE",  # writes down the keys of each TLS session, to the platforms too
    re.IGNORECASE,  # proxies are heeded in lower case as well
)
# Not refused: AWS_IGNORE_CONFIGURED_ENDPOINT_URLS, which only takes a redirect back; AWS_CONFIG_FILE, AWS_PROFILE and
# SSL_CERT_FILE, which name files, and those of a function are its package's and its runtime's; the place of SnapStart's
# credentials, AWS_CONTAINER_CREDENTIALS_FULL_URI; PYTHONHTTPSVERIFY, which Python 3 does not know; LD_PRELOAD,
# PYTHONPATH, AWS_LAMBDA_EXEC_WRAPPER and their like, by which another program is running already.

QUEUE_URL = re.compile(
    r"https://sqs\.(?P<region>[a-z0-9-]+)\.amazonaws\.com(\.cn)?/(?P<account>\d{12})/(?P<name>[\w-]{1,80})", re.ASCII
)
"""As SQS and CloudFormation give it; other hosts of amazonaws.com are anybody's: load balancers, buckets, machines."""


def ensure_not_redirected(environ: Mapping[str, str], stage: str) -> None:
    """Raises SettingsError naming the variable."""
    for name, value in environ.items():
        if value.strip() and _REDIRECTS.fullmatch(name):
            raise SettingsError(f"{name} is not allowed in {stage}: it leads calls to AWS elsewhere, or lays them open")


def ensure_queue_of_aws(name: str, url: str, stage: str) -> None:
    """Raises SettingsError naming the variable."""
    if not QUEUE_URL.fullmatch(url):
        raise SettingsError(f"{name} must be https://sqs.REGION.amazonaws.com/ACCOUNT/NAME in {stage}")
