"""Guessing ahead (prompt lookup) changes how fast a reply comes and nothing else: the same tokens for every seed and
chain where rows do not depend on batches, the model's own distribution where they do in their last bits."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from typing import Any

import numpy as np
import pytest

from tests.worker.bench import Bench
from tests.worker.harness import Header, WorkerProcess, worker

PASSAGE = "the cat sat on the mat and the dog sat on the cat and the mat sat on the dog"


def step(sampler: str, **values: Any) -> dict[str, Any]:
    return {"sampler": sampler, "values": values}


CHAINS = {
    "temperature alone": [step("temperature", temperature=1.0)],
    "truncated": [step("top_k", top_k=40), step("min_p", min_p=0.02), step("temperature", temperature=1.5)],
    "xtc": [step("xtc", xtc_threshold=0.05, xtc_probability=0.5), step("temperature", temperature=1.0)],
    "penalties": [step("repetition_penalty", repetition_penalty=1.3), step("temperature", temperature=0.8)],
    "dry": [step("dry", dry_multiplier=0.8, dry_allowed_length=2), step("temperature", temperature=0.8)],
    "mirostat": [step("mirostat", mirostat_mode=2, mirostat_tau=4.0)],
}


def replies(lookup: int, chain: list[dict[str, Any]], seeds: int) -> tuple[list[list[int]], Bench]:
    # A step of the script stands so little above the noise that guesses are often right and often wrong.
    bench = Bench(reply=PASSAGE, sharpness=5.5, n_vocab=300)
    found = []
    for seed in range(seeds):
        bench.ask(f"say: {PASSAGE}. {PASSAGE[:20]}", chain=chain, seed=seed, lookup=lookup, max_tokens=24)
        found.append([event["token"] for event in bench.of(bench.last, "token")])
    return found, bench


@pytest.mark.parametrize("chain", CHAINS.values(), ids=CHAINS)
def test_every_seed_gives_the_same_tokens(chain: list[dict[str, Any]]) -> None:
    plain, _ = replies(0, chain, 40)
    quick, bench = replies(5, chain, 40)
    assert quick == plain
    guesses = [batch[0] for batch in bench.engine.batches if not batch[0].prompt and len(batch[0].tokens) > 1]
    tokens = sum(map(len, quick))
    steps = sum(1 for batch in bench.engine.batches if not batch[0].prompt)
    guessed = sum(len(chunk.tokens) - 1 for chunk in guesses)
    right = tokens - len(quick) - steps
    assert 0.05 * guessed < right < 0.95 * guessed, "both right and wrong guesses must have been tried"


def test_wrong_guesses_make_the_next_ones_shorter_and_right_ones_longer() -> None:
    bench = Bench(reply=PASSAGE, sharpness=5.5, n_vocab=300)
    bench.ask(f"say: {PASSAGE}. {PASSAGE[:20]}", chain=CHAINS["temperature alone"], seed=1, lookup=8, max_tokens=60)
    sizes = [len(batch[0].tokens) - 1 for batch in bench.engine.batches if not batch[0].prompt]
    guessed = [size for size in sizes if size]
    assert guessed[0] == 8, "it begins with what the request allows"
    grown = [after > before for before, after in itertools.pairwise(guessed)]
    assert min(guessed) <= 2 and True in grown and False in grown


# With the real model. A token that is verified is computed in a batch of several, which changes the last bits of its
# row (see docs/DESIGN.md): so the rows are compared within that, and what is drawn from them by what should come out.

COUNTING = "one two three four five six seven eight. one two three four five six seven eight. one two"
FEW = [step("top_k", top_k=4), step("temperature", temperature=1.3)]
SEEDS, TOKENS = 40, 6


@pytest.fixture(scope="module")
def model(starter_path: Any) -> Any:
    with worker() as process:
        # One thread, and slots for all choices to run beside each other.
        process.load(path=str(starter_path), engine="llamacpp", n_ctx=512, slots=4, threads=1)
        yield process


def tokens_of(events: list[Header], choice: int = 0) -> list[int]:
    return [event["token"] for event in events if event["kind"] == "token" and event["choice"] == choice]


@pytest.mark.model
def test_verified_rows_are_those_of_the_places_they_stand_at(model: WorkerProcess) -> None:
    events = model.generate(COUNTING, chain=FEW, seed=3, max_tokens=20, ignore_eos=True, lookup=6, alternatives=1)
    said = [event for event in events if event["kind"] == "token"]
    written = [event["token"] for event in said]
    differences = []
    for place, event in enumerate(said):
        _, blob = model.ask("logits", id=f"place {place}", prompt=COUNTING, written=written[:place])
        row = np.frombuffer(blob, np.float32).astype(np.float64)
        p = np.exp(row - row.max()) / np.exp(row - row.max()).sum()
        differences.append(abs(math.log(event["raw"] / p[event["token"]])))
    assert sum(differences) / len(differences) < 0.05 and max(differences) < 0.5


@pytest.mark.model
def test_what_is_drawn_is_what_the_model_gives(model: WorkerProcess) -> None:
    fields = {"chain": FEW, "seed": 100, "n": SEEDS, "max_tokens": TOKENS, "ignore_eos": True}
    plain = model.generate(COUNTING, id="plain", seconds=400, **fields)
    quick = model.generate(COUNTING, id="quick", seconds=400, lookup=4, **fields)
    ours = [tokens_of(quick, choice) for choice in range(SEEDS)]
    theirs = [tokens_of(plain, choice) for choice in range(SEEDS)]
    # Where the last bits tip a draw, the two go apart; as good as all must not.
    same = sum(one == other for one, other in zip(ours, theirs, strict=True))
    assert same >= 0.85 * SEEDS
    assert len(set(map(tuple, ours))) > SEEDS // 4, "a chain that leaves no choice shows nothing"
    first = Counter(one[0] for one in ours).most_common(1)[0][0]
    chance = drawn(model, [first])
    after = Counter(one[1] for one in ours if one[0] == first)
    count = after.total()
    for token, p in chance.items():
        assert abs(after[token] - count * p) <= 4 * math.sqrt(count * p * (1 - p)) + 1
    assert set(after) <= set(chance)


def drawn(model: WorkerProcess, written: list[int]) -> dict[int, float]:
    """The chances of the next token under FEW, from the model's own row."""
    _, blob = model.ask("logits", id="exact", prompt=COUNTING, written=written)
    row = np.frombuffer(blob, np.float32).astype(np.float64)
    best = np.argsort(-row)[:4]
    weights = np.exp((row[best] - row.max()) / 1.3)
    return dict(zip(best.tolist(), (weights / weights.sum()).tolist(), strict=True))
