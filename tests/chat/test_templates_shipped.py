"""The shipped templates against the prompt examples their makers published, character for character."""

from __future__ import annotations

from typing import Any

import pytest

from webui.chat.templates import read_shipped, render, shipped


def chat(*turns: str, system: str | None = None) -> list[dict[str, Any]]:
    roles = ("user", "assistant")
    messages = [{"role": roles[place % 2], "content": text} for place, text in enumerate(turns)]
    return ([{"role": "system", "content": system}] if system is not None else []) + messages


WEATHER = {
    "type": "function",
    "function": {
        "name": "get_current_weather",
        "description": "Gets the current weather in the provided location.",
        "parameters": {
            "type": "object",
            "properties": {
                "location": {"type": "string", "description": "The city and state, e.g. San Francisco, CA"},
                "format": {"type": "string", "enum": ["celsius", "fahrenheit"], "default": "celsius"},
            },
            "required": ["location"],
        },
    },
}
LOCATION = {"type": "function", "function": {"name": "get_location", "description": "Gets the location of the user."}}
MANY = {
    "type": "function",
    "function": {
        "name": "get_multiple_weathers",
        "description": "Gets the current weather in the provided list of locations.",
        "parameters": {
            "type": "object",
            "properties": {
                "locations": {
                    "type": "array",
                    "items": {"type": "string"},
                    "description": 'List of city and state, e.g. ["San Francisco, CA", "New York, NY"]',
                },
                "format": {"type": "string", "enum": ["celsius", "fahrenheit"], "default": "celsius"},
            },
            "required": ["locations"],
        },
    },
}

HARMONY = """<|start|>system<|message|>You are ChatGPT, a large language model trained by OpenAI.
Knowledge cutoff: 2024-06
Current date: 2025-06-28

Reasoning: high

# Valid channels: analysis, commentary, final. Channel must be included for every message.
Calls to these tools must go to the commentary channel: 'functions'.<|end|><|start|>developer<|message|># Instructions

Always respond in riddles

# Tools

## functions

namespace functions {

// Gets the location of the user.
type get_location = () => any;

// Gets the current weather in the provided location.
type get_current_weather = (_: {
// The city and state, e.g. San Francisco, CA
location: string,
format?: "celsius" | "fahrenheit", // default: celsius
}) => any;

// Gets the current weather in the provided list of locations.
type get_multiple_weathers = (_: {
// List of city and state, e.g. ["San Francisco, CA", "New York, NY"]
locations: string[],
format?: "celsius" | "fahrenheit", // default: celsius
}) => any;

} // namespace functions<|end|><|start|>user<|message|>What is the weather like in SF?<|end|><|start|>assistant"""

