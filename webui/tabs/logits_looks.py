"""What the Logits tab holds between two requests: looks (a prompt, its walk) and the words of the loaded model.

Rows are asked of the model only when they are not kept. Knows nothing of Gradio, pages or languages.
"""

from __future__ import annotations

import asyncio
import secrets
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from webui.errors import BadValue, NoModel
from webui.lab.export import ModelFacts, Saved
from webui.lab.funnel import Coin, Situation
from webui.lab.rows import CACHE_BYTES, KeptRow, RowCache, row_id
from webui.lab.walk import Tree
from webui.samplers import Chain, History, State, Vocabulary
from webui.samplers.state import Row
from webui.tabs.logits_names import GivenNames, Names, ReadNames
from webui.types import ModelInfo

MOST_LOOKS = 32
MOST_GIVEN_BYTES = CACHE_BYTES // 2
PIECES_AT_ONCE = 32_768
LEARNED_FROM = 256
"""How many steps back stages that learn (mirostat, adaptive-p) are run again to know what they know here."""


class Runtime(Protocol):
    """The part of `runtime.Models` that looking needs."""

    def status(self) -> Any: ...
    async def tokenize(self, text: str, *, add_bos: bool = False, special: bool = True) -> list[int]: ...
    async def pieces(self, tokens: Sequence[int], *, special: bool = True) -> list[str]: ...
    async def logits(
        self, prompt: str | Sequence[int], *, add_bos: bool = True, written: Sequence[int] = ()
    ) -> tuple[list[int], NDArray[np.float32]]: ...


@dataclass(slots=True)
class Lexicon:
    """What a model's tokens are called, and what samplers may ask about them."""

    key: str
    model: ModelFacts
    texts: Names
    vocabulary: Vocabulary


@dataclass(slots=True)
class Look:
    """A prompt that was read, and where one went from there. `given` rows came with a file and need no model; others
    are read from the load of a model whose key is `reads`.
    """

    id: str
    lexicon: Lexicon
    prompt: str
    tree: Tree
    given: Mapping[int, Row] = field(default_factory=dict)
    reads: str = ""

    @property
    def nbytes(self) -> int:
        """What it keeps beside the cache of rows."""
        texts = self.lexicon.texts
        return sum(row.nbytes for row in self.given.values()) + (texts.nbytes if isinstance(texts, GivenNames) else 0)


