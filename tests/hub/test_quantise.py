"""Quantising and comparing with the starter model: what comes out, cancel, and that nothing half is left."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import gguf
import numpy as np
import pytest

from tests.hub.build import llama
from webui.errors import BadValue, Busy, WebUIError
from webui.hub.errand import run_errand
from webui.hub.imatrix import read_matrix
from webui.hub.library import Library, ModelEntry, starter_model
from webui.hub.quantise import Quantiser, choices, compare_quality
from webui.hub.reasons import BadModelFile

TEXT = " ".join(
    f"The {n}th thing to know about small language models is that they repeat themselves." for n in range(12)
)


@pytest.fixture(scope="module")
def starter() -> ModelEntry:
    path = starter_model()
    assert path is not None
    return Library([], starter=False).look_at(path)


@pytest.fixture
async def quantiser(tmp_path: Path) -> AsyncIterator[Quantiser]:
    worker = Quantiser(tmp_path / "models")
    yield worker
    await worker.close()


async def until(check: Callable[[], bool], seconds: float = 120.0) -> None:
    for _ in range(int(seconds / 0.02)):
        if check():
            return
        await asyncio.sleep(0.02)
    raise AssertionError("it took too long")


def state(quantiser: Quantiser) -> str:
    view = quantiser.view()
    return view.state if view else ""


def test_choices_in_order_with_sizes_and_warnings(starter: ModelEntry) -> None:
    by_name = {choice.name: choice for choice in choices(starter)}
    sizes = [choice.size for choice in choices(starter)]
    assert sizes == sorted(sizes, reverse=True)
    assert by_name["Q8_0"].advice == "larger"
    assert by_name["Q2_K"].size == pytest.approx(88_201_792, rel=0.05), (
        "as measured: most of its rows are no whole blocks"
    )
    assert by_name["Q3_K_M"].advice == "twice"
    assert by_name["IQ2_XXS"].needs_matrix and not by_name["Q4_K_M"].needs_matrix
    assert by_name["Q4_K_M"].in_words("ru")
    folder = ModelEntry("x", Path("x"), "exl2", 1, (), 0.0)
    with pytest.raises(BadValue):
        choices(folder)


@pytest.mark.model
async def test_a_smaller_version_is_made_and_can_be_compared(
    quantiser: Quantiser, starter: ModelEntry, tmp_path: Path
) -> None:
    finished: list[Path] = []
    quantiser._on_done = finished.append
    begun = await quantiser.start(starter, "Q4_0")
    assert begun.target.name == "SmolLM2-135M-Instruct-Q4_0.gguf"
    with pytest.raises(Busy):
        await quantiser.start(starter, "Q4_0")
    seen: set[float] = set()

    def over() -> bool:
        view = quantiser.view()
        assert view is not None
        seen.add(view.progress)
        return view.state != "running"

    await until(over)
    view = quantiser.view()
    assert view is not None and (view.state, view.problem) == ("done", "")
    assert finished == [view.target] and len(seen) > 3
    (made,) = Library([tmp_path / "models"], starter=False).scan()
    assert made.loadable and made.facts is not None and made.facts.quantisation == "Q4_0"
    assert made.size_bytes == view.size_after < view.size_before
    expected = next(choice.size for choice in choices(starter) if choice.name == "Q4_0")
    assert made.size_bytes == pytest.approx(expected, rel=0.05)
    with pytest.raises(WebUIError) as caught:
        await quantiser.start(starter, "Q4_0")
    assert caught.value.code == "hub_exists"

    told: list[float] = []
    quality = await compare_quality(
        starter, made, TEXT, lambda share, _: told.append(share), scratch_folder=tmp_path, tokens=96
    )
    assert quality.tokens == 95 and told == sorted(told)
    assert 0 < quality.median <= quality.p99 <= quality.largest and quality.mean < quality.p99
    assert 0.3 < quality.same_top < 1
    assert quality.perplexity[0] < quality.perplexity[1] * 1.5
    same = await compare_quality(starter, starter, TEXT, scratch_folder=tmp_path, tokens=96)
    assert (same.mean, same.same_top, same.shift_rms) == (0.0, 1.0, 0.0)
    assert same.perplexity[0] == same.perplexity[1] == pytest.approx(quality.perplexity[0])
    assert not list(tmp_path.glob(".compare*"))


@pytest.mark.model
async def test_cancel_leaves_nothing(quantiser: Quantiser, starter: ModelEntry, tmp_path: Path) -> None:
    await quantiser.start(starter, "IQ3_S")
    await until(lambda: (view := quantiser.view()) is not None and view.progress > 0.05)
    await quantiser.cancel()
    assert state(quantiser) == "cancelled"
    assert list((tmp_path / "models").iterdir()) == []
    children = Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read_text().split()
    commands = [Path(f"/proc/{child}/cmdline").read_text() for child in children]
    assert not any("webui.worker.errand" in command for command in commands)


@pytest.mark.model
async def test_types_of_few_bits_take_an_importance_matrix(
    quantiser: Quantiser, starter: ModelEntry, tmp_path: Path
) -> None:
    with pytest.raises(BadValue) as caught:
        await quantiser.start(starter, "Q2_K_S")
    assert caught.value.code == "quantise_needs_matrix"
    matrix = write_matrix(starter, tmp_path / "imatrix.gguf")
    await quantiser.start(starter, "Q2_K_S", matrix=matrix)
    await until(lambda: state(quantiser) != "running")
    view = quantiser.view()
    assert view is not None and (view.state, view.problem) == ("done", "")
    assert view.fallbacks > 0


def write_matrix(model: ModelEntry, path: Path) -> Path:
    """An importance matrix as llama-imatrix writes it, all inputs alike."""
    from webui.hub.gguf import read_header

    writer = gguf.GGUFWriter(path, "")
    writer.add_string("general.type", "imatrix")
    for tensor in read_header(model.path).tensors:
        if len(tensor.shape) == 2 and tensor.name.startswith("blk"):
            writer.add_tensor(f"{tensor.name}.in_sum2", np.full((1, tensor.shape[0]), 5.0, np.float32))
            writer.add_tensor(f"{tensor.name}.counts", np.full((1, 1), 10.0, np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def test_matrix_says_where_its_figures_stand(starter: ModelEntry, tmp_path: Path) -> None:
    found = read_matrix(write_matrix(starter, tmp_path / "imatrix.gguf"))
    assert len(found["tensors"]) == 210
    name, sums_at, rows, width, counts_at = found["tensors"][0]
    assert (rows, name.startswith("blk.")) == (1, True)
    assert np.fromfile(found["path"], np.float32, width, offset=sums_at).tolist() == [5.0] * width
    assert np.fromfile(found["path"], np.float32, 1, offset=counts_at).tolist() == [10.0]
    with pytest.raises(BadModelFile):
        read_matrix(starter.path)


@pytest.mark.model
async def test_a_damaged_model_fails_with_a_sentence(quantiser: Quantiser, tmp_path: Path) -> None:
    path = llama().write(tmp_path / "tiny-F16.gguf")
    entry = Library([], starter=False).look_at(path)
    await quantiser.start(entry, "Q4_0")
    await until(lambda: state(quantiser) != "running")
    view = quantiser.view()
    assert view is not None and view.state == "failed"
    assert view.problem.endswith(".") and "\n" not in view.problem and view.code.startswith(("quantise", "errand"))
    assert [file for file in (tmp_path / "models").iterdir()] == []


async def test_compare_refuses_what_cannot_be_compared(starter: ModelEntry, tmp_path: Path) -> None:
    for text in ("", "  \n"):
        with pytest.raises(BadValue):
            await compare_quality(starter, starter, text, scratch_folder=tmp_path)


@pytest.mark.model
async def test_a_text_that_is_too_short_is_told(starter: ModelEntry, tmp_path: Path) -> None:
    with pytest.raises(WebUIError) as caught:
        await compare_quality(starter, starter, "Too short.", scratch_folder=tmp_path)
    assert "at least 16" in caught.value.message and caught.value.code == "compare_short"


async def test_a_process_that_dies_is_one_sentence() -> None:
    with pytest.raises(WebUIError) as caught:
        await run_errand("nothing-of-the-kind", {}, lambda share, about: None)
    assert caught.value.code == "errand_died" and caught.value.message.endswith(".")


@pytest.mark.skipif(sys.platform != "linux", reason="/proc")
async def test_the_process_ends_with_its_parent(starter: ModelEntry, tmp_path: Path) -> None:
    program = (
        "import asyncio, sys; from pathlib import Path; from webui.hub.library import Library\n"
        "from webui.hub.quantise import Quantiser\n"
        "async def main():\n"
        f"    q = Quantiser(Path({str(tmp_path)!r}))\n"
        f"    await q.start(Library([], starter=False).look_at(Path({str(starter.path)!r})), 'IQ3_S')\n"
        "    while not (q.view().progress): await asyncio.sleep(0.01)\n"
        "    print('begun', flush=True); await asyncio.sleep(60)\n"
        "asyncio.run(main())\n"
    )
    root = Path(__file__).resolve().parents[2]
    parent = subprocess.Popen([sys.executable, "-c", program], cwd=root, stdout=subprocess.PIPE)
    assert parent.stdout is not None and await asyncio.to_thread(parent.stdout.readline) == b"begun\n"
    (child,) = Path(f"/proc/{parent.pid}/task/{parent.pid}/children").read_text().split()
    parent.send_signal(signal.SIGKILL)
    parent.communicate()
    await until(lambda: not _runs(child), 10)


def _runs(child: str) -> bool:
    try:
        return "errand" in Path(f"/proc/{child}/cmdline").read_text()
    except FileNotFoundError:
        return False
