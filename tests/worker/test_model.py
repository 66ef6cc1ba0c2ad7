"""The real starter model through a real worker: the promises of repeatability, caching, text and cancel."""

from __future__ import annotations

import json
import time

import numpy as np
import pytest

from tests.worker.harness import GREEDY, text_of, worker

pytestmark = pytest.mark.model

CHAIN = [{"sampler": "temperature", "values": {"temperature": 0.9}}, {"sampler": "top_p", "values": {"top_p": 0.95}}]
LONG = "<|im_start|>system\nYou tell long stories about the sea. " + "The sea was wide and the ship was old. " * 40


def chat(*turns, system=LONG):
    text = f"{system}<|im_end|>\n"
    for role, content in zip(["user", "assistant"] * 10, turns, strict=False):
        text += f"<|im_start|>{role}\n{content}<|im_end|>\n"
    return text + "<|im_start|>assistant\n"


@pytest.fixture(scope="module")
def model(starter_path):
    with worker() as w:
        w.load(path=str(starter_path), engine="llamacpp", n_ctx=1536, slots=3)
        yield w


def test_the_same_seed_gives_the_same_text_cold_warm_and_under_load(model, starter_path):
    first = chat("Tell me about a storm.")
    cold = model.generate(first, id="cold", chain=CHAIN, seed=11, max_tokens=24)
    assert cold[-1]["cached_tokens"] == 0 and cold[-1]["seed"] == 11
    warm = model.generate(first, id="warm", chain=CHAIN, seed=11, max_tokens=24)
    assert warm[-1]["cached_tokens"] == warm[-1]["prompt_tokens"]
    follow = chat("Tell me about a storm.", text_of(cold), "And then?")
    second = model.generate(follow, id="second", chain=CHAIN, seed=12, max_tokens=24)
    assert second[-1]["cached_tokens"] > 300
    for i in range(2):
        model.start(f"load {i}", f"Number {i}: ", chain=CHAIN, max_tokens=60, ignore_eos=True)
    model.start("loaded", follow, chain=CHAIN, seed=12, max_tokens=24)
    loaded = model.events({"loaded", "load 0", "load 1"})["loaded"]
    exact = model.generate(follow, id="exact", chain=CHAIN, seed=12, max_tokens=24, deterministic=True)
    assert exact[-1]["cached_tokens"] == 0
    with worker() as fresh:
        fresh.load(path=str(starter_path), engine="llamacpp", n_ctx=1536, slots=1)
        restarted = fresh.generate(follow, chain=CHAIN, seed=12, max_tokens=24)
    assert restarted[-1]["cached_tokens"] == 0
    assert text_of(warm) == text_of(cold)
    assert text_of(loaded) == text_of(second) == text_of(exact) == text_of(restarted)


def test_going_back_to_another_chat_does_not_read_it_again(model):
    chats = [chat("Hello", system=f"<|im_start|>system\nChat {i}. " + f"Fact {i} is known. " * 80) for i in range(5)]
    for prompt in chats:
        model.generate(prompt, max_tokens=2)
    for prompt in chats:
        last = model.generate(prompt + "Well", max_tokens=2)[-1]
        assert last["cached_tokens"] >= last["prompt_tokens"] - 8


def test_characters_arrive_whole(model):
    events = model.generate(
        "Repeat: 🙂🚀 日本語 Привет\nRepeat: 🙂🚀 日本語 Привет\nRepeat:", max_tokens=24, ignore_eos=True, stop=["\n"]
    )
    tokens = [event for event in events if event["kind"] == "token"]
    assert not any("\ufffd" in event["text"] for event in tokens)
    assert any(event["text"] == "" for event in tokens) and not text_of(events).isascii()
    assert "\n" not in text_of(events)


def test_json_comes_out_as_json(model):
    schema = {
        "type": "object",
        "properties": {"name": {"type": "string", "maxLength": 12}, "age": {"type": "integer"}},
        "required": ["name", "age"],
        "additionalProperties": False,
    }
    events = model.generate("A person as JSON: ", json_schema=json.dumps(schema), max_tokens=80, chain=GREEDY)
    assert events[-1]["reason"] == "stop"
    assert set(json.loads(text_of(events))) == {"name", "age"}


def test_cancel_in_the_middle_of_a_long_prompt(model):
    model.start("long", "word " * 1400, max_tokens=5)
    model.wait_for("events")
    start = time.monotonic()
    model.send("cancel", id="long")
    last = model.events({"long"})["long"][-1]
    assert last["reason"] == "cancelled" and last["tokens"] == 0
    assert last["context_used"] < last["prompt_tokens"]
    assert time.monotonic() - start < 5


def test_quantised_keys_and_values_and_a_smaller_context(starter_path):
    with worker() as w:
        info = w.load(
            path=str(starter_path),
            engine="llamacpp",
            n_ctx=512,
            slots=1,
            options={"kv_type": "q8_0", "rope_base": 50000.0, "mmap": False},
        )
        assert (info["n_ctx"], info["slots"]) == (512, 1)
        events = w.generate("The sea is", max_tokens=8, ignore_eos=True)
        assert events[-1]["tokens"] == 8 and text_of(events).strip()


def test_a_context_too_large_names_one_that_fits(starter_path):
    with worker() as w:
        spec = {"path": str(starter_path), "engine": "llamacpp", "n_ctx": 1 << 24, "slots": 8}
        w.send("load", spec=spec)
        failed, _ = w.wait_for("load_failed", seconds=60)
        assert failed["param"] == "n_ctx" and "would fit" in failed["message"]


def test_a_row_after_what_was_written_is_the_one_the_generation_saw(model):
    prompt = "The capital of France is"
    told = model.generate(prompt, chain=CHAIN, seed=5, max_tokens=12, alternatives=3)
    tokens = [event for event in told if event["kind"] == "token"]
    written = [event["token"] for event in tokens]
    for count in (0, 1, 5, 11):
        header, blob = model.ask("logits", id=f"row {count}", prompt=prompt, written=written[:count])
        row = np.frombuffer(blob, np.float32).astype(np.float64)
        p = np.exp(row - row.max()) / np.exp(row - row.max()).sum()
        assert header["tokens"][len(header["tokens"]) - count :] == written[:count]
        assert p[written[count]] == pytest.approx(tokens[count]["raw"], rel=1e-6)
        assert [a["raw"] for a in tokens[count]["alternatives"]] == pytest.approx(sorted(p)[-3:][::-1], rel=1e-6)


@pytest.mark.long
def test_a_sliding_window_keeps_what_was_read(gemma_path):
    """Gemma 3's window is shorter than this prompt; going on from the cache must say what a cold start says."""
    prompt = "The old sailor told his story. " * 120 + "At the end"
    with worker() as w:
        info = w.load(path=str(gemma_path), engine="llamacpp", n_ctx=1536, slots=1)
        assert info["extra"]["sliding_window"] > 0
        cold = w.generate(prompt, chain=CHAIN, seed=5, max_tokens=12)
        longer = w.generate(prompt + text_of(cold) + " and then", chain=CHAIN, seed=6, max_tokens=12)
        exact = w.generate(prompt + text_of(cold) + " and then", chain=CHAIN, seed=6, max_tokens=12, deterministic=True)
    assert longer[-1]["cached_tokens"] > 800 and exact[-1]["cached_tokens"] == 0
    assert text_of(longer) == text_of(exact)
