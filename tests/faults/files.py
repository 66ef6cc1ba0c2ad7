"""Model files that are damaged, cut off, absurd, or no model at all: our own reader of headers refuses each with the
reason, and llama.cpp never sees it."""

from __future__ import annotations

import shutil
from functools import partial
from pathlib import Path

from tests.faults.case import Case, must
from tests.faults.house import MODEL, House
from tests.hub.broken import BROKEN, NO_GGUF
from tests.hub.build import llama as good_header
from tests.hub.build import number, string

NAME = "broken"
_KILLERS = ("BLOCK_COUNT_0", "BLOCK_COUNT_MAX")
"""Named among the native killers."""


def refused(house: House, words: str) -> str:
    """Loading it is refused with the reason, and the model that is loaded goes on."""
    worker = house.worker()
    told = house.refused_load(NAME)
    must(told.status == 400, f"the status is {told.status}")
    must(words in told.sentence, f"{words!r} is not said: {told.sentence}")
    must(house.workers() == [worker], "an engine was started for it")
    return told.sentence


def broken(house: House, content: bytes, words: str) -> str:
    path = house.models / f"{NAME}.gguf"
    path.write_bytes(content)
    try:
        return refused(house, words)
    finally:
        path.unlink()


def folder(house: House) -> str:
    path = house.models / f"{NAME}.gguf"
    path.mkdir()
    try:
        return refused(house, "it is a folder")
    finally:
        path.rmdir()


def part_missing(house: House) -> str:
    """The second of three parts."""
    path = house.models / f"{NAME}-00002-of-00003.gguf"
    file = good_header().set("split.no", number(1)).set("split.count", number(3))
    path.write_bytes(file.bytes())
    try:
        return refused(house, "parts are missing")
    finally:
        path.unlink()


def cut_model(house: House, share: float) -> str:
    """The real model, as a download that broke off leaves it."""
    path, whole = house.models / f"{NAME}.gguf", house.models / f"{MODEL}.gguf"
    shutil.copyfile(whole, path)
    with path.open("rb+") as file:
        file.truncate(int(path.stat().st_size * share))
    try:
        return refused(house, "the file is cut off" if share > 0.5 else "cut off")
    finally:
        path.unlink()


def architecture(name: str) -> bytes:
    """A sound header of another kind of model."""
    file = good_header(general_architecture=string(name))
    file.pairs = [(key.replace("llama.", f"{name}."), value) for key, value in file.pairs]
    return file.bytes()


def in_place(house: House) -> str:
    """The file of the loaded model is cut in place while it is mapped: the next look at it is a SIGBUS. What is started
    again is told what is wrong with the file."""
    path = house.models / f"{MODEL}.gguf"
    house.load(mmap="on")
    try:
        with house.stream(house.question) as reply:
            reply.tokens(2)
            cut(path)
            reply.rest()
        must(reply.error is not None, "it went on without its weights")
        sentence = reply.sentence
        must("model file changed on disk" in sentence, f"told was: {sentence}")
        must(house.until(lambda: house.info()["stage"] == "failed"), f"it is {house.info()}")
        house.put_model()
        house.load()
        return sentence
    finally:
        house.put_model()


def cut(path: Path) -> None:
    with path.open("rb+") as file:
        file.truncate(1 << 16)


def _file_case(kind: str, content: bytes, words: str, *, prefix: str = "gguf") -> Case:
    name = f"{prefix}-{kind.lower().replace('_', '-')}"
    act = partial(broken, content=content, words=words)
    return Case(name, f"load a file that is {kind}", "refused by our own check, with the reason", act, short=True)


REFUSED = "refused by our own check, with the reason"
CASES = (
    *(_file_case(kind, *found) for kind, found in BROKEN.items() if kind not in _KILLERS),
    *(_file_case(kind, *found) for kind, found in NO_GGUF.items()),
    _file_case("UNKNOWN_ARCHITECTURE", architecture("zzzzz"), "'zzzzz'"),
    _file_case("EMBEDDING_MODEL", architecture("nomic-bert"), "continues text"),
    _file_case("DIFFUSION_MODEL", architecture("dream"), "continues text"),
    Case("gguf-folder", "load a folder called .gguf", REFUSED, folder, short=True),
    Case("gguf-part-missing", "load a split model that lacks parts", REFUSED, part_missing, short=True),
    Case("gguf-cut-in-weights", "load the real model, 90 % of it", REFUSED, partial(cut_model, share=0.9), short=True),
    Case("gguf-cut-in-header", "load the real model, 1 % of it", REFUSED, partial(cut_model, share=0.01), short=True),
)
KILLERS = (
    _file_case("BLOCK_COUNT_0", *BROKEN["BLOCK_COUNT_0"], prefix="killer"),
    _file_case("BLOCK_COUNT_MAX", *BROKEN["BLOCK_COUNT_MAX"], prefix="killer"),
    Case("killer-model-truncated", "the mapped model file is truncated", "told so, and nothing else ends", in_place),
)