# (template, messages, extras, expected); the source of each stands above it. Placeholders of a source are filled.
EXAMPLES: list[tuple[str, list[dict[str, Any]], dict[str, Any], str]] = [
    # huggingface.co/blog/llama2, "How to Prompt Llama 2"
    (
        "llama-2",
        chat("There's a llama in my garden", "I see.", "What should I do?", system="You are a helpful assistant."),
        {},
        "<s>[INST] <<SYS>>\nYou are a helpful assistant.\n<</SYS>>\n\nThere's a llama in my garden [/INST] I see. </s>"
        "<s>[INST] What should I do? [/INST]",
    ),
    # huggingface.co/blog/codellama, "Conversational Instructions"
    (
        "codellama",
        chat("Write a function", "def f(): ...", "Test it"),
        {},
        "<s>[INST] Write a function [/INST] def f(): ... </s><s>[INST] Test it [/INST]",
    ),
    # llama.com/docs/model-cards-and-prompt-formats/llama3_1, "User and assistant conversation"
    (
        "llama-3.1",
        chat("What is the capital of France?", system="You are a helpful assistant"),
        {"date_string": "23 July 2024"},
        "<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n\nCutting Knowledge Date: December 2023\n"
        "Today Date: 23 July 2024\n\nYou are a helpful assistant<|eot_id|><|start_header_id|>user<|end_header_id|>\n\n"
        "What is the capital of France?<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n",
    ),
    # llama.com/docs/model-cards-and-prompt-formats/meta-llama-3, "System prompt and multiple turn conversation"
    (
        "llama-3",
        chat(
            "What is France's capital?",
            "Bonjour! The capital of France is Paris!",
            "What can I do there?",
            system="You are a helpful AI assistant for travel tips and recommendations",
        ),
        {},
        "<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n\n"
        "You are a helpful AI assistant for travel tips and recommendations<|eot_id|>"
        "<|start_header_id|>user<|end_header_id|>\n\nWhat is France's capital?<|eot_id|>"
        "<|start_header_id|>assistant<|end_header_id|>\n\nBonjour! The capital of France is Paris!<|eot_id|>"
        "<|start_header_id|>user<|end_header_id|>\n\nWhat can I do there?<|eot_id|>"
        "<|start_header_id|>assistant<|end_header_id|>\n\n",
    ),
    # llama.com/docs/model-cards-and-prompt-formats/meta-code-llama-70b, "Instructions"; it ends with a blank line and
    # one holding a space
    (
        "codellama-70b",
        chat("First user query", "Model response to first query", "Second user query", system="System prompt"),
        {},
        "<s>Source: system\n\n System prompt <step> Source: user\n\n First user query <step> Source: assistant\n\n "
        "Model response to first query <step> Source: user\n\n Second user query <step> Source: assistant\n"
        "Destination: user\n\n ",
    ),
    # github.com/mistralai/cookbook, concept-deep-dive/tokenization/chat_templates.md, "Tokenizer V1" and its system
    # prompt
    (
        "mistral-v1",
        chat("user message", "assistant message", "new user message", system="system prompt"),
        {},
        "<s> [INST] system prompt\n\nuser message [/INST] assistant message</s> [INST] new user message [/INST]",
    ),
    # The same page, "Tekken", and its system prompt
    (
        "mistral-nemo",
        chat("user message", "assistant message", "new user message", system="system prompt"),
        {},
        "<s>[INST]user message[/INST]assistant message</s>[INST]system prompt\n\nnew user message[/INST]",
    ),
    # docs.mistral.ai/cookbook/concept-deep-dive-tokenization-templates, "Tokenizer V3"
    (
        "mistral-v0.3",
        chat("Hello, how are you?", "Fine, and you?", "I'm doing great!", "Glad to hear!"),
        {},
        "<s>[INST] Hello, how are you?[/INST] Fine, and you?</s>[INST] I'm doing great![/INST] Glad to hear!</s>",
    ),
    # The same page: the system prompt is prepended to the last user message.
    (
        "mistral-v0.3",
        chat("user message", "assistant message", "new user message", system="system prompt"),
        {},
        "<s>[INST] user message[/INST] assistant message</s>[INST] system prompt\n\nnew user message[/INST]",
    ),
    # ai.google.dev/gemma/docs/formatting
    (
        "gemma-2",
        chat("knock knock", "who is there", "Gemma", "Gemma who?"),
        {"add_generation_prompt": False},
        "<bos><start_of_turn>user\nknock knock<end_of_turn>\n<start_of_turn>model\nwho is there<end_of_turn>\n"
        "<start_of_turn>user\nGemma<end_of_turn>\n<start_of_turn>model\nGemma who?<end_of_turn>\n",
    ),
    # ai.google.dev/gemma/docs/formatting, "System instructions": there is no system role, so the text stands first
    (
        "gemma-2",
        chat(
            "What is the answer to life the universe and everything?",
            "Arrr, 'tis 42,",
            system="Only reply like a pirate.",
        ),
        {"add_generation_prompt": False},
        "<bos><start_of_turn>user\nOnly reply like a pirate.\n\nWhat is the answer to life the universe and everything?"
        "<end_of_turn>\n<start_of_turn>model\nArrr, 'tis 42,<end_of_turn>\n",
    ),
    # ai.google.dev/gemma/docs/capabilities/text/chat, "Single-turn prompt"
    (
        "gemma-2",
        chat("What is the speed of light?"),
        {},
        "<bos><start_of_turn>user\nWhat is the speed of light?<end_of_turn>\n<start_of_turn>model\n",
    ),
    # huggingface.co/microsoft/Phi-3-mini-4k-instruct, "Chat Format"
    (
        "phi-3",
        chat("How to explain Internet for a medieval knight?", system="You are a helpful assistant."),
        {},
        "<|system|>\nYou are a helpful assistant.<|end|>\n<|user|>\n"
        "How to explain Internet for a medieval knight?<|end|>\n<|assistant|>\n",
    ),
    # qwen.readthedocs.io, "Key Concepts: Chat Template"; the system text is the default
    (
        "qwen2",
        chat("Give me a short introduction to large language model."),
        {},
        "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n<|im_start|>user\n"
        "Give me a short introduction to large language model.<|im_end|>\n<|im_start|>assistant\n",
    ),
    # github.com/openai/openai-python, chatml.md (v0)
    (
        "chatml",
        chat("How are you", "I am doing well!", "How are you now?"),
        {},
        "<|im_start|>user\nHow are you<|im_end|>\n<|im_start|>assistant\nI am doing well!<|im_end|>\n"
        "<|im_start|>user\nHow are you now?<|im_end|>\n<|im_start|>assistant\n",
    ),
    # github.com/tatsu-lab/stanford_alpaca, "Data Release": for examples with an empty input field
    (
        "alpaca",
        chat("Name a colour."),
        {},
        "Below is an instruction that describes a task. Write a response that appropriately completes the request.\n\n"
        "### Instruction:\nName a colour.\n\n### Response:\n",
    ),
    # github.com/lm-sys/FastChat, docs/vicuna_weights_version.md and conversation.py "vicuna_v1.1"
    (
        "vicuna",
        chat("Hello!", "Hello!", "How are you?"),
        {},
        "A chat between a curious user and an artificial intelligence assistant. The assistant gives helpful, "
        "detailed, and polite answers to the user's questions. USER: Hello! ASSISTANT: Hello!</s>"
        "USER: How are you? ASSISTANT:",
    ),
    # cookbook.openai.com/articles/openai-harmony, "Function calling"; blocks follow each other without line breaks
    (
        "gpt-oss",
        chat("What is the weather like in SF?", system="Always respond in riddles"),
        {"reasoning_effort": "high", "date_string": "2025-06-28", "tools": [LOCATION, WEATHER, MANY]},
        HARMONY,
    ),
]

