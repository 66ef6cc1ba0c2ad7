"""A scheduler over a FakeEngine in this process, turned by hand: no threads, no sockets, no waiting."""

from __future__ import annotations

from typing import Any

from webui.engines.base import AbortFlag, Engine
from webui.engines.fake import FakeEngine, open_fake
from webui.types import LoadSpec
from webui.worker.checks import make_job
from webui.worker.constraint import GrammarVocabulary
from webui.worker.scheduler import Scheduler
from webui.worker.store import Store

GREEDY = [{"sampler": "top_k", "values": {"top_k": 1}}]
FREE = [{"sampler": "temperature", "values": {"temperature": 1.0}}]
Event = dict[str, Any]


def fake(*, slots: int = 4, n_ctx: int = 4096, **options: Any) -> FakeEngine:
    spec = LoadSpec("script", engine="fake", slots=slots, n_ctx=n_ctx, options=options)
    return open_fake(spec, lambda done: True, AbortFlag())


class Watched:
    """An engine that passes every call on and remembers the chunks it was asked for."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.batches: list[list[Any]] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)

    def decode(self, chunks: Any) -> Any:
        self.batches.append(list(chunks))
        return self._engine.decode(chunks)

    @property
    def prompt_tokens(self) -> int:
        return sum(len(chunk.tokens) for batch in self.batches for chunk in batch if chunk.prompt)


class Bench:
    def __init__(self, engine: Engine | None = None, *, cache: int = 0, **options: Any) -> None:
        self.engine = Watched(engine or fake(**options))
        self.events: list[tuple[Any, Event]] = []
        self.frames: list[list[Any]] = []
        self.abort = AbortFlag()
        self.scheduler = Scheduler(self.engine, self.abort, self._emit, Store(cache))

    def _emit(self, events: list[Any]) -> None:
        self.frames.append(events)
        self.events += [(id, event) for id, event in events]

    def add(self, id: Any, prompt: Any = "hi", **fields: Any) -> None:
        request = {"chain": GREEDY, "prompt": prompt, **fields}
        self.scheduler.add(make_job(id, request, self.engine, lambda: GrammarVocabulary(self.engine)))

    def of(self, id: Any, kind: str = "") -> list[Event]:
        return [event for other, event in self.events if other == id and kind in ("", event["kind"])]

    def text(self, id: Any, choice: int = 0, channel: str = "") -> str:
        return "".join(
            event["text"]
            for event in self.of(id)
            if event["kind"] in ("token", "finished")
            and event["choice"] == choice
            and (not channel or event.get("channel", "answer") == channel)
        )

    def run(self, turns: int = 100_000) -> Bench:
        """Until nothing is left to do, idle work included."""
        for _ in range(turns):
            if not self.scheduler.turn(wait=False):
                return self
        raise AssertionError("the scheduler never came to rest")

    def ask(self, prompt: Any = "hi", **fields: Any) -> Event:
        """One request to its end; its last event."""
        id = f"ask {len(self.events)}"
        self.add(id, prompt, **fields)
        self.run()
        self.last = id
        return self.of(id)[-1]

    def reply(self, prompt: Any = "hi", **fields: Any) -> str:
        self.ask(prompt, **fields)
        return self.text(self.last)
