"""What the Logits tab's script is told: a position as plain data, in the visitor's language.

Pure: funnels and pictures in, JSON out. Knows nothing of Gradio.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from webui.lab.draws import Draws
from webui.lab.explain import explain
from webui.lab.find import Fate
from webui.lab.funnel import Funnel, StageView
from webui.lab.minis import mini
from webui.lab.picture import Picture
from webui.lab.rows import KeptRow
from webui.lab.texts import Texts, number, percent, visible
from webui.lab.walk import Tree
from webui.samplers.chain import Chain

Answer = dict[str, Any]
STRIP = 64
"""How many tokens of the prompt's end the page shows."""


def tell_position(seen: Funnel, picture: Picture, texts: Texts, language: str) -> Answer:
    """Everything that follows from the chain at one position."""
    return {
        "stages": [tell_stage(stage, texts, language) for stage in seen.stages],
        "start": tell_spread(seen.start_count, seen.start_entropy),
        "final": tell_spread(seen.final_count, seen.final_entropy),
        "bars": [[*asdict(bar).values(), visible(texts[bar.token], bar.token)] for bar in picture.bars],
        "others": asdict(picture.others),
        "limit": asdict(picture.limit) if picture.limit else None,
        "focus": picture.focus,
    }


def tell_spread(count: int, entropy: float) -> Answer:
    return {"count": count, "entropy": entropy, "choices": 2.0**entropy}


def tell_stage(stage: StageView, texts: Texts, language: str) -> Answer:
    words = explain(stage, language)
    told: Answer = {
        "off": stage.off,
        "in": stage.tokens_in,
        "out": stage.tokens_out,
        "cut": stage.cut_mass,
        "entropy": [stage.entropy_before, stage.entropy_after],
        "choices": [stage.choices_before, stage.choices_after],
        "formula": words.formula,
        "now": words.now,
        "did": words.did,
        "warning": stage.warning[language] if stage.warning else "",
        "fired": stage.notes.get("fired"),
    }
    small = mini(stage)
    if small is not None:
        shown = asdict(small)
        shown["texts"] = [visible(texts[token], token) for token in small.tokens[:16]]
        del shown["tokens"]
        told["mini"] = shown
    return told


def tell_row(row: KeptRow) -> Answer:
    """What does not depend on the chain."""
    return {"id": row.id, "vocabulary": row.size, "entropy": row.entropy, "curve": row.curve}


def tell_walk(tree: Tree, texts: Texts, chain: Chain, language: str) -> Answer:
    """The tree as branches: for each end, the way to it with what it cost."""
    leaves = {node.id for node in tree.nodes} - {node.parent for node in tree.nodes} - {0}
    present = {node.id for node in tree.path()}
    product = tree.product()
    tail = tree.prompt[-STRIP:]
    return {
        "prompt": [[token, visible(texts[token], token)] for token in tail],
        "hidden": len(tree.prompt) - len(tail),
        "current": tree.current,
        "path": [_tell_node(tree, node.id, texts, chain) for node in tree.path()],
        "product": {
            "steps": product.steps,
            "raw": _tell_share(product.raw_log, product.raw, language),
            "final": _tell_share(product.final_log, product.final, language),
        },
        "branches": [_tell_branch(tree, leaf, present, texts, chain, language) for leaf in sorted(leaves)],
    }


def _tell_branch(tree: Tree, leaf: int, present: set[int], texts: Texts, chain: Chain, language: str) -> Answer:
    product = tree.product(leaf)
    return {
        "node": leaf,
        "here": leaf in present,
        "steps": [_tell_node(tree, node.id, texts, chain) for node in tree.path(leaf)],
        "raw": _tell_share(product.raw_log, product.raw, language),
        "final": _tell_share(product.final_log, product.final, language),
    }


def _tell_share(log: float, share: float, language: str) -> str:
    """A product of probabilities: as a percentage while one can read it, then as a power of ten."""
    if share >= 1e-4 or log == float("-inf"):
        return percent(share, language)
    if share > 1e-300:
        return number(share, language)
    return f"10^{number(log / 2.302585092994046, language)}"


def _tell_node(tree: Tree, node: int, texts: Texts, chain: Chain) -> list[Any]:
    step = tree[node]
    same = not step.chain or step.chain == chain.steps
    return [
        step.id,
        step.token,
        visible(texts[step.token], step.token),
        step.raw,
        step.final,
        step.rank,
        step.drawn,
        same,
    ]


def tell_fate(fate: Fate, texts: Texts) -> Answer:
    return {**asdict(fate), "text": visible(texts[fate.token], fate.token)}


def tell_draws(draws: Draws, texts: Texts) -> Answer:
    told = asdict(draws)
    told["tokens"] = [
        [drawn.token, visible(texts[drawn.token], drawn.token), drawn.count, drawn.probability, drawn.spread]
        for drawn in draws.tokens
    ]
    told["text"] = visible(texts[draws.first], draws.first)
    return told
