"""Reads the beginning of a GGUF file that is still on the hub: its dimensions, without downloading it.

The dimensions stand before the vocabulary, so the first 64 KB are enough for nearly every model. What is read is as
hostile as any header. One ranged request; nothing is written.

To call: `await peek(hub, client, offer)` gives ModelFacts (without tensors), or None where the file does not tell.
"""

from __future__ import annotations

import io
from dataclasses import replace

import httpx

from webui.hub.advice import Offer
from webui.hub.facts import ModelFacts, facts_of
from webui.hub.faults import HubFault, Offline
from webui.hub.gguf import BadModelFile, Header, read_beginning
from webui.hub.search import Hub
from webui.hub.transfer import open_following

FIRST = 64 << 10


async def peek(hub: Hub, client: httpx.AsyncClient, offer: Offer) -> ModelFacts | None:
    """The facts a file's beginning tells; None if it is no GGUF or says too little. Offline is the only fault."""
    if hub.offline:
        raise Offline()
    if offer.kind != "gguf" or not offer.files:
        return None
    url = hub.file_url(offer.repo, offer.commit, offer.files[0].path)
    try:
        response = await open_following(client, url, {**hub.headers(), "Range": f"bytes=0-{FIRST - 1}"})
    except (httpx.RequestError, HubFault):
        return None
    held = bytearray()
    try:
        if response.status_code not in (200, 206):
            return None
        async for piece in response.aiter_bytes():
            held += piece
            if len(held) >= FIRST:
                break
    except httpx.RequestError:
        return None
    finally:
        await response.aclose()
    return _facts(bytes(held[:FIRST]), offer)


def _facts(beginning: bytes, offer: Offer) -> ModelFacts | None:
    try:
        metadata = read_beginning(io.BytesIO(beginning), len(beginning))
        facts = facts_of(Header(3, {**metadata, "split.count": 2}, (), 0, offer.size))
    except BadModelFile:
        return None
    return replace(facts, tensor_bytes=offer.size, split_count=1) if facts.layers else None
