from __future__ import annotations

import time

import numpy as np
import pytest

from tests.worker.bench import FREE, GREEDY, Bench, fake
from webui.engines.base import NEVER, Aborted, Chunk
from webui.engines.fake_script import REPLY
from webui.errors import BadValue, ContextExceeded
from webui.worker import scheduler
from webui.worker.jobs import Job
from webui.worker.slots import as_tokens

STORY = "once upon a time " * 60 + ":\n"


def test_a_reply_arrives_whole_with_its_figures():
    bench = Bench()
    last = bench.ask("hi there")
    tokens = bench.of(bench.last, "token")
    assert bench.text(bench.last) == REPLY
    assert (last["kind"], last["reason"], last["tokens"]) == ("finished", "stop", len(tokens))
    assert (last["prompt_tokens"], last["context_used"]) == (3, 3 + len(tokens))
    assert 0 <= last["prompt_seconds"] <= last["first_token_seconds"] + 1
    assert not any("\ufffd" in event["text"] for event in tokens)


def test_figures_of_a_token_are_the_rows_own():
    bench = Bench(sharpness=2.0, split="bytes")
    bench.ask("hi", chain=GREEDY, max_tokens=1, alternatives=3)
    event = bench.of(bench.last, "token")[0]
    engine = fake(sharpness=2.0, split="bytes")
    row = engine.decode([Chunk(0, 0, engine.tokenize("hi", add_bos=True, special=True), prompt=True)])[0]
    raw = np.exp(row.astype(np.float64) - row.max())
    raw /= raw.sum()
    assert event["token"] == int(row.argmax()) and event["rank"] == 1
    assert event["raw"] == pytest.approx(raw.max(), rel=1e-4)
    assert event["entropy"] == pytest.approx(-(raw * np.log2(raw)).sum(), rel=1e-4)
    assert event["final"] == 1.0
    assert [a["raw"] for a in event["alternatives"]] == pytest.approx(sorted(raw)[-3:][::-1], rel=1e-4)


def test_the_models_own_view_is_only_worked_out_where_it_is_asked_for():
    bench = Bench()
    bench.ask("hi", max_tokens=3)
    figures = {"raw", "rank", "entropy", "alternatives"}
    assert [figures & set(event) for event in bench.of(bench.last, "token")] == [set()] * 3
    bench.ask("hi", max_tokens=3, alternatives=0)
    assert [figures & set(event) for event in bench.of(bench.last, "token")] == [figures - {"alternatives"}] * 3


@pytest.mark.parametrize(
    ("fills_cores", "picture", "expected"),
    [(False, 60.0, [1, 2, 3, 4, 4]), (True, 0.0, [1, 1, 2, 4, 4]), (True, 60.0, [1, 1, 1, 4, 4])],
    ids=["at once", "while the next is chosen", "some together"],
)
def test_tokens_are_told_together_where_the_engine_fills_all_cores(fills_cores, picture, expected, monkeypatch):
    monkeypatch.setattr("webui.worker.output.PICTURE", picture)
    bench = Bench(fills_cores=fills_cores)
    bench.add("a", max_tokens=4)
    told = []
    for _ in expected:
        bench.scheduler.turn(wait=False)
        told.append(len(bench.of("a", "token")))
    # The first at once, the last with the end.
    assert told == expected
    assert bench.of("a")[-1]["kind"] == "finished"
    assert bench.text("a") == Bench().reply("hi", max_tokens=4)


def test_what_is_held_back_is_told_when_a_reply_is_cancelled(monkeypatch):
    monkeypatch.setattr("webui.worker.output.PICTURE", 60.0)
    bench = Bench(fills_cores=True)
    bench.add("a", max_tokens=50)
    for _ in range(4):
        bench.scheduler.turn(wait=False)
    assert len(bench.of("a", "token")) == 1
    bench.scheduler.cancel("a")
    bench.scheduler.turn(wait=False)
    assert len(bench.of("a", "token")) == bench.of("a")[-1]["tokens"] == 4
    assert bench.of("a")[-1]["reason"] == "cancelled"


def test_a_token_is_told_at_once_while_another_prompt_is_read():
    bench = Bench(slots=2, fills_cores=True)
    bench.add("a", max_tokens=50)
    bench.scheduler.turn(wait=False)
    bench.add("b", list(range(1, 200)), max_tokens=1)
    before = len(bench.of("a", "token"))
    bench.scheduler.turn(wait=False)
    assert len(bench.of("a", "token")) == before + 1


