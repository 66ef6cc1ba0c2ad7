from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from webui.errors import BadValue
from webui.worker.text import StopMatcher, Utf8Joiner


def cut(data, places):
    edges = sorted({0, len(data), *(place % (len(data) + 1) for place in places)})
    return [data[a:b] for a, b in zip(edges, edges[1:], strict=False)]


@given(st.text(), st.lists(st.integers(0, 1000)))
def test_characters_split_anywhere_come_out_whole(text, places):
    joiner = Utf8Joiner()
    shown = [joiner.feed(part) for part in cut(text.encode(), places)]
    assert "".join(shown) == text
    if "\ufffd" not in text:
        assert not any("\ufffd" in part for part in shown)


def test_half_a_character_at_the_end_is_never_shown():
    joiner = Utf8Joiner()
    assert joiner.feed("да".encode()[:3]) == "д"
    assert joiner.waiting
    assert joiner.feed("🙂".encode()[:3]) != "🙂"


def test_a_copy_goes_its_own_way():
    joiner = Utf8Joiner()
    joiner.feed("я".encode()[:1])
    other = joiner.copy()
    assert other.feed("я".encode()[1:]) == "я"
    assert joiner.waiting and not other.waiting


def shown_before_stop(text, stops):
    """The definition: everything before the stop string that begins earliest."""
    places = [place for stop in stops if (place := text.find(stop)) >= 0]
    return text[: min(places)] if places else text


words = st.text("abя", max_size=30)


@given(words, st.lists(st.text("abя", min_size=1, max_size=5), max_size=4), st.lists(st.integers(0, 100)))
def test_stop_strings_cut_as_the_definition_says_however_the_text_arrives(text, stops, places):
    matcher = StopMatcher(stops)
    parts = [matcher.feed(part) for part in cut(text, places)]
    shown = "".join(parts) + matcher.end()
    assert shown == shown_before_stop(text, stops)
    assert (matcher.stop_string is None) == (shown == text and not any(stop in text for stop in stops))


@given(words, st.lists(st.text("abя", min_size=1, max_size=5), min_size=1, max_size=4))
def test_nothing_of_a_stop_string_is_ever_shown_early(text, stops):
    matcher = StopMatcher(stops)
    shown = ""
    for place, character in enumerate(text):
        shown += matcher.feed(character)
        assert shown_before_stop(text[: place + 1], stops).startswith(shown)


def test_the_stop_string_is_told():
    matcher = StopMatcher(["###", "\nUser:"])
    assert matcher.feed("fine\nUs") == "fine"
    assert matcher.feed("er: hello") == ""
    assert matcher.stop_string == "\nUser:"
    assert matcher.feed("more") == ""


def test_what_might_have_been_a_stop_string_is_shown_when_it_is_none():
    matcher = StopMatcher(["###"])
    assert matcher.feed("a##") == "a"
    assert matcher.feed("b") == "##b"


def test_an_empty_stop_string_is_refused():
    with pytest.raises(BadValue) as caught:
        StopMatcher(["x", ""])
    assert caught.value.param == "stop"
