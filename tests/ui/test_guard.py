from __future__ import annotations

import pytest

from tina_framework.ui.guard import HEADERS, allowed_names, refusal

NAMES = allowed_names("127.0.0.1")


@pytest.mark.parametrize("host", ["127.0.0.1:8462", "localhost:8462", "LOCALHOST", "[::1]:8462", "192.168.0.7:8462"])
def test_addresses_and_the_own_names_are_served(host: str) -> None:
    assert refusal(host, None, NAMES) is None
    assert refusal(host, f"http://{host}", NAMES) is None


@pytest.mark.parametrize("host", [None, "", "evil.example", "evil.example:8462", "127.0.0.1.evil.example"])
def test_other_names_are_refused(host: str | None) -> None:
    assert "is not served under the name" in (refusal(host, None, NAMES) or "")


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "https://127.0.0.1:8462", "http://127.0.0.1:1", ""])
def test_requests_of_other_sites_are_refused(origin: str) -> None:
    assert "Another web site" in (refusal("127.0.0.1:8462", origin, NAMES) or "")


def test_the_name_given_as_host_is_served() -> None:
    assert refusal("lab.example:80", None, allowed_names("Lab.example")) is None


def test_the_page_may_load_nothing_from_elsewhere() -> None:
    policy = HEADERS["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "http" not in policy
    assert "unsafe" not in policy
