"""Vectors by llama.cpp: what they are, and that whoever generates does not notice."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from webui.engines.base import AbortFlag, Chunk
from webui.engines.llamacpp import LlamaCpp, open_llamacpp
from webui.engines.llamacpp_embed import LlamaCppEmbedder
from webui.types import LoadSpec

pytestmark = pytest.mark.model


@pytest.fixture(scope="module")
def engine(starter_path: Path) -> LlamaCpp:
    return open_llamacpp(LoadSpec(str(starter_path), n_ctx=512, slots=1), lambda done: True, AbortFlag())


def vector(embedder: LlamaCppEmbedder, tokens: list[int], piece: int) -> NDArray[np.float64]:
    rows = [embedder.read(tokens[start : start + piece], start) for start in range(0, len(tokens), piece)]
    mean = np.concatenate(rows).mean(axis=0, dtype=np.float64)
    return np.asarray(mean / np.linalg.norm(mean))


def test_texts_of_one_meaning_are_closer_and_pieces_do_not_matter(engine: LlamaCpp) -> None:
    texts = ("The cat sat on the mat.", "A cat is sitting on a mat.", "Interest rates rose sharply last year.")
    tokens = [engine.tokenize(text, add_bos=True, special=True) for text in texts]
    slot = engine.tokenize("Once upon a", add_bos=True, special=True)
    before = engine.decode([Chunk(0, 0, slot, prompt=True)])[0].copy()
    engine.keep(0, 0)
    embedder = engine.embedder(256)
    try:
        assert embedder.pooling == "mean" and 16 <= embedder.chunk <= 128
        one, two, other = (vector(embedder, ids, embedder.chunk) for ids in tokens)
        again = vector(embedder, tokens[0], 3)
    finally:
        embedder.close()
    assert len(one) == embedder.size == 576
    assert one @ two > one @ other
    assert one @ again > 0.999
    assert np.array_equal(engine.decode([Chunk(0, 0, slot, prompt=True)])[0], before)
