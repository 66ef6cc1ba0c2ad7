"""The queue of downloads: order, pause, cancel, restarts, kill -9, and that nothing half is ever offered."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path

import orjson
import pytest

from tests.hub.fake_hub import BLOCK, FakeHub
from webui.errors import BadValue, Busy
from webui.hub import advice
from webui.hub.advice import Offer
from webui.hub.faults import HubFault
from webui.hub.jobs import FOLDER
from webui.hub.library import Library
from webui.hub.queue import Downloads, JobView
from webui.hub.reference import parse
from webui.hub.search import Hub
from webui.hub.transfer import Patience

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def models(tmp_path: Path) -> Path:
    return tmp_path / "models"


@pytest.fixture
async def downloads(hub: Hub, quick: Patience, models: Path) -> AsyncIterator[Downloads]:
    models.mkdir()
    queue = Downloads(models, hub, patience=quick)
    await queue.start()
    yield queue
    await queue.close()


async def offer(hub: Hub, text: str, number: int = 0) -> Offer:
    return advice.offers(await hub.look(parse(text))).offers[number]


async def until(check: Callable[[], bool], seconds: float = 20.0) -> None:
    async with asyncio.timeout(seconds) if sys.version_info >= (3, 11) else _no_limit():
        while not check():
            await asyncio.sleep(0.01)


class _no_limit:
    async def __aenter__(self) -> None: ...

    async def __aexit__(self, *_: object) -> None: ...


def only(downloads: Downloads) -> JobView:
    (view,) = downloads.views()
    return view


def listed(models: Path) -> list[str]:
    return [entry.name for entry in Library([models], starter=False).scan()]


async def test_a_model_is_downloaded_and_listed(downloads: Downloads, hub: Hub, models: Path, fake: FakeHub) -> None:
    finished: list[Path] = []
    downloads._on_done = finished.append
    view = await downloads.add(await offer(hub, "maker/Tiny-GGUF"))
    assert (view.state, view.total) == ("running", len(fake.repos["maker/Tiny-GGUF"].files["Tiny-Q4_K_M.gguf"]))
    await until(lambda: only(downloads).state == "done")
    assert only(downloads).done == view.total and only(downloads).share == 1.0
    assert finished == [models / "Tiny-Q4_K_M.gguf"]
    assert listed(models) == ["Tiny-Q4_K_M"]
    await downloads.forget(view.id)
    assert downloads.views() == () and listed(models) == ["Tiny-Q4_K_M"]
    assert [path.name for path in (models / FOLDER).iterdir()] == [".lock"]


async def test_all_parts_of_a_split_model(downloads: Downloads, hub: Hub, models: Path) -> None:
    await downloads.add(await offer(hub, "maker/Split-GGUF"))
    await until(lambda: only(downloads).state == "done")
    (entry,) = Library([models], starter=False).scan()
    assert len(entry.files) == 3 and all(file.exists() for file in entry.files)


async def test_exl2_branch_and_lora_become_folders(downloads: Downloads, hub: Hub, models: Path) -> None:
    await downloads.add(await offer(hub, "maker/Tiny-exl2:4.0bpw"))
    await downloads.add(await offer(hub, "maker/Tiny-LoRA"))
    await until(lambda: all(view.state == "done" for view in downloads.views()))
    kinds = {entry.name: (entry.kind, entry.loadable) for entry in Library([models], starter=False).scan()}
    assert kinds == {"Tiny-exl2-4.0bpw": ("exl2", False), "Tiny-LoRA": ("lora", False)}
    assert not list(models.rglob("*.bin")) and not list(models.rglob("*.py"))


async def test_two_run_the_others_wait(downloads: Downloads, hub: Hub, fake: FakeHub) -> None:
    fake.faults.seconds_a_block = 0.05
    for one in advice.offers(await hub.look(parse("maker/Tiny-GGUF"))).offers[:4]:
        await downloads.add(one)
    assert [view.state for view in downloads.views()] == ["running", "running", "waiting", "waiting"]
    fake.faults.seconds_a_block = 0.0005
    seen: set[int] = set()

    def finished() -> bool:
        seen.add(sum(view.state in ("running", "checking") for view in downloads.views()))
        return all(view.state == "done" for view in downloads.views())

    await until(finished, 40)
    assert max(seen) == 2


async def test_progress_speed_and_time_left(downloads: Downloads, hub: Hub, fake: FakeHub) -> None:
    fake.faults.seconds_a_block = 0.01
    await downloads.add(await offer(hub, "maker/Tiny-GGUF"))
    await until(lambda: only(downloads).speed > 0 and only(downloads).done > 0)
    view = only(downloads)
    assert 0 < view.done < view.total
    assert view.seconds_left == pytest.approx((view.total - view.done) / view.speed)


async def test_nothing_half_is_offered(downloads: Downloads, hub: Hub, fake: FakeHub, models: Path) -> None:
    fake.faults.seconds_a_block = 0.002
    await downloads.add(await offer(hub, "maker/Split-GGUF"))
    await downloads.add(await offer(hub, "maker/Tiny-exl2:4.0bpw"))
    seen: set[tuple[str, bool, str]] = set()

    def scan() -> set[tuple[str, bool, str]]:
        return {(entry.name, entry.loadable, str(entry.reason)) for entry in Library([models], starter=False).scan()}

    def finished() -> bool:
        seen.update(scan())
        return all(view.state == "done" for view in downloads.views())

    await until(finished, 40)
    assert {name for name, _, _ in seen} == {"Split-Q5_K_M", "Tiny-exl2-4.0bpw"}
    assert seen == scan(), "each is listed only once it is whole"


async def test_pause_and_resume_send_only_the_rest(downloads: Downloads, hub: Hub, fake: FakeHub) -> None:
    fake.faults.seconds_a_block = 0.003
    view = await downloads.add(await offer(hub, "maker/Tiny-GGUF"))
    await until(lambda: only(downloads).done > 300_000)
    await downloads.pause(view.id)
    paused = only(downloads)
    assert (paused.state, paused.speed, paused.seconds_left) == ("paused", 0.0, None)
    fake.requests.clear()
    await asyncio.sleep(0.1)
    assert fake.requests == [] and only(downloads).done == paused.done
    fake.faults.seconds_a_block = 0
    await downloads.resume(view.id)
    await until(lambda: only(downloads).state == "done")
    assert fake.sent() <= view.total - paused.done


async def test_cancel_leaves_nothing(downloads: Downloads, hub: Hub, fake: FakeHub, models: Path) -> None:
    fake.faults.seconds_a_block = 0.003
    view = await downloads.add(await offer(hub, "maker/Tiny-GGUF"))
    await until(lambda: only(downloads).done > 100_000)
    await downloads.cancel(view.id)
    assert downloads.views() == ()
    assert [path.name for path in models.rglob("*") if path.is_file()] == [".lock"]
    with pytest.raises(BadValue):
        await downloads.pause(view.id)


async def test_close_and_start_go_on(downloads: Downloads, hub: Hub, quick: Patience, fake: FakeHub) -> None:
    fake.faults.seconds_a_block = 0.003
    first = await downloads.add(await offer(hub, "maker/Tiny-GGUF"))
    second = await downloads.add(await offer(hub, "maker/Tiny-GGUF", 1))
    await until(lambda: all(view.done > 200_000 for view in downloads.views()))
    await downloads.pause(second.id)
    await downloads.close()
    fake.requests.clear()
    fake.faults.seconds_a_block = 0
    again = Downloads(downloads.folder, hub, patience=quick)
    await again.start()
    arrived = {view.id: view.done for view in again.views()}
    assert arrived[first.id] > 200_000
    await until(lambda: again.views()[0].state == "done")
    assert [view.state for view in again.views()] == ["done", "paused"]
    assert fake.sent() == first.total - arrived[first.id]
    await again.close()


async def test_refused_at_once(downloads: Downloads, hub: Hub, models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    good = await offer(hub, "maker/Tiny-GGUF")

    async def code(wanted: Offer) -> str:
        with pytest.raises(HubFault) as caught:
            await downloads.add(wanted)
        assert caught.value.message.endswith(".")
        return caught.value.code

    assert await code(await offer(hub, "maker/Split-GGUF", 1)) == "hub_no_file"
    (models / "Tiny-Q4_K_M.gguf").write_bytes(b"mine")
    assert await code(good) == "hub_exists"
    (models / "Tiny-Q4_K_M.gguf").unlink()
    usage = shutil.disk_usage(models)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=good.size))
    assert await code(good) == "hub_disk_full"
    monkeypatch.undo()
    await downloads.add(good)
    assert await code(good) in ("hub_busy", "hub_exists")
    assert (models / FOLDER).exists()


async def test_failures_name_their_reason_and_can_be_tried_again(
    downloads: Downloads, hub: Hub, fake: FakeHub, models: Path
) -> None:
    fake.faults.wrong_byte_at = 500_000
    view = await downloads.add(await offer(hub, "maker/Tiny-GGUF"))
    await until(lambda: only(downloads).state == "failed")
    failed = only(downloads)
    assert (failed.code, failed.values, failed.done) == ("hub_checksum", {"file": "Tiny-Q4_K_M.gguf"}, 0)
    assert failed.problem.endswith(".") and listed(models) == []
    fake.faults.wrong_byte_at = -1
    await downloads.resume(view.id)
    await until(lambda: only(downloads).state == "done")
    assert (only(downloads).problem, listed(models)) == ("", ["Tiny-Q4_K_M"])


async def test_trouble_that_passes_is_sat_out(hub: Hub, fake: FakeHub, models: Path, quick: Patience) -> None:
    queue = Downloads(models, hub, patience=replace(quick, tries=3, rest=0.1))
    fake.faults.broken_times = 5
    fake.faults.broken_status = 502
    wanted = await _offer_despite(fake, hub)
    await queue.add(wanted)
    await until(lambda: only(queue).state == "waiting")
    assert only(queue).code == "hub_broken" and only(queue).problem.endswith(".")
    await until(lambda: only(queue).state == "done")
    assert only(queue).problem == ""
    await queue.close()


async def test_trouble_that_stays_is_a_failure(hub: Hub, fake: FakeHub, models: Path, quick: Patience) -> None:
    queue = Downloads(models, hub, patience=replace(quick, tries=2, rest=0.02))
    fake.faults.broken_times = 1000
    await queue.add(await _offer_despite(fake, hub))
    await until(lambda: only(queue).state == "failed")
    assert len(fake.file_requests()) == 3 * quick.attempts
    await queue.close()


async def test_resting_can_be_cut_short_or_paused(hub: Hub, fake: FakeHub, models: Path, quick: Patience) -> None:
    queue = Downloads(models, hub, patience=replace(quick, tries=3, rest=1000))
    fake.faults.broken_times = quick.attempts
    view = await queue.add(await _offer_despite(fake, hub))
    await until(lambda: only(queue).state == "waiting")
    await queue.pause(view.id)
    assert only(queue).state == "paused"
    fake.faults.broken_times = quick.attempts
    await queue.resume(view.id)
    await until(lambda: only(queue).state == "waiting")
    await queue.resume(view.id)
    await until(lambda: only(queue).state == "done")
    await queue.close()


async def _offer_despite(fake: FakeHub, hub: Hub) -> Offer:
    """The offer, looked up before the trouble begins."""
    trouble, fake.faults.broken_times = fake.faults.broken_times, 0
    found = await offer(hub, "maker/Tiny-GGUF")
    fake.faults.broken_times = trouble
    fake.requests.clear()
    return found


async def test_disguised_pickles_never_arrive(downloads: Downloads, hub: Hub, models: Path) -> None:
    await downloads.add(await offer(hub, "maker/Disguised"))
    await until(lambda: only(downloads).state == "failed")
    assert only(downloads).code == "hub_pickle" and listed(models) == []


async def test_a_file_that_is_no_gguf_is_refused(downloads: Downloads, hub: Hub, fake: FakeHub, models: Path) -> None:
    fake.repos["maker/Disguised"].files["model-Q4_K_M.gguf"] = b"GGUF" + b"\xff" * 50_000
    await downloads.add(await offer(hub, "maker/Disguised"))
    await until(lambda: only(downloads).state == "failed")
    assert only(downloads).code == "bad_model_file" and "model-Q4_K_M.gguf" in only(downloads).problem
    assert list(models.glob("*")) == [models / FOLDER]


async def test_offline_and_gated(downloads: Downloads, hub: Hub, fake: FakeHub, models: Path, quick: Patience) -> None:
    wanted = await offer(hub, "maker/Tiny-GGUF")
    with pytest.raises(HubFault) as caught:
        await Downloads(models, Hub(fake.url, offline=True), patience=quick).add(wanted)
    assert caught.value.code == "hub_offline"
    fake.faults.gated = True
    await downloads.add(wanted)
    await until(lambda: only(downloads).state == "failed")
    assert only(downloads).code == "hub_gated"


async def test_one_program_a_folder(downloads: Downloads, hub: Hub, models: Path, quick: Patience) -> None:
    wanted = await offer(hub, "maker/Tiny-GGUF")
    await downloads.add(wanted)
    other = Downloads(models, hub, patience=quick)
    await other.start()
    assert other.views() == ()
    with pytest.raises(Busy):
        await other.add(wanted)


async def test_damaged_descriptions_are_left_alone(hub: Hub, models: Path, quick: Patience) -> None:
    for number, content in enumerate((b"{", b"[]", b'{"version": 9}', orjson.dumps({"version": 1, "state": "x"}))):
        folder = models / FOLDER / str(number)
        folder.mkdir(parents=True)
        (folder / "job.json").write_bytes(content)
    queue = Downloads(models, hub, patience=quick)
    await queue.start()
    assert queue.views() == ()
    await queue.close()


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
async def test_kill_9_costs_only_the_bytes_on_the_wire(fake: FakeHub, models: Path, share: float) -> None:
    """Three kills a file: what was served stays within the file's size and three blocks for each kill."""
    fake.faults.seconds_a_block = 0.004
    data = fake.repos["maker/Tiny-GGUF"].files["Tiny-Q4_K_M.gguf"]
    environment = {**os.environ, "HF_ENDPOINT": fake.url, "HF_HUB_OFFLINE": "0"}
    command = [sys.executable, "-m", "tests.hub.downloader", str(models)]
    arguments = ["maker/Tiny-GGUF"]
    for kill in range(3):
        process = subprocess.Popen([*command, *arguments], cwd=ROOT, env=environment, stdout=subprocess.PIPE)
        arguments = []
        goal = len(data) * (share if kill == 0 else min(0.95, share + 0.05 * kill))
        fake.faults.hold_above = fake.sent() + len(data) - _arrived(models) - BLOCK  # never whole before the kill
        await until(lambda goal=goal: _arrived(models) >= goal or fake.sent() >= fake.faults.hold_above, 60)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        assert listed(models) == [] or _arrived(models) == 0
    fake.faults.hold_above = -1
    await asyncio.sleep(0.1)
    last = await asyncio.to_thread(
        subprocess.run, command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert f"DONE {models / 'Tiny-Q4_K_M.gguf'}" in last.stdout, last.stdout + last.stderr
    assert (models / "Tiny-Q4_K_M.gguf").read_bytes() == data
    assert len(data) <= fake.sent() <= len(data) + 3 * 32 * BLOCK
    assert not list((models / FOLDER).rglob("*.part"))


def _arrived(models: Path) -> int:
    return sum(part.stat().st_size for part in models.glob(f"{FOLDER}/*/*.part"))


async def test_one_that_waits_is_let_forward_and_another_hub_is_used(hub: Hub, quick: Patience, models: Path) -> None:
    queue = Downloads(models, hub, patience=quick, parallel=0)
    models.mkdir()
    ids = [(await queue.add(await offer(hub, "maker/Tiny-GGUF", number))).id for number in range(3)]
    await queue.sooner(ids[2])
    assert [view.id for view in queue.views()] == [ids[0], ids[2], ids[1]]
    await queue.sooner(ids[2])
    await queue.sooner(ids[2])
    assert [view.id for view in queue.views()] == [ids[2], ids[0], ids[1]]
    other = hub.with_token("hf_other")
    queue.use(other)
    assert queue.hub is other
    await queue.close()
    again = Downloads(models, hub, patience=quick, parallel=0)
    await again.start()
    assert [view.id for view in again.views()] == [ids[2], ids[0], ids[1]], "the order is kept over a restart"
    await again.close()
