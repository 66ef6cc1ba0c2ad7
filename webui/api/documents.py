"""The page about the API, without anything from another host: the routes, their fields, and a way to try them."""

from __future__ import annotations

import html
import json
from typing import Any

from fastapi import APIRouter, FastAPI
from fastapi.responses import HTMLResponse

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
summary { cursor: pointer; padding: .4rem 0; } summary b { display: inline-block; width: 4rem; }
code, pre, textarea { font: 13px/1.4 ui-monospace, monospace; }
pre, textarea { width: 100%; box-sizing: border-box; background: #8881; border: 1px solid #8884; padding: .6rem; }
pre { white-space: pre-wrap; overflow-wrap: anywhere; } table { border-collapse: collapse; }
td { padding: .1rem .8rem .1rem 0; vertical-align: top; overflow-wrap: anywhere; }
button { padding: .3rem 1rem; margin: .4rem 0; }
@media (prefers-color-scheme: dark) { body { background: #111; color: #ddd; } textarea { color: inherit; } }
"""

SCRIPT = """
for (const form of document.querySelectorAll('form')) {
  form.addEventListener('submit', async event => {
    event.preventDefault();
    const output = form.querySelector('pre');
    output.textContent = '';
    const key = document.getElementById('key').value;
    const headers = key ? { Authorization: 'Bearer ' + key } : {};
    const options = { method: form.dataset.method, headers };
    const text = form.querySelector('textarea');
    if (text) { headers['Content-Type'] = 'application/json'; options.body = text.value; }
    const answer = await fetch(form.dataset.path, options);
    const reader = answer.body.getReader(), decoder = new TextDecoder();
    output.textContent = answer.status + '\\n';
    for (let part; !(part = await reader.read()).done;)
      output.textContent += decoder.decode(part.value, { stream: true });
  });
}
"""


def router(app: FastAPI) -> APIRouter:
    routes = APIRouter(include_in_schema=False)

    @routes.get("/docs")
    async def docs() -> HTMLResponse:
        return HTMLResponse(page(app.openapi()), headers={"Content-Security-Policy": POLICY})

    @routes.get("/")
    async def root() -> HTMLResponse:
        return HTMLResponse(page(app.openapi()), headers={"Content-Security-Policy": POLICY})

    return routes


POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'"


def page(schema: dict[str, Any]) -> str:
    """One HTML file: every operation folded, its fields, a form."""
    parts: list[str] = []
    for path, methods in schema["paths"].items():
        for method, operation in methods.items():
            parts.append(_operation(schema, path, method.upper(), operation))
    intro = (
        "Every answer tells its seed, its sampler chain and its timings. Sampler fields of other tools are understood "
        'by their names; <a href="/openapi.json">openapi.json</a> has it all for programs.'
    )
    return (
        f"<!doctype html><html lang=en><meta charset=utf-8>"
        "<meta name=viewport content='width=device-width, initial-scale=1'><link rel=icon href='data:,'>"
        f"<title>Sampler Lab API</title><style>{STYLE}</style>"
        f"<h1>Sampler Lab API</h1><p>{intro}</p><p><label>API key, if the server has one: "
        f"<input id=key type=password></label></p>{''.join(parts)}<script>{SCRIPT}</script></html>"
    )


def _operation(schema: dict[str, Any], path: str, method: str, operation: dict[str, Any]) -> str:
    fields, example = "", ""
    content = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
    if content:
        body = _resolve(schema, content["schema"])
        rows = "".join(_row(name, field) for name, field in body.get("properties", {}).items())
        fields = f"<table>{rows}</table>"
        example = f"<textarea rows=6>{html.escape(_example(path, body))}</textarea>"
    title = html.escape(operation.get("summary", ""))
    form = (
        f'<form data-path="{html.escape(path)}" data-method="{method}">{example}<button>Send</button><pre></pre></form>'
        if "{" not in path
        else ""
    )
    return (
        f"<details><summary><b>{method}</b> <code>{html.escape(path)}</code> {title}</summary>{fields}{form}</details>"
    )


def _resolve(schema: dict[str, Any], part: dict[str, Any]) -> dict[str, Any]:
    reference = part.get("$ref", "")
    found: dict[str, Any] = schema["components"]["schemas"][reference.rsplit("/", 1)[-1]] if reference else part
    return found


def _row(name: str, field: dict[str, Any]) -> str:
    kinds = [part.get("type", "") for part in field.get("anyOf", [field])]
    kind = " or ".join(dict.fromkeys(str(kind) for kind in kinds if kind and kind != "null"))
    note = html.escape(str(field.get("description", "")))
    return f"<tr><td><code>{html.escape(name)}</code></td><td>{html.escape(kind)}</td><td>{note}</td></tr>"


def _example(path: str, body: dict[str, Any]) -> str:
    if "messages" in body.get("properties", {}):
        example: dict[str, Any] = {"messages": [{"role": "user", "content": "Hello!"}], "max_tokens": 64}
        return json.dumps(example | ({"stream": True} if "completions" in path else {}), indent=2)
    values = {"prompt": "Once upon a time", "text": "Once upon a time", "content": "Once upon a time", "tokens": [1, 2]}
    return json.dumps({name: values.get(name, "") for name in body.get("required", [])}, indent=2)
