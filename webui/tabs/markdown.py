"""Text of models and people as HTML that is safe to show.

Markdown without raw HTML, code highlighted by classes, and a sanitiser last, whatever came before. No images: a page
never loads anything a model wrote. Knows nothing of chats.
"""

from __future__ import annotations

import html

import nh3
from markdown_it import MarkdownIt
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import get_lexer_by_name
from pygments.util import ClassNotFound

LONGEST_HIGHLIGHTED = 40_000

_TAGS = frozenset(
    ("p", "br", "hr", "h1", "h2", "h3", "h4", "h5", "h6", "strong", "em", "s", "code", "pre", "span", "div")
    + ("blockquote", "ul", "ol", "li", "a", "table", "thead", "tbody", "tr", "th", "td")
)
_ATTRIBUTES = {
    "a": {"href", "title"},
    "code": {"class"},
    "pre": {"class"},
    "span": {"class"},
    "div": {"class"},
    "ol": {"start"},
    "th": {"align"},
    "td": {"align"},
}
_SCHEMES = frozenset({"http", "https", "mailto"})


def _code(text: str, language: str, _: object = None) -> str:
    """The inside of a fenced block. Unknown or very long code is only escaped."""
    name = language.strip().split(" ")[0].lower()
    if not name or len(text) > LONGEST_HIGHLIGHTED:
        return html.escape(text)
    try:
        lexer = get_lexer_by_name(name, stripnl=False)
    except ClassNotFound:
        return html.escape(text)
    marked: str = highlight(text, lexer, HtmlFormatter(nowrap=True))
    return marked


class Markdown:
    """Made once; rendering keeps no state."""

    def __init__(self) -> None:
        options = {"html": False, "linkify": False, "breaks": True, "highlight": _code}
        self._parser = MarkdownIt("commonmark", options).enable(["table", "strikethrough"]).disable("image")

    def render(self, text: str) -> str:
        return nh3.clean(
            self._parser.render(text),
            tags=set(_TAGS),
            attributes=_ATTRIBUTES,
            url_schemes=set(_SCHEMES),
            link_rel="noopener noreferrer nofollow",
            set_tag_attribute_values={"a": {"target": "_blank"}},
        )


def finished_blocks(text: str) -> tuple[list[str], str]:
    """Cut a text that is still growing at its blank lines: whole blocks, and the tail that may still change.

    A fenced block of code is whole only when its fence is closed.
    """
    blocks: list[str] = []
    current: list[str] = []
    fence = ""
    lines = text.split("\n")
    for line in lines[:-1]:
        mark = line.lstrip()[:3]
        if not fence and mark in ("```", "~~~"):
            fence = mark
        elif fence and line.strip() == fence:
            fence = ""
        if line.strip() or fence:
            current.append(line)
        elif current:
            blocks.append("\n".join(current))
            current = []
    return blocks, "\n".join([*current, lines[-1]])