class Looks:
    """The looks that are open in some page, at most `MOST_LOOKS`, and their rows."""

    def __init__(self, models: Runtime, cache: RowCache | None = None) -> None:
        self._models = models
        self.rows = RowCache() if cache is None else cache
        self._looks: OrderedDict[str, Look] = OrderedDict()
        self._lexicons: OrderedDict[str, Lexicon] = OrderedDict()
        self._lock = asyncio.Lock()

    def __getitem__(self, name: object) -> Look:
        look = self._looks.get(name) if isinstance(name, str) else None
        if look is None:
            raise BadValue("This look is not kept any more: look again.", param="look", code="look_gone")
        self._looks.move_to_end(look.id)
        return look

    def _keep(self, look: Look) -> Look:
        """The oldest looks make room; what files brought with them counts as part of the rows' bytes."""
        self._looks[look.id] = look
        while len(self._looks) > MOST_LOOKS or (len(self._looks) > 1 and self._given_bytes() > MOST_GIVEN_BYTES):
            self._looks.popitem(last=False)
        self._share()
        return look

    def _share(self) -> None:
        """Files and the vocabulary's texts are under the same cap as the rows."""
        texts = sum(lexicon.texts.nbytes for lexicon in self._lexicons.values())
        self.rows.share(self._given_bytes() + texts)

    def _given_bytes(self) -> int:
        return sum(look.nbytes for look in self._looks.values())

    async def read(self, prompt: str, *, add_bos: bool) -> Look:
        """Read a prompt once."""
        lexicon = await self.lexicon()
        tokens, row = await self._models.logits(prompt, add_bos=add_bos)
        await self._put(lexicon, tokens, row)
        return self._keep(Look(secrets.token_hex(8), lexicon, prompt, Tree(tuple(tokens)), reads=lexicon.key))

    def open(self, saved: Saved) -> Look:
        """A look out of a file; it works without any model."""
        size = saved.model.size
        vocabulary = Vocabulary(size, saved.model.end_ids, saved.model.newline_ids)
        name = secrets.token_hex(8)
        lexicon = Lexicon(f"file {name}", saved.model, GivenNames(size, saved.texts), vocabulary)
        return self._keep(Look(name, lexicon, saved.prompt, saved.tree, saved.rows))

    async def row(self, look: Look, node: int | None = None) -> KeptRow:
        """The row of a position; the model is asked only if it is not kept."""
        place = look.tree.current if node is None else node
        tokens = look.tree.tokens(place)
        kept = self.kept(look, place)
        if kept is not None:
            return kept
        if place in look.given:
            return await self._put(look.lexicon, tokens, look.given[place])
        await self._meet(look)
        length = len(look.tree.prompt)
        _, row = await self._models.logits(tokens[:length], add_bos=False, written=tokens[length:])
        return await self._put(look.lexicon, tokens, row)

    async def _meet(self, look: Look) -> None:
        """A look goes on with the model that is loaded if it is the one it began with: loaded again, or met again after
        the look came out of a file. What a file brought never becomes a row of the model.
        """
        info, facts = self._info(), look.lexicon.model
        if look.reads == model_key(info):
            return
        if (info.name, info.n_vocab, info.end_ids) != (facts.name, facts.size, facts.end_ids):
            raise NoModel(
                f"This step must be read again by {facts.name}: load it, or look again.",
                code="look_other_model",
                values={"name": facts.name},
            )
        loaded = await self.lexicon()
        look.reads = loaded.key
        look.lexicon = replace(loaded, key=f"{loaded.key}\0{look.id}") if look.given else loaded

    def kept(self, look: Look, node: int) -> KeptRow | None:
        """The row of a position if it is at hand, made again from its file if it came with one."""
        tokens = look.tree.tokens(node)
        found = self.rows.get(row_id(look.lexicon.key, tokens))
        if found is None and node in look.given:
            found = self.rows.put(KeptRow.of(look.lexicon.key, tokens, look.given[node]))
        return found

    async def _put(self, lexicon: Lexicon, tokens: Sequence[int], row: NDArray[np.float32]) -> KeptRow:
        self._share()
        return self.rows.put(await asyncio.to_thread(KeptRow.of, lexicon.key, tokens, row))

    def situation(self, look: Look, chain: Chain, seed: int, coin: Coin, node: int | None = None) -> Situation:
        """Where a generation with this seed would be after the steps of the walk, and what its stages had learned."""
        path = look.tree.path(node)
        return Situation(
            seed=seed,
            vocabulary=look.lexicon.vocabulary,
            prompt_length=len(look.tree.prompt),
            passed=len(path),
            memory=self._learned(look, chain, seed, node),
            coin=coin,
        )

    def _learned(self, look: Look, chain: Chain, seed: int, node: int | None) -> dict[int, Any]:
        """Run the chain over the steps before, as far as their rows are at hand, and let stages learn from each."""
        path = look.tree.path(node)[-LEARNED_FROM:]
        if not path or not any(stage.sampler.family == "select" for stage in chain.plan):
            return {}
        state = State(seed, look.lexicon.vocabulary)
        for step in path:
            kept = self.kept(look, step.parent)
            if kept is None:
                continue
            history = History(kept.tokens)
            history.prompt_length = len(look.tree.prompt)
            pick = chain.run(kept.row, history, state)
            for index, commit in pick.commits:
                state.memory[index] = commit(step.token)
        return state.memory

    def _info(self) -> ModelInfo:
        status = self._models.status()
        info: ModelInfo | None = status.info
        if info is None:
            raise NoModel(status.sentence or "No model is loaded.", code=status.code or "model_not_loaded")
        return info

    async def lexicon(self) -> Lexicon:
        """Of the model that is loaded; read once."""
        info = self._info()
        key = model_key(info)
        async with self._lock:
            if key not in self._lexicons:
                self._lexicons[key] = await self._read_lexicon(key, info)
                while len(self._lexicons) > 2:
                    self._lexicons.popitem(last=False)
        return self._lexicons[key]

    async def _read_lexicon(self, key: str, info: ModelInfo) -> Lexicon:
        texts = ReadNames(info.n_vocab, lambda tokens: self._models.pieces(tokens, special=True))
        newline = (await self._models.tokenize("\n", special=False))[-1:]
        loop = asyncio.get_running_loop()
        plain: list[list[str]] = []

        def piece(token: int) -> bytes:
            """As the engine gives it to DRY: control tokens are empty. Called off the loop."""
            if not plain:
                reading = asyncio.run_coroutine_threadsafe(self._all_pieces(info.n_vocab, special=False), loop)
                plain.append(reading.result())
            return plain[0][token].encode()

        def tokenize(text: str) -> list[int]:
            return asyncio.run_coroutine_threadsafe(self._models.tokenize(text, special=False), loop).result()

        vocabulary = Vocabulary(info.n_vocab, info.end_ids, tuple(newline), piece, tokenize)
        return Lexicon(key, ModelFacts(info.name, info.n_vocab, info.end_ids, tuple(newline)), texts, vocabulary)

    async def _all_pieces(self, size: int, *, special: bool) -> list[str]:
        pieces: list[str] = []
        for start in range(0, size, PIECES_AT_ONCE):
            pieces += await self._models.pieces(range(start, min(size, start + PIECES_AT_ONCE)), special=special)
        return pieces


def model_key(info: ModelInfo) -> str:
    """Tells one load of a model from another: options of a load, and scales changed since, may change its numbers."""
    adapters = info.extra.get("loras", "")
    return f"{info.path}\0{info.n_vocab}\0{info.size_bytes}\0{info.load_seconds}\0{adapters}"
