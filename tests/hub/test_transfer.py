"""One file over the wire: only missing bytes travel, nothing wrong is kept, a sentence for every fault."""

from __future__ import annotations

import asyncio
import hashlib
from pathlib import Path

import pytest

from tests.hub.fake_hub import BLOCK, FakeHub
from webui.hub.faults import HubFault
from webui.hub.search import Hub
from webui.hub.transfer import Patience, Source, fetch, new_client

NAME = "Tiny-Q4_K_M.gguf"
REPO = "maker/Tiny-GGUF"


def source_of(fake: FakeHub, hub: Hub, path: str = NAME, *, token: str = "", checksum: bool = True) -> Source:
    data = fake.repos[REPO].files[path]
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    digest = hashlib.sha256(data).hexdigest() if checksum else ""
    return Source(
        hub.file_url(REPO, fake.repos[REPO].commit("main"), path), REPO, path, len(data), digest, "", headers
    )  # fmt: skip


async def get(source: Source, part: Path, patience: Patience) -> list[int]:
    seen: list[int] = []
    async with new_client(patience) as client:
        await fetch(client, source, part, progress=seen.append, patience=patience)
    return seen


async def refused(source: Source, part: Path, patience: Patience, code: str) -> HubFault:
    with pytest.raises(HubFault) as caught:
        await get(source, part, patience)
    assert caught.value.code == code
    assert caught.value.message.endswith(".") and "\n" not in caught.value.message
    return caught.value


async def test_whole_file(fake: FakeHub, hub: Hub, quick: Patience, tmp_path: Path) -> None:
    source = source_of(fake, hub)
    seen = await get(source, tmp_path / "0.part", quick)
    assert (tmp_path / "0.part").read_bytes() == fake.repos[REPO].files[NAME]
    assert seen == sorted(seen) and seen[-1] == source.size and len(seen) > 3
    assert fake.sent() == source.size
    assert list(tmp_path.iterdir()) == [tmp_path / "0.part"]


async def test_token_stays_with_the_hub(fake: FakeHub, hub: Hub, quick: Patience, tmp_path: Path) -> None:
    fake.faults.gated = True
    await get(source_of(fake, hub, token="hf_secret"), tmp_path / "0.part", quick)
    hub_request, storage_request = fake.file_requests()
    assert hub_request.headers["authorization"] == "Bearer hf_secret"
    assert storage_request.server == "cdn" and "authorization" not in storage_request.headers
    assert "hf_secret" not in str(storage_request)


async def test_broken_connections_are_continued_in_place(
    fake: FakeHub, hub: Hub, quick: Patience, tmp_path: Path
) -> None:
    fake.faults.cut_after, fake.faults.cut_times = 1 << 20, 3
    source = source_of(fake, hub)
    await get(source, tmp_path / "0.part", quick)
    assert (tmp_path / "0.part").read_bytes() == fake.repos[REPO].files[NAME]
    starts = [request.headers.get("range") for request in fake.file_requests() if request.server == "cdn"]
    assert len(starts) == 4 and starts[0] is None and all(starts[1:])
    assert fake.sent() <= source.size + 3 * 4 * BLOCK


async def test_a_later_call_asks_for_the_rest_only(fake: FakeHub, hub: Hub, quick: Patience, tmp_path: Path) -> None:
    source, data = source_of(fake, hub), fake.repos[REPO].files[NAME]
    (tmp_path / "0.part").write_bytes(data[:3_000_001])
    seen = await get(source, tmp_path / "0.part", quick)
    assert seen[0] == 3_000_001
    assert fake.sent() == source.size - 3_000_001
    assert (tmp_path / "0.part").read_bytes() == data


async def test_a_whole_part_is_only_checked(fake: FakeHub, hub: Hub, quick: Patience, tmp_path: Path) -> None:
    (tmp_path / "0.part").write_bytes(fake.repos[REPO].files[NAME])
    await get(source_of(fake, hub), tmp_path / "0.part", quick)
    assert fake.requests == []


