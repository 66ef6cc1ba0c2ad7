"""What each frame from the parent means: load a model, then hand requests to the scheduler and answers back.

The reader thread calls `handle`; what only reads the vocabulary is answered there at once, everything else goes to the
engine's thread (`run`).
"""

from __future__ import annotations

import importlib
import queue
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, fields
from functools import partial
from typing import Any

import psutil

from webui.engines.base import AbortFlag, Engine, EngineError, Opener, Row
from webui.engines.threads import settle_threads
from webui.errors import BadValue, Busy, LoadCancelled, LoadFailed, NoModel, WebUIError
from webui.load_options import check_spec
from webui.types import LoadSpec
from webui.worker.checks import make_job, read_prompt
from webui.worker.connection import Connection, end_process
from webui.worker.constraint import GrammarVocabulary
from webui.worker.embed import Embeddings, Vector
from webui.worker.jobs import Job
from webui.worker.output import failed
from webui.worker.scheduler import Scheduler
from webui.worker.score import Score, check_top
from webui.worker.store import Store

OPENERS: Mapping[str, str] = {
    "llamacpp": "webui.engines.llamacpp:open_llamacpp",
    "fake": "webui.engines.fake:open_fake",
}
_PROGRESS_STEP = 0.005
MAX_TOKENIZE = 16 << 20

Frame = dict[str, Any]


