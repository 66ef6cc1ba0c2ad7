"""Text of models becomes HTML that can do nothing."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.tabs.hostile import HOSTILE
from webui.tabs.markdown import Markdown, finished_blocks

TAG = re.compile(r"<\s*([a-zA-Z0-9]+)([^>]*)>")
ALLOWED = set(
    "p br hr h1 h2 h3 h4 h5 h6 strong em s code pre span div blockquote ul ol li a table thead tbody tr th td".split()  # noqa: SIM905
)
markdown = Markdown()


def harmless(html: str) -> bool:
    for name, attributes in TAG.findall(html):
        names = set(re.findall(r"""([a-zA-Z-]+)\s*=\s*["']""", re.sub(r'"[^"]*"', '""', attributes)))
        if name not in ALLOWED or names - {"href", "title", "class", "start", "align", "target", "rel"}:
            return False
        if "href" in names and not re.search(r'href="(?:https?:|mailto:)', attributes) and 'href=""' not in attributes:
            return bool(re.search(r'href="[^":]*"', attributes))
    return True


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_is_harmless(text: str) -> None:
    for shape in (
        text,
        f"> {text}",
        f"- {text}",
        f"`{text}`",
        f"```html\n{text}\n```",
        f"|a|\n|-|\n|{text}|",
        f"**{text}",
    ):
        assert harmless(markdown.render(shape)), shape


@given(st.text(max_size=200))
def test_any_text_is_harmless(text: str) -> None:
    assert harmless(markdown.render(text))


def test_links_tell_the_other_site_nothing_and_images_are_never_loaded() -> None:
    html = markdown.render("[there](https://example.com) ![picture](https://example.com/x.png)")
    assert 'rel="noopener noreferrer nofollow"' in html and 'target="_blank"' in html
    assert "<img" not in html


def test_code_is_highlighted_and_kept_to_the_letter() -> None:
    code = 'def f(x):\n    return "<b>&amp;" + x  # ok\n'
    html = markdown.render(f"```python\n{code}```")
    assert '<span class="k">def</span>' in html
    plain = re.sub("<[^>]+>", "", html).replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", '"')
    assert plain.replace("&amp;", "&").strip() == code.strip()
    assert "&lt;b&gt;" in markdown.render("```nosuchlanguage\n<b>\n```")


@given(st.lists(st.sampled_from(["text", "", "```", "~~~", "    code", "- item", "```py"]), max_size=12))
def test_cutting_a_growing_text_loses_nothing(lines: list[str]) -> None:
    text = "\n".join(lines)
    blocks, tail = finished_blocks(text)
    joined = [line for part in (*blocks, tail) for line in part.split("\n")]
    assert [line for line in joined if line.strip()] == [line for line in text.split("\n") if line.strip()]


@given(st.text(alphabet="ab`\n ", max_size=80), st.text(alphabet="ab`\n ", max_size=20))
def test_finished_blocks_stay_finished(text: str, more: str) -> None:
    before, _ = finished_blocks(text)
    after, _ = finished_blocks(text + more)
    assert after[: len(before)] == before
