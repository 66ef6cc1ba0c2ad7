"""What the scheduler relies on, asked of every engine."""

from __future__ import annotations

import numpy as np
import pytest

from webui.engines.base import ANYWHERE, Aborted, AbortFlag, Chunk, EngineError
from webui.engines.fake import open_fake
from webui.errors import LoadCancelled
from webui.hub.library import starter_model
from webui.types import LoadSpec

TEXT = "The history of the world is long, and the sea is wide. " * 30


def open_engine(kind, **fields):
    abort = AbortFlag()
    if kind == "fake":
        spec = LoadSpec("script", engine="fake", options={"split": "bytes", "n_vocab": 300}, **fields)
        return open_fake(spec, lambda done: True, abort), abort
    from webui.engines.llamacpp import open_llamacpp

    spec = LoadSpec(str(starter_model()), **fields)
    return open_llamacpp(spec, lambda done: True, abort), abort


@pytest.fixture(scope="module", params=["fake", pytest.param("llamacpp", marks=pytest.mark.model)])
def opened(request):
    engine, abort = open_engine(request.param, n_ctx=1024, slots=3)
    yield engine, abort
    engine.close()


@pytest.fixture
def engine(opened):
    engine, abort = opened
    abort.clear()
    for slot in range(engine.info.slots):
        engine.keep(slot, 0)
    return engine


def read(engine, slot, tokens, cuts=()):
    """The row after a prompt that is read in pieces."""
    rows, start = [], 0
    for end in [*(cut for cut in cuts if cut < len(tokens)), len(tokens)]:
        rows = engine.decode([Chunk(slot, start, tokens[start:end], prompt=True)])
        start = end
    return rows[0].copy()


@pytest.fixture
def prompt(engine):
    return engine.tokenize(TEXT, add_bos=False, special=False)[:300]


def test_it_says_what_it_is(engine):
    info = engine.info
    assert info.n_vocab > 256 and info.slots == 3 and info.n_ctx == 1024
    assert info.end_ids and all(engine.is_end(token) for token in info.end_ids)
    assert engine.max_rows >= info.slots


def test_pieces_make_the_text_again(engine):
    for text in ("Hello world", "Привет, 世界 🙂", " leading", "a\nb\tc"):
        tokens = engine.tokenize(text, add_bos=False, special=False)
        assert b"".join(engine.piece(token) for token in tokens).decode().strip() == text.strip()


def test_control_tokens_are_read_only_if_special_and_shown_only_if_special(engine):
    end = engine.info.eos_id
    name = engine.info.eos_token
    assert engine.tokenize(name, add_bos=False, special=True) == [end]
    assert engine.tokenize(name, add_bos=False, special=False) != [end]
    assert engine.piece(end) == b"" and engine.piece(end, special=True) == name.encode()


def test_rows_are_those_asked_for(engine, prompt):
    rows = engine.decode([Chunk(0, 0, prompt[:20], "all", prompt=True), Chunk(1, 0, prompt[:5], "none", prompt=True)])
    assert len(rows) == 20 and rows[0].shape == (engine.info.n_vocab,) and rows[0].dtype == np.float32
    assert all(np.isfinite(row).all() for row in rows)
    last = rows[-1].copy()
    engine.keep(0, 0)
    np.testing.assert_allclose(read(engine, 0, prompt[:20]), last, atol=0.5)


def test_where_a_prompt_may_be_cut_nothing_changes(engine, prompt):
    grid = 64 if engine.grid == ANYWHERE else engine.grid
    cold = read(engine, 0, prompt, range(grid, 300, grid))
    for cuts in ([grid], [128, 256]) if engine.grid != ANYWHERE else ([2], [100, 237], [128, 256, 298]):
        np.testing.assert_array_equal(read(engine, 1, prompt, cuts), cold)
        engine.keep(1, 0)


