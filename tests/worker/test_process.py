"""The worker as the parent meets it: a real process, a real socket, real frames."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest

from tests.worker.harness import WorkerProcess, text_of, worker
from webui import __version__
from webui.engines.fake_script import REPLY


def ended(process: WorkerProcess, seconds: float = 10) -> int:
    return process.popen.wait(seconds)


def test_hello_then_a_heartbeat_every_second():
    with worker() as w:
        hello, _ = w.frame()
        assert hello == {"type": "hello", "pid": w.popen.pid, "version": __version__}
        start = time.monotonic()
        beats = [w.wait_for("heartbeat")[0] for _ in range(3)]
        assert all(beat["busy"] == 0 for beat in beats)
        assert 0.5 < time.monotonic() - start < 6


def test_load_generate_and_leave():
    with worker() as w:
        info = w.load(name="scripted", n_ctx=512, slots=2)
        assert (info["name"], info["n_ctx"], info["slots"]) == ("scripted", 512, 2)
        progress = [f["progress"] for f in w.kept if f["type"] == "loading"]
        assert progress == sorted(progress) and progress[-1] == 1
        events = w.generate("hi")
        assert text_of(events) == REPLY
        w.send("quit")
        assert ended(w) == 0


def test_before_a_load_everything_is_refused_politely():
    with worker() as w:
        assert w.generate("hi")[-1]["code"] == "model_not_loaded"
        assert w.ask("tokenize", text="hi")[0]["error"]["code"] == "model_not_loaded"


def test_tokens_text_and_logits():
    with worker() as w:
        w.load(options={"split": "bytes", "n_vocab": 300})
        assert w.ask("tokenize", text="hé", add_bos=True)[0]["tokens"] == [256, 104, 195, 169]
        reply, _ = w.ask("detokenize", tokens=[104, 195, 169, 257], pieces=True, special=True)
        assert (reply["text"], reply["pieces"]) == ("hé</s>", ["h", "\\xc3", "\\xa9", "</s>"])
        reply, row = w.ask("logits", prompt="hi")
        assert (reply["tokens"], len(row)) == ([256, 104, 105], 300 * 4)
        score, _ = w.ask("score", prompt="hi", top=2)
        assert score["logprobs"][0] is None and all(p < 0 for p in score["logprobs"][1:])
        assert [len(top) for top in score["top"]] == [0, 2, 2]
        best = score["top"][1][0]
        assert score["ranks"][1] == 1 or best[1] >= score["logprobs"][1]
        assert w.ask("detokenize", tokens=[10**6])[0]["error"]["param"] == "tokens"
        assert w.ask("logits", prompt="")[0]["tokens"] == [256]


def test_a_bad_request_fails_alone():
    with worker() as w:
        w.load()
        assert w.generate("hi", stop=[""])[-1]["param"] == "stop"
        assert w.generate("hi", chain=[{"sampler": "top_k", "values": {"top_k": -7}}])[-1]["kind"] == "failed"
        assert w.generate("hi", grammar='root ::= "a')[-1]["code"] == "invalid_grammar"
        assert w.generate("word " * 9000)[-1]["code"] == "context_length_exceeded"
        w.send("generate", id="odd", request={"nonsense": 1})
        header, _ = w.wait_for("events")
        assert header["items"][0][1]["kind"] == "failed"
        assert text_of(w.generate("hi")) == REPLY


def test_a_load_that_fails_can_be_followed_by_one_that_works():
    with worker() as w:
        for spec, code in (
            ({"path": "x", "engine": "fake", "options": {"load_error": "No."}}, "load_failed"),
            ({"path": "x", "engine": "nonsense"}, "load_failed"),
            ({"path": "x", "engine": "llamacpp", "threads": 100000}, "bad_value"),
            ({"path": "x", "engine": "llamacpp", "n_batch": -1}, "bad_value"),
            ({"path": "x", "engine": "llamacpp", "options": {"kv_type": "q2_k"}}, "bad_value"),
            ({"path": "/nowhere/model.gguf", "engine": "llamacpp"}, "load_failed"),
            ({"path": "x", "surprise": 1}, "bad_value"),
        ):
            w.send("load", spec=spec)
            failed, _ = w.wait_for("load_failed")
            assert failed["code"] == code and failed["message"]
        w.load()
        w.send("load", spec={"path": "x", "engine": "fake"})
        assert w.wait_for("load_failed")[0]["code"] == "busy"
        assert text_of(w.generate("hi")) == REPLY


def test_a_load_can_be_cancelled_and_started_again():
    with worker() as w:
        w.send("load", spec={"path": "x", "engine": "fake", "options": {"load_seconds": 30, "load_steps": 300}})
        w.wait_for("loading")
        w.send("cancel_load")
        assert w.wait_for("load_failed")[0]["code"] == "load_cancelled"
        w.load()
        assert text_of(w.generate("hi")) == REPLY


def test_cancel_stops_a_slow_token_and_a_slow_prompt_soon():
    with worker() as w:
        w.load(options={"delay": 5.0, "prompt_delay": 0.0})
        w.start("slow", "hi")
        while not any(f["type"] == "events" and f["items"][-1][1]["kind"] == "token" for f in w.kept):
            w.kept.append(w.frame()[0])
        start = time.monotonic()
        w.send("cancel", id="slow")
        last = w.events({"slow"})["slow"][-1]
        assert last["reason"] == "cancelled" and time.monotonic() - start < 3
    with worker() as w:
        w.load(options={"prompt_delay": 0.05}, slots=1)
        w.start("long", "word " * 2000)
        w.wait_for("events")
        start = time.monotonic()
        w.send("cancel", id="long")
        last = w.events({"long"})["long"][-1]
        assert last["reason"] == "cancelled" and time.monotonic() - start < 3
        assert w.ask("tokenize", text="still there")[0]["tokens"]


@pytest.mark.parametrize("how", ["SIGSEGV", "SIGABRT", "SIGKILL", "SIGBUS", "SIGILL", "SIGTERM"])
@pytest.mark.parametrize("at", ["load", "prompt", "token", "idle"])
def test_a_crash_is_seen_as_what_it_was(how, at):
    with worker() as w:
        fault = {"at": at, "after": 0.1 if at == "idle" else 1, "how": how, "words": "last words"}
        w.send("load", spec={"path": "x", "engine": "fake", "options": {"faults": [fault]}})
        if at in ("prompt", "token"):
            w.wait_for("ready")
            w.start("doomed", "hi there")
        assert ended(w) == -signal.Signals[how].value
        assert "last words" in w.last_words()


def test_exit_codes_come_through():
    with worker() as w:
        w.send(
            "load",
            spec={"path": "x", "engine": "fake", "options": {"faults": [{"at": "load", "after": 0, "how": "exit:7"}]}},
        )
        assert ended(w) == 7


def test_a_fault_can_be_only_for_some_prompts_or_only_once(tmp_path):
    once = str(tmp_path / "once")
    faults = [{"at": "token", "after": 2, "how": "exit:9", "contains": "boom", "once": once}]
    with worker() as w:
        w.load(options={"faults": faults})
        assert text_of(w.generate("hi")) == REPLY
        w.start("doomed", "boom")
        assert ended(w) == 9
    with worker() as w:
        w.load(options={"faults": faults})
        assert text_of(w.generate("boom")) == REPLY


def test_a_hanging_call_is_told_by_the_heartbeat():
    with worker() as w:
        w.load(options={"faults": [{"at": "token", "after": 1, "how": "hang"}]})
        w.start("stuck", "hi")
        while w.wait_for("heartbeat")[0]["busy"] < 1:
            pass


def test_a_hang_inside_an_embedding_is_told_too_and_only_there():
    faults = [{"at": "embed", "after": 20, "how": "error"}, {"at": "embed", "after": 40, "how": "hang"}]
    with worker() as w:
        w.load(options={"faults": faults})
        assert len(w.ask("embed", id="short", prompt=[5] * 12)[1]) == 64 * 4
        assert w.ask("embed", id="refused", prompt=[5] * 30)[0]["error"]["code"] == "engine_refused"
        for _ in range(2):
            assert w.wait_for("heartbeat")[0]["busy"] < 0.5
    with worker() as w:
        w.load(options={"faults": faults[1:]})
        w.send("embed", id="stuck", prompt=[5] * 50)
        while w.wait_for("heartbeat")[0]["busy"] < 1:
            pass


def test_a_hanging_worker_ends_when_its_socket_closes():
    with worker() as w:
        w.load(options={"faults": [{"at": "token", "after": 1, "how": "hang"}]})
        w.start("stuck", "hi")
        w.wait_for("events")
        assert w.close() == 0


def test_a_frozen_worker_sends_no_heartbeat():
    with worker() as w:
        w.load(options={"faults": [{"at": "token", "after": 1, "how": "freeze"}]})
        w.start("frozen", "hi")
        with pytest.raises(TimeoutError):
            while True:
                w.frame(seconds=2.5, heartbeats=True)


PARENT = """
import socket, subprocess, sys, time
ours, theirs = socket.socketpair()
child = subprocess.Popen([sys.executable, "-m", "webui.worker", "--fd", str(theirs.fileno())],
                         pass_fds=(theirs.fileno(), ours.fileno()))