def test_short_prompts_are_read_in_one_turn_and_long_ones_a_chunk_at_a_time():
    bench = Bench(slots=4)
    for number in range(3):
        bench.add(number, list(range(1, 20 + number)), max_tokens=5)
    bench.scheduler.turn(wait=False)
    assert [len(bench.of(number, "token")) for number in range(3)] == [1, 1, 1]
    assert [len(batch) for batch in bench.engine.batches] == [1, 1, 1]
    bench.scheduler.turn(wait=False)
    assert len(bench.engine.batches[-1]) == 3

    long = 3 * bench.engine.chunk
    bench.add("long", list(range(1, long + 1)), max_tokens=1)
    before = bench.engine.prompt_tokens
    bench.scheduler.turn(wait=False)
    assert 0 < bench.engine.prompt_tokens - before <= bench.engine.chunk


def test_equal_seeds_give_equal_replies_and_others_do_not():
    bench = Bench(sharpness=0.0)
    replies = [bench.reply("hi", chain=FREE, seed=seed, max_tokens=20) for seed in (5, 5, 6)]
    assert replies[0] == replies[1] != replies[2]


def test_a_seed_that_was_drawn_is_told_and_can_be_used_again():
    bench = Bench(sharpness=0.0)
    last = bench.ask("hi", chain=FREE, max_tokens=20)
    first = bench.text(bench.last)
    assert last["seed"] >= 0
    assert bench.reply("hi", chain=FREE, max_tokens=20, seed=last["seed"]) == first


def test_choice_i_is_what_seed_plus_i_gives():
    bench = Bench(sharpness=0.0)
    bench.ask("hi", chain=FREE, seed=7, n=3, max_tokens=15)
    id = bench.last
    alone = [bench.reply("hi", chain=FREE, seed=7 + i, max_tokens=15) for i in range(3)]
    assert [bench.text(id, choice) for choice in range(3)] == alone
    assert [event["seed"] for event in sorted(bench.of(id, "finished"), key=lambda e: e["choice"])] == [7, 8, 9]


@pytest.mark.parametrize("slots", [1, 2, 8])
def test_choices_read_their_prompt_once(slots):
    bench = Bench(slots=slots)
    bench.ask(STORY, n=4, max_tokens=5)
    assert len(bench.of(bench.last, "finished")) == 4
    read = bench.engine.prompt_tokens
    assert read <= len(bench.engine.tokenize(STORY, add_bos=True, special=True)) + 4 * 5 + 10


def test_everybody_gets_what_they_would_get_alone():
    loose = {"sharpness": 0.0, "split": "bytes"}
    alone = {i: Bench(**loose).reply(f"prompt {i}", chain=FREE, seed=i, max_tokens=30) for i in range(6)}
    bench = Bench(slots=3, **loose)
    for i in range(6):
        bench.add(i, f"prompt {i}", chain=FREE, seed=i, max_tokens=30)
    bench.run()
    assert {i: bench.text(i) for i in range(6)} == alone


def test_running_requests_share_one_batch_and_one_frame():
    bench = Bench(slots=4, end=False)
    for i in range(4):
        bench.add(i, max_tokens=50)
    bench.run()
    steps = [batch for batch in bench.engine.batches if not batch[0].prompt]
    assert sum(len(batch) == 4 for batch in steps) >= 40
    assert any(len({id for id, event in frame if event["kind"] == "token"}) == 4 for frame in bench.frames)


def test_a_long_prompt_is_read_between_the_others_tokens():
    bench = Bench(slots=2, end=False)
    bench.add("talker", max_tokens=100)
    for _ in range(5):
        bench.scheduler.turn(wait=False)
    bench.add("reader", "word " * 3000, max_tokens=3)
    bench.run()
    ids = [id for id, event in bench.events if event["kind"] in ("token", "prompt")]
    first, last = ids.index("reader"), len(ids) - 1 - ids[::-1].index("reader")
    assert ids[first:last].count("talker") >= 20
    progress = bench.of("reader", "prompt")
    assert [event["done"] for event in progress] == sorted({event["done"] for event in progress})
    assert progress[-1]["done"] == progress[-1]["total"]


def test_the_queue_is_served_in_order_and_tells_places():
    bench = Bench(slots=1)
    for i in range(4):
        bench.add(i, f"number {i}", max_tokens=4)
    bench.run()
    finished = [id for id, event in bench.events if event["kind"] == "finished"]
    assert finished == [0, 1, 2, 3]
    assert [event["place"] for event in bench.of(3, "queued")] == [3, 2, 1]
    assert bench.of(0, "queued") == []


