from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.worker.test_text import cut
from webui.worker.channels import HarmonySplitter, TagSplitter, make_splitter


def split(splitter, parts):
    segments = [segment for part in parts for segment in splitter.feed(part)] + splitter.end()
    told = {}
    for channel, text in segments:
        told[channel] = told.get(channel, "") + text
    return told


THOUGHTS = [
    ("<think>hm, so</think>\n\nYes.", {"reasoning": "hm, so", "answer": "Yes."}),
    ("\n<think>\nhm\n</think>\nYes.", {"reasoning": "hm", "answer": "Yes."}),
    ("[THINK]a[/THINK]b", {"reasoning": "a", "answer": "b"}),
    ("<think></think>Yes", {"answer": "Yes"}),
    ("<think>never ends", {"reasoning": "never ends"}),
    ("No thoughts <think> here", {"answer": "No thoughts <think> here"}),
    ("<thin ice", {"answer": "<thin ice"}),
    ("  indented", {"answer": "  indented"}),
    ("<think>a</b> < c</think>d", {"reasoning": "a</b> < c", "answer": "d"}),
    ("", {}),
]


@pytest.mark.parametrize(("text", "told"), THOUGHTS)
@given(places=st.lists(st.integers(0, 100)))
def test_tags_are_split_off_however_the_text_arrives(text, told, places):
    assert split(TagSplitter(), cut(text, places)) == told


@given(places=st.lists(st.integers(0, 100)))
def test_a_prompt_that_left_the_tag_open_begins_inside(places):
    told = split(TagSplitter("<|im_start|>assistant\n<think>\n"), cut("so\n</think>\n\nYes", places))
    assert told == {"reasoning": "so", "answer": "Yes"}


HARMONY = (
    "<|channel|>analysis<|message|>hm, so<|end|><|start|>assistant<|channel|>commentary to=functions.x<|message|>{}"
    "<|call|><|start|>assistant<|channel|>final<|message|>Yes.<|return|>"
)


@given(places=st.lists(st.integers(0, 300)))
def test_harmony_channels_are_split_off_however_the_text_arrives(places):
    told = split(HarmonySplitter("...<|end|><|start|>assistant"), cut(HARMONY, places))
    assert told == {"reasoning": "hm, so", "commentary": "{}", "answer": "Yes."}


def test_a_harmony_prompt_may_have_chosen_the_channel():
    splitter = HarmonySplitter("<|start|>assistant<|channel|>final<|message|>")
    assert split(splitter, ["Yes"]) == {"answer": "Yes"}


def test_auto_goes_by_the_vocabulary():
    assert make_splitter("", "", ("<|channel|>",)) is None
    assert isinstance(make_splitter("auto", "", ("<|channel|>", "<|message|>")), HarmonySplitter)
    assert isinstance(make_splitter("auto", "", ()), TagSplitter)
    assert isinstance(make_splitter("tags", "", ("<|channel|>", "<|message|>")), TagSplitter)