ours.recv(1)
print(child.pid, flush=True)
time.sleep(60)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="PR_SET_PDEATHSIG is Linux's")
def test_a_killed_parent_takes_the_worker_along_even_if_the_socket_stays_open():
    parent = subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE)
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    os.kill(child, 0)
    parent.kill()
    parent.wait()
    parent.stdout.close()
    end = time.monotonic() + 10
    while time.monotonic() < end and alive(child):
        time.sleep(0.05)
    assert not alive(child)


def alive(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_no_core_dumps_and_no_debugger():
    with worker() as w:
        w.frame()
        with open(f"/proc/{w.popen.pid}/limits") as file:
            core = next(line for line in file if line.startswith("Max core file size"))
        assert core.split()[4:6] == ["0", "0"]


def test_a_parent_that_does_not_read_stalls_nobody():
    """Everything generated while the parent looked away is there when it looks again, in order and without a gap."""
    with worker() as w:
        w.load(options={"end": False, "reply": "abcdefghij", "split": "bytes", "n_vocab": 300}, slots=2, n_ctx=8192)
        w.start("one", "hi", max_tokens=3000, alternatives=20)
        w.start("two", "ho", max_tokens=3000, alternatives=20)
        time.sleep(1.5)
        told = w.events({"one", "two"})
        for id in ("one", "two"):
            assert text_of(told[id]) == ("abcdefghij" * 300)
            assert told[id][-1]["tokens"] == 3000


def test_a_frame_that_is_nonsense_ends_the_worker():
    with worker() as w:
        w.frame()
        w.socket.sendall(b"\xff" * 64)
        assert ended(w) == 3


def test_streams_do_not_mix():
    """Sixty-four streams at once, each with its own nonce and counter."""
    with worker() as w:
        w.load(options={"reply": "{last}", "split": "bytes", "n_vocab": 300, "delay": 0.002}, slots=64, n_ctx=512)
        prompts = {i: f"nonce {i * 7919} " + "".join(f"{k}," for k in range(40)) for i in range(100)}
        for i, prompt in prompts.items():
            w.start(i, prompt)
        told = w.events(set(prompts), seconds=60)
        assert {i: text_of(events) for i, events in told.items()} == prompts
