"""The tree of what was tried: positions reached by appending tokens, each with its probability and their product.

Immutable: every step gives a new tree. Knows nothing of rows or models.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

from webui.errors import BadValue
from webui.types import Step

MOST_NODES = 4096


@dataclass(frozen=True, slots=True)
class Node:
    """A position. `token` led here from `parent`, with the probabilities it had there under `chain`; `drawn` says that
    the chain chose it, not a person.
    """

    id: int
    parent: int
    token: int = -1
    raw: float = 1.0
    final: float = 1.0
    rank: int = 0
    chain: tuple[Step, ...] = ()
    drawn: bool = False


@dataclass(frozen=True, slots=True)
class Product:
    """Of all tokens from the prompt to a node, `steps` of them. Natural logs, so that long walks do not vanish."""

    steps: int
    raw_log: float
    final_log: float

    @property
    def raw(self) -> float:
        return math.exp(self.raw_log)

    @property
    def final(self) -> float:
        return math.exp(self.final_log)


@dataclass(frozen=True, slots=True)
class Tree:
    """`prompt` are the tokens that were read; node 0 is the position after them."""

    prompt: tuple[int, ...]
    nodes: tuple[Node, ...] = (Node(0, -1),)
    current: int = 0

    def __getitem__(self, node: int) -> Node:
        if not 0 <= node < len(self.nodes):
            raise BadValue("This step does not exist any more.", param="node", code="no_such_step")
        return self.nodes[node]

    def add(self, parent: int, token: int, **facts: float | int | bool | tuple[Step, ...]) -> Tree:
        """Append a token after a node and stand there. A token that was tried before leads to the same
        node, which then tells how it was chosen last."""
        self[parent]
        tried = next((node for node in self.children(parent) if node.token == token), None)
        if tried is not None:
            node = replace(tried, **facts)  # type: ignore[arg-type]
            return replace(self, nodes=(*self.nodes[: node.id], node, *self.nodes[node.id + 1 :]), current=node.id)
        if len(self.nodes) >= MOST_NODES:
            raise BadValue(f"A walk may have at most {MOST_NODES} steps.", param="node", code="walk_too_long")
        node = Node(len(self.nodes), parent, token, **facts)  # type: ignore[arg-type]
        return replace(self, nodes=(*self.nodes, node), current=node.id)

    def go(self, node: int) -> Tree:
        return replace(self, current=self[node].id)

    def back(self) -> Tree:
        """To the position before; from the prompt there is none."""
        parent = self[self.current].parent
        return self if parent < 0 else replace(self, current=parent)

    def children(self, node: int) -> Iterator[Node]:
        return (other for other in self.nodes if other.parent == node)

    def path(self, node: int | None = None) -> tuple[Node, ...]:
        """From the first step to the node; without the prompt's own position."""
        steps: list[Node] = []
        here = self[self.current if node is None else node]
        while here.parent >= 0:
            steps.append(here)
            here = self.nodes[here.parent]
        return tuple(reversed(steps))

    def tokens(self, node: int | None = None) -> tuple[int, ...]:
        """All tokens before the position of a node."""
        return self.prompt + tuple(step.token for step in self.path(node))

    def product(self, node: int | None = None) -> Product:
        steps = self.path(node)
        return Product(len(steps), _log_sum(step.raw for step in steps), _log_sum(step.final for step in steps))


def _log_sum(shares: Iterator[float]) -> float:
    return math.fsum(math.log(share) if share > 0 else -math.inf for share in shares)
