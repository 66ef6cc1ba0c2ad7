"""Searching and listing through the real huggingface_hub against the fake hub, and a sentence for every fault."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from tests.hub.fake_hub import FakeHub
from webui.errors import BadValue
from webui.hub import advice
from webui.hub.client import make_impatient
from webui.hub.faults import HubFault
from webui.hub.machine import Machine
from webui.hub.peek import FIRST, peek
from webui.hub.reference import Reference, parse
from webui.hub.search import Hub
from webui.hub.transfer import new_client


async def test_search_tells_likes_downloads_and_size(hub: Hub) -> None:
    found = await hub.find("tiny", kind="gguf")
    assert [one.repo for one in found] == ["maker/Tiny-GGUF"]
    assert (found[0].likes, found[0].downloads, found[0].parameters) == (120, 54_321, 1_000_000)
    assert (found[0].architecture, found[0].context, found[0].updated) == ("llama", 2048, "2026-11-01")
    every = await hub.find("", kind="any", sort="likes", limit=2)
    assert [one.repo for one in every] == ["maker/Tiny-GGUF", "maker/Split-GGUF"]
    assert [one.repo for one in await hub.find("", kind="lora")] == ["maker/Tiny-LoRA"]


async def test_look_gives_sizes_and_checksums_of_one_commit(hub: Hub, fake: FakeHub) -> None:
    view = await hub.look(parse("maker/Tiny-GGUF"))
    repo = fake.repos["maker/Tiny-GGUF"]
    assert view.commit == repo.commit("main") and view.licence == "apache-2.0" and not view.gated
    sizes = {file.path: file.size for file in view.files}
    assert sizes == {path: len(data) for path, data in repo.files.items()}
    by_path = {file.path: file for file in view.files}
    assert len(by_path["Tiny-Q8_0.gguf"].sha256) == 64 and not by_path["Tiny-Q8_0.gguf"].git_oid
    assert len(by_path["README.md"].git_oid) == 40 and not by_path["README.md"].sha256


async def test_branches_and_quantisations_after_the_colon(hub: Hub) -> None:
    assert await hub.branches("maker/Tiny-exl2") == ("main", "4.0bpw", "6.5bpw")
    view = await hub.look(parse("maker/Tiny-exl2:6.5bpw"))
    assert "output.safetensors" in {file.path for file in view.files}
    quantisation = await hub.look(parse("maker/Tiny-GGUF:q8_0"))
    assert (quantisation.revision, quantisation.wanted) == ("main", "Q8_0")
    assert advice.offers(quantisation).offers[0].title == "Tiny-Q8_0"
    file = await hub.look(parse("maker/Tiny-GGUF/Tiny-Q2_K.gguf"))
    assert advice.offers(file).offers[0].title == "Tiny-Q2_K"


async def test_only_the_hub_is_asked_and_runs_no_errands(hub: Hub, fake: FakeHub) -> None:
    await hub.find("tiny")
    await hub.look(parse("maker/Tiny-GGUF"))
    assert {request.path.split("?")[0].split("/")[2] for request in fake.requests} == {"models"}
    assert all(request.method == "GET" for request in fake.requests)


async def test_token_goes_along(hub: Hub, fake: FakeHub) -> None:
    fake.faults.private = True
    with pytest.raises(HubFault) as caught:
        await hub.look(parse("maker/Tiny-GGUF"))
    assert caught.value.code == "hub_no_repo"
    view = await replace(hub, token="hf_secret").look(parse("maker/Tiny-GGUF"))
    assert view.files
    assert fake.requests[-1].headers["authorization"] == "Bearer hf_secret"


def _set(name: str, value: object) -> Callable[[FakeHub], None]:
    return lambda fake: setattr(fake.faults, name, value)


@pytest.mark.parametrize(
    ("fault", "text", "code", "values"),
    [
        (_set("rate_limited", 42), "maker/Tiny-GGUF", "hub_rate_limited", {"seconds": 42}),
        (_set("broken_times", 9), "maker/Tiny-GGUF", "hub_broken", {"status": 503}),
        (_set("captive", True), "maker/Tiny-GGUF", "hub_captive", {}),
        (_set("bad_token", True), "maker/Tiny-GGUF", "hub_token", {}),
        (lambda fake: None, "maker/Missing", "hub_no_repo", {"repo": "maker/Missing"}),
        (lambda fake: None, "maker/Tiny-GGUF:nope", "hub_no_revision", {"revision": "nope"}),
        (lambda fake: None, "maker/Tiny-GGUF/none.gguf", "hub_no_file", {"file": "none.gguf"}),
    ],
)
async def test_one_sentence_for_each_fault(
    hub: Hub, fake: FakeHub, fault: Callable[[FakeHub], None], text: str, code: str, values: dict[str, object]
) -> None:
    fault(fake)
    asked = replace(hub, token="hf_bad" if code == "hub_token" else "")
    before = time.monotonic()
    with pytest.raises(HubFault) as caught:
        await asked.look(parse(text))
    assert caught.value.code == code
    assert caught.value.message.endswith(".") and "\n" not in caught.value.message
    assert values.items() <= caught.value.values.items()
    if code.startswith(("hub_rate", "hub_broken", "hub_captive")):
        with pytest.raises(HubFault) as searched:
            await asked.find("tiny")
        assert searched.value.code in (code, "hub_captive")
    # Retrying five times, as the library would, takes half a minute.
    assert time.monotonic() - before < 10


async def test_unreachable_and_offline(hub: Hub) -> None:
    nowhere = replace(hub, endpoint="http://127.0.0.1:9")
    for call in (nowhere.look(parse("a/b")), nowhere.find("x"), nowhere.branches("a/b")):
        with pytest.raises(HubFault) as caught:
            await call
        assert (caught.value.code, caught.value.values["host"]) == ("hub_unreachable", "127.0.0.1:9")
    with pytest.raises(HubFault) as caught:
        await replace(hub, offline=True).find("x")
    assert caught.value.code == "hub_offline"


async def test_a_silent_server_does_not_hang_the_loop(hub: Hub) -> None:
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            await asyncio.sleep(0.02)
            ticks += 1

    ticking = asyncio.create_task(tick())
    # It takes connections and never says a word.
    with socket.create_server(("127.0.0.1", 0)) as listener, pytest.raises(HubFault) as caught:
        await Hub(f"http://127.0.0.1:{listener.getsockname()[1]}", patience=0.5).look(Reference("a/b"))
    assert caught.value.code == "hub_unreachable" and ticks >= 5
    ticking.cancel()
    make_impatient(10.0)


def test_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://mirror.example/")
    monkeypatch.setenv("HF_TOKEN", " hf_x ")
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.delenv("TRANSFORMERS_OFFLINE", raising=False)
    found = Hub.from_environment()
    assert found == Hub("http://mirror.example", "hf_x", False, token_from="variable")
    assert "hf_x" not in repr(found)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert Hub.from_environment().offline


def test_token_and_address_for_one_run() -> None:
    hub = Hub("http://mirror.example", "hf_old", token_from="variable")
    assert (hub.with_token(" hf_new ").token, hub.with_token("hf_new").token_from) == ("hf_new", "page")
    assert (hub.with_token("").token, hub.with_token("").token_from) == ("", "")
    assert hub.at("http://mirror.example/") is hub
    other = hub.at("http://127.0.0.1:9/hub/")
    assert (other.endpoint, other.token, other.token_from) == ("http://127.0.0.1:9/hub", "", "")
    assert hub.at("").endpoint == "https://huggingface.co"
    for bad in ("hf_a\nX-Evil: 1", "hf a", "жетон", "x" * 500):
        with pytest.raises(BadValue):
            hub.with_token(bad)
    for bad in ("ftp://x.example", "mirror.example", "http://", "http://u:p@x.example", "http://x:y", "http://a b"):
        with pytest.raises(BadValue):
            hub.at(bad)


def test_the_token_of_a_login_is_found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in (
        "HF_TOKEN",
        "HF_TOKEN_PATH",
        "HF_HUB_OFFLINE",
        "TRANSFORMERS_OFFLINE",
        "HF_HUB_DISABLE_IMPLICIT_TOKEN",
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    assert Hub.from_environment().token == ""
    (tmp_path / "token").write_text("hf_kept\n")
    assert Hub.from_environment().token == "hf_kept"
    monkeypatch.setenv("HF_HUB_DISABLE_IMPLICIT_TOKEN", "1")
    assert Hub.from_environment().token == ""


async def test_listed_names_that_lead_out_are_refused(hub: Hub, fake: FakeHub) -> None:
    fake.repos["maker/Tiny-GGUF"].files["../../evil.gguf"] = b"x"
    with pytest.raises(HubFault) as caught:
        await hub.look(parse("maker/Tiny-GGUF"))
    assert caught.value.code == "hub_bad_name"


async def test_offers_are_grouped_and_sorted(hub: Hub) -> None:
    overview = advice.offers(await hub.look(parse("maker/Tiny-GGUF")))
    assert [(offer.quantisation, offer.advice) for offer in overview.offers] == [
        ("Q4_K_M", "best"),
        ("Q6_K", "better"),
        ("Q8_0", "largest_good"),
        ("Q4_0", "old"),
        ("Q2_K", "poor"),
        ("F16", "original"),
        ("F16", "projector"),
    ]
    assert all(offer.advice in advice.ADVICE for offer in overview.offers)


async def test_split_models_are_one_offer_with_all_parts(hub: Hub, fake: FakeHub) -> None:
    overview = advice.offers(await hub.look(parse("maker/Split-GGUF")))
    whole, broken = overview.offers
    repo = fake.repos["maker/Split-GGUF"]
    assert (whole.title, len(whole.files), whole.missing) == ("Split-Q5_K_M", 3, ())
    assert whole.size == sum(len(data) for path, data in repo.files.items() if "Q5" in path)
    assert broken.missing == ("Q8_0/Split-Q8_0-00001-of-00002.gguf",)


async def test_exl2_and_lora_are_folders_without_code_or_pickles(hub: Hub) -> None:
    overview = advice.offers(await hub.look(parse("maker/Tiny-exl2:4.0bpw")))
    (offer,) = overview.offers
    assert (offer.kind, offer.quantisation, offer.bits, offer.folder) == ("exl2", "EXL2 4 bpw", 4.0, "Tiny-exl2-4.0bpw")
    names = {file.name for file in offer.files}
    assert names == {"config.json", "tokenizer.json", "tokenizer.model", "output.safetensors"}
    assert overview.refused == ("pytorch_model.bin",)
    (lora,) = advice.offers(await hub.look(parse("maker/Tiny-LoRA"))).offers
    assert (lora.kind, lora.folder) == ("lora", "Tiny-LoRA")


@pytest.mark.parametrize(("repo", "code"), [("maker/Old", "hub_pickle"), ("maker/Empty", "hub_nothing")])
async def test_nothing_to_load_is_said(hub: Hub, repo: str, code: str) -> None:
    overview = advice.offers(await hub.look(parse(repo)))
    assert overview.offers == () and overview.problem is not None
    assert overview.problem.code == code


async def test_peek_reads_dimensions_with_one_small_request(hub: Hub, fake: FakeHub) -> None:
    offer = advice.offers(await hub.look(parse("maker/Tiny-GGUF"))).offers[0]
    async with new_client() as client:
        facts = await peek(hub, client, offer)
        assert facts is not None
        assert (facts.layers, facts.kv_heads, facts.key_length, facts.context) == (2, (2, 2), 16, 2048)
        assert facts.tensor_bytes == offer.size
        asked = [request for request in fake.file_requests() if request.server == "cdn"]
        assert [request.headers["range"] for request in asked] == [f"bytes=0-{FIRST - 1}"]
        fake.faults.captive = True
        assert await peek(hub, client, offer) is None
        fake.faults.captive = False
        assert await peek(hub, httpx.AsyncClient(), replace(offer, commit="0" * 40)) is None


async def test_fit_uses_real_dimensions_and_this_machines_memory(hub: Hub) -> None:
    offers = advice.offers(await hub.look(parse("maker/Tiny-GGUF"))).offers
    roomy, small = Machine(1 << 40, 1 << 40), Machine(90 << 20, 90 << 20)
    verdict = advice.fit(offers[0], roomy)
    assert verdict is not None and verdict.code == "fits"
    assert (no := advice.fit(offers[0], small)) is not None and not no.fits
    assert advice.fit(offers[-1], roomy) is None
    exl2 = advice.offers(await hub.look(parse("maker/Tiny-exl2:4.0bpw"))).offers[0]
    assert (gpu := advice.fit(exl2, roomy)) is not None and gpu.values["where"] == "gpu" and not gpu.fits


async def test_the_first_questions_may_come_all_at_once(hub: Hub) -> None:
    for number in range(5):
        make_impatient(5.0 + number)  # as if nobody had asked yet
        views = await asyncio.gather(*(hub.look(parse("maker/Tiny-GGUF")) for _ in range(8)))
        assert {view.repo for view in views} == {"maker/Tiny-GGUF"}
