"""Certificates of a private authority, as files: what a server presents, and what a client trusts."""

import ssl
from datetime import timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from chalicelib import clock

DAY = timedelta(days=1)
PEM = serialization.Encoding.PEM
UNENCRYPTED = serialization.NoEncryption()
PKCS8 = serialization.PrivateFormat.PKCS8


class Authority:
    def __init__(self, folder: Path, name: str = "Test authority") -> None:
        self.file = folder / f"{name}.pem"
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        own = self._draft(self._name, self._key, days=30).add_extension(
            x509.BasicConstraints(True, None), critical=True
        )
        signs = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
        self.file.write_bytes(
            own.add_extension(signs, critical=True).sign(self._key, hashes.SHA256()).public_bytes(PEM)
        )

    def server(self, host: str, *, days: int = 30) -> ssl.SSLContext:
        """The certificate of a server at this name or address; with negative days it has expired."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)])
        try:
            known: x509.GeneralName = x509.IPAddress(ip_address(host))
        except ValueError:
            known = x509.DNSName(host)
        draft = self._draft(subject, key, days=days).add_extension(x509.SubjectAlternativeName([known]), critical=False)
        draft = draft.add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False
        )
        files = self._folder / "server.pem", self._folder / "server.key"
        files[0].write_bytes(draft.sign(self._key, hashes.SHA256()).public_bytes(PEM))
        files[1].write_bytes(key.private_bytes(PEM, PKCS8, UNENCRYPTED))
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(*files)
        return context

    def _draft(self, subject: x509.Name, key: ec.EllipticCurvePrivateKey, *, days: int) -> x509.CertificateBuilder:
        now = clock.now()  # today: the TLS library asks the machine whether a certificate is valid
        builder = x509.CertificateBuilder().subject_name(subject).issuer_name(self._name).public_key(key.public_key())
        builder = builder.serial_number(x509.random_serial_number())
        builder = builder.not_valid_before(now - 60 * DAY).not_valid_after(now + days * DAY)
        return builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
