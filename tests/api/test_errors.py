"""The table of bad inputs, row by row: status, shape, type, param and code; and after each a good request works."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import httpx
import pytest

from tests.api.bad_cases import CASES, KEY, KEY_CASES, Case
from tests.api.bad_inputs import load_usual, refusals, run_case, run_locked
from tests.api.conftest import Server

# What the command line refuses has tests of its own, without a process for each.
REFUSALS = [refusal for refusal in refusals() if refusal[0] < 40]


@pytest.fixture(autouse=True, scope="module")
def loaded(server: Server) -> None:
    load_usual(server)


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = Server(tmp_path_factory.mktemp("locked"), api_key=KEY)
    load_usual(server)
    yield server
    server.stop()


def named(case: Case) -> str:
    return f"{case.row}: {case.what}"


@pytest.mark.parametrize("case", CASES, ids=named)
def test_a_bad_input(server: Server, http: httpx.Client, case: Case) -> None:
    wrong = run_case(server, http, case)
    assert not wrong, wrong


@pytest.mark.parametrize("case", KEY_CASES, ids=named)
def test_a_bad_key(locked: Server, case: Case) -> None:
    with locked.client() as http, locked.client(headers={"x-api-key": KEY}) as good:
        wrong = run_locked(locked, http, good, case)
        assert not wrong, wrong


@pytest.mark.parametrize(("row", "what", "refuse"), REFUSALS, ids=[f"{row}: {what}" for row, what, _ in REFUSALS])
def test_what_no_route_takes(row: int, what: str, refuse: Callable[[], str]) -> None:
    assert not refuse(), (row, what)


def test_every_row_has_its_cases() -> None:
    rows = {case.row for case in (*CASES, *KEY_CASES)} | {row for row, _, _ in REFUSALS}
    assert rows == set(range(1, 39))


def test_nothing_is_known_of_a_model_that_is_not_there(server: Server, http: httpx.Client) -> None:
    server.run(server.services.models.unload())
    try:
        assert http.get("/v1/models").json()["data"] == []
        assert http.get("/v1/internal/model/info").json()["model_name"] == "None"
        assert http.get("/health").status_code == 503
    finally:
        load_usual(server)
