"""A chat as the browser draws it: messages as safe HTML, figures and problems as words.

Pure: nodes and replies in, JSON out. Knows nothing of Gradio.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from webui.chat.history import ChatInfo, Node
from webui.chat.reply import Reply
from webui.tabs.markdown import Markdown, finished_blocks
from webui.tabs.words import Words


class ChatWords:
    """For one language. Rendered messages are kept by id and text, since they never change."""

    def __init__(self, words: Words, markdown: Markdown) -> None:
        self.words = words
        self._markdown = markdown

    def chat(self, chat: ChatInfo, running: bool) -> dict[str, Any]:
        return {
            "id": chat.id,
            "title": chat.title or self.words("chat.untitled"),
            "updated": chat.updated,
            "found": chat.found,
            "running": running,
        }

    def message(self, node: Node, *, live: bool) -> dict[str, Any]:
        return {
            "id": node.id,
            "role": node.role,
            "who": self._who(node),
            "text": node.content,
            "html": "" if live else self._markdown.render(node.content),
            "versions": list(node.versions),
            "live": live,
            "figures": [] if live else self.figures(node),
            "problem": self.problem(node.meta.get("problem")),
            "notice": self._notice(node),
            "thoughts": str(node.meta.get("thoughts") or ""),
            "traced": bool(node.meta.get("traced")),
        }

    def live(self, reply: Reply, blocks: int) -> dict[str, Any]:
        """What is new since the page had `blocks` whole blocks."""
        whole, tail = finished_blocks(reply.text)
        return {
            "node": reply.node,
            "version": reply.version,
            "stage": self._stage(reply),
            "share": reply.done / reply.total if reply.total else 0.0,
            "blocks": [self._markdown.render(block) for block in whole[blocks:]],
            "count": len(whole),
            "tail": tail,
            "thoughts": "".join(reply.thoughts),
            "speed": self.words("figure.speed", n=self.words.number(reply.speed, 1)) if reply.tokens > 1 else "",
            "problem": self.problem(reply.problem),
        }

    def problem(self, problem: Mapping[str, Any] | None) -> str:
        if not problem:
            return ""
        return self.words.problem(problem["code"], problem["message"], problem.get("values", {}))

    def figures(self, node: Node) -> list[dict[str, Any]]:
        """The line under a reply: each figure with a sentence that explains it."""
        meta = node.meta
        if node.role != "assistant":
            return []
        if node.state == "interrupted":
            return [self._figure("reason", self.words("reason.interrupted"), "reason.interrupted.help")]
        if meta.get("edited"):
            return [self._figure("reason", self.words("figure.edited"), "figure.edited.help")]
        if meta.get("reason") == "fallback_text":
            return [self._figure("reason", self.words("reason.fallback_text"), "reason.fallback_text.help")]
        if "tokens" not in meta:
            return []
        shown = []
        if meta.get("tokens_per_second"):
            shown.append(
                self._figure(
                    "speed",
                    self.words("figure.speed", n=self.words.number(meta["tokens_per_second"], 1)),
                    "figure.speed.help",
                )
            )
        if meta.get("first_token_seconds"):
            shown.append(
                self._figure(
                    "first",
                    self.words("figure.first", n=self.words.number(meta["first_token_seconds"], 2)),
                    "figure.first.help",
                )
            )
        used = self.words("figure.context", used=meta.get("context_used", 0), size=meta.get("n_ctx", 0))
        shown.append(
            {
                **self._figure("context", used, "figure.context.help"),
                "share": meta.get("context_used", 0) / (meta.get("n_ctx") or 1),
            }
        )
        reason = meta.get("reason") or "stop"
        shown.append(self._figure("reason", self.words(f"reason.{reason}"), f"reason.{reason}.help"))
        if meta.get("loras"):
            shown.append(self._figure("loras", loras_line(self.words, meta["loras"]), "figure.loras.help"))
        shown.append(
            {
                **self._figure("seed", self.words("figure.seed", n=meta["seed"]), "figure.seed.help"),
                "seed": meta["seed"],
            }
        )
        return shown

    def _figure(self, kind: str, text: str, help_key: str) -> dict[str, Any]:
        return {"kind": kind, "text": text, "help": self.words(help_key)}

    def _who(self, node: Node) -> str:
        if node.role == "user":
            return self.words("chat.you")
        return str(node.meta.get("model") or self.words("chat.model"))

    def _notice(self, node: Node) -> str:
        """What the reader must know of how this was made: what the model did not see, and who did not answer."""
        dropped = int(node.meta.get("dropped") or 0)
        told = [self.words.count("chat.dropped", dropped)] if dropped else []
        for miss in node.meta.get("fallback") or ():
            told.append(missed_line(self.words, miss["model"], miss["code"], miss["message"], miss.get("values", {})))
        return " ".join(told)

    def _stage(self, reply: Reply) -> str:
        words = self.words
        if reply.stage == "queued":
            return words("stage.queued", n=int(reply.done))
        if reply.stage == "prompt" and reply.total:
            return words("stage.prompt", done=int(reply.done), total=int(reply.total))
        if reply.stage == "loading":
            return words("stage.loading", n=round(reply.done * 100))
        return "" if reply.stage == "writing" else words("stage.waiting")


def missed_line(words: Words, model: str, code: str, message: str, values: Mapping[str, Any]) -> str:
    """A model of the fallback order that did not answer, and why."""
    return words("chat.missed", name=model, reason=words.problem(code, message, values))


def loras_line(words: Words, loras: Sequence[Mapping[str, Any]]) -> str:
    """The LoRAs a text was written with, and how strongly each of them worked."""
    told = (words("figure.lora", name=lora["name"], n=words.number(lora["scale"], 2)) for lora in loras)
    return ", ".join(told)