def test_what_was_cut_off_is_forgotten(engine, prompt):
    plain = read(engine, 0, prompt[:100])
    engine.keep(0, 60)
    engine.decode([Chunk(0, 60, prompt[200:240], prompt=True)])
    engine.keep(0, 60)
    row = engine.decode([Chunk(0, 60, prompt[60:100], prompt=True)])[0]
    if engine.grid == ANYWHERE:
        np.testing.assert_array_equal(row, plain)
    else:
        np.testing.assert_allclose(row, plain, atol=1.0)


def test_a_copy_goes_its_own_way(engine, prompt):
    plain = read(engine, 0, prompt[:100], [64])
    engine.keep(0, 100)
    engine.copy(0, 2, 64)
    engine.decode([Chunk(0, 100, prompt[100:101])])
    row = engine.decode([Chunk(2, 64, prompt[64:100], prompt=True)])[0]
    np.testing.assert_array_equal(row, plain)


def test_saved_and_restored_into_another_slot(engine, prompt):
    read(engine, 0, prompt[:100])
    engine.keep(0, 100)
    state = engine.save(0)
    plain = engine.decode([Chunk(0, 100, prompt[100:101])])[0].copy()
    read(engine, 1, prompt[50:90])
    engine.restore(1, state)
    np.testing.assert_array_equal(engine.decode([Chunk(1, 100, prompt[100:101])])[0], plain)


def test_neighbours_do_not_matter(engine, prompt):
    for slot in range(3):
        read(engine, slot, prompt[: 100 + slot])
    together = engine.decode([Chunk(slot, 100 + slot, prompt[:1]) for slot in range(3)])[1].copy()
    engine.keep(1, 101)
    np.testing.assert_array_equal(engine.decode([Chunk(1, 101, prompt[:1])])[0], together)


def test_a_batch_beyond_the_context_is_refused_and_nothing_dies(engine):
    with pytest.raises(EngineError):
        engine.decode([Chunk(0, 1000, [65] * 30, prompt=True)])
    engine.decode([Chunk(0, 0, [65, 66], prompt=True)])


def test_a_flag_that_is_set_breaks_off_the_batch(opened, prompt):
    engine, abort = opened
    abort.set()
    with pytest.raises(Aborted):
        engine.decode([Chunk(0, 0, prompt[:128], prompt=True)])
    abort.clear()
    engine.keep(0, 0)
    assert len(engine.decode([Chunk(0, 0, prompt[:10], prompt=True)])) == 1


@pytest.mark.model
def test_loading_tells_progress_and_can_be_cancelled():
    from webui.engines.llamacpp import open_llamacpp

    told: list[float] = []

    def stop_in_the_middle(done: float) -> bool:
        told.append(done)
        return done < 0.3

    with pytest.raises(LoadCancelled):
        open_llamacpp(LoadSpec(str(starter_model()), n_ctx=256), stop_in_the_middle, AbortFlag())
    assert told == sorted(told) and told[-1] < 1


def test_the_order_of_a_batch_changes_neither_its_rows_nor_whose_they_are(engine, prompt):
    def step(order):
        for slot in range(3):
            engine.keep(slot, 0)
            read(engine, slot, prompt[slot : slot + 40])
        rows = engine.decode([Chunk(slot, 40, (prompt[slot + 40],)) for slot in order])
        return {slot: row.copy() for slot, row in zip(order, rows, strict=True)}

    ordered, mixed = step((0, 1, 2)), step((2, 0, 1))
    for slot in range(3):
        assert np.array_equal(ordered[slot], mixed[slot])
    assert not np.array_equal(ordered[0], ordered[1])


def test_an_idle_slot_between_busy_ones_keeps_what_it_holds(engine, prompt):
    for slot in range(3):
        read(engine, slot, prompt[slot : slot + 40])
    for place in range(40, 44):
        engine.decode([Chunk(slot, place, (prompt[place],)) for slot in (0, 2)])
    row = engine.decode([Chunk(1, 40, prompt[41:60], prompt=True)])[0].copy()
    engine.keep(1, 0)
    assert np.array_equal(read(engine, 1, prompt[1:60], cuts=(40,)), row)
