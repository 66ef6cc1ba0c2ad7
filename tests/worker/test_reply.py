from __future__ import annotations

from webui.worker.channels import TagSplitter
from webui.worker.reply import Point, Reply, fold


def push(reply, position, text):
    return reply.push({"kind": "token", "choice": 0, "token": position}, text.encode(), Point(position, position))


def shown(reply):
    return "".join(event["text"] for event in reply.out)


def test_a_banned_phrase_goes_back_to_the_token_it_begins_in():
    reply = Reply(banned=["shivers down"])
    assert push(reply, 10, "It sent") is None
    assert push(reply, 11, " sh") is None
    assert push(reply, 12, "ivers") is None
    assert shown(reply) == "It sent"
    back = push(reply, 13, " down her spine")
    assert back is not None and back.position == 11
    assert push(reply, 11, " a letter") is None
    assert shown(reply) + reply.end() == "It sent a letter"
    assert [event["token"] for event in reply.out] == [10, 11]


def test_bans_ignore_case():
    reply = Reply(banned=["As An AI"])
    assert push(reply, 5, "as an ai") is not None
    assert fold("ПРИВЕТ İ") == "привет İ"


def test_text_that_only_looked_banned_is_shown_in_the_end():
    reply = Reply(banned=["abcd"])
    push(reply, 0, "ab")
    assert shown(reply) == ""
    assert reply.held == 1
    assert reply.end() == ""
    assert shown(reply) == "ab"


def test_going_back_into_a_character_split_over_tokens():
    reply = Reply(banned=["я"])
    first, second = "я".encode()[:1], "я".encode()[1:]
    assert reply.push({"token": 1}, b"a", Point(1, 1)) is None
    assert reply.push({"token": 2}, first, Point(2, 2)) is None
    back = reply.push({"token": 3}, second, Point(3, 3))
    assert back is not None and back.position in (2, 3)
    assert reply.push({"token": 4}, "ю".encode(), Point(back.position, 4)) is None
    reply.end()
    assert shown(reply).replace("\ufffd", "") == "aю"


def test_after_a_stop_string_nothing_more_leaves():
    reply = Reply(stops=["END"], banned=["ENDLESS"])
    for position, text in enumerate(["a", "END", "!"]):
        push(reply, position, text)
    reply.end()
    assert shown(reply) == "a"
    assert reply.stops.stop_string == "END"


def test_text_of_two_channels_in_one_token_makes_two_events():
    reply = Reply(splitter=TagSplitter())
    push(reply, 0, "<think>so</think>Yes")
    assert [(event["token"], event["channel"], event["text"]) for event in reply.out] == [
        (0, "reasoning", "so"),
        (-1, "answer", "Yes"),
    ]


def test_thoughts_that_never_end_leave_as_thoughts():
    reply = Reply(splitter=TagSplitter())
    push(reply, 0, "<think>so </thi")
    assert reply.end() == ""
    assert "".join(event["text"] for event in reply.out if event["channel"] == "reasoning") == "so </thi"
