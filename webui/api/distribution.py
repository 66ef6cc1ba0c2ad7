"""What could come next: the model's own distribution, or what a request's samplers make of it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from webui.api.choosing import chosen, model_of
from webui.api.options import read_options
from webui.api.schemas import LogitsBody
from webui.runtime.models import Models
from webui.samplers.candidates import Candidates
from webui.samplers.chain import Chain
from webui.samplers.state import History, State
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
