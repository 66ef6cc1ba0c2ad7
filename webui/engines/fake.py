"""A FakeEngine behind the real protocol: scripted replies, delays, crashes and hangs, so that everything above an
engine can be tested in milliseconds and without a model.

It is loaded like a real one: LoadSpec(path="anything", engine="fake", options={...}). All options, with their defaults:

reply          "Hello! ...": the scripted reply. `{prompt}` in it becomes the whole prompt's text, `{last}` its last
               line that is not empty (special tokens left out).
rules          []: [{"contains": text, "reply": text}, ...]; the first rule whose text is in the prompt gives the reply.
split          "words": how text becomes tokens: "words" (a word with its space, each other character; emoji as four
               single bytes), "characters", or "bytes" (so that every character beyond ASCII is split over tokens).
end            True: the reply is followed by the end-of-sequence token; False: the reply is repeated for ever.
sharpness      20.0: how far the scripted token's logit stands above the others, which are fixed noise in -4..0. With
               20 every sane chain follows the script; with 0 the text is random and the seed decides.
n_vocab        4096 (300..1048576): width of a row. Tokens 0-255 are the bytes, then <s>, </s>, <|im_start|>,
               <|im_end|>, words in the order they were first seen, and from the middle on " w2048", " w2049"...
delay          0.0: seconds a step takes, for all its sequences together. prompt_delay: seconds for each prompt token,
               and for each one of a text to embed.
steps_file     "": a file that gets time.monotonic() of every step that generates, as 8 bytes each (for benchmarks).
load_seconds   0.0: how long loading takes, in `load_steps` (10) steps of progress.
load_error     "": loading fails with this sentence.
faults         []: see fake_script.Fault: crash by signal or exit code, hang, freeze, refused batch; at load, prompt,
               token k, idle, or embedding. [{"at": "token", "after": 3, "how": "SIGKILL", "contains": "please crash"}]
cache_mb       64: RAM for idle conversations, as with a real engine.
loras          []: taken as a real engine takes them, and without any effect.
fills_cores    False: whether tokens are told some at a time (engines.base.Engine.fills_cores).
grid           2: where prompts may be cut (engines.base.Engine.grid); a real engine's other value is 128.
chat_template  None, n_ctx_train 8192, extra {}: told on in ModelInfo. n_ctx, slots (0 = 4), name come from LoadSpec.

A row depends on the slot's tokens alone, never on how they were cut into batches, so "cold = warm = under load" holds
exactly.
"""

from __future__ import annotations

import re
import struct
import threading
import time
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from webui.engines.base import Aborted, AbortFlag, Chunk, EngineError, Pooling, Progress, Row
from webui.engines.fake_script import Fault, Script
from webui.errors import LoadCancelled, LoadFailed
from webui.types import LoadSpec, ModelInfo

BOS, EOS, IM_START, IM_END = 256, 257, 258, 259
_SPECIAL = {"<s>": BOS, "</s>": EOS, "<|im_start|>": IM_START, "<|im_end|>": IM_END}
_SPECIAL_NAMES = {token: text.encode() for text, token in _SPECIAL.items()}
_FIRST_WORD = 260
_SPLITTERS = {"words": re.compile(r" ?\w+|.", re.DOTALL), "characters": re.compile(r".", re.DOTALL)}
_FIXED_WORD = re.compile(r" w([1-9]\d*)")
_SPECIAL_SPLITTER = re.compile("(" + "|".join(re.escape(text) for text in _SPECIAL) + ")")


