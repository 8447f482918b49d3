"""
Where a download may go: https only, and only to hosts that were named beforehand.

A mirror that is allowed to redirect anywhere can make this house ask its own router. So redirects
are followed by hand: each hop is checked like the first address, and there are three at most.
These are rules over text; whoever fetches asks them before every request.

Source: signing.md 4.6, R01, R02 and X05; RFC 9110, section 15.4.
"""

from __future__ import annotations

from collections.abc import Collection
from urllib.parse import SplitResult, urljoin, urlsplit

MAX_HOPS = 3
GITHUB_HOSTS = frozenset(
    {"github.com", "objects.githubusercontent.com", "release-assets.githubusercontent.com"}
)
"""A release asset is asked for at the first and delivered by one of the others."""
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_HTTPS = 443
_LONGEST = 4096


class UrlError(Exception):
    """An address that may not be asked; its text names it and says why."""


def check_url(url: str, allowed_hosts: Collection[str]) -> str:
    """
    Return the address without a fragment if it may be asked.

    Args:
        url: as it was configured, or as a redirect named it.
        allowed_hosts: `example.com` for port 443, `example.com:8443` for another; no subdomains.

    Raises:
        UrlError: another scheme or host, a user name in it, or characters that two readers would
            understand differently.
    """
    if (
        len(url) > _LONGEST
        or not url.isascii()
        or not url.isprintable()
        or set(url) & set(' \\"<>')
    ):
        raise UrlError(
            f"The address {_quoted(url)} is longer than {_LONGEST} characters or has characters "
            "that no address has. Check how it was entered."
        )
    parts = _split(url)
    if parts.scheme != "https":
        raise UrlError(
            f"The address {shown(url)} does not begin with https://. Anybody on the way could "
            "change what it delivers; use an https address."
        )
    if parts.username is not None or parts.password is not None:
        raise UrlError(
            f"The address {shown(url)} contains a user name or password. Take it out; releases "
            "are public."
        )
    if origin(url) not in {it.lower() for it in allowed_hosts}:
        raise UrlError(
            f"The host {origin(url) or 'without a name'} is not among those that releases may come "
            f"from ({', '.join(sorted(allowed_hosts)) or 'none'}). Nothing was asked of it."
        )
    return parts._replace(fragment="").geturl()


def next_hop(
    url: str, status: int, location: str | None, hops: int, allowed_hosts: Collection[str]
) -> str | None:
    """
    Return the address that the answer sends us to, or `None` if it is no redirect.

    Args:
        url: that was asked.
        status: of the answer.
        location: the `Location` header, `None` if it has none.
        hops: redirects that were followed before this one.
        allowed_hosts: as for `check_url`.

    Raises:
        UrlError: one hop too many, no address in the answer, or one that may not be asked.
    """
    if status not in _REDIRECTS:
        return None
    if hops >= MAX_HOPS:
        raise UrlError(
            f"{shown(url)} redirects once more after {MAX_HOPS} redirects. It was given up; use an "
            "address closer to the file."
        )
    if not location:
        raise UrlError(f"{shown(url)} redirects ({status}) and does not say where to.")
    try:
        target = urljoin(url, location)
    except ValueError as error:
        raise UrlError(
            f"{shown(url)} redirects to {_quoted(location)}, which is no address."
        ) from error
    return check_url(target, allowed_hosts)


def origin(url: str) -> str:
    """
    Return host and port as allow-lists have them: `example.com`, `example.com:8443`; "" for none.

    Raises:
        UrlError: it cannot be taken apart.
    """
    parts = _split(url)
    host = parts.hostname or ""
    if ":" in host:
        host = f"[{host}]"
    return host if parts.port in {None, _HTTPS} else f"{host}:{parts.port}"


def shown(url: str) -> str:
    """Return the address for people: without user, query and fragment, which may hold secrets."""
    try:
        return f"{_split(url).scheme}://{origin(url)}{_split(url).path}"[:200]
    except UrlError:
        return _quoted(url)


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError as error:
        raise UrlError(
            f"{_quoted(url)} is no address: {error}. Check how it was entered."
        ) from error
    return parts


def _quoted(url: str) -> str:
    """Return the beginning of what is no address, up to where secrets may begin."""
    return ascii(url.partition("?")[0].rpartition("@")[2][:80])
