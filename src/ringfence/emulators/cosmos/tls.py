"""A certificate for loopback, made at start and kept by nobody but its server."""

from __future__ import annotations

import ipaddress
import ssl
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

__all__ = ["Certificate", "make_certificate"]

HOST_NAMES = ("localhost",)
ADDRESSES = ("127.0.0.1",)


class Certificate:
    """A self-signed certificate and its key."""

    def __init__(self, certificate: bytes, key: bytes) -> None:
        """Take both in PEM."""
        self.pem = certificate.decode()
        """What a client that checks certificates is to trust."""
        self._key = key

    def server_context(self) -> ssl.SSLContext:
        """Return what a server speaks TLS with. OpenSSL reads files only: they are gone when it returns."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        with tempfile.TemporaryDirectory(prefix="ringfence-cosmos-") as folder:
            path = Path(folder, "certificate.pem")
            path.touch(mode=0o600)
            path.write_bytes(self._key + self.pem.encode())
            context.load_cert_chain(path)
        return context


def make_certificate() -> Certificate:
    """Make a certificate for loopback that is valid for a day."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "ringfence Cosmos DB emulator")])
    names: list[x509.GeneralName] = [x509.DNSName(host) for host in HOST_NAMES]
    names += [x509.IPAddress(ipaddress.ip_address(address)) for address in ADDRESSES]
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return Certificate(certificate.public_bytes(serialization.Encoding.PEM), private)