def test_too_many_waiting_are_refused(monkeypatch):
    monkeypatch.setattr(scheduler, "MAX_WAITING", 100)
    bench = Bench(slots=1)
    for i in range(110):
        bench.add(i, max_tokens=1)
    bench.run()
    codes = [bench.of(i)[-1].get("code") for i in range(110)]
    assert codes == [None] * 100 + ["server_overloaded"] * 10


# Prefixes


def test_a_follow_up_pays_only_for_what_is_new():
    bench = Bench()
    bench.ask(STORY)
    more = STORY + bench.text(bench.last) + "</s>And then?"
    before = bench.engine.prompt_tokens
    last = bench.ask(more)
    new = len(bench.engine.tokenize("And then?", add_bos=False, special=False))
    assert last["prompt_tokens"] - last["cached_tokens"] <= new + 2
    assert bench.engine.prompt_tokens - before <= new + 2 + last["tokens"] + 2


def test_regenerating_reads_nothing():
    bench = Bench()
    bench.ask(STORY)
    again = bench.ask(STORY)
    assert again["cached_tokens"] == again["prompt_tokens"]


@pytest.mark.parametrize("grid", [2, 128])
def test_generated_text_is_read_again_before_it_counts_as_read(grid):
    """The chunks of a warm prompt are the cold ones, and no token that was generated is used as if it had been read."""
    bench = Bench(grid=grid, reply="one two three " * 80)
    bench.ask(STORY)
    follow = STORY + bench.text(bench.last) + "</s>" + "and so on " * 30
    warm = bench.ask(follow)
    assert warm["cached_tokens"] > 300
    held: dict[tuple[int, int], bool] = {}
    for batch in bench.engine.batches:
        for chunk in batch:
            for place in range(chunk.position, chunk.position + len(chunk.tokens)):
                held[chunk.slot, place] = chunk.prompt
    slot = bench.engine.batches[-1][0].slot
    assert all(held[slot, place] for place in range(warm["prompt_tokens"]))
    if grid == 128:
        prompts = [chunk for batch in bench.engine.batches for chunk in batch if chunk.prompt]
        assert all(chunk.position % 128 == 0 for chunk in prompts)


@pytest.mark.parametrize("slots", [1, 2])
def test_going_back_to_another_chat_does_not_pay_again(slots):
    bench = Bench(slots=slots, cache=1 << 20)
    chats = [f"chat {i}: " + f"word{i} " * 300 for i in range(4)]
    for chat in chats:
        bench.ask(chat, max_tokens=10)
    for chat in chats:
        last = bench.ask(chat + " more", max_tokens=10)
        assert last["cached_tokens"] >= 300


def test_without_a_store_only_the_slots_remember():
    bench = Bench(slots=1, cache=0)
    bench.ask("chat one " + "word " * 300)
    bench.ask("other " * 300)
    assert bench.ask("chat one " + "word " * 300)["cached_tokens"] < 10


def test_a_beginning_that_is_shared_is_copied_from_a_busy_slot():
    bench = Bench(slots=2, end=False)
    bench.add("first", STORY + "one", max_tokens=200)
    for _ in range(10):
        bench.scheduler.turn(wait=False)
    bench.add("second", STORY + "two", max_tokens=5)
    bench.run()
    assert bench.of("second")[-1]["cached_tokens"] >= 200
    assert bench.of("first")[-1]["reason"] == "length"


def test_deterministic_reads_all_again_and_decodes_alone():
    bench = Bench(sharpness=0.0, slots=3, end=False)
    plain = bench.reply(STORY, chain=FREE, seed=3, max_tokens=10)
    before = len(bench.engine.batches)
    bench.add("exact", STORY, chain=FREE, seed=3, max_tokens=10, deterministic=True)
    bench.add("other", "hello", max_tokens=30)
    bench.run()
    assert bench.text("exact") == plain
    last = bench.of("exact")[-1]
    assert last["cached_tokens"] == 0
    exact_slot = next(
        batch[0].slot for batch in bench.engine.batches[before:] if batch[0].prompt and batch[0].position == 0
    )
    assert not any(len(batch) > 1 and exact_slot in {c.slot for c in batch} for batch in bench.engine.batches[before:])


