"""What is loaded, and the way to it. The one object through which pages and the API reach a model.

Belongs to one asyncio loop. Knows nothing of chats, HTTP or Gradio.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from webui import load_options
from webui.errors import LoadCancelled, LoadFailed, NoModel, WebUIError, WorkerDied
from webui.runtime.check import check_prompt, check_request, check_spec, check_tokens, text
from webui.runtime.client import Client, Generation, error_from
from webui.runtime.process import COMMAND, Ending
from webui.runtime.session import NOTHING, ModelStatus, Session, asleep_status, failed_status, loading_status
from webui.runtime.supervisor import Restarts, Worker
from webui.types import Failed, GenerationRequest, LoadSpec, ModelInfo, model_info_from_dict
from webui.worker.wire import Frame

log = logging.getLogger(__name__)

CANCEL_SECONDS = 1.0
CLOSE_SECONDS = 3.0


class Models:
    def __init__(
        self,
        *,
        command: tuple[str, ...] = COMMAND,
        echo: bool = False,
        dress: Callable[[ModelInfo], ModelInfo] = lambda info: info,
        check: Callable[[LoadSpec], None] = lambda spec: None,
    ) -> None:
        """`dress` may change what a loaded model says of itself, such as its prompt template. `check` looks at the file
        again before the program loads it by itself, and raises what is wrong with it; runs in a thread."""
        self._command = command
        self._echo = echo
        self._dress = dress
        self._check = check
        self._status = NOTHING
        self._session: Session | None = None
        self._switch = asyncio.Lock()
        self._restarts = Restarts()
        self._retry: LoadSpec | None = None
        self._restarted: asyncio.Future[ModelInfo] | None = None
        self._tasks: set[asyncio.Task[Any]] = set()
        self._closed = False
        self.before_waking: Callable[[LoadSpec], Awaitable[None]] | None = None
        """Awaited before a model that sleeps is loaded again; what it raises is told to whoever asked."""
        self.used = 0.0
        """When somebody asked last (time.monotonic)."""

    def status(self) -> ModelStatus:
        return self._status

    @property
    def active(self) -> int:
        """Generations that are running or waiting."""
        return self._session.client.active if self._session else 0

    @property
    def busy(self) -> bool:
        """Whether anybody waits for an answer of the worker."""
        return self._session is not None and self._session.client.busy

    @property
    def pid(self) -> int:
        """The worker's process; 0 if there is none."""
        return self._session.worker.pid if self._session else 0

    async def load(self, spec: LoadSpec) -> ModelInfo:
        """Load a model in a worker of its own; what was loaded before, or is loading, goes first."""
        check_spec(spec)
        load_options.check_spec(spec)
        self._restarts.forgive()
        async with self._switch:
            self._forget_restart()
            self._status = loading_status(spec)
            await self._end_session()
            session = await self._start_session(spec, restarting=False)
        return await asyncio.shield(session.ready)

    async def cancel_load(self) -> None:
        """Give up the load that is running; nothing is loaded afterwards."""
        session = self._session
        if session is None or session.ready.done():
            return
        session.worker.send({"type": "cancel_load"})
        with contextlib.suppress(asyncio.TimeoutError, LoadFailed):
            await asyncio.wait_for(asyncio.shield(session.ready), CANCEL_SECONDS)
        if self._session is session:
            await self.unload()

    async def unload(self) -> None:
        """Let go of the model; all its memory goes back to the system with the worker."""
        async with self._switch:
            self._forget_restart()
            self._status = NOTHING
            await self._end_session()
            self._status = NOTHING

    async def sleep(self) -> bool:
        """Give the memory back, but load again when asked; False (and nothing happens) while it is in use."""
        async with self._switch:
            session = self._session
            if session is None or not session.loaded_well or session.client.busy:
                return False
            self._retry, self._status = session.spec, asleep_status(session.spec)
            await self._end_session()
        return True

    async def close(self) -> None:
        """The program ends: nothing is loaded or restarted any more."""
        self._closed = True
        await self.unload()
        if self._tasks:
            # Workers that are still ending; everything else ends by itself now.
            await asyncio.wait(self._tasks, timeout=CLOSE_SECONDS)
        for task in list(self._tasks):
            task.cancel()

    def generate(self, request: GenerationRequest) -> Generation:
        """Start a generation; closing or cancelling it stops it. A request that cannot work is refused here and now;
        whatever happens later arrives as a Failed event."""
        session = self._session
        self.used = time.monotonic()
        if session is None or not session.ready.done():
            waiting = self._recovery()
            if isinstance(request.prompt, str):
                text(request.prompt, "prompt")
            generation = Generation(request.n)
            self._spawn(self._generate_later(waiting, request, generation))
            return generation
        check_request(request, session.ready.result())
        generation = Generation(request.n)
        session.client.generate(request, generation)
        return generation

    async def tokenize(self, text_: str, *, add_bos: bool = False, special: bool = True) -> list[int]:
        session = await self._ready()
        check_prompt(text_, session.ready.result(), "text")
        header, _ = await session.client.call("tokenize", text=text_, add_bos=add_bos, special=special)
        return list(header["tokens"])

    async def detokenize(self, tokens: Sequence[int], *, special: bool = True) -> str:
        return str((await self._detokenize(tokens, special=special, pieces=False))["text"])

    async def pieces(self, tokens: Sequence[int], *, special: bool = True) -> list[str]:
        """The text of each token by itself; bytes that are no whole character show as U+FFFD."""
        header = await self._detokenize(tokens, special=special, pieces=True)
        return [str(piece) for piece in header["pieces"]]

    async def logits(
        self, prompt: str | Sequence[int], *, add_bos: bool = True, written: Sequence[int] = ()
    ) -> tuple[list[int], NDArray[np.float32]]:
        """The tokens and the row of raw logits of the token that would come next.

        `written` follows the prompt and is decoded a token at a time: the row is then the one a generation saw there,
        which differs slightly from that of the same tokens read as a prompt.
        """
        session = await self._ready()
        given = prompt if isinstance(prompt, str) else tuple(prompt)
        check_prompt(given, session.ready.result(), "prompt")
        if written:
            check_prompt(tuple(written), session.ready.result(), "written")
        header, blob = await session.client.call("logits", prompt=given, add_bos=add_bos, written=list(written))
        return list(header["tokens"]), np.frombuffer(blob, np.float32)

    async def score(self, prompt: str | Sequence[int], *, add_bos: bool = True, top: int = 0) -> dict[str, Any]:
        """Each token of a text: log-probability, rank, entropy (bits) and the `top` likeliest, as parallel lists."""
        session = await self._ready()
        given = prompt if isinstance(prompt, str) else tuple(prompt)
        check_prompt(given, session.ready.result(), "text")
        return (await session.client.call("score", prompt=given, add_bos=add_bos, top=top))[0]

    async def call(self, kind: str, **fields: Any) -> Frame:
        """Any other question the worker answers with a `reply` frame."""
        session = await self._ready()
        return await session.client.call(kind, **fields)

    async def set_adapters(self, scales: Mapping[str, float]) -> None:
        """Other scales for LoRAs it was loaded with, from the next reply on; a restart begins with them."""
        if self._session is None and self._retry is not None:
            self._retry = load_options.rescaled(self._retry, scales)
            self._status = replace(self._status, spec=self._retry)
            return
        session = await self._ready()
        before = session.spec
        try:
            self._adapt(session, load_options.rescaled(before, scales))  # the worker keeps to the order of the frames
            await session.client.call("adapters", scales=dict(scales))
        except WebUIError:
            self._adapt(session, before)
            raise

    def _adapt(self, session: Session, spec: LoadSpec) -> None:
        status = session.adapted(spec)
        self._status = status if session is self._session else self._status

    async def _detokenize(self, tokens: Sequence[int], *, special: bool, pieces: bool) -> dict[str, Any]:
        session = await self._ready()
        check_tokens(tuple(tokens), session.ready.result(), "tokens")
        return (await session.client.call("detokenize", tokens=list(tokens), special=special, pieces=pieces))[0]

    async def _ready(self) -> Session:
        """The session that can be asked; waits for a restart after a crash, refuses otherwise."""
        session = self._session
        self.used = time.monotonic()
        if session is None or not session.ready.done():
            await asyncio.shield(self._recovery())
            session = self._session
        if session is None or not session.ready.done():
            raise self._refusal()
        return session

    def _recovery(self) -> asyncio.Future[ModelInfo]:
        """What to wait for when no model is ready, if there is anything; else the reason as NoModel."""
        if self._restarted is not None and not self._restarted.done():
            return self._restarted
        if self._session is None and self._retry is not None and not self._closed:
            return self._restart(self._retry)
        raise self._refusal()

    def _refusal(self) -> NoModel:
        status = self._status
        if status.stage == "loading":
            percent = round(status.progress * 100)
            return NoModel(
                f"The model is still loading ({percent} %): try again in a moment.",
                code="model_loading",
                values={"percent": percent},
            )
        if status.stage == "failed":
            return NoModel(f"No model is loaded: {status.sentence}", values={"reason": status.sentence})
        return NoModel("No model is loaded: choose one and load it.")

    async def _generate_later(
        self, ready: asyncio.Future[ModelInfo], request: GenerationRequest, generation: Generation
    ) -> None:
        """A request that came while the worker was being restarted."""
        try:
            info = await asyncio.shield(ready)
            check_request(request, info)
            session = self._session
            if session is None or not session.ready.done():
                raise self._refusal()
            session.client.generate(request, generation)
        except WebUIError as error:
            generation.push(Failed(error.message, error.code, error.param, error.values))

    async def _start_session(self, spec: LoadSpec, *, restarting: bool) -> Session:
        session = Session(spec, asyncio.get_running_loop().create_future(), restarting=restarting)
        session.worker = Worker(
            lambda header, blob: self._on_frame(session, header, blob),
            lambda ending: self._on_end(session, ending),
            command=self._command,
            echo=self._echo,
        )
        session.client = Client(session.worker.send)
        self._session, self._retry = session, None
        self._status = session.loading()
        try:
            await session.worker.start(session.client.oldest_cancel)
        except OSError as error:
            self._session = None
            failure = LoadFailed(f"The engine's process could not be started: {error}.", code="engine_not_started")
            self._status = session.failed(failure)
            session.settle(failure)
            return session
        session.worker.send({"type": "load", "spec": spec})
        return session

    async def _end_session(self) -> None:
        session, self._session = self._session, None
        if session is None:
            return
        session.settle(LoadCancelled("The load was cancelled."))
        session.client.cancel_all()
        for _ in range(round(CANCEL_SECONDS / 0.02)):
            if not session.client.active or session.worker.ended.is_set():
                break
            await asyncio.sleep(0.02)
        await session.worker.stop()
        session.client.fail_all(NoModel("The model was unloaded.", code="model_unloaded"))

    def _restart(self, spec: LoadSpec) -> asyncio.Future[ModelInfo]:
        """Load again after a crash; the future is there at once, so that requests can wait for it."""
        ready: asyncio.Future[ModelInfo] = asyncio.get_running_loop().create_future()
        waking = self._status.code == "model_asleep"
        self._retry, self._restarted = None, ready
        self._status = loading_status(spec, restarting=not waking)
        self._spawn(self._restart_into(spec, ready, waking))
        return ready

    async def _restart_into(self, spec: LoadSpec, ready: asyncio.Future[ModelInfo], waking: bool) -> None:
        if waking and self.before_waking is not None:
            try:
                await self.before_waking(spec)
            except WebUIError as error:
                if self._restarted is ready:
                    self._retry, self._restarted, self._status = spec, None, asleep_status(spec)
                    ready.set_exception(error)
                    ready.exception()
                return
        try:
            await asyncio.to_thread(self._check, spec)
        except WebUIError as error:
            if self._restarted is ready:
                # Who asks next has it looked at again: the file may be whole by then.
                self._retry, self._restarted, self._status = spec, None, failed_status(spec, error)
                ready.set_exception(error)
                ready.exception()
            return
        async with self._switch:
            if self._restarted is not ready:
                return
            session = await self._start_session(spec, restarting=not waking)
        try:
            info = await asyncio.shield(session.ready)
        except WebUIError as error:
            if not ready.done():
                ready.set_exception(error)
                ready.exception()
        else:
            if not ready.done():
                ready.set_result(info)

    def _forget_restart(self) -> None:
        """Somebody decided otherwise; who waits for the restart is told."""
        ready, self._restarted, self._retry = self._restarted, None, None
        if ready is not None and not ready.done():
            ready.set_exception(NoModel("The model was unloaded.", code="model_unloaded"))
            ready.exception()

    def _on_frame(self, session: Session, header: dict[str, Any], blob: bytes) -> None:
        kind = header["type"]
        if kind == "events":
            session.client.on_events(header["items"])
        elif kind == "reply":
            session.client.on_reply(header, blob)
        elif session is not self._session:
            return
        elif kind == "loading":
            session.progress = min(max(float(header["progress"]), 0.0), 1.0)
            self._status = session.loading()
        elif kind == "ready":
            info = session.with_loras(self._dress(model_info_from_dict(header["info"])))
            session.worker.loaded = True
            self._status = session.loaded(info)
            session.settle(info)
        elif kind == "load_failed":
            self._load_failed(session, header)

    def _load_failed(self, session: Session, header: dict[str, Any]) -> None:
        error = error_from({"code": "load_failed", **header})
        if not isinstance(error, LoadFailed):
            error = LoadFailed(error.message, param=error.param, code=error.code, values=error.values)
        self._session = None
        self._status = NOTHING if isinstance(error, LoadCancelled) else session.failed(error)
        session.settle(error)
        self._spawn(session.worker.stop())

    def _on_end(self, session: Session, ending: Ending) -> None:
        if session is not self._session or session.worker.wanted:
            session.client.fail_all(NoModel("The model was unloaded.", code="model_unloaded"))
            return
        self._session = None
        log.warning("%s", ending.sentence)
        values = {"detail": ending.detail, "cause": ending.code}
        session.client.fail_all(WorkerDied(ending.sentence, values=values))
        again = self._restarts.crashed()
        loading = not session.ready.done()
        failure = LoadFailed(ending.sentence, code=ending.code, values=values)
        if not again:
            sentence = f"The engine crashed three times within a minute and is not started again. {ending.sentence}"
            failure = LoadFailed(sentence, code="engine_crash_loop", values=values)
        self._status = session.failed(failure)
        session.settle(failure)
        if not again or self._closed or (loading and session.restarting):
            return
        if loading:
            # A load that crashes would most likely crash again: only when somebody asks for the model.
            self._retry = session.spec
        else:
            self._restart(session.spec)

    def _spawn(self, work: Any) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
