"""What is free for one more model, counting what those that make way give back."""

from __future__ import annotations

from webui.hub.machine import Gpu, Machine, Used
from webui.hub.memory import Estimate, Plan, Share
from webui.hub.room import Held, room

GB = 10**9


def held(name: str, *, ram: int, own: int, gpu: int = 0, current: bool = False, locked: bool = False) -> Held:
    return Held(name, current, Used(ram * GB, gpu * GB, own * GB), locked=locked)


def needs(ram: int, gpu: int = 0) -> Estimate:
    return Estimate(Share(weights=ram * GB), Share(weights=gpu * GB), Plan(mmap=False))


def test_a_replaced_model_gives_back_what_it_holds_and_the_others_keep_their_mapped_weights() -> None:
    machine = Machine(6 * GB, 16 * GB)
    old, other = held("old", ram=8, own=3, current=True), held("other", ram=4, own=1)
    assert room(machine, [other], [old]).ram_free == (6 + 3 - 3) * GB, "other's weights stay in use"
    assert room(machine, [old, other]).ram_free == 0, "more is mapped than there is free"
    assert room(machine, [old], [other]).ram_free == (6 + 1 - 5) * GB, "it is loaded anew in its place"
    locked = held("locked", ram=8, own=3, current=True, locked=True)
    assert room(machine, [], [locked]).ram_free == (6 + 8) * GB
    assert room(machine, [locked]).ram_free == 6 * GB, "locked weights count as taken already"


def test_cards_get_back_what_was_on_them_and_keep_room_for_what_is_still_loading() -> None:
    machine = Machine(9 * GB, 16 * GB, (Gpu("a", 2 * GB, 8 * GB), Gpu("b", 6 * GB, 8 * GB)))
    old = held("old", ram=1, own=1, gpu=4, current=True)
    free = [card.free for card in room(machine, [], [old]).gpus]
    assert free == [5 * GB, 7 * GB], "where more is taken, more comes back"
    coming = Held("coming", False, Used(1 * GB, 0, 1 * GB), needs(ram=3, gpu=4))
    later = room(machine, [coming])
    assert later.ram_free == (9 - 2) * GB and later.gpu_free == (8 - 4) * GB
