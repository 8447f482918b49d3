"""
Verifies one signature of Secure Boot v2; numbers that are no key or no signature fit nothing.

Apart from `signatures` because cryptography is large and most images of a house are not signed.

Source: ESP-IDF "Secure Boot v2"; espsecure 5.6.
"""

from __future__ import annotations

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa, utils
from cryptography.hazmat.primitives.hashes import SHA256, SHA384

_CURVES: dict[str, type[ec.EllipticCurve]] = {
    "ecdsa192": ec.SECP192R1,
    "ecdsa256": ec.SECP256R1,
    "ecdsa384": ec.SECP384R1,
}


def rsa_fits(modulus: int, exponent: int, signature: bytes, digest: bytes) -> bool:
    """Return whether the big-endian signature is RSA-PSS over the SHA-256, its salt 32 bytes."""
    try:
        rsa.RSAPublicNumbers(exponent, modulus).public_key().verify(
            signature,
            digest,
            padding.PSS(mgf=padding.MGF1(SHA256()), salt_length=32),
            utils.Prehashed(SHA256()),
        )
    except (InvalidSignature, ValueError):
        return False
    return True


def ecdsa_fits(
    scheme: str, point: tuple[int, int], signature: tuple[int, int], digest: bytes
) -> bool:
    """Return whether the signature's two numbers fit the digest under the key at this point."""
    algorithm = SHA384() if scheme == "ecdsa384" else SHA256()
    try:
        key = ec.EllipticCurvePublicNumbers(*point, _CURVES[scheme]()).public_key()
        encoded = utils.encode_dss_signature(*signature)
        key.verify(encoded, digest, ec.ECDSA(utils.Prehashed(algorithm)))
    except (InvalidSignature, UnsupportedAlgorithm, ValueError):
        return False
    return True
