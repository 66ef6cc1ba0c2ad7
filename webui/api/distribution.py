"""What could come next: the model's own distribution, or what a request's samplers make of it; and how likely what
did come was.
"""

from __future__ import annotations

import asyncio
from typing import Any

import numpy as np
from numpy.typing import NDArray

from webui.api.choosing import chosen, model_of
from webui.api.options import read_options
from webui.api.prepare import scored
from webui.api.schemas import ChainBody, LogitsBody, ScoreBody
from webui.lab.chain_service import run_chain
from webui.runtime.models import Models
from webui.samplers.candidates import Candidates
from webui.samplers.chain import Chain
from webui.samplers.state import History, State, Vocabulary
from webui.services import Services


async def next_tokens(services: Services, body: LogitsBody) -> dict[str, float]:
    """Token texts with their probabilities, the likeliest first. Two tokens of one text add up."""
    async with chosen(services, body.model) as models:
        return await _next_tokens(services, models, body)


async def _next_tokens(services: Services, models: Models, body: LogitsBody) -> dict[str, float]:
    info = await model_of(models)
    options = read_options(services, body, info, None)
    bos = body.add_bos_token is not False
    tokens, row = await models.logits(body.prompt, add_bos=bos)
    if body.use_samplers:
        candidates = Candidates.of(row.copy(), None)
        Chain.parse(options.chain).apply(candidates, History(tokens), State(options.fields["seed"]))
    else:
        candidates = Candidates.of(row.copy(), None)
    ids, chances = _likeliest(candidates, body.top_logits)
    found: dict[str, float] = {}
    for text, chance in zip(await models.pieces(ids), chances, strict=True):
        found[text] = found.get(text, 0.0) + chance
    return found


def _likeliest(candidates: Candidates, count: int) -> tuple[list[int], list[float]]:
    weights: NDArray[np.float64] = np.asarray(candidates.weights(), np.float64)
    order = np.argsort(-weights, kind="stable")[:count]
    order = order[weights[order] > 0]
    chances = weights[order] / weights.sum()
    ids = order if candidates.is_whole else candidates.ids[order]
    return [int(id) for id in ids], [float(chance) for chance in chances]


async def chain_over(services: Services, body: ChainBody) -> Any:
    """A chain run over given numbers, or over what the model says after a prompt."""
    given = body.model_dump(exclude_none=True, exclude={"model"})
    if body.prompt is None:
        return await asyncio.to_thread(run_chain, given)
    async with chosen(services, body.model) as models:
        info = await model_of(models)
        tokens, row = await models.logits(body.prompt)
    vocabulary = Vocabulary(size=len(row), end_ids=info.end_ids)
    return await asyncio.to_thread(run_chain, given, row, vocabulary, tokens)


async def scores(services: Services, body: ScoreBody) -> dict[str, Any]:
    """Each token of a text with its figures, and their mean."""
    async with chosen(services, body.model) as models:
        info = await model_of(models)
        found = await scored(models, body.text, bos=body.add_bos_token is not False, top=body.top)
    pieces = found["pieces"]
    rows = zip(found["tokens"], found["logprobs"], found["ranks"], found["entropies"], found["top"], strict=True)
    tokens = [
        {
            "id": token,
            "token": pieces[token],
            "logprob": logprob,
            "rank": rank,
            "entropy": entropy,
            "top": [{"id": id, "token": pieces[id], "logprob": value} for id, value in best],
        }
        for token, logprob, rank, entropy, best in rows
    ]
    known = [value for value in found["logprobs"] if value is not None]
    mean = sum(known) / len(known) if known else None
    return {"model": info.name, "tokens": tokens, "length": len(tokens), "mean_logprob": mean}