def test_a_model_that_cannot_go_back_reads_everything_and_is_never_cut():
    bench = Bench(grid=NEVER, slots=3, cache=1 << 20)
    kept = []
    bench.engine.keep = lambda slot, length: kept.append(length) or bench.engine._engine.keep(slot, length)
    first = bench.ask(STORY, n=2, lookup=4)
    again = bench.ask(STORY)
    assert first["cached_tokens"] == again["cached_tokens"] == 0
    assert bench.text(bench.last) == REPLY
    assert set(kept) == {0}
    with pytest.raises(BadValue, match="go back"):
        bench.add("ban", banned_strings=["x"])


# Limits


def test_the_context_is_decided_before_anything_starts():
    bench = Bench(n_ctx=256)
    with pytest.raises(ContextExceeded) as caught:
        bench.add("long", "word " * 300)
    assert caught.value.values == {"prompt_tokens": 302, "n_ctx": 256}
    assert caught.value.code == "context_length_exceeded"
    assert bench.engine.batches == []


@pytest.mark.parametrize("asked", [None, 10**12])
def test_without_a_limit_the_reply_ends_with_the_context(asked):
    bench = Bench(n_ctx=256, end=False)
    last = bench.ask("hi", max_tokens=asked)
    assert (last["reason"], last["context_used"]) == ("length", 256)


def test_a_prompt_that_just_fits_gives_one_token():
    bench = Bench(n_ctx=256, end=False)
    last = bench.ask([65] * 255, max_tokens=None)
    assert (last["tokens"], last["reason"]) == (1, "length")


def test_no_tokens_at_all_only_reads_the_prompt():
    bench = Bench()
    last = bench.ask(STORY, max_tokens=0)
    assert (last["reason"], last["tokens"], bench.text(bench.last)) == ("length", 0, "")
    assert bench.ask(STORY)["cached_tokens"] == last["prompt_tokens"]


@pytest.mark.parametrize("split", ["words", "characters", "bytes"])
def test_stop_strings_cut_and_never_leak(split):
    bench = Bench(split=split, reply="Раз, два, три 🙂 четыре")
    last = bench.ask("hi", stop=["три 🙂 ч", "пять"])
    assert bench.text(bench.last) == "Раз, два, "
    assert (last["reason"], last["stop_string"]) == ("stop_string", "три 🙂 ч")
    assert not any("три" in event["text"] for event in bench.of(bench.last, "token"))


def test_stop_tokens_and_ignored_ends():
    bench = Bench(split="bytes", reply="abc")
    assert bench.reply("hi", stop_tokens=[ord("c")]) == "ab"
    last = bench.ask("hi", ignore_eos=True, max_tokens=8)
    assert last["tokens"] == 8


@pytest.mark.parametrize("split", ["words", "bytes"])
def test_banned_strings_are_taken_back(split):
    bench = Bench(split=split, reply="It sent shivers down her spine. Я не могу.", sharpness=6.0)
    last = bench.ask("hi", banned_strings=["SHIVERS DOWN", "не могу"], seed=1)
    text = bench.text(bench.last)
    assert "shivers down" not in text.lower() and "не могу" not in text
    assert text.startswith("It sent ") and "her spine" in text
    assert last["tokens"] == len([event for event in bench.of(bench.last, "token") if event["token"] >= 0])


def test_a_ban_on_the_very_first_token():
    bench = Bench(split="words", reply="Sure! Yes.")
    text = bench.reply("hi", banned_strings=["sure"])
    assert not text.lower().startswith("sure") and "Yes" in text


def test_a_loop_is_noticed():
    bench = Bench(reply="over and ", end=False)
    last = bench.ask("hi", loop_limit=5, max_tokens=2000)
    assert last["reason"] == "loop" and last["tokens"] < 100
    assert bench.ask("hi", max_tokens=300)["reason"] == "length"


def test_time_runs_out():
    bench = Bench(end=False, delay=0.002)
    last = bench.ask("hi", max_seconds=0.05, max_tokens=None)
    assert last["reason"] == "time"


def test_a_speed_limit_slows_one_and_not_the_others():
    bench = Bench(end=False, slots=2)
    bench.add("slow", max_tokens=4, max_tokens_per_second=4)
    bench.add("fast", max_tokens=None)
    start = time.monotonic()
    while not any(event["kind"] == "finished" for event in bench.of("slow")):
        bench.scheduler.turn(wait=False)
    assert time.monotonic() - start >= 2 / 4
    ids = [id for id, event in bench.events if event["kind"] == "token"]
    first, last = ids.index("slow"), len(ids) - 1 - ids[::-1].index("slow")
    assert ids[first:last].count("fast") >= 12


