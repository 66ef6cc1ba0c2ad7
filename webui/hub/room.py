"""What a further model may take, if some of those that are loaded stay and others go first.

Arithmetic over what the system tells of worker processes; knows nothing of files, forms or loading.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from webui.hub.machine import Gpu, Machine, Used
from webui.hub.memory import Estimate


@dataclass(frozen=True, slots=True)
class Held:
    """A model that is there: what its worker holds now, and what it comes to in the end where it is still loading.

    `locked` weights (mlock) count as taken; mapped ones the system counts as free although they are used.
    """

    name: str
    current: bool
    used: Used
    expected: Estimate | None = None
    locked: bool = False

    @property
    def mapped(self) -> int:
        return 0 if self.locked else self.used.ram - self.used.own

    @property
    def returned(self) -> int:
        """RAM that counts as taken now and is free once it goes."""
        return self.used.ram - self.mapped


def room(machine: Machine, staying: Sequence[Held], leaving: Sequence[Held] = ()) -> Machine:
    """What a further model may take, if these stay where they are and those go first."""
    ram = machine.ram_free + sum(held.returned for held in leaving) - sum(held.mapped for held in staying)
    gpu = sum(held.used.gpu for held in leaving)
    for held in staying:
        if held.expected is not None:
            ram -= max(0, held.expected.ram.total - held.used.ram)
            gpu -= max(0, held.expected.gpu.total - held.used.gpu)
    cards = tuple(replace(card, free=card.free + _share(gpu, card, machine)) for card in machine.gpus)
    return replace(machine, ram_free=min(machine.ram_total, max(0, ram)), gpus=cards)


def _share(amount: int, card: Gpu, machine: Machine) -> int:
    """This card's part of what comes back (by what is taken there), or of what goes (by what is free there)."""
    if amount >= 0:
        return amount * (card.total - card.free) // max(1, machine.gpu_total - machine.gpu_free)
    return -min(card.free, -amount * card.free // max(1, machine.gpu_free))
