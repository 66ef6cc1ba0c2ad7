"""The set of loaded models: what is free for one more, counting what a replaced one gives back, and the bars."""

from __future__ import annotations

from webui.hub.machine import Gpu, Machine, Used
from webui.hub.memory import Estimate, Plan, Share
from webui.tabs import model_set
from webui.tabs.model_set import Held, beside, replacing, room
from webui.tabs.model_words import size_text
from webui.tabs.words import Words

EN = Words("en")
GB = 10**9


def held(name: str, *, ram: int, own: int, gpu: int = 0, current: bool = False, locked: bool = False) -> Held:
    return Held(name, current, Used(ram * GB, gpu * GB, own * GB), locked=locked)


def needs(ram: int, gpu: int = 0) -> Estimate:
    return Estimate(Share(weights=ram * GB), Share(weights=gpu * GB), Plan(mmap=False))


def test_a_replaced_model_gives_back_what_it_holds_and_the_others_keep_their_mapped_weights() -> None:
    machine = Machine(6 * GB, 16 * GB)
    old, other = held("old", ram=8, own=3, current=True), held("other", ram=4, own=1)
    models = [old, other]
    assert room(machine, *replacing(models, "new")).ram_free == (6 + 3 - 3) * GB, "other's weights stay in use"
    assert room(machine, *beside(models, "new")).ram_free == 0, "more is mapped than there is free"
    assert room(machine, *replacing(models, "other")).ram_free == (6 + 1 - 5) * GB, "it is loaded anew in its place"
    assert room(machine, *beside(models, "other")).ram_free == (6 + 1 - 5) * GB
    locked = held("locked", ram=8, own=3, current=True, locked=True)
    assert room(machine, *replacing([locked], "new")).ram_free == (6 + 8) * GB
    assert room(machine, *beside([locked], "new")).ram_free == 6 * GB, "locked weights count as taken already"


def test_cards_get_back_what_was_on_them_and_keep_room_for_what_is_still_loading() -> None:
    machine = Machine(9 * GB, 16 * GB, (Gpu("a", 2 * GB, 8 * GB), Gpu("b", 6 * GB, 8 * GB)))
    old = held("old", ram=1, own=1, gpu=4, current=True)
    free = [card.free for card in room(machine, *replacing([old], "new")).gpus]
    assert free == [5 * GB, 7 * GB], "where more is taken, more comes back"
    coming = Held("coming", False, Used(1 * GB, 0, 1 * GB), needs(ram=3, gpu=4))
    later = room(machine, [coming])
    assert later.ram_free == (9 - 2) * GB and later.gpu_free == (8 - 4) * GB


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
