"""From a body to what the runtime is asked for. Refuses what cannot work; knows nothing of how the answer is sent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from webui.api.answers import Choice, Kind, ended_by
from webui.api.chain import describe
from webui.api.choosing import model_of
from webui.api.errors import ApiError
from webui.api.fitting import cut, fitted
from webui.api.logprobs import chat_logprobs, completion_logprobs
from webui.api.messages import Rendered, unused
from webui.api.options import Options, limit_of, read_options, top_of
from webui.api.schemas import ChatBody, CompletionBody, GenerationBody
from webui.api.speech import Tooling
from webui.runtime.fallback import Miss
from webui.runtime.models import Models
from webui.services import Services
from webui.types import GenerationRequest, ModelInfo, Step

DEFAULT_TOKENS = 512


@dataclass(frozen=True, slots=True)
class Prepared:
    """Everything that is known about an answer before its first token. `top` None: no probabilities."""

    kind: Kind
    model: str
    requests: tuple[GenerationRequest, ...]
    chain: tuple[Step, ...]
    notes: tuple[str, ...]
    n: int
    stream: bool
    include_usage: bool
    echoes: tuple[str, ...]
    top: int | None = None
    tooling: Tooling | None = None
    scores: tuple[dict[str, Any], ...] = ()
    """With echo and logprobs: what was found about each prompt's own tokens."""

    params: Mapping[str, str] = field(default_factory=dict)
    """What the fields of the GenerationRequest are called in the request that came."""

    loras: tuple[Mapping[str, Any], ...] = ()
    """The LoRAs it is made with: {"name", "scale"}."""

    misses: tuple[Miss, ...] = ()
    """The models of the fallback order that were asked before, in vain."""

    def echo(self, choice: int) -> str:
        return self.echoes[choice // self.n]

    def made(self) -> dict[str, Any]:
        """How the answer is made: the chain in force, the LoRAs, and what was asked for without effect."""
        notes = {"not_applied": list(self.notes)} if self.notes else {}
        before = {"fallback": [miss.as_data() for miss in self.misses]} if self.misses else {}
        loras = {"loras": list(self.loras)} if self.loras else {}
        return {"chain": describe(self.chain), **loras, **notes, **before}

    @property
    def choices(self) -> int:
        return len(self.requests) * self.n

    def choice(self, number: int, choice: Choice) -> dict[str, Any]:
        """One choice of a whole answer."""
        logprobs: Any = None
        echo = self.echo(number)
        if self.top is not None and self.kind == "completion":
            score = self.scores[number // self.n] if self.scores else None
            logprobs = completion_logprobs(choice.tokens, self.top, len(echo), score)
        elif self.top is not None:
            logprobs = chat_logprobs(choice.tokens, self.top)
        said = {"text": echo + choice.said.text} if self.kind == "completion" else {"message": choice.said.message()}
        end = choice.end
        assert end is not None
        return {
            "index": number,
            **said,
            "logprobs": logprobs,
            "finish_reason": choice.reason,
            "stop_reason": ended_by(end),
            "seed": end.seed,
        }


async def prepare(services: Services, models: Models, body: CompletionBody | ChatBody) -> Prepared:
    """What this model is to be asked for."""
    if isinstance(body, ChatBody):
        return await _chat(services, models, body)
    return await _completion(services, models, body)


async def _completion(services: Services, models: Models, body: CompletionBody) -> Prepared:
    info = await model_of(models)
    top = top_of(body.logprobs)
    limit = DEFAULT_TOKENS if body.max_tokens is None else body.max_tokens
    if body.auto_max_new_tokens:
        limit = -1
    if limit == 0 and not (body.echo or body.logprobs):
        raise ApiError(400, "max_tokens must be at least 1 (0 only with echo or logprobs).", param="max_tokens")
    options = read_options(services, body, info, top)
    prompts = [await cut(models, prompt, body, limit, info) for prompt in body.prompt]
    echoes: list[str] = []
    for prompt in prompts:
        check_empty(prompt, info, body)
        text = prompt if isinstance(prompt, str) or not body.echo else await models.detokenize(prompt)
        echoes.append(str(text) if body.echo else "")
    bos = body.add_bos_token is not False
    scores = (
        [await scored(models, prompt, bos=bos, top=top) for prompt in prompts] if body.echo and top is not None else []
    )
    requests = tuple(
        GenerationRequest(prompt, max_tokens=limit_of(limit), add_bos=bos, **options.fields) for prompt in prompts
    )
    made = prepared("completion", info, requests, body, options, echoes, top)
    return replace(made, scores=tuple(scores), params=_params(body))


async def _chat(services: Services, models: Models, body: ChatBody) -> Prepared:
    info = await model_of(models)
    top = top_of(body.top_logprobs or 0) if body.logprobs else None
    if not body.logprobs:
        top_of(body.top_logprobs)
    options = read_options(services, body, info, top)
    rendered, lost = await fitted(models, body, info, services.settings.data_dir)
    request = chat_generation(body, info, options, rendered)
    made = prepared("chat", info, (request,), body, options, [""], top)
    made = replace(made, notes=(*made.notes, *unused(body), *lost))
    params = {"prompt": "messages", **_params(body), **({"json_schema": "tools"} if rendered.json_schema else {})}
    return replace(made, tooling=rendered.tooling, params=params)


def _params(body: GenerationBody) -> dict[str, str]:
    return {"json_schema": "response_format"} if body.response_format else {}


def chat_generation(body: GenerationBody, info: ModelInfo, options: Options, rendered: Rendered) -> GenerationRequest:
    fields = dict(options.fields)
    if rendered.json_schema:
        if any(fields.get(name) for name in ("grammar", "regex", "json_schema")):
            message = "tool_choice already decides the form of the answer: leave out the other constraint."
            raise ApiError(400, message, param="tool_choice")
        fields["json_schema"] = rendered.json_schema
    if rendered.tooling is not None:
        fields["echo_special"] = True
    return GenerationRequest(
        rendered.text,
        max_tokens=limit_of(body.max_tokens),
        add_bos=info.needs_bos(rendered.text),
        # Harmony's channels are read with its calls.
        reasoning="" if rendered.tooling and rendered.tooling.format == "harmony" else "auto",
        **{**fields, "stop": (*fields["stop"], *rendered.stops)},
    )


def prepared(
    kind: Kind,
    info: ModelInfo,
    requests: tuple[GenerationRequest, ...],
    body: GenerationBody,
    options: Options,
    echoes: Sequence[str],
    top: int | None,
) -> Prepared:
    return Prepared(
        kind,
        info.name,
        requests,
        options.chain,
        options.notes,
        body.n or 1,
        bool(body.stream),
        bool(body.stream_options and body.stream_options.include_usage),
        tuple(echoes),
        top,
        loras=tuple(info.extra.get("loras", ())),
    )


async def scored(models: Models, prompt: str | tuple[int, ...], *, bos: bool, top: int) -> dict[str, Any]:
    """A text's own tokens as Models.score tells them, and `pieces`: the texts of all tokens named there."""
    found = await models.score(prompt, add_bos=bos, top=top)
    ids = [*found["tokens"], *(token for best in found["top"] for token, _ in best)]
    pieces = dict(zip(ids, await models.pieces(ids), strict=True))
    return {**found, "pieces": pieces}


def check_empty(prompt: str | tuple[int, ...], info: ModelInfo, body: GenerationBody) -> None:
    begins = info.add_bos and info.bos_id >= 0 and body.add_bos_token is not False
    if prompt == "" and not begins:
        raise ApiError(400, "prompt is empty, and there is no token to begin with.", param="prompt")