class Vocabulary:
    """Words get ids as they are first seen, in the lower half; the upper half are fixed words (" w3000"), so that
    random tokens have text too. What finds no room is written as bytes."""

    def __init__(self, script: Script) -> None:
        self._ids: dict[str, int] = {}
        self._pieces = [bytes([n]) for n in range(256)] + [b""] * 4
        self._splitter = _SPLITTERS.get(script.split)
        self._first_fixed = max(_FIRST_WORD, script.n_vocab // 2)
        self._size = script.n_vocab
        self._lock = threading.Lock()

    def tokenize(self, text: str, special: bool) -> list[int]:
        if not special:
            return self._plain(text)
        tokens: list[int] = []
        for part in _SPECIAL_SPLITTER.split(text):
            tokens += [_SPECIAL[part]] if part in _SPECIAL else self._plain(part)
        return tokens

    def _plain(self, text: str) -> list[int]:
        if self._splitter is None:
            return list(text.encode())
        return [token for match in self._splitter.finditer(text) for token in self._word(match.group())]

    def _word(self, text: str) -> list[int]:
        if len(text) == 1 and (text < "\x80" or text > "\uffff"):
            return list(text.encode())
        if fixed := _FIXED_WORD.fullmatch(text):
            token = int(fixed.group(1))
            if self._first_fixed <= token < self._size:
                return [token]
        with self._lock:
            known = self._ids.get(text)
            if known is None and len(self._pieces) < self._first_fixed:
                known = self._ids[text] = len(self._pieces)
                self._pieces.append(text.encode())
        return list(text.encode()) if known is None else [known]

    def piece(self, token: int, special: bool) -> bytes:
        if special and token in _SPECIAL_NAMES:
            return _SPECIAL_NAMES[token]
        if token >= self._first_fixed:
            return b" w%d" % token
        return self._pieces[token] if token < len(self._pieces) else b""


@dataclass(slots=True)
class _Slot:
    """Tokens held, where the prompt ends, and the reply that belongs to this prompt once it was looked up."""

    tokens: list[int] = field(default_factory=list)
    prompt_end: int = 0
    reply: list[int] | None = None


class FakeEngine:
    max_rows = 64
    chunk = 128
    grid: int
    fills_cores: bool

    def __init__(self, spec: LoadSpec, script: Script, abort: AbortFlag) -> None:
        self.script = script
        self.grid, self.fills_cores = script.grid, script.fills_cores
        self._abort = abort
        self._vocabulary = Vocabulary(script)
        self._slots = [_Slot() for _ in range(spec.slots or 4)]
        self._last_step = 0.0
        noise = np.random.Generator(np.random.PCG64(7)).random(script.n_vocab * 2, dtype=np.float32)
        self._noise = noise * np.float32(4) - np.float32(4)
        self.adapters: dict[str, float] = {}
        self.info = ModelInfo(
            name=spec.name or "fake",
            path=spec.path,
            engine="fake",
            architecture="fake",
            n_vocab=script.n_vocab,
            n_ctx=spec.n_ctx or script.n_ctx_train,
            n_ctx_train=script.n_ctx_train,
            slots=len(self._slots),
            chat_template=script.chat_template,
            bos_token="<s>",
            eos_token="</s>",
            bos_id=BOS,
            eos_id=EOS,
            end_ids=(EOS, IM_END),
            system_info="scripted",
            extra=dict(script.extra),
        )
        for fault in script.faults:
            if fault.at == "idle":
                timer = threading.Timer(fault.after, fault.strike)
                timer.daemon = True
                timer.start()

    def tokenize(self, text: str, *, add_bos: bool, special: bool) -> list[int]:
        return ([BOS] if add_bos else []) + self._vocabulary.tokenize(text, special)

    def piece(self, token: int, *, special: bool = False) -> bytes:
        return self._vocabulary.piece(token, special)

    def is_end(self, token: int) -> bool:
        return token in (EOS, IM_END)

    def decode(self, chunks: Sequence[Chunk]) -> list[Row]:
        rows: list[Row] = []
        self._wait(sum(len(chunk.tokens) for chunk in chunks if chunk.prompt), any(not c.prompt for c in chunks))
        for chunk in chunks:
            slot = self._slots[chunk.slot]
            if chunk.position != len(slot.tokens):
                raise EngineError(f"slot {chunk.slot} holds {len(slot.tokens)} tokens, not {chunk.position}")
            if len(slot.tokens) + len(chunk.tokens) > self.info.n_ctx:
                raise EngineError("the context is full")
            start = len(slot.tokens)
            slot.tokens += chunk.tokens
            if chunk.prompt:
                slot.prompt_end, slot.reply = len(slot.tokens), None
            self._faults(slot, chunk, start)
            if chunk.rows != "none":
                first = start if chunk.rows == "all" else len(slot.tokens) - 1
                rows += [self._row(slot, length) for length in range(first + 1, len(slot.tokens) + 1)]
        return rows

    def _wait(self, prompt_tokens: int, generated: bool) -> None:
        """Take the time the script asks for; steps keep their pace whatever the caller does between them."""
        end = time.monotonic() + self.script.prompt_delay * prompt_tokens
        if generated and self.script.delay:
            end = max(time.monotonic(), self._last_step + self.script.delay, end)
            if end - self._last_step > 2 * self.script.delay:
                end = time.monotonic() + self.script.delay
            self._last_step = end
        _pause(end, self._abort)
        if generated and self.script.steps_file:
            with open(self.script.steps_file, "ab") as file:
                file.write(struct.pack("<d", time.monotonic()))

    def _faults(self, slot: _Slot, chunk: Chunk, start: int) -> None:
        for fault in self.script.faults:
            due = (
                fault.at == "prompt"
                and chunk.prompt
                and (start <= fault.after < len(slot.tokens))
                or fault.at == "token"
                and chunk.rows != "none"
                and len(slot.tokens) - slot.prompt_end == fault.after
            )
            if due and (not fault.contains or fault.contains in self._text(slot.tokens[: slot.prompt_end])):
                fault.strike()

    def _text(self, tokens: Sequence[int]) -> str:
        return b"".join(self._vocabulary.piece(token, False) for token in tokens).decode(errors="replace")

    def _row(self, slot: _Slot, length: int) -> Row:
        """After the first `length` tokens: noise that moves with the position, the script's next token on top."""
        n = self.script.n_vocab
        offset = (length * 7919 + slot.tokens[length - 1] * 104729) % n
        row: Row = self._noise[offset : offset + n].copy()
        place = length - slot.prompt_end
        if place >= 0:
            row[self._scripted(slot, place)] = np.float32(self.script.sharpness)
        return row

    def _scripted(self, slot: _Slot, place: int) -> int:
        if slot.reply is None:
            slot.reply = self._vocabulary.tokenize(self._reply(self._text(slot.tokens[: slot.prompt_end])), False)
        if place < len(slot.reply):
            return slot.reply[place]
        return EOS if self.script.end or not slot.reply else slot.reply[place % len(slot.reply)]

    def _reply(self, prompt: str) -> str:
        reply = next((rule.reply for rule in self.script.rules if rule.contains in prompt), self.script.reply)
        if "{last}" in reply:
            lines = [line for line in prompt.splitlines() if line.strip()]
            reply = reply.replace("{last}", lines[-1] if lines else "")
        return reply.replace("{prompt}", prompt)

    def keep(self, slot: int, length: int) -> None:
        held = self._slots[slot]
        del held.tokens[length:]
        if length < held.prompt_end:
            held.prompt_end, held.reply = length, None

    def copy(self, source: int, target: int, length: int) -> None:
        origin = self._slots[source]
        self._slots[target] = _Slot(list(origin.tokens), origin.prompt_end)
        self.keep(target, length)

    def save(self, slot: int) -> bytes:
        held = self._slots[slot]
        return array("q", [held.prompt_end, *held.tokens]).tobytes()

    def restore(self, slot: int, state: bytes) -> None:
        numbers = array("q", state).tolist()
        self._slots[slot] = _Slot(numbers[1:], numbers[0])

    def set_adapters(self, scales: Mapping[str, float]) -> None:
        self.adapters = dict(scales)

    def embedder(self, n_ctx: int) -> FakeEmbedder:
        return FakeEmbedder(n_ctx, self.script, self._abort)

    def close(self) -> None:
        self._slots.clear()


def _pause(end: float, abort: AbortFlag) -> None:
    while True:
        if abort:
            raise Aborted("aborted")
        if (left := end - time.monotonic()) <= 0:
            return
        time.sleep(min(left, 0.01))


class FakeEmbedder:
    """A fixed vector for each token, so that texts of the same words are alike."""

    size = 64
    chunk = 16
    pooling: Pooling = "mean"

    def __init__(self, n_ctx: int, script: Script | None = None, abort: AbortFlag | None = None) -> None:
        script = script or Script()
        self.n_ctx = n_ctx
        self._read = 0
        self._faults = [fault for fault in script.faults if fault.at == "embed"]
        self._delay = script.prompt_delay
        self._abort = abort or AbortFlag()

    def read(self, tokens: Sequence[int], position: int) -> NDArray[np.float32]:
        if position not in (0, self._read) or position + len(tokens) > self.n_ctx or len(tokens) > self.chunk:
            raise EngineError("the text is not read in its order")
        _pause(time.monotonic() + self._delay * len(tokens), self._abort)
        self._read = position + len(tokens)
        for fault in self._faults:
            if position <= fault.after < self._read:
                fault.strike()
        rows = [np.random.Generator(np.random.PCG64(token)).standard_normal(self.size) for token in tokens]
        return np.asarray(rows, np.float32)

    def close(self) -> None:
        self.n_ctx = 0


def open_fake(spec: LoadSpec, progress: Progress, abort: AbortFlag) -> FakeEngine:
    script = Script.read(spec.options)
    load_faults: list[Fault] = [fault for fault in script.faults if fault.at == "load"]
    for step in range(script.load_steps + 1):
        for fault in load_faults:
            if fault.after == step:
                fault.strike()
        if not progress(step / script.load_steps):
            raise LoadCancelled("Loading was cancelled.")
        if step < script.load_steps:
            time.sleep(script.load_seconds / script.load_steps)
    if script.load_error:
        raise LoadFailed(script.load_error)
    return FakeEngine(spec, script, abort)
