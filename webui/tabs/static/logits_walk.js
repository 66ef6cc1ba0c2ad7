// The walk: the text as tokens, each step of it open to a click, the branches that were tried, and writing on.
"use strict";
Lab.logits.walk = ({ state, w, format, move }) => {
  const { el } = Lab;
  const tokens = el("div.tokens", { id: "logits-strip", role: "group", "aria-label": w("strip") });
  const back = el("button.plain", { type: "button", id: "logits-back", text: w("back"), title: w("back.help"), onclick: () => move({ ask: "go", node: -1 }) });
  const write = el("button.plain", { type: "button", id: "logits-write", text: w("write"), title: w("write.help"), onclick: writeOn });
  const product = el("span.product", { id: "logits-product", title: w("product.help") });
  const key = el("span.step-key", { hidden: true }, el("i.drawn", { "aria-hidden": "true" }), w("mark.drawn"), el("i.taken", { "aria-hidden": "true" }), w("mark.taken"));
  const strip = el("section.walk-strip", { "aria-label": w("strip") }, tokens, el("div.row", {}, back, write, product, el("span.spring"), key));
  const branches = el("ol.branches", { id: "logits-branches" });
  const root = el("section.tree.card", { "aria-labelledby": "logits-tree-title", id: "logits-tree", hidden: true },
    el("header", {}, el("h3", { id: "logits-tree-title", text: w("tree") })), el("p.hint", { text: w("tree.help") }), branches);
  const stripKeys = Lab.logits.roving(tokens, ".step");
  const treeKeys = Lab.logits.roving(branches, ".step");
  let writing = false;
  let last = -1; // the end of the way that is shown
  let onward = -1; // the next step on it

  function stepButton([id, token, text, raw, final, rank, drawn, same], extra = "") {
    const facts = w("step.says", { id: token, raw: format.percent(raw), final: format.percent(final), rank: format.count(rank) });
    const how = `${drawn ? w("step.drawn") : w("step.taken")}${same ? "" : ` ${w("step.other_chain")}`}`;
    const classes = [drawn ? "drawn" : "taken", same ? "" : "other", extra].filter(Boolean).map((name) => `.${name}`).join("");
    return el(`button.step${classes}`, {
      type: "button", "data-node": String(id), text, title: `${facts} ${how}`, "aria-label": `${text}: ${facts} ${how}`, style: `--p:${final.toFixed(4)}`,
      onclick: () => move({ ask: "go", node: id }),
    });
  }

  // Opening a step in the middle keeps what was written after it in sight, so that one can step forward again.
  function wayAhead(walk) {
    const ways = walk.branches.filter(({ steps }) => !walk.current || steps.some(([id]) => id === walk.current));
    const way = ways.find(({ node }) => node === last) ?? ways.sort((a, b) => b.node - a.node)[0];
    last = way?.node ?? -1;
    return way ? way.steps.slice(way.steps.findIndex(([id]) => id === walk.current) + 1) : [];
  }

  // Alt with an arrow: a step back, or on: along the way that was gone before, else with the token this seed draws.
  document.addEventListener("keydown", (event) => {
    if (!event.altKey || event.ctrlKey || event.metaKey || event.shiftKey || !strip.offsetParent || writing) return;
    if (event.key === "ArrowLeft") { event.preventDefault(); if (!back.disabled) move({ ask: "go", node: -1 }); }
    if (event.key === "ArrowRight") { event.preventDefault(); move(onward < 0 ? { ask: "step", token: -1 } : { ask: "go", node: onward }); }
  });

  // What was chosen at this place, on whichever way.
  function nextOnes(walk) {
    const found = new Map();
    for (const { steps } of walk.branches) {
      const at = steps.findIndex(([id]) => id === walk.current);
      const [, token, text, , , , drawn] = (walk.current ? (at < 0 ? [] : steps[at + 1]) : steps[0]) ?? [];
      if (token !== undefined) found.set(token, { how: drawn || found.get(token)?.how === "drawn" ? "drawn" : "taken", text });
    }
    return found;
  }

  function arrived({ walk }) {
    if (!walk) return;
    const ahead = wayAhead(walk);
    state.next = nextOnes(walk);
    onward = ahead.length ? ahead[0][0] : -1;
    key.hidden = !walk.branches.length;
    const prompt = walk.prompt.map(([token, text]) => el("span.piece-token", { text, title: `#${token}` }));
    const start = el("button.step.root", { type: "button", "data-node": "0", text: "⌂", title: w("to_prompt"), "aria-label": w("to_prompt"), onclick: () => move({ ask: "go", node: 0 }), hidden: !walk.path.length && !ahead.length });
    refill(tokens, stripKeys, walk.current,
      ...(walk.hidden ? [el("span.more", { text: `… ${w("hidden", { n: format.count(walk.hidden) })}` })] : []),
      ...prompt, start, ...walk.path.map((step) => stepButton(step)), el("span.caret", { "aria-hidden": "true" }), ...ahead.map((step) => stepButton(step, "ahead")));
    const caret = tokens.querySelector(".caret");
    tokens.scrollTop = caret.offsetTop - tokens.offsetTop + 26 - tokens.clientHeight;
    back.disabled = !walk.path.length;
    product.textContent = walk.path.length ? w(walk.product.steps === 1 ? "product.one" : "product", { n: walk.product.steps, raw: walk.product.raw, final: walk.product.final }) : "";
    root.hidden = !walk.branches.length;
    refill(branches, treeKeys, walk.current, ...walk.branches.map((branch) => el(branch.here ? "li.here" : "li", { "data-node": String(branch.node) },
      el("span.steps", {}, ...branch.steps.map((step) => stepButton(step, step[0] === walk.current ? "current" : ""))),
      el("span.cost", { title: w("product.help") }, el("span.raw", { text: w("branch.raw", { share: branch.raw }) }), el("span.final", { text: w("branch.final", { share: branch.final }) })))));
  }

  // New content, with the focus where it was if it was in here.
  function refill(host, keys, current, ...content) {
    const held = host.contains(document.activeElement);
    host.replaceChildren(...content);
    keys.refresh(host.querySelector(`.step[data-node="${current}"]`), held);
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