BOS = {"llama-3": "<|begin_of_text|>", "llama-3.1": "<|begin_of_text|>", "gemma-2": "<bos>"}


@pytest.mark.parametrize(("name", "messages", "extra", "expected"), EXAMPLES)
def test_published_examples(name: str, messages: list[dict[str, Any]], extra: dict[str, Any], expected: str) -> None:
    assert render(messages, read_shipped(name), bos=BOS.get(name, "<s>"), eos="</s>", **extra) == expected


def test_every_shipped_template_has_an_example() -> None:
    assert {name for name, *_ in EXAMPLES} == set(shipped())


@pytest.mark.parametrize("name", shipped())
def test_no_template_loses_the_system_text_or_a_turn(name: str) -> None:
    text = render(chat("One", "Two", "Three", system="Rules."), read_shipped(name), bos="<s>", eos="</s>")
    for part in ("Rules.", "One", "Two", "Three"):
        assert text.count(part) == 1


CALLED: list[dict[str, Any]] = [
    {"role": "user", "content": "Weather?"},
    {
        "role": "assistant",
        "content": "",
        "tool_calls": [
            {"id": "abcdefghi", "type": "function", "function": {"name": "get_location", "arguments": {"a": "é"}}}
        ],
    },
    {"role": "tool", "content": "Paris", "tool_call_id": "abcdefghi", "name": "get_location"},
]


@pytest.mark.parametrize(
    ("name", "call", "answer"),
    [
        # qwen.readthedocs.io, "Function Calling": Hermes style
        (
            "qwen2",
            '<|im_start|>assistant\n<tool_call>\n{"name": "get_location", "arguments": {"a": "é"}}\n</tool_call>'
            "<|im_end|>",
            "<|im_start|>user\n<tool_response>\nParis\n</tool_response><|im_end|>\n<|im_start|>assistant\n",
        ),
        # llama.com/docs/model-cards-and-prompt-formats/llama3_1, "JSON based tool calling"
        (
            "llama-3.1",
            "<|start_header_id|>assistant<|end_header_id|>\n\n"
            '{"name": "get_location", "parameters": {"a": "é"}}<|eot_id|>',
            "<|start_header_id|>ipython<|end_header_id|>\n\nParis<|eot_id|>",
        ),
        # github.com/mistralai/mistral-common, tokenizer v3
        (
            "mistral-v0.3",
            '[TOOL_CALLS] [{"name": "get_location", "arguments": {"a": "é"}, "id": "abcdefghi"}]</s>',
            '[TOOL_RESULTS] {"content": "Paris", "call_id": "abcdefghi"}[/TOOL_RESULTS]',
        ),
        # cookbook.openai.com/articles/openai-harmony, "Handling tool calls"
        (
            "gpt-oss",
            "<|start|>assistant<|channel|>commentary to=functions.get_location <|constrain|>json<|message|>"
            '{"a":"é"}<|call|>',
            "<|start|>functions.get_location to=assistant<|channel|>commentary<|message|>Paris<|end|>"
            "<|start|>assistant",
        ),
    ],
)
def test_tools_are_listed_called_and_answered(name: str, call: str, answer: str) -> None:
    text = render(CALLED, read_shipped(name), bos="<s>", eos="</s>", tools=[LOCATION])
    assert "Gets the location of the user." in text.split(call)[0]
    assert call in text
    assert answer in text.split(call)[1]


