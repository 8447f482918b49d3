"""
Fetches the first root of a publisher that a person wants to add.

What comes is compared with the fingerprint that the person was told by another way; the mirror
is believed in nothing.

Source: signing.md 4.7, L04.
"""

from __future__ import annotations

import asyncio
import ssl

import aiohttp

from agent.firmware.trust.hosts import UrlError, check_url, origin

LARGEST_ROOT_BYTES = 524_288
DEADLINE_S = 20.0


async def fetch_root(mirror: str, cafile: str | None = None) -> bytes:
    """
    Return `metadata/1.root.json` of a mirror; nothing is followed elsewhere.

    Args:
        mirror: base address without a slash at its end.
        cafile: certificates to trust in place of the system's.

    Raises:
        OSError: it did not come; the text says why.
    """
    url = f"{mirror}/metadata/1.root.json"
    try:
        checked = check_url(url, {origin(mirror)})
        context = await asyncio.to_thread(ssl.create_default_context, cafile=cafile)
        async with (
            asyncio.timeout(DEADLINE_S),
            aiohttp.ClientSession() as session,
            session.get(checked, ssl=context, allow_redirects=False) as answer,
        ):
            if answer.status != 200:  # noqa: PLR2004 - OK
                raise OSError(f"{url} answers with {answer.status}. Check the address.")
            data = await answer.content.read(LARGEST_ROOT_BYTES + 1)
            while len(data) <= LARGEST_ROOT_BYTES:
                more = await answer.content.read(LARGEST_ROOT_BYTES + 1 - len(data))
                if not more:
                    return data
                data += more
    except TimeoutError as error:
        raise OSError(f"{url} did not answer in {DEADLINE_S:.0f} s. Try again later.") from error
    except (aiohttp.ClientError, UrlError, ssl.SSLError) as error:
        raise OSError(f"{url} could not be fetched: {error}") from error
    raise OSError(f"{url} is too long to be a root. Check the address.")