# Cancel


def test_cancel_keeps_what_was_said_and_frees_the_slot():
    bench = Bench(end=False, slots=1)
    bench.add("one", max_tokens=None)
    bench.add("two", max_tokens=2)
    for _ in range(20):
        bench.scheduler.turn(wait=False)
    bench.scheduler.cancel("one")
    bench.run()
    last = bench.of("one")[-1]
    assert last["reason"] == "cancelled" and last["tokens"] > 5
    assert REPLY.startswith(bench.text("one")[: len(REPLY)])
    assert bench.of("two")[-1]["reason"] == "length"


def test_cancel_while_waiting_and_while_reading():
    bench = Bench(slots=1)
    bench.add("reading", "word " * 1500)
    bench.add("waiting")
    bench.scheduler.turn(wait=False)
    bench.scheduler.cancel("reading")
    bench.scheduler.cancel("waiting")
    bench.scheduler.cancel("nobody")
    bench.run()
    reading, waiting = bench.of("reading")[-1], bench.of("waiting")[-1]
    assert (reading["reason"], reading["tokens"], waiting["reason"]) == ("cancelled", 0, "cancelled")
    assert 0 < reading["context_used"] < reading["prompt_tokens"]


def test_an_aborted_batch_is_done_again_for_the_others():
    bench = Bench(end=False, slots=2)
    whole = Bench(end=False).reply("a", max_tokens=30)
    bench.add("a", "a", max_tokens=30)
    engine, real, seen = bench.engine, bench.engine.decode, []

    def flaky(chunks):
        seen.append(chunks)
        rows = real(chunks)
        if len(seen) % 5 == 0:
            raise Aborted("aborted")
        return rows

    engine.decode = flaky
    bench.run()
    assert bench.text("a") == whole


# Guidance, lookup, channels, rows


def test_guidance_runs_a_second_prompt_beside_the_first():
    chain = [{"sampler": "guidance", "values": {"guidance_scale": 3.0}}, *GREEDY]
    rules = [{"contains": "bad", "reply": "no no no"}, {"contains": "good", "reply": "yes it is"}]
    bench = Bench(rules=rules, slots=2)
    last = bench.ask("good prompt", chain=chain, negative_prompt="bad prompt")
    assert bench.text(bench.last) == "yes it is"
    steps = [batch for batch in bench.engine.batches if not batch[0].prompt]
    assert steps and all(len(batch) == 2 for batch in steps)
    assert last["prompt_tokens"] == len(bench.engine.tokenize("good prompt", add_bos=True, special=True))
    assert bench.scheduler._shelf.free == 2


def test_guidance_really_subtracts():
    """With the same script in both prompts, only noise remains between them: a strong scale must change the words."""
    chain = [{"sampler": "guidance", "values": {"guidance_scale": 1.0}}, *FREE]
    strong = [{"sampler": "guidance", "values": {"guidance_scale": 5.0}}, *FREE]
    bench = Bench(sharpness=0.0, slots=2)
    plain = bench.reply("a b", chain=FREE, seed=1, max_tokens=12)
    assert bench.reply("a b", chain=chain, seed=1, max_tokens=12, negative_prompt="c d") == plain
    assert bench.reply("a b", chain=strong, seed=1, max_tokens=12, negative_prompt="c d") != plain


def test_guidance_with_one_slot_says_what_to_do():
    chain = [{"sampler": "guidance", "values": {"guidance_scale": 3.0}}, *GREEDY]
    with pytest.raises(BadValue, match="two slots"):
        Bench(slots=1).add(1, chain=chain, negative_prompt="bad")


@pytest.mark.parametrize("sharpness", [20.0, 2.0])
def test_guessing_ahead_changes_nothing_but_the_number_of_steps(sharpness):
    reply = "the cat sat on the mat and the cat sat on the mat and the cat sat on the mat again"
    counts, texts = [], []
    for lookup in (0, 6):
        bench = Bench(reply=reply, sharpness=sharpness, n_vocab=300 if sharpness < 5 else 4096)
        for seed in range(3):
            bench.ask("tell: " + reply, chain=FREE, seed=seed, lookup=lookup, max_tokens=40)
            texts.append((lookup, seed, bench.text(bench.last)))
        counts.append(sum(1 for batch in bench.engine.batches if not batch[0].prompt))
    assert [text for lookup, _, text in texts if lookup] == [text for lookup, _, text in texts if not lookup]
    if sharpness > 5:
        assert counts[1] < counts[0] / 2


