"""Where a deployed API is reached: at its own domain, or at API Gateway's host if it has none."""

import socket
from dataclasses import dataclass
from urllib.parse import urlsplit

import urllib3

from deploy.cloud import DeployError, Stack

TIMEOUT = urllib3.Timeout(connect=5, read=35)


@dataclass(frozen=True)
class Endpoint:
    url: str
    """Ends before `/api`, like PUBLIC_URL"""
    connects_to: str | None = None
    """The host to connect to instead of the URL's, whose DNS record may not exist yet"""

    def get(self, path: str) -> urllib3.BaseHTTPResponse:
        """The certificate and the request are those of the URL, whichever host it connects to."""
        if self.connects_to is None:
            return urllib3.PoolManager(timeout=TIMEOUT, retries=False).request("GET", f"{self.url}{path}")
        named = urlsplit(self.url)
        host, _, port = self.connects_to.partition(":")
        pool = urllib3.HTTPSConnectionPool(
            host,
            int(port or 443),
            timeout=TIMEOUT,
            retries=False,
            server_hostname=named.hostname,
            assert_hostname=named.hostname,
        )
        return pool.request("GET", f"{named.path}{path}", headers={"Host": named.netloc})

    def missing_record(self) -> str | None:
        """What to do if the URL's name is not known to DNS."""
        name = urlsplit(self.url).hostname
        try:
            socket.getaddrinfo(name, 443)
        except OSError:
            return f"{name} has no DNS record here yet: point a CNAME, or an alias record, at {self.connects_to}"
        return None


def find_endpoint(stack: Stack, url: str | None) -> Endpoint:
    """At `url` if it is given. A stack with a domain accepts requests there only."""
    if url:
        return Endpoint(url.rstrip("/"))
    if "DomainUrl" in stack.outputs:
        return Endpoint(stack.outputs["DomainUrl"], stack.outputs["DomainTarget"])
    if "EndpointURL" not in stack.outputs:
        raise DeployError(f"{stack.name} has no output EndpointURL: give --url")
    return Endpoint(stack.outputs["EndpointURL"].rstrip("/"))
