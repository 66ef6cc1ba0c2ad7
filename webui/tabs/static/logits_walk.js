// The walk: the text as tokens, each step of it open to a click, the branches that were tried, and writing on.
"use strict";
Lab.logits.walk = ({ state, w, format, move }) => {
  const { el } = Lab;
  const tokens = el("div.tokens", { id: "logits-strip", role: "group", "aria-label": w("strip") });
  const back = el("button.plain", { type: "button", id: "logits-back", text: w("back"), title: w("back.help"), onclick: () => move({ ask: "go", node: -1 }) });
  const write = el("button.plain", { type: "button", id: "logits-write", text: w("write"), title: w("write.help"), onclick: writeOn });
  const product = el("span.product", { id: "logits-product", title: w("product.help") });
  const strip = el("section.walk-strip", { "aria-label": w("strip") }, tokens, el("div.row", {}, back, write, product));
  const branches = el("ol.branches", { id: "logits-branches" });
  const root = el("section.tree.card", { "aria-labelledby": "logits-tree-title", id: "logits-tree", hidden: true },
    el("header", {}, el("h3", { id: "logits-tree-title", text: w("tree") })), el("p.hint", { text: w("tree.help") }), branches);
  let writing = false;

  function stepButton([id, token, text, raw, final, rank, drawn, same], extra = "") {
    const facts = w("step.says", { id: token, raw: format.percent(raw), final: format.percent(final), rank: format.count(rank) });
    const how = `${drawn ? w("step.drawn") : w("step.taken")}${same ? "" : ` ${w("step.other_chain")}`}`;
    const classes = [drawn ? "drawn" : "taken", same ? "" : "other", extra].filter(Boolean).map((name) => `.${name}`).join("");
    return el(`button.step${classes}`, {
      type: "button", "data-node": String(id), text, title: `${facts} ${how}`, "aria-label": `${text}: ${facts} ${how}`, style: `--p:${final.toFixed(4)}`,
      onclick: () => move({ ask: "go", node: id }),
    });
  }

  function arrived({ walk }) {
    if (!walk) return;
    const prompt = walk.prompt.map(([token, text]) => el("span.piece-token", { text, title: `#${token}` }));
    const root_ = el("button.step.root", { type: "button", "data-node": "0", text: "⌂", title: w("to_prompt"), "aria-label": w("to_prompt"), onclick: () => move({ ask: "go", node: 0 }), hidden: !walk.path.length });
    tokens.replaceChildren(
      ...(walk.hidden ? [el("span.more", { text: `… ${w("hidden", { n: format.count(walk.hidden) })}` })] : []),
      ...prompt, root_, ...walk.path.map((step) => stepButton(step)), el("span.caret", { "aria-hidden": "true" }));
    tokens.scrollTop = tokens.scrollHeight;
    back.disabled = !walk.path.length;
    product.textContent = walk.path.length ? w("product", { n: walk.product.steps, raw: walk.product.raw, final: walk.product.final }) : "";
    root.hidden = !walk.branches.length;
    branches.replaceChildren(...walk.branches.map((branch) => el(branch.here ? "li.here" : "li", { "data-node": String(branch.node) },
      el("span.steps", {}, ...branch.steps.map((step) => stepButton(step, step[0] === walk.current ? "current" : ""))),
      el("span.cost", { title: w("product.help") }, el("span.raw", { text: w("branch.raw", { share: branch.raw }) }), el("span.final", { text: w("branch.final", { share: branch.final }) })))));
  }

  // Twenty steps, each drawn by the chain; every one stays open to a click. The same button stops it.
  async function writeOn() {
    if (writing) { writing = false; return; }
    writing = true;
    write.textContent = w("stop");
    for (let n = 0; n < 20 && writing; n++) {
      const answer = await move({ ask: "step", token: -1 });
      if (answer.error || answer.lost || answer.ended) break;
    }
    writing = false;
    write.textContent = w("write");
  }

  return { root, strip, arrived };
};
