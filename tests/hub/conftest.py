"""A stocked fake hub for each test, and the hub client that talks to it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.hub.fake_hub import FakeHub, running
from tests.hub.shelves import stock
from webui.hub.search import Hub
from webui.hub.transfer import Patience

QUICK = Patience(stall=0.5, connect=2.0, attempts=3, pause=0.01, tries=0)


@pytest.fixture
def fake() -> Iterator[FakeHub]:
    with running() as hub:
        stock(hub)
        yield hub


@pytest.fixture
def hub(fake: FakeHub) -> Hub:
    return Hub(fake.url, patience=10.0)


@pytest.fixture
def quick() -> Patience:
    return QUICK
