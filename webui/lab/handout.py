"""What can be taken elsewhere: the table as CSV, a call for the API. Knows nothing of files or pages."""

from __future__ import annotations

import csv
import io
import json
import shlex
from typing import Any

from webui.lab.export import chain_data
from webui.lab.funnel import Funnel
from webui.lab.picture import picture
from webui.lab.rows import KeptRow
from webui.lab.texts import Texts
from webui.samplers.chain import Chain


def to_csv(funnel: Funnel, texts: Texts, *, rows: int = 1000) -> str:
    """A line a token by rank, then all others, so that the columns add up to 1. Texts are JSON strings: a blank stays
    visible, and no spreadsheet takes one for a formula.
    """
    shown = picture(funnel, shown=rows)
    names = {stage.index: stage.sampler for stage in funnel.stages}
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(["rank", "token", "text", "raw", "final", "cut_by"])
    for bar in shown.bars:
        text = json.dumps(texts[bar.token], ensure_ascii=False)
        cut = f"{bar.cut_by + 1}:{names[bar.cut_by]}" if bar.cut_by >= 0 else ""
        writer.writerow([bar.rank, bar.token, text, f"{bar.raw:.9g}", f"{bar.final:.9g}", cut])
    if shown.others.count:
        final, raw = f"{shown.others.final:.9g}", f"{shown.others.raw:.9g}"
        writer.writerow(["", "", f"(others: {shown.others.count})", raw, final, ""])
    return out.getvalue()


def to_call(kept: KeptRow, chain: Chain, *, seed: int, url: str, prompt: str | None, tokens: int = 20) -> str:
    """A curl command that asks our API for the same chain from the same tokens. The chain travels whole, in its order:
    flat fields could not say that a sampler stands there twice.
    """
    body: dict[str, Any] = {
        "prompt": prompt if prompt is not None else list(kept.tokens),
        "max_tokens": tokens,
        "seed": seed,
        "chain": chain_data(step for step, stage in zip(chain.steps, chain.stages, strict=True) if not stage.off),
    }
    text = json.dumps(body, ensure_ascii=False)
    return f"curl {url}/v1/completions -H 'Content-Type: application/json' -d {shlex.quote(text)}"
