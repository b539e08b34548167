"""`python -m deploy.certificates --region eu-central-1`: downloads Amazon RDS's certificate authorities."""

import argparse
import ssl
import sys
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.x509.oid import NameOID

from deploy.pins import ROOT

# https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/UsingWithRDS.SSL.html
TRUST_STORE = "https://truststore.pki.rds.amazonaws.com"
EVERYWHERE = "global"
"""Stands for all Regions. A cold start takes longer to read their hundred authorities than a Region's few."""
PATH = ROOT / "vendor" / "certificates" / "rds.pem"
OWNER = "Amazon Web Services, Inc."
LARGEST = 2 * 1024 * 1024


class NotRdsError(Exception):
    """The downloaded file is not RDS's list of certificate authorities."""


def _check(certificate: x509.Certificate) -> None:
    """Trust comes from the TLS connection; this refuses files that would make verification pointless or impossible."""
    subject = certificate.subject.rfc4514_string()
    if [name.value for name in certificate.subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)] != [OWNER]:
        raise NotRdsError(f"{subject} does not belong to {OWNER}")
    if "RDS" not in subject:
        raise NotRdsError(f"{subject} is not an authority of RDS")
    try:
        is_authority = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
        certificate.verify_directly_issued_by(certificate)
    except (x509.ExtensionNotFound, InvalidSignature, ValueError) as reason:
        raise NotRdsError(f"{subject} is not a root certificate") from reason
    if not is_authority:
        raise NotRdsError(f"{subject} is not a certificate authority")


def check(bundle: bytes) -> int:
    """The number of authorities in `bundle`; NotRdsError unless each is a root certificate of Amazon RDS."""
    try:
        certificates = x509.load_pem_x509_certificates(bundle)
    except ValueError as reason:
        raise NotRdsError("it contains no certificates") from reason
    for certificate in certificates:
        _check(certificate)
    return len(certificates)


def bundle_of(region: str) -> str:
    return f"{TRUST_STORE}/{region}/{region}-bundle.pem"


def fetch(url: str, context: ssl.SSLContext | None = None) -> bytes:
    """Over TLS only, verified with this machine's authorities unless `context` says otherwise."""
    if not url.startswith("https://"):
        raise NotRdsError("certificates are downloaded over TLS only")
    verified = context or ssl.create_default_context()
    with urllib.request.urlopen(url, context=verified, timeout=30) as answer:  # noqa: S310 - https alone, see above
        return bytes(answer.read(LARGEST))


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m deploy.certificates", description=__doc__)
    parser.add_argument("--region", default=EVERYWHERE, help="the database's Region (default: all Regions)")
    parser.add_argument("--url", help="another URL to download them from")
    parser.add_argument("--output", type=Path, default=PATH)
    options = parser.parse_args(arguments)
    url = options.url or bundle_of(options.region)
    try:
        bundle = fetch(url)
        count = check(bundle)
        options.output.parent.mkdir(parents=True, exist_ok=True)
        options.output.write_bytes(bundle)
    except (urllib.error.URLError, NotRdsError, OSError) as error:
        reason = error.reason if type(error) is urllib.error.URLError else error
        print(f"certificates: {url}: {reason}; nothing was written", file=sys.stderr)
        return 1
    print(f"{options.output}: {count} certificate authorities of Amazon RDS")
    return 0


if __name__ == "__main__":
    sys.exit(main())
