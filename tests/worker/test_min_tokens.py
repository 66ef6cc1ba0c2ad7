from __future__ import annotations

import pytest

from tests.worker.bench import FREE, Bench
from webui.worker.reply import Reply


@pytest.mark.parametrize("fields", [{}, {"chain": FREE, "seed": 3}, {"lookup": 4}, {"stop_tokens": [ord("b")]}])
def test_nothing_ends_a_reply_before_it_has_so_many_tokens(fields):
    bench = Bench(split="bytes", reply="abc", sharpness=8.0)
    short = bench.ask("hi", max_tokens=40, **fields)
    assert short["tokens"] <= 3
    last = bench.ask("hi", min_tokens=12, max_tokens=40, **fields)
    assert last["tokens"] >= 12 and not {257, 259} & {event["token"] for event in bench.of(bench.last, "token")}


def test_the_end_is_barred_before_the_chain_and_no_longer_than_that():
    """What the end would have weighed goes to the others, so that the figures are those of a row without it."""
    bench = Bench(split="bytes", reply="abc")
    last = bench.ask("hi", min_tokens=3)
    assert (last["tokens"], last["reason"], bench.text(bench.last)) == (3, "stop", "abc")
    bench.ask("hi", min_tokens=4, max_tokens=4, chain=FREE)
    finals = [event["final"] for event in bench.of(bench.last, "token")]
    assert len(finals) == 4 and min(finals[:3]) > 0.9 and 1e-6 < finals[3] < 0.1


def test_a_limit_below_it_still_holds():
    last = Bench(split="bytes", reply="abc").ask("hi", min_tokens=50, max_tokens=7)
    assert (last["tokens"], last["reason"]) == (7, "length")


def test_a_constraint_that_allows_nothing_more_ends_the_reply():
    bench = Bench(split="bytes", reply="abc")
    last = bench.ask("hi", min_tokens=9, max_tokens=20, regex="abc")
    assert (bench.text(bench.last), last["reason"]) == ("abc", "stop")
    bench.ask("hi", min_tokens=9, max_tokens=20, regex="ab*c*")
    assert len(bench.text(bench.last)) >= 9 and set(bench.text(bench.last)) == {"a", "b", "c"}


def test_stop_strings_in_the_beginning_are_text():
    bench = Bench(split="bytes", reply="one. two. three.")
    assert bench.ask("hi", stop=["."])["tokens"] == 4
    last = bench.ask("hi", stop=["."], min_tokens=5)
    assert (bench.text(bench.last), last["reason"], last["stop_string"]) == ("one. two", "stop_string", ".")


def test_tokens_taken_back_do_not_count():
    bench = Bench(split="bytes", reply="abcdef. gh.", sharpness=6.0)
    last = bench.ask("hi", stop=["."], min_tokens=8, banned_strings=["cde"], seed=1, max_tokens=60)
    text = bench.text(bench.last)
    assert last["tokens"] >= 8 and "cde" not in text and text.startswith("ab")


def test_a_reply_counts_tokens_and_not_pieces_of_text():
    reply = Reply(stops=["\n"], least=2)
    for token in (b"a\nb\n", b"\n", b"c\nd"):
        reply.push({"kind": "token", "choice": 0, "token": 1}, token)
    assert "".join(event["text"] for event in reply.out) == "a\nb\n\nc" and reply.stops.stop_string == "\n"