class Service:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._loads: queue.SimpleQueue[Frame] = queue.SimpleQueue()
        self._abort = AbortFlag()
        self._cancel_load = False
        self._loading_since = 0.0
        self._engine: Engine | None = None
        self._scheduler: Scheduler | None = None
        self._grammars: GrammarVocabulary | None = None
        self._embeddings: Embeddings | None = None
        self._answers: Mapping[str, Callable[[Frame, Engine, Scheduler], None]] = {
            "generate": self._generate,
            "cancel": self._cancel,
            "tokenize": self._tokenize,
            "detokenize": self._detokenize,
            "logits": self._logits,
            "score": self._score,
            "embed": self._embed,
            "adapters": self._adapters,
        }

    def busy(self) -> float:
        """Seconds of the engine call that is running; loading counts as one."""
        if self._loading_since:
            return time.monotonic() - self._loading_since
        return self._scheduler.calls.busy if self._scheduler else 0.0

    # In the reader's thread

    def handle(self, frame: Frame) -> None:
        kind = frame["type"]
        if kind == "quit":
            end_process(0)
        elif kind == "load" and self._engine is not None:
            told = failed(Busy("This worker holds a model already."))
            self._connection.send({"type": "load_failed", "message": told["message"], "code": told["code"]})
        elif kind == "load":
            self._cancel_load = False
            self._loads.put(frame)
        elif kind == "cancel_load":
            self._cancel_load = True
            if self._loading_since:
                self._abort.set()
        elif answer := self._answers.get(kind):
            self._answer(answer, frame)

    def _answer(self, answer: Callable[[Frame, Engine, Scheduler], None], frame: Frame) -> None:
        try:
            if self._engine is None or self._scheduler is None:
                raise NoModel("No model is loaded.")
            answer(frame, self._engine, self._scheduler)
        except WebUIError as error:
            self._tell_error(frame, error)
        except (KeyError, TypeError, ValueError, EngineError) as error:
            self._tell_error(frame, BadValue(f"The request is not understood: {error}."))

    def _tell_error(self, frame: Frame, error: WebUIError) -> None:
        if frame["type"] == "generate":
            self._connection.send({"type": "events", "items": [[frame.get("id"), failed(error)]]})
        else:
            told = {key: value for key, value in failed(error).items() if key != "kind"}
            self._connection.send({"type": "reply", "id": frame.get("id"), "error": told})

    def _reply(self, frame: Frame, blob: bytes = b"", **values: Any) -> None:
        self._connection.send({"type": "reply", "id": frame["id"], **values}, blob)

    def _generate(self, frame: Frame, engine: Engine, scheduler: Scheduler) -> None:
        scheduler.add(make_job(frame["id"], frame["request"], engine, self._grammar_vocabulary))

    def _cancel(self, frame: Frame, _: Engine, scheduler: Scheduler) -> None:
        if self._embeddings is not None:
            self._embeddings.cancel(frame["id"])
        scheduler.cancel(frame["id"])

    def _grammar_vocabulary(self) -> GrammarVocabulary:
        if self._grammars is None:
            assert self._engine is not None, "requests come after the load"
            self._grammars = GrammarVocabulary(self._engine)
        return self._grammars

    def _tokenize(self, frame: Frame, engine: Engine, _: Scheduler) -> None:
        text = frame["text"]
        if not isinstance(text, str) or len(text) > MAX_TOKENIZE:
            raise BadValue(f"text must be a string of at most {MAX_TOKENIZE} characters.", param="text")
        add_bos = bool(frame.get("add_bos", False))
        self._reply(frame, tokens=engine.tokenize(text, add_bos=add_bos, special=bool(frame.get("special", True))))

    def _detokenize(self, frame: Frame, engine: Engine, _: Scheduler) -> None:
        tokens, special = frame["tokens"], bool(frame.get("special", True))
        for token in tokens:
            if not isinstance(token, int) or not 0 <= token < engine.info.n_vocab:
                raise BadValue(f"tokens must hold ids from 0 to {engine.info.n_vocab - 1}.", param="tokens")
        pieces = [engine.piece(token, special=special) for token in tokens]
        values: dict[str, Any] = {"text": b"".join(pieces).decode("utf-8", "replace")}
        if frame.get("pieces"):
            values["pieces"] = [piece.decode("utf-8", "backslashreplace") for piece in pieces]
        self._reply(frame, **values)

    def _logits(self, frame: Frame, engine: Engine, scheduler: Scheduler) -> None:
        """The row after a prompt, or after what was `written` behind it, as the generation that wrote it saw it."""
        prompt = read_prompt(frame["prompt"], engine, add_bos=bool(frame.get("add_bos", True)), special=True)
        written = [int(token) for token in frame.get("written") or ()]
        if written:
            read_prompt([*prompt.tolist(), *written], engine, add_bos=False, special=True)

        def tell(job: Job, row: Row) -> None:
            self._reply(frame, row.tobytes(), tokens=[*job.prompt.tolist(), *job.written])

        no = partial(self._tell_error, frame)
        scheduler.add(Job(frame["id"], prompt, written=tuple(written), on_row=tell, on_error=no))

    def _score(self, frame: Frame, engine: Engine, scheduler: Scheduler) -> None:
        """How likely each token of a text is; rows are looked at a few at a time and never kept."""
        prompt = read_prompt(frame["prompt"], engine, add_bos=bool(frame.get("add_bos", True)), special=True)
        score = Score(prompt, check_top(frame.get("top", 0)))

        def look(job: Job, start: int, rows: list[Row]) -> None:
            score.add(start, rows)
            if score.complete:
                self._reply(frame, tokens=prompt.tolist(), **score.figures())

        scheduler.add(Job(frame["id"], prompt, on_rows=look, on_error=partial(self._tell_error, frame)))

    def _embed(self, frame: Frame, engine: Engine, scheduler: Scheduler) -> None:
        """The vector of a text; marks at its ends come as the model's own metadata want them."""
        given = frame["prompt"]
        if isinstance(given, str):
            read_prompt(given, engine, add_bos=True, special=True, param="input")
            given = engine.tokenize(given, add_bos=True, special=True)
        tokens = read_prompt(given, engine, add_bos=False, special=True, param="input")

        def tell(found: Vector | WebUIError) -> None:
            if isinstance(found, WebUIError):
                self._tell_error(frame, found)
            else:
                self._reply(frame, found.tobytes(), tokens=len(tokens))

        if self._embeddings is None:

            def in_engine(function: Callable[[], None], ids: frozenset[Any]) -> None:
                scheduler.call(partial(scheduler.calls.timed, function, ids))

            self._embeddings = Embeddings(engine, in_engine)
        self._embeddings.add(frame["id"], tokens, tell)

    def _adapters(self, frame: Frame, engine: Engine, scheduler: Scheduler) -> None:
        """New LoRA scales, from the next reply on: one that is being written keeps those it began with."""
        scales = {str(path): float(scale) for path, scale in frame["scales"].items()}

        def change() -> None:
            try:
                engine.set_adapters(scales)
            except WebUIError as error:
                self._tell_error(frame, error)
                return
            if self._embeddings is not None:
                self._embeddings.forget()
            self._reply(frame)

        scheduler.change(change)

    # In the engine's thread

    def run(self) -> None:
        """Load models until one works, then serve it for ever."""
        while True:
            frame = self._loads.get()
            self._loading_since = time.monotonic()
            try:
                engine = self._load(frame)
            except WebUIError as error:
                self._loading_since = 0.0
                told = {"message": error.message, "code": error.code, "param": error.param}
                self._connection.send({"type": "load_failed", **told, "values": dict(error.values)})
                continue
            break
        self._scheduler = Scheduler(engine, self._abort, self._emit, Store(cache_bytes(frame["spec"])))
        self._engine = engine
        self._loading_since = 0.0
        self._connection.send({"type": "ready", "info": asdict(engine.info)})
        self._scheduler.run()

    def _load(self, frame: Frame) -> Engine:
        spec = read_spec(frame.get("spec"))
        self._abort.clear()
        told = -1.0

        def progress(done: float) -> bool:
            nonlocal told
            if done - told >= _PROGRESS_STEP or done >= 1 > told:
                told = done
                self._connection.send({"type": "loading", "progress": round(done, 4)})
            return not self._cancel_load

        settle_threads(spec.threads)
        engine = opener(spec.engine)(spec, progress, self._abort)
        if self._cancel_load:
            engine.close()
            raise LoadCancelled("Loading was cancelled.")
        return engine

    def _emit(self, events: list[Any]) -> None:
        self._connection.send({"type": "events", "items": events})


def cache_bytes(spec: Mapping[str, Any]) -> int:
    """How much RAM idle conversations may take."""
    megabytes = (spec.get("options") or {}).get("cache_mb", -1)
    return psutil.virtual_memory().available // 8 if megabytes < 0 else int(megabytes) << 20


def read_spec(data: Any) -> LoadSpec:
    if not isinstance(data, dict):
        raise BadValue("spec must be an object.", param="spec")
    unknown = data.keys() - {field.name for field in fields(LoadSpec)}
    if unknown or not isinstance(data.get("path"), str):
        raise BadValue(f"spec is not understood: {sorted(unknown) or 'path is missing'}.", param="spec")
    spec = LoadSpec(**data)
    check_spec(spec)
    return spec


def opener(engine: str) -> Opener:
    """The function that opens models with an engine; imported only now, because engines are heavy."""
    if engine not in OPENERS:
        raise LoadFailed(f"There is no engine {engine!r}; there are {', '.join(OPENERS)}.")
    module, _, name = OPENERS[engine].partition(":")
    try:
        found: Opener = getattr(importlib.import_module(module), name)
    except ImportError as error:
        raise LoadFailed(f"The engine {engine} is not installed ({error}).") from error
    return found
