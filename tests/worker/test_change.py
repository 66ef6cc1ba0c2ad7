"""New LoRA scales while replies are written: those keep what they began with, and nothing read before is used again."""

from __future__ import annotations

from tests.worker.bench import Bench

LONG = "one two three four five six seven eight nine ten"


def turn_until(bench: Bench, id: str, tokens: int) -> None:
    while len(bench.of(id, "token")) < tokens:
        bench.scheduler.turn(wait=False)


def test_a_change_waits_for_what_is_written_and_who_comes_later_waits_for_it() -> None:
    bench = Bench(reply=LONG)
    changed: list[tuple[int, int]] = []
    bench.add("before", LONG)
    turn_until(bench, "before", 2)
    bench.scheduler.change(lambda: changed.append((len(bench.of("before", "finished")), len(bench.engine.batches))))
    bench.add("after", LONG)
    turn_until(bench, "before", 4)
    assert changed == [] and bench.of("after", "prompt") == []
    bench.run()
    ((ended, batches),) = changed
    assert ended == 1, "the reply that was being written ended first"
    assert bench.text("before") == bench.text("after") == LONG
    assert bench.of("after", "finished")[0]["cached_tokens"] == 0
    read = [chunk for batch in bench.engine.batches[batches:] for chunk in batch if chunk.prompt]
    assert read[0].position == 0, "all of it was read after the change"


def test_without_a_change_the_same_prompt_is_not_read_again() -> None:
    bench = Bench(reply=LONG)
    bench.ask(LONG)
    assert bench.ask(LONG)["cached_tokens"] > 0
    bench.scheduler.change(lambda: None)
    assert bench.ask(LONG)["cached_tokens"] == 0


def test_all_choices_of_a_request_are_written_with_the_same_weights() -> None:
    bench = Bench(reply=LONG, slots=1)
    finished: list[int] = []
    bench.add("choices", LONG, n=3)
    turn_until(bench, "choices", 1)
    bench.scheduler.change(lambda: finished.append(len(bench.of("choices", "finished"))))
    bench.run()
    assert finished == [3]
    assert [bench.text("choices", choice) for choice in range(3)] == [LONG] * 3
