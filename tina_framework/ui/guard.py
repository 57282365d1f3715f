"""Refuse requests that other web sites make through the person's browser.

A site on the internet can send requests to ``127.0.0.1``. Its browser says so in ``Origin``. A site can also let its own name point
to ``127.0.0.1`` (DNS rebinding). Then ``Host`` has that name.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Collection

__all__ = ["HEADERS", "allowed_names", "refusal"]

HEADERS = {
    # The page has files of its own and pictures that the person dropped. Nothing comes from another host.
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self'; "
        "form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}
"""Headers of every response."""


def allowed_names(host: str) -> frozenset[str]:
    """Return the names, besides IP addresses, under which a page that listens on `host` may be opened."""
    own = socket.gethostname().lower()
    return frozenset({"localhost", host.lower(), own, f"{own}.local"})


def refusal(host: str | None, origin: str | None, names: Collection[str]) -> str | None:
    """Return why a request is refused, or None.

    Args:
        host: the header ``Host``.
        origin: the header ``Origin``; None: the browser sent none.
        names: from `allowed_names`.
    """
    name = _name(host or "")
    if name not in names and not _is_address(name):
        return f"This page is not served under the name '{name}'; open the address that 'tina ui' printed."
    if origin is not None and origin.lower() != f"http://{host}".lower():
        return "Another web site sent this request, so it was refused; open the address that 'tina ui' printed."
    return None


def _name(host: str) -> str:
    """Return a ``Host`` without its port."""
    if host.startswith("["):  # an IPv6 address
        return host[1:].partition("]")[0].lower()
    return host.partition(":")[0].lower()


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