async def test_cancelling_keeps_what_has_arrived(fake: FakeHub, hub: Hub, quick: Patience, tmp_path: Path) -> None:
    fake.faults.seconds_a_block = 0.002
    source, part = source_of(fake, hub), tmp_path / "0.part"
    task = asyncio.create_task(get(source, part, quick))
    while not part.exists() or part.stat().st_size < 500_000:
        await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    have = part.stat().st_size
    data = fake.repos[REPO].files[NAME]
    assert part.read_bytes() == data[:have]
    assert (tmp_path / "0.part.etag").read_text().startswith('"')
    fake.requests.clear()
    fake.faults.seconds_a_block = 0
    await get(source, part, quick)
    assert part.read_bytes() == data and fake.sent() == source.size - have
    assert fake.file_requests()[-1].headers["if-range"].startswith('"')


async def test_server_that_ignores_range_starts_again_and_never_appends(
    fake: FakeHub, hub: Hub, quick: Patience, tmp_path: Path
) -> None:
    fake.faults.ignore_range = True
    data = fake.repos[REPO].files[NAME]
    (tmp_path / "0.part").write_bytes(data[:2_000_000])
    await get(source_of(fake, hub), tmp_path / "0.part", quick)
    assert (tmp_path / "0.part").read_bytes() == data
    assert fake.sent() == len(data)


async def test_changed_tag_starts_again(fake: FakeHub, hub: Hub, quick: Patience, tmp_path: Path) -> None:
    data = fake.repos[REPO].files[NAME]
    (tmp_path / "0.part").write_bytes(b"of another file" * 1000)
    (tmp_path / "0.part.etag").write_text('"another"')
    await get(source_of(fake, hub), tmp_path / "0.part", quick)
    assert (tmp_path / "0.part").read_bytes() == data


async def test_416_starts_again(fake: FakeHub, hub: Hub, quick: Patience, tmp_path: Path) -> None:
    fake.faults.always_416 = True
    (tmp_path / "0.part").write_bytes(fake.repos[REPO].files[NAME][:1000])
    await get(source_of(fake, hub), tmp_path / "0.part", quick)
    assert (tmp_path / "0.part").read_bytes() == fake.repos[REPO].files[NAME]


async def test_a_part_that_is_too_long_is_no_base(fake: FakeHub, hub: Hub, quick: Patience, tmp_path: Path) -> None:
    (tmp_path / "0.part").write_bytes(b"y" * (len(fake.repos[REPO].files[NAME]) + 1))
    await get(source_of(fake, hub), tmp_path / "0.part", quick)
    assert (tmp_path / "0.part").read_bytes() == fake.repos[REPO].files[NAME]


async def test_damage_on_the_way_is_found_and_deleted(fake: FakeHub, hub: Hub, quick: Patience, tmp_path: Path) -> None:
    fake.faults.wrong_byte_at = 2_000_000
    fault = await refused(source_of(fake, hub), tmp_path / "0.part", quick, "hub_checksum")
    assert fault.values == {"file": NAME}
    assert list(tmp_path.iterdir()) == []


async def test_damage_in_what_was_kept_is_found(fake: FakeHub, hub: Hub, quick: Patience, tmp_path: Path) -> None:
    (tmp_path / "0.part").write_bytes(b"\0" * 1_000_000)
    await refused(source_of(fake, hub), tmp_path / "0.part", quick, "hub_checksum")
    await get(source_of(fake, hub), tmp_path / "0.part", quick)
    assert (tmp_path / "0.part").read_bytes() == fake.repos[REPO].files[NAME]


async def test_small_files_are_checked_by_their_git_name(
    fake: FakeHub, hub: Hub, quick: Patience, tmp_path: Path
) -> None:
    data = fake.repos[REPO].files["README.md"]
    oid = hashlib.sha1(f"blob {len(data)}\0".encode() + data, usedforsecurity=False).hexdigest()
    url = hub.file_url(REPO, "main", "README.md")
    await get(Source(url, REPO, "README.md", len(data), "", oid), tmp_path / "0.part", quick)
    assert (tmp_path / "0.part").read_bytes() == data
    bad = Source(url, REPO, "README.md", len(data), "", "0" * 40)
    await refused(bad, tmp_path / "1.part", quick, "hub_checksum")


async def test_a_file_of_nothing(fake: FakeHub, hub: Hub, quick: Patience, tmp_path: Path) -> None:
    fake.repos[REPO].files["empty.json"] = b""
    await get(Source(hub.file_url(REPO, "main", "empty.json"), REPO, "empty.json", 0), tmp_path / "0.part", quick)
    assert (tmp_path / "0.part").read_bytes() == b""