CALCULATOR = {
    "type": "function",
    "function": {
        "name": "calculator",
        "description": "Performs mathematical calculations",
        "parameters": {
            "type": "object",
            "properties": {
                "operation": {"type": "string", "description": "The operation to be done in python format."}
            },
            "required": ["operation"],
        },
    },
}
# github.com/mistralai/cookbook, concept-deep-dive/tokenization/tool_calling.md, "Tokenizer V3", "Final String
# Representation"
MISTRAL_TOOLS = (
    '<s>[AVAILABLE_TOOLS] [{"type": "function", "function": {"name": "calculator", "description": "Performs '
    'mathematical calculations", "parameters": {"type": "object", "properties": {"operation": {"type": "string", '
    '"description": "The operation to be done in python format."}}, "required": ["operation"]}}}][/AVAILABLE_TOOLS]'
    '[INST] What\'s 2+2?[/INST][TOOL_CALLS] [{"name": "calculator", "arguments": {"operation": "2+2", "format": '
    '"celsius"}, "id": "VvvODy9mT"}]</s>[TOOL_RESULTS] {"content": 4, "call_id": "VvvODy9mT"}[/TOOL_RESULTS] 2+2=4</s>'
)


@pytest.mark.parametrize("name", ["mistral-v0.3", "mistral-nemo"])
def test_mistrals_published_tool_scenario(name: str) -> None:
    arguments = {"operation": "2+2", "format": "celsius"}
    call = {"id": "VvvODy9mT", "type": "function", "function": {"name": "calculator", "arguments": arguments}}
    messages: list[dict[str, Any]] = [
        {"role": "user", "content": "What's 2+2?"},
        {"role": "assistant", "content": "", "tool_calls": [call]},
        {"role": "tool", "content": 4, "tool_call_id": "VvvODy9mT"},
        {"role": "assistant", "content": "2+2=4"},
    ]
    expected = MISTRAL_TOOLS
    if name == "mistral-nemo":  # "Tokenizer V3 - Tekken": the same without the spaces behind the control tokens
        for mark in ("[AVAILABLE_TOOLS]", "[INST]", "[TOOL_CALLS]", "[TOOL_RESULTS]", "[/TOOL_RESULTS]"):
            expected = expected.replace(mark + " ", mark)
    assert render(messages, read_shipped(name), bos="<s>", eos="</s>", tools=[CALCULATOR]) == expected


def test_harmonys_published_tool_scenario() -> None:
    """github.com/openai/harmony, docs/format.md, "Handling tool calls": thoughts before a call are read again."""
    call = {"function": {"name": "get_weather", "arguments": {"location": "San Francisco"}}}
    messages: list[dict[str, Any]] = [
        {"role": "system", "content": "Always respond in riddles"},
        {"role": "user", "content": "What is the weather like in SF?"},
        {
            "role": "assistant",
            "content": "",
            "reasoning_content": "Need to use function get_weather.",
            "tool_calls": [call],
        },
        {"role": "tool", "content": '{"sunny": true, "temperature": 20}', "name": "get_weather"},
    ]
    expected = HARMONY + (
        "<|channel|>analysis<|message|>Need to use function get_weather.<|end|><|start|>assistant<|channel|>commentary "
        'to=functions.get_weather <|constrain|>json<|message|>{"location":"San Francisco"}<|call|>'
        "<|start|>functions.get_weather to=assistant<|channel|>commentary<|message|>"
        '{"sunny": true, "temperature": 20}<|end|><|start|>assistant'
    )
    extra = {"reasoning_effort": "high", "date_string": "2025-06-28", "tools": [LOCATION, WEATHER, MANY]}
    assert render(messages, read_shipped("gpt-oss"), bos="", eos="", **extra) == expected


def test_harmony_forgets_thoughts_once_the_answer_is_given() -> None:
    """The same page, "Handling reasoning output in subsequent sampling"; <|return|> is kept as <|end|>."""
    messages = chat("What is 2 + 2?", "2 + 2 = 4.", "What about 9 / 2?")
    messages[1]["reasoning_content"] = "Simple arithmetic."
    text = render(messages, read_shipped("gpt-oss"), bos="", eos="")
    assert text.endswith(
        "<|start|>user<|message|>What is 2 + 2?<|end|><|start|>assistant<|channel|>final<|message|>2 + 2 = 4.<|end|>"
        "<|start|>user<|message|>What about 9 / 2?<|end|><|start|>assistant"
    )
