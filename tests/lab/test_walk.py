from __future__ import annotations

import math

import pytest

from webui.errors import BadValue
from webui.lab.walk import MOST_NODES, Tree


def test_steps_add_up_to_tokens_and_products() -> None:
    tree = Tree((10, 11)).add(0, 7, raw=0.5, final=0.8).add(1, 8, raw=0.1, final=0.25)
    assert tree.tokens() == (10, 11, 7, 8)
    product = tree.product()
    assert product.steps == 2
    assert product.raw == pytest.approx(0.05) and product.final == pytest.approx(0.2)
    assert tree.product(0).raw == 1.0


def test_back_and_another_way_keep_what_was_tried() -> None:
    tree = Tree((1,)).add(0, 7, raw=0.5, final=0.5)
    other = tree.back().add(0, 9, raw=0.25, final=0.0)
    assert tree.tokens() == (1, 7)
    assert other.tokens() == (1, 9)
    assert [node.token for node in other.children(0)] == [7, 9]
    assert other.go(1).tokens() == (1, 7)
    assert other.product().final == 0.0
    assert Tree((1,)).back() == Tree((1,))


def test_the_same_token_leads_to_the_same_place_and_tells_how_it_was_chosen_last() -> None:
    tree = Tree((1,)).add(0, 7, raw=0.5, final=0.5).add(1, 8, raw=1.0, final=1.0)
    again = tree.go(0).add(0, 7, raw=0.5, final=0.9, drawn=True)
    assert len(again.nodes) == 3 and again.current == 1
    assert again[1].final == 0.9 and again[1].drawn
    assert again.go(2).tokens() == (1, 7, 8)


def test_long_walks_keep_their_product_in_logs() -> None:
    tree = Tree(())
    for token in range(400):
        tree = tree.add(tree.current, token, raw=0.001, final=0.5)
    assert tree.product().raw_log == pytest.approx(400 * math.log(0.001))
    assert tree.product().raw == 0.0


def test_unknown_steps_and_endless_walks_are_refused() -> None:
    with pytest.raises(BadValue):
        Tree((1,)).go(3)
    with pytest.raises(BadValue):
        Tree((1,)).add(-1, 5)
    tree = Tree(())
    for token in range(MOST_NODES - 1):
        tree = tree.add(0, token)
    with pytest.raises(BadValue, match="4096"):
        tree.add(0, MOST_NODES)