def test_thoughts_are_told_apart():
    bench = Bench(reply="<think>Let me see.</think>\n\nIt is four.")
    bench.ask("2+2?", reasoning="auto")
    assert bench.text(bench.last, channel="reasoning") == "Let me see."
    assert bench.text(bench.last, channel="answer") == "It is four."
    assert bench.reply("2+2?") == "<think>Let me see.</think>\n\nIt is four."


def test_a_row_can_be_asked_for_alone():
    bench, rows = Bench(), []
    prompt = as_tokens(bench.engine.tokenize("hello", add_bos=True, special=True))
    bench.scheduler.add(Job("row", prompt, on_row=lambda job, row: rows.append(row.copy())))
    bench.run()
    assert len(rows) == 1 and rows[0].shape == (4096,)
    assert bench.of("row") == []
    assert bench.ask("hello")["cached_tokens"] == 2


def test_all_rows_come_a_few_at_a_time():
    bench, seen = Bench(), []
    prompt = as_tokens([65] * 200)
    bench.scheduler.add(Job("rows", prompt, on_rows=lambda job, start, rows: seen.append((start, len(rows)))))
    bench.run()
    assert seen == [(0, 64), (64, 64), (128, 64), (192, 8)]


def test_a_batch_the_engine_refuses_fails_its_request_only():
    bench = Bench(slots=2, faults=[{"at": "prompt", "after": 1, "how": "error", "contains": "poison"}])
    bench.add("bad", "poison")
    bench.add("good", "hello")
    bench.run()
    assert bench.of("bad")[-1]["code"] == "engine_refused"
    assert bench.text("good") == REPLY
    assert bench.reply("hello again") == REPLY


BAD = [
    ("n", 0),
    ("n", 10**9),
    ("seed", -2),
    ("seed", 2**80),
    ("seed", True),
    ("max_tokens", -5),
    ("max_tokens", 1.5),
    ("max_tokens", "a"),
    ("min_tokens", -1),
    ("min_tokens", 2.5),
    ("alternatives", -1),
    ("alternatives", 10**6),
    ("stop", [""]),
    ("stop", [1]),
    ("stop", ["x"] * 1000),
    ("stop", ["x" * 2000]),
    ("stop_tokens", [10**9]),
    ("stop_tokens", [-1]),
    ("banned_strings", [""]),
    ("max_seconds", -1.0),
    ("max_seconds", float("nan")),
    ("max_tokens_per_second", float("inf")),
    ("loop_limit", -1),
    ("lookup", 1000),
    ("reasoning", "loud"),
    ("deterministic", 1),
    ("prompt", ""),
    ("prompt", []),
    ("prompt", [1, "a"]),
    ("prompt", [-1]),
    ("prompt", [10**9]),
    ("prompt", "\ud800"),
    ("prompt", 5),
]


@pytest.mark.parametrize(("name", "value"), BAD, ids=[f"{name}={str(value)[:12]!r}" for name, value in BAD])
def test_what_makes_no_sense_is_refused_by_name(name, value):
    with pytest.raises(BadValue) as caught:
        Bench().add("bad", **{"add_bos": False, "prompt": "hi", name: value})
    assert caught.value.param in (name, None)
    assert caught.value.param == name or name == "prompt"


def test_a_row_can_be_asked_for_after_what_was_written():
    bench = Bench(reply="one two three")
    bench.ask("hi", chain=GREEDY)
    written = tuple(event["token"] for event in bench.of(bench.last, "token"))
    rows: list[np.ndarray] = []
    prompt = as_tokens(bench.engine.tokenize("hi", add_bos=True, special=True))
    for count in range(len(written)):
        bench.scheduler.add(
            Job(f"row {count}", prompt, written=written[:count], on_row=lambda _, row: rows.append(row))
        )
        while len(rows) <= count:
            bench.scheduler.turn()
        if count:
            decoded = sum(len(chunk.tokens) for batch in bench.engine.batches for chunk in batch)
            assert decoded <= (len(prompt) + count if count < 3 else 2), "what was decoded once is used again"
        bench.engine.batches.clear()
    assert [int(row.argmax()) for row in rows] == list(written)
    assert bench.text(bench.last) == "one two three" and bench.reply("hi", chain=GREEDY) == "one two three"
