"""The set of loaded models: who makes way for another one, and the bars."""

from __future__ import annotations

from webui.hub.machine import Gpu, Machine, Used
from webui.hub.memory import Estimate, Plan, Share
from webui.hub.room import Held
from webui.tabs import model_set
from webui.tabs.model_set import beside, replacing
from webui.tabs.model_words import size_text
from webui.tabs.words import Words

EN = Words("en")
GB = 10**9


def held(name: str, *, ram: int, own: int, gpu: int = 0, current: bool = False, locked: bool = False) -> Held:
    return Held(name, current, Used(ram * GB, gpu * GB, own * GB), locked=locked)


def needs(ram: int, gpu: int = 0) -> Estimate:
    return Estimate(Share(weights=ram * GB), Share(weights=gpu * GB), Plan(mmap=False))


def test_who_makes_way() -> None:
    old, other = held("old", ram=8, own=3, current=True), held("other", ram=4, own=1)
    models = [old, other]
    assert replacing(models, "new") == ([other], [old]), "the current one"
    assert replacing(models, "other") == ([old], [other]), "it is loaded anew in its place"
    assert beside(models, "new") == (models, []) and beside(models, "other") == ([old], [other])


def test_the_bars_add_up_and_say_what_the_chosen_one_would_add() -> None:
    machine = Machine(10 * GB, 16 * GB)
    models = [held("old", ram=3, own=2, current=True), held("other", ram=2, own=2)]
    shown = model_set.look(EN, machine, models, "new", needs(ram=4))
    (bar,) = shown["meters"]
    assert [part["amount"] for part in bar["parts"]] == [2 * GB, 3 * GB, 2 * GB, 4 * GB]
    assert bar["parts"][3]["label"] == f"new would add {size_text(EN, 4 * GB)}" and not bar["over"]
    assert size_text(EN, 5 * GB) in bar["text"] and bar["total"] == 16 * GB
    assert shown["beside"]["code"] == "fits" and "old" in shown["place"] and size_text(EN, 3 * GB) in shown["place"]
    full = model_set.look(EN, machine, models, "new", needs(ram=12))
    assert full["meters"][0]["over"] and full["meters"][0]["total"] == 19 * GB
    assert full["beside"]["code"] == "too_large" and "too much" in full["beside"]["text"]
    again = model_set.look(EN, machine, models, "old", needs(ram=4))
    assert len(again["meters"][0]["parts"]) == 3 and again["beside"] is None, "it is there already and adds nothing"
    assert again["place"] == "Counted in: the 3.00 GB that it gives back first."
    assert model_set.look(EN, machine, [], "new", needs(ram=4))["meters"] == []


def test_a_model_on_the_card_has_a_bar_of_its_own_there() -> None:
    machine = Machine(10 * GB, 16 * GB, (Gpu("a", 3 * GB, 8 * GB),))
    shown = model_set.look(EN, machine, [held("old", ram=1, own=1, gpu=4)], "new", needs(ram=1, gpu=2))
    _, gpu = shown["meters"]
    assert [part["amount"] for part in gpu["parts"]] == [1 * GB, 4 * GB, 2 * GB] and not gpu["over"]
