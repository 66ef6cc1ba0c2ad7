// Draws: how often each token comes with this seed, beside how often it should.
"use strict";
Lab.logits.draws = ({ state, w, format, ask, view, move, changed, redraw, say }) => {
  const { el } = Lab;
  const list = el("ol.drawn", { id: "logits-drawn", "aria-label": w("drawn") });
  const told = el("p.told", { id: "logits-told", "aria-live": "polite" });
  const key = el("div.legend", { hidden: true }, ...["share", "should", "spread"].map((kind) => el(`span.key.${kind}`, { text: w(`draw.key.${kind}`) })));
  const seedField = el("input", { type: "number", id: "logits-seed", min: "0", max: "9007199254740991", step: "1", "aria-label": w("seed"), title: w("seed.help") });
  const counts = [1, 100, 10000].map((amount) => el("button.plain", { type: "button", "data-amount": String(amount), text: w(`draw.${amount}`), title: w("draw.help"), onclick: () => draw(amount) }));
  const dice = el("button.plain", { type: "button", id: "logits-dice", title: w("dice.help"), "aria-label": `${w("dice")}: ${w("dice.help")}`, text: w("dice"), onclick: roll });
  const root = el("section.draws.card", { "aria-labelledby": "logits-draws-title", id: "logits-draws" },
    el("header", {}, el("h3", { id: "logits-draws-title", text: w("draws") }), el("span.spring"), el("label.seed", {}, el("span", { text: w("seed") }), seedField), dice),
    el("div.row", {}, ...counts), told, key, list);
  let last = 0;

  function seed() { seedField.value = state.seed; }
  function hint() { key.hidden = true; list.replaceChildren(); told.replaceChildren(el("span.hint", { text: w("draw.hint") })); }
  seed();
  hint();
  seedField.addEventListener("input", () => {
    const value = Number(seedField.value);
    const good = seedField.value !== "" && Number.isSafeInteger(value) && value >= 0;
    seedField.toggleAttribute("aria-invalid", !good);
    if (good) { state.seed = value; const amount = last; changed(); if (amount) draw(amount); }
  });

  function roll() {
    state.seed = Math.floor(Math.random() * 2 ** 31);
    seed();
    const amount = last || 1;
    changed();
    draw(amount);
  }

  async function draw(amount) {
    if (!state.look) return;
    last = amount;
    for (const button of counts) button.setAttribute("aria-pressed", String(Number(button.dataset.amount) === amount));
    const asked = JSON.stringify(view());
    const answer = await ask({ ...view(), ask: "draw", amount });
    if (answer.error) { hint(); told.textContent = answer.error; return; }
    if (asked !== JSON.stringify(view()) || last !== amount) return;
    root.classList.remove("stale");
    show(answer);
  }

  function show({ amount, first, text, tokens, different, distance }) {
    state.drawn = { token: first, text };
    redraw();
    const take = el("button.link", { type: "button", id: "logits-take", text: w("take_it"), onclick: () => move({ ask: "step", token: first }) });
    told.replaceChildren(el("span", { text: `${w("first", { seed: state.seed })} ` }), el("b.token", { text: `◆ ${text}` }), " ", take);
    if (amount > 1) told.append(el("span.sum", { text: ` · ${w("different", { n: format.count(different) })} · ${w("distance", { share: format.percent(distance) })}` }));
    say(told.textContent);
    key.hidden = amount === 1;
    const shown = tokens.filter(([token], n) => n < 15 || (token === first && n >= 15)).slice(0, 16);
    const listed = shown.reduce((sum, [, , count, probability]) => [sum[0] + count, sum[1] + probability], [0, 0]);
    const rest = { count: amount - listed[0], probability: Math.max(0, 1 - listed[1]) };
    const top = Math.max(...shown.map(([, , count, probability]) => (amount > 1 ? Math.max(count / amount, probability) : probability)), 1e-9);
    list.replaceChildren(...shown.map((row) => makeRow(row, amount, first, top)));
    if (rest.count > 0 || rest.probability > 5e-6) {
      list.append(el("li.rest", {}, el("span.token", { text: w("draw.rest") }), el("span.track"),
        el("span.count", { text: amount > 1 ? format.count(rest.count) : "" }), el("span.expected", { text: format.share(rest.probability) })));
    }
  }

  // Many draws: how many there were, beside how many were to be expected. One: only the probabilities and what it fell on.
  function makeRow([token, piece, count, probability, spread], amount, first, top) {
    const wide = (share) => `${(100 * Math.max(0, Math.min(1, share / top))).toFixed(2)}%`;
    const [low, high] = [probability - 2 * spread / amount, probability + 2 * spread / amount];
    const bars = amount === 1 ? [el("i.chance", { style: `width:${wide(probability)}` })] : [
      el("i.share", { style: `width:${wide(count / amount)}` }),
      el("i.spread", { style: `left:${wide(low)};width:calc(${wide(high)} - ${wide(low)})` }),
      el("i.should", { style: `left:${wide(probability)}` })];
    return el(token === first ? "li.first" : "li", { "data-token": String(token), "data-count": String(count) },
      el("b.token", { text: piece, title: `#${token}` }),
      el("span.track", { title: w("draw.row", { count: format.count(count), expected: format.number(probability * amount) }) }, ...bars),
      el("span.count", { text: amount > 1 ? format.count(count) : count ? "◆" : "" }),
      el("span.expected", { text: format.share(probability) }));
  }

  return {
    root, seed,
    stale() { state.drawn = null; if (list.children.length) root.classList.add("stale"); for (const button of counts) button.setAttribute("aria-pressed", "false"); last = 0; },
    arrived(answer) { state.drawn = null; hint(); root.classList.remove("stale"); last = 0; if (answer.seed !== undefined) seed(); for (const button of counts) button.removeAttribute("aria-pressed"); },
  };
};
