"""What a chat does: send, regenerate, continue, edit, stop; several chats at once.

A reply is written by a task of its own, so that it goes on when the page is reloaded. It is saved once a second, and it
is stopped (and kept) when no page has asked about it for a while. Knows the runtime and the history, nothing of pages.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from webui.chat.history import History, Node
from webui.chat.prompt import Prompt, build_prompt
from webui.chat.reply import Reply
from webui.errors import BadValue, Busy, NoModel, WebUIError
from webui.runtime.client import failure
from webui.runtime.fallback import Fallback, NobodyAnswered, Round
from webui.types import Event, Failed, Finished, GenerationRequest, ModelInfo, Step, Token

AUTOSAVE_SECONDS = 1.0
UNWATCHED_SECONDS = 120.0
STOP_SECONDS = 0.3
ALTERNATIVES = 5
"""How many other candidates are remembered for each token."""

T = TypeVar("T")


class Stream(Protocol):
    """The events of one request. `cancel` asks for an early end that still says how it went, `aclose` just ends."""

    def __aiter__(self) -> AsyncIterator[Event]: ...
    def cancel(self) -> None: ...
    async def aclose(self) -> None: ...


class Runtime(Protocol):
    """The part of `runtime.Models` that a conversation needs."""

    def status(self) -> Any: ...
    def generate(self, request: GenerationRequest) -> Stream: ...
    async def tokenize(self, text: str, *, add_bos: bool = False, special: bool = True) -> list[int]: ...


@dataclass(frozen=True, slots=True)
class ReplySettings:
    """How the next reply is to be made. With a seed of its own it is made so that it can be had again, to the token."""

    chain: tuple[Step, ...]
    seed: int = -1
    max_tokens: int | None = 512
    stop: tuple[str, ...] = ()
    system: str = ""


class Conversations:
    """All chats of one history on one runtime. `settings` is asked anew for every reply, and so is `fallback`: who
    answers when the current model does not."""

    def __init__(
        self,
        models: Runtime,
        history: History,
        settings: Callable[[], ReplySettings],
        *,
        fallback: Fallback | None = None,
        unwatched_seconds: float = UNWATCHED_SECONDS,
    ) -> None:
        self.history = history
        self._fallback = fallback
        self._models = models
        self._settings = settings
        self._unwatched = unwatched_seconds
        self._replies: dict[int, Reply] = {}
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._streams: dict[int, Stream] = {}
        self._writer = ThreadPoolExecutor(max_workers=1, thread_name_prefix="history")
        self._pulse = asyncio.Event()
        self._seen = time.monotonic()

    # what pages ask

    def live(self, chat: int) -> Reply | None:
        """The reply being written in this chat."""
        self._seen = time.monotonic()
        return self._replies.get(chat)

    def running(self) -> tuple[int, ...]:
        self._seen = time.monotonic()
        return tuple(self._replies)

    async def changed(self, timeout: float) -> None:
        """Return when any reply has moved on, or after `timeout`."""
        self._seen = time.monotonic()
        try:
            await asyncio.wait_for(self._pulse.wait(), timeout)
        except asyncio.TimeoutError:
            return

    async def stored(self, do: Callable[[], T]) -> T:
        """Run a call on the history off the event loop, in the order of asking."""
        return await asyncio.get_running_loop().run_in_executor(self._writer, do)

    # what people do

    async def send(self, chat: int, text: str) -> Reply:
        """A user's message at the end of the active branch, and a reply to it."""
        if not text.strip():
            raise BadValue("Write a message first.", param="text", code="empty_message")
        self.require_ready(chat)
        path = await self.stored(lambda: self.history.path(chat))
        parent = path[-1].id if path else None
        user = await self.stored(lambda: self.history.add(chat, parent, "user", text))
        await self.stored(lambda: self.history.set_draft(chat, ""))
        return await self._answer(chat, user.id)

    async def edit(self, node: int, text: str) -> Reply | None:
        """A branch: the message as it should have been, beside the old one. A user's message is answered anew."""
        old = await self.stored(lambda: self.history.node(node))
        if not text.strip():
            raise BadValue("Write a message first.", param="text", code="empty_message")
        if old.role == "user":
            self.require_ready(old.chat)
        elif old.chat in self._tasks:
            raise _busy()
        meta = {"edited": True} if old.role == "assistant" else None
        new = await self.stored(lambda: self.history.add(old.chat, old.parent, old.role, text, meta=meta))
        return await self._answer(old.chat, new.id) if old.role == "user" else None

    async def regenerate(self, node: int) -> Reply:
        """One more version of this reply, or the first answer to this message of the user."""
        old = await self.stored(lambda: self.history.node(node))
        self.require_ready(old.chat)
        parent = old.id if old.role == "user" else old.parent
        if parent is None:
            raise BadValue(
                "There is nothing to answer here: write a message first.", param="node", code="nothing_to_answer"
            )
        return await self._answer(old.chat, parent)

    async def go_on(self, node: int) -> Reply:
        """Write on at the end of this reply."""
        old = await self.stored(lambda: self.history.node(node))
        self.require_ready(old.chat)
        if old.role != "assistant":
            raise BadValue("Only a reply can be continued.", param="node", code="nothing_to_continue")
        await self.stored(lambda: self.history.select(node))
        await self.stored(lambda: self.history.write(node, old.content, meta=old.meta))
        return await self._start(Reply(chat=old.chat, node=node, base=old.content, earlier=old.meta))

    async def stop(self, chat: int, *, reason: str = "cancelled") -> None:
        """Break off the reply of this chat; what is there is kept. Returns when it is saved."""
        reply, task = self._replies.get(chat), self._tasks.get(chat)
        if reply is None or task is None:
            return
        self._cancel(reply, task, reason)
        await asyncio.wait({task})

    async def delete(self, chat: int) -> None:
        await self.stop(chat)
        await self.stored(lambda: self.history.delete(chat))

    async def close(self) -> None:
        """Stop everything, save it, close the history."""
        for chat in tuple(self._replies):
            await self.stop(chat, reason="interrupted")
        await self.stored(self.history.close)
        self._writer.shutdown(wait=True)

    # how a reply is made

    def require_ready(self, chat: int) -> None:
        if chat in self._tasks:
            raise _busy()
        if self._fallback is not None and self._fallback.order().in_force:
            return
        status = self._models.status()
        if status.stage == "none" and status.code != "model_asleep":
            raise NoModel("No model is loaded: choose one in the Model tab.")
        if status.stage == "failed":
            raise NoModel(status.sentence or "The model could not be loaded: choose another one in the Model tab.")

    async def _answer(self, chat: int, parent: int) -> Reply:
        node = await self.stored(lambda: self.history.add(chat, parent, "assistant", "", state="writing"))
        return await self._start(Reply(chat=chat, node=node.id))

    async def _start(self, reply: Reply) -> Reply:
        if reply.chat in self._tasks:
            raise _busy()
        self._seen = time.monotonic()
        self._replies[reply.chat] = reply
        self._tasks[reply.chat] = asyncio.create_task(self._run(reply), name=f"reply in chat {reply.chat}")
        await asyncio.sleep(0)  # let it begin: a task cancelled before its first step would never clean up
        self._beat()
        return reply

    async def _run(self, reply: Reply) -> None:
        saver = asyncio.create_task(self._autosave(reply))
        try:
            await self._write_reply(reply)
        except asyncio.CancelledError:
            reply.stopped()
        except WebUIError as error:
            reply.failed(error.code, error.message, error.values)
        except Exception as error:
            reply.failed("unexpected", f"{type(error).__name__}: {error}", {})
            raise
        finally:
            saver.cancel()
            await asyncio.wait({saver})
            await self._keep(reply)
            self._replies.pop(reply.chat, None)
            self._tasks.pop(reply.chat, None)
            self._beat()

    async def _keep(self, reply: Reply) -> None:
        """Save the finished reply. A second cancel while it is written changes nothing."""
        text, meta, trace = reply.text, reply.meta(), reply.trace

        def write() -> None:
            self.history.write(reply.node, text, state="done", meta=meta)
            if trace:
                earlier = self.history.trace(reply.node) if reply.base else []
                self.history.set_trace(reply.node, [*earlier, *trace])

        try:
            await asyncio.shield(self.stored(write))
        except WebUIError as error:
            reply.failed(error.code, error.message, error.values)

    async def _write_reply(self, reply: Reply) -> None:
        settings = self._settings()
        round_ = self._fallback.round_of_page() if self._fallback is not None else None
        if round_ is None or round_.plain:
            stream = await self._open(reply, settings, self._models)
        else:
            reply.misses = round_.misses
            try:
                stream = await self._ask_in_turn(reply, settings, round_)
            except NobodyAnswered as error:
                if not error.text or reply.base:
                    raise
                reply.say_instead(error.text)
                return
        try:
            async for event in stream:
                reply.take(event)
                self._beat()
        finally:
            self._streams.pop(reply.chat, None)
            await stream.aclose()

    async def _ask_in_turn(self, reply: Reply, settings: ReplySettings, round_: Round) -> Stream:
        """The stream of the first model of the order that answers, its first token taken."""

        async def attempt(models: Runtime) -> Stream:
            stream = await self._open(reply, settings, models)
            try:
                async for event in stream:
                    if isinstance(event, Failed):
                        raise failure(event)
                    reply.take(event)
                    self._beat()
                    if isinstance(event, Token | Finished):
                        break
                return stream
            except BaseException:
                self._streams.pop(reply.chat, None)
                await stream.aclose()
                raise

        def waiting(progress: float) -> None:
            reply.loading(progress)
            self._beat()

        return await round_.ask(attempt, waiting)

    async def _open(self, reply: Reply, settings: ReplySettings, models: Runtime) -> Stream:
        """Ask one model."""
        info = await self._ready_model(reply, models)
        prompt = await self._prompt(reply, info, settings, models)
        seed = settings.seed if settings.seed >= 0 else secrets.randbelow(1 << 32)
        reply.begin(models.status().info or info, prompt, settings.chain, seed, settings.system)
        request = GenerationRequest(
            prompt=prompt.text,
            chain=settings.chain,
            max_tokens=settings.max_tokens,
            stop=settings.stop,
            seed=seed,
            add_bos=prompt.add_bos,
            alternatives=ALTERNATIVES,
            reasoning="auto",
            conversation=f"chat-{reply.chat}",
            deterministic=settings.seed >= 0,
        )
        stream = self._streams[reply.chat] = models.generate(request)
        return stream

    async def _ready_model(self, reply: Reply, models: Runtime) -> ModelInfo:
        """A message may be sent while the model is still loading: the reply waits for it."""
        if models.status().stage == "none":
            await models.tokenize("")  # asleep: whoever asks it has it loaded again
        while (status := models.status()).stage == "loading":
            reply.loading(float(getattr(status, "progress", 0.0)))
            self._beat()
            await asyncio.sleep(0.1)
        if status.stage != "ready" or status.info is None:
            raise NoModel(status.sentence or "No model is loaded: choose one in the Model tab.")
        info: ModelInfo = status.info
        return info

    async def _prompt(self, reply: Reply, info: ModelInfo, settings: ReplySettings, models: Runtime) -> Prompt:
        async def count(text: str, add_bos: bool) -> int:
            return len(await models.tokenize(text, add_bos=add_bos))

        path: list[Node] = await self.stored(lambda: self.history.path(reply.chat))
        ids = [node.id for node in path]
        branch = path[: ids.index(reply.node) + 1]
        return await build_prompt(
            branch if reply.base else branch[:-1],
            info,
            count,
            system=settings.system,
            continue_last=bool(reply.base),
            max_tokens=settings.max_tokens,
        )

    async def _autosave(self, reply: Reply) -> None:
        """Once a second: keep what is written; stop what nobody has looked at for a long time."""
        saved = reply.text
        while True:
            await asyncio.sleep(AUTOSAVE_SECONDS)
            text = reply.text
            if text != saved:
                try:
                    await self.stored(lambda text=text: self.history.write(reply.node, text))  # type: ignore[misc]
                    saved = text
                except WebUIError as error:
                    reply.warn(error.code, error.message, error.values)
            if time.monotonic() - self._seen > self._unwatched and (task := self._tasks.get(reply.chat)):
                self._cancel(reply, task, "left")

    def _cancel(self, reply: Reply, task: asyncio.Task[None], reason: str) -> None:
        """Once only. The engine is asked first, so that its figures still arrive; then the task is broken off."""
        if reply.reason:
            return
        reply.reason = reason
        stream = self._streams.get(reply.chat)
        if stream is None:
            task.cancel()
            return
        stream.cancel()
        asyncio.get_running_loop().call_later(STOP_SECONDS, lambda: None if reply.stage == "done" else task.cancel())

    def _beat(self) -> None:
        pulse, self._pulse = self._pulse, asyncio.Event()
        pulse.set()


def _busy() -> Busy:
    return Busy("A reply is still being written in this chat: stop it first.", code="reply_running")