async def test_stall_is_waited_for_then_told(fake: FakeHub, hub: Hub, quick: Patience, tmp_path: Path) -> None:
    data = fake.repos[REPO].files[NAME]
    (tmp_path / "0.part").write_bytes(data[: 1 << 20])
    fake.faults.stall_after = 0
    fault = await refused(source_of(fake, hub), tmp_path / "0.part", quick, "hub_stalled")
    assert fault.retry
    assert len([request for request in fake.file_requests() if request.server == "cdn"]) == quick.attempts
    assert (tmp_path / "0.part").stat().st_size == 1 << 20
    fake.faults.stall_times = 0
    fake.requests.clear()
    await get(source_of(fake, hub), tmp_path / "0.part", quick)
    assert fake.sent() == len(data) - (1 << 20)


async def test_a_stall_in_the_middle_is_continued(fake: FakeHub, hub: Hub, quick: Patience, tmp_path: Path) -> None:
    fake.faults.stall_after, fake.faults.stall_times = 1 << 20, 2
    await get(source_of(fake, hub), tmp_path / "0.part", quick)
    assert (tmp_path / "0.part").read_bytes() == fake.repos[REPO].files[NAME]


async def test_passing_trouble_is_sat_out(fake: FakeHub, hub: Hub, quick: Patience, tmp_path: Path) -> None:
    fake.faults.broken_times = 2
    await get(source_of(fake, hub), tmp_path / "0.part", quick)
    fake.faults.broken_times = 99
    await refused(source_of(fake, hub), tmp_path / "1.part", quick, "hub_broken")


@pytest.mark.parametrize(
    ("fault", "value", "code"),
    [
        ("gated", True, "hub_gated"),
        ("rate_limited", 17, "hub_rate_limited"),
        ("captive", True, "hub_captive"),
        ("claims_length", 99, "hub_changed"),
        ("longer_by", 5, "hub_changed"),
        ("redirect_to", "ftp://somewhere/x", "hub_other_site"),
        ("redirect_to", "file:///etc/passwd", "hub_other_site"),
    ],
)
async def test_faults_that_need_a_person(
    fake: FakeHub, hub: Hub, quick: Patience, tmp_path: Path, fault: str, value: object, code: str
) -> None:
    setattr(fake.faults, fault, value)
    await refused(source_of(fake, hub), tmp_path / "0.part", quick, code)
    assert not (tmp_path / "0.part").exists() or (tmp_path / "0.part").stat().st_size == 0


async def test_endless_redirects_end(fake: FakeHub, hub: Hub, quick: Patience, tmp_path: Path) -> None:
    source = source_of(fake, hub)
    fake.faults.redirect_to = source.url
    await refused(source, tmp_path / "0.part", quick, "hub_broken")


async def test_unreachable_and_missing(fake: FakeHub, hub: Hub, quick: Patience, tmp_path: Path) -> None:
    nowhere = Source("http://127.0.0.1:9/x", REPO, "x", 10)
    await refused(nowhere, tmp_path / "0.part", quick, "hub_unreachable")
    missing = Source(hub.file_url(REPO, "main", "gone.gguf"), REPO, "gone.gguf", 10)
    await refused(missing, tmp_path / "1.part", quick, "hub_no_file")


async def test_pickles_are_refused_by_content(fake: FakeHub, hub: Hub, quick: Patience, tmp_path: Path) -> None:
    data = fake.repos["maker/Disguised"].files["model-Q4_K_M.gguf"]
    url = hub.file_url("maker/Disguised", "main", "model-Q4_K_M.gguf")
    source = Source(url, "maker/Disguised", "model-Q4_K_M.gguf", len(data), hashlib.sha256(data).hexdigest())
    await refused(source, tmp_path / "0.part", quick, "hub_pickle")
    assert (tmp_path / "0.part").stat().st_size == 0


async def test_full_disk_keeps_what_is_there(fake: FakeHub, hub: Hub, quick: Patience, tmp_path: Path) -> None:
    part = tmp_path / "0.part"
    part.symlink_to("/dev/full")
    fault = await refused(source_of(fake, hub), part, quick, "hub_disk_full")
    assert fault.values["free"] > 0


async def test_folder_that_cannot_be_written(fake: FakeHub, hub: Hub, quick: Patience, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    await refused(source_of(fake, hub), tmp_path / "file" / "0.part", quick, "hub_not_written")
