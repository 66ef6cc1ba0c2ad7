"""What a template's text may say, and the counters put into it.

Rewrites Jinja's tree: everything a loop walks over is counted, and whatever builds or compares values pays first. Names
of the counters are those of the filters in sandbox_filters. Knows nothing of how they count.
"""

from __future__ import annotations

from typing import Any

from jinja2 import nodes
from jinja2.visitor import NodeTransformer

from webui.chat.sandbox_budget import TemplateFailed

MAX_NODES = 15_000
COUNTED = "_counted"
MADE = "_made"
AS_TEXT = "_as_text"
COMPARED = "_compared"
SEARCHED = "_searched"

_REFUSED = (nodes.Include, nodes.Import, nodes.FromImport, nodes.Extends, nodes.ScopedEvalContextModifier)


def instrument(template: nodes.Template) -> nodes.Template:
    for number, node in enumerate(template.find_all(nodes.Node)):
        if number > MAX_NODES:
            raise TemplateFailed("The prompt template is too long: shorten it, or choose another template.")
        if isinstance(node, _REFUSED):
            word = "autoescape" if isinstance(node, nodes.ScopedEvalContextModifier) else type(node).__name__.lower()
            raise TemplateFailed(
                f"The prompt template uses {word!r} in line {node.lineno}, which is not allowed here: remove it."
            )
    changed: nodes.Template = _Counters().visit(template)
    return changed


def _through(name: str, node: Any) -> nodes.Filter:
    return nodes.Filter(node, name, [], [], None, None, lineno=node.lineno)


class _Counters(NodeTransformer):
    def visit_For(self, node: nodes.For, *args: Any, **kwargs: Any) -> nodes.Node:
        self.generic_visit(node)
        node.iter = _through(COUNTED, node.iter)
        return node

    def visit_TemplateData(self, node: nodes.TemplateData, *args: Any, **kwargs: Any) -> nodes.Node:
        """Constants go through the environment's `finalize`, which pays; template data would not."""
        return nodes.Const(node.data, lineno=node.lineno)

    def visit_Concat(self, node: nodes.Concat, *args: Any, **kwargs: Any) -> nodes.Node:
        self.generic_visit(node)
        node.nodes = [_through(AS_TEXT, part) for part in node.nodes]
        return node

    def visit_Compare(self, node: nodes.Compare, *args: Any, **kwargs: Any) -> nodes.Node:
        self.generic_visit(node)
        node.expr = _through(COMPARED, node.expr)
        for operand in node.ops:
            searched = operand.op in ("in", "notin")
            operand.expr = _through(SEARCHED if searched else COMPARED, operand.expr)
        return node

    def visit_List(self, node: nodes.List, *args: Any, **kwargs: Any) -> nodes.Node:
        self.generic_visit(node)
        return _through(MADE, node)

    def visit_Tuple(self, node: nodes.Tuple, *args: Any, **kwargs: Any) -> nodes.Node:
        self.generic_visit(node)
        return _through(MADE, node) if node.ctx == "load" else node

    def visit_Dict(self, node: nodes.Dict, *args: Any, **kwargs: Any) -> nodes.Node:
        self.generic_visit(node)
        for pair in node.items:
            if not isinstance(pair.key, nodes.Const):
                pair.key = _through(COMPARED, pair.key)
        return _through(MADE, node)

    def visit_Getitem(self, node: nodes.Getitem, *args: Any, **kwargs: Any) -> nodes.Node:
        self.generic_visit(node)
        return _through(MADE, node) if isinstance(node.arg, nodes.Slice) else node
