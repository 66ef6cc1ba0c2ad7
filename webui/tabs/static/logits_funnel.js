// The chain as a funnel: a card a stage, with its switch, sliders and handle, what it was given and what it left.
"use strict";
Lab.logits.funnel = ({ state, w, format, changed, live, say, ask, marks }) => {
  const { el, iconButton } = Lab;
  const list = el("ol.stages", { "aria-label": w("chain") });
  const add = el("select.add", { id: "logits-add", "aria-label": w("add"), title: w("add.help"), onchange: addStage });
  const problem = el("span.state", { role: "status" });
  const figures = (cells) => el("span.figures", {}, ...cells);
  const startRow = el("div.start", {}, el("span.name", { text: w("model_row") }), figures(["in", "cut", "bits", "choices"].map((name) => el(`span.${name}`, {}))));
  const endRow = el("div.end", {}, el("span.name", { text: w("final_row") }), figures(["in", "cut", "bits", "choices"].map((name) => el(`span.${name}`, {}))));
  const outcome = el("div.outcome", { "aria-hidden": "true", title: w("outcome") });
  const root = el("section.funnel.card", { "aria-labelledby": "logits-chain-title", id: "logits-funnel" },
    el("header", {}, el("h3", { id: "logits-chain-title", text: w("chain") }), el("span.spring"), problem,
      el("button.link", { type: "button", id: "logits-fetch", text: w("fetch"), title: w("fetch.help"), onclick: fetchChain }),
      el("button.link", { type: "button", id: "logits-keep", text: w("keep"), title: w("keep.help"), onclick: keepChain })),
    el("div.labels", { "aria-hidden": "true" }, el("span", {}), figures([["in", "tokens"], ["cut", "cut"], ["bits", "bits"], ["choices", "choices"]].map(([cell, key]) => el(`span.${cell}`, { text: w(`col.${key}`), title: w(`col.${key}.help`) })))),
    startRow, list, el("div.result", {}, endRow, outcome),
    el("div.foot", {}, add, el("button.link", { type: "button", id: "logits-balanced", text: w("balanced"), title: w("balanced.help"), onclick: () => { state.chain = structuredClone(state.balanced); restructure(); } })));

  const families = ["penalty", "shape", "cut", "select"];
  add.append(el("option", { value: "", text: w("add") }), ...families.map((family) => el("optgroup", { label: w(`family.${family}`) },
    ...Object.entries(state.samplers).filter(([, sampler]) => sampler.family === family).map(([name, sampler]) => el("option", { value: name, text: sampler.title })))));

  let cards = [];
  let earlier = new WeakMap();

  const isOff = (n) => state.answer?.stages?.[n]?.off ?? same(state.chain[n][1], state.samplers[state.chain[n][0]].neutral);
  const same = (a, b) => Object.keys(b).every((key) => JSON.stringify(a[key]) === JSON.stringify(b[key]));

  function structure() {
    cards = state.chain.map((step, n) => makeCard(step, n));
    list.replaceChildren(...cards.map((card) => card.root));
  }

  function restructure(focus) {
    if (state.focus >= state.chain.length) state.focus = -1;
    structure();
    changed();
    focus?.();
  }

  // one card

  function makeCard(step, n) {
    const [name, values] = step;
    const sampler = state.samplers[name];
    const number = { title: sampler.title, n: n + 1 };
    const handle = el("button.handle", { type: "button", title: w("move"), "aria-label": w("move.of", number), text: "⠿" });
    const toggle = el("button.toggle", { type: "button", role: "switch", "aria-checked": "true", "aria-label": w("switch.of", number), title: w("switch"), onclick: () => flip(n) });
    const title = el("button.name", { type: "button", "aria-expanded": String(state.focus === n), title: sampler.summary, onclick: () => choose(n) }, el("span", { text: sampler.title }), el("i.off-word", { text: w("off") }));
    const cells = Object.fromEntries(["in", "cut", "bits", "choices"].map((cell) => [cell, el(`span.${cell}`, {})]));
    const mass = el("span.mass", { "aria-hidden": "true" }, el("i"));
    const did = el("p.did", {});
    const warning = el("p.warning", { hidden: true });
    const body = el("div.body", { hidden: state.focus !== n });
    const [main, ...others] = sampler.params;
    const controls = el("div.controls", {}, ...(main ? [control(step, main)] : []));
    const root = el("li.stage", { "data-name": name, "data-place": String(n) },
      el("div.head", {}, handle, toggle, title, figures(Object.values(cells))),
      mass, controls, did, warning, body);
    const card = { root, toggle, title, cells, mass: mass.firstChild, did, warning, body, mini: null, formula: null, now: null, coin: null, wide: 0 };
    if (state.focus === n) fillBody(card, step, n, others);
    Lab.dragging(handle, root, {
      rows: () => [...list.children],
      moved: (from, to) => { shift(from, to); cards.splice(to, 0, ...cards.splice(from, 1)); changed(); },
      done: (_, place) => restructure(() => cards[place].root.querySelector(".handle").focus()),
    });
    handle.addEventListener("keydown", (event) => moveByKey(event, n));
    root.classList.toggle("focus", state.focus === n);
    return card;
  }

  function fillBody(card, step, n, others) {
    const sampler = state.samplers[step[0]];
    card.formula = el("code.formula", {});
    card.now = el("code.now", {});
    card.mini = el("div.mini", { role: "img" });
    new ResizeObserver(([entry]) => {
      const wide = Math.round(entry.contentRect.width);
      if (!wide || wide === card.wide) return;
      card.wide = wide;
      if (state.answer?.stages[n]) patch(card, state.answer.stages[n], n);
    }).observe(card.mini);
    const usual = others.filter((param) => !param.advanced);
    const rare = others.filter((param) => param.advanced);
    card.body.replaceChildren(
      el("p.summary", { text: sampler.summary }),
      el("p.formulas", {}, card.formula, card.now),
      card.mini,
      ...(step[0] === "xtc" ? [coinChoice(card)] : []),
      ...usual.map((param) => control(step, param)),
      ...(rare.length ? [el("details.rare", {}, el("summary", { text: w("more") }), ...rare.map((param) => control(step, param)))] : []),
      el("div.acts", {},
        el("button.link", { type: "button", text: w("copy_stage"), title: w("copy_stage.help"), onclick: () => duplicate(n) }),
        el("button.link", { type: "button", text: w("remove"), onclick: () => remove(n) })),
    );
  }

  function coinChoice(card) {
    card.coin = el("div.segments", { role: "group", "aria-label": w("coin") }, ...["dice", "strike", "spare"].map((coin) => el("button", {
      type: "button", "data-coin": coin, "aria-pressed": String(state.coin === coin), text: w(`coin.${coin}`), title: w(`coin.${coin}.help`),
      onclick: () => { state.coin = coin; for (const one of card.coin.children) one.setAttribute("aria-pressed", String(one.dataset.coin === coin)); changed(); },
    })));
    return el("div.coin", {}, el("span", { text: w("coin") }), card.coin);
  }

  // values

  function control(step, param) {
    const values = step[1];
    const set = (value) => { values[param.name] = value; changed(); };
    const label = el("span.label", { text: param.label, title: param.help });
    const named = { "aria-label": param.label, title: param.help, "data-param": param.name };
    if (param.kind === "bool") {
      const field = el("input", { type: "checkbox", ...named });
      field.checked = values[param.name];
      field.addEventListener("change", () => set(field.checked));
      return el("label.control", {}, label, field);
    }
    if (param.kind === "choice") {
      const field = el("select", named, ...param.choices.map((choice) => el("option", { value: choice, text: choice })));
      field.value = values[param.name];
      field.addEventListener("change", () => set(field.value));
      return el("label.control", {}, label, field);
    }
    if (param.kind === "float" || param.kind === "int") return numeric(param, values, label, named, set);
    const { lists } = Lab;
    const field = el("input.wide", { type: "text", spellcheck: "false", placeholder: lists.examples[param.kind] ?? "", ...named });
    field.value = lists.write(param.kind, values[param.name]);
    field.addEventListener("change", () => {
      try { set(lists.read(param.kind, field.value)); field.removeAttribute("aria-invalid"); } catch { field.setAttribute("aria-invalid", "true"); }
    });
    return el("label.control", {}, label, field);
  }

  const plain = (value) => String(Number(Number(value).toFixed(6)));

  function numeric(param, values, label, named, set) {
    const step = param.kind === "int" ? 1 : param.step;
    const field = el("input", { type: "number", step: "any", ...named, ...(param.legal ? { min: param.legal[0], max: param.legal[1] } : {}) });
    field.value = plain(values[param.name]);
    const box = el("div.control", {}, label);
    let range = null;
    if (param.slider) {
      range = el("input", { type: "range", min: param.slider[0], max: param.slider[1], step, ...named });
      range.value = values[param.name];
      range.addEventListener("input", () => { field.value = plain(range.value); set(Number(range.value)); });
      box.append(range);
    }
    field.addEventListener("input", () => {
      const typed = Number(field.value);
      const good = field.value !== "" && Number.isFinite(typed) && (!param.legal || (typed >= param.legal[0] && typed <= param.legal[1])) && (param.kind !== "int" || Number.isInteger(typed));
      field.toggleAttribute("aria-invalid", !good);
      if (!good) return;
      if (range) range.value = typed;
      set(typed);
    });
    box.append(field);
    return box;
  }

  // what can be done with a stage

  function flip(n) {
    const step = state.chain[n];
    const sampler = state.samplers[step[0]];
    if (isOff(n)) {
      const before = earlier.get(step);
      step[1] = structuredClone(before && !same(before, sampler.neutral) ? before : sampler.defaults);
    } else {
      earlier.set(step, structuredClone(step[1]));
      step[1] = { ...step[1], ...structuredClone(sampler.neutral) };
    }
    if (state.answer?.stages?.[n]) state.answer.stages[n].off = !state.answer.stages[n].off;
    restructure(() => cards[n].toggle.focus());
  }

  function choose(n) {
    state.focus = state.focus === n ? -1 : n;
    structure();
    if (state.answer) drawn(state.answer);
    live();
    cards[n].title.focus({ preventScroll: true });
    if (state.focus === n) cards[n].root.scrollIntoView({ block: "nearest" });
  }

  function duplicate(n) {
    state.chain.splice(n + 1, 0, structuredClone(state.chain[n]));
    state.focus = n + 1;
    restructure(() => cards[n + 1].title.focus());
  }

  function remove(n) {
    const [gone] = state.chain.splice(n, 1);
    state.focus = -1;
    restructure(() => (cards[Math.min(n, cards.length - 1)]?.title ?? add).focus());
    Lab.toast(w("removed", { title: state.samplers[gone[0]].title }), { label: w("undo"), action: () => { state.chain.splice(n, 0, gone); restructure(); } });
  }

  function addStage() {
    const name = add.value;
    add.value = "";
    if (!name) return;
    const stages = state.chain.map(([other], n) => ({ name: other, off: isOff(n) }));
    const { place, there } = Lab.placing(name, stages, state.samplers);
    state.chain.splice(place, there ? 1 : 0, [name, structuredClone(state.samplers[name].defaults)]);
    state.focus = place;
    restructure(() => { cards[place].root.scrollIntoView({ block: "nearest" }); cards[place].title.focus(); });
  }

  function shift(from, to) {
    if (to < 0 || to >= state.chain.length || from === to) return false;
    const focused = state.chain[state.focus];
    state.chain.splice(to, 0, ...state.chain.splice(from, 1));
    state.focus = focused ? state.chain.indexOf(focused) : -1;
    return true;
  }

  function moveByKey(event, n) {
    const to = { ArrowUp: n - 1, ArrowDown: n + 1, Home: 0, End: state.chain.length - 1 }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    if (!shift(n, to)) return;
    restructure(() => cards[to].root.querySelector(".handle").focus());
    say(w("moved", { title: state.samplers[state.chain[to][0]].title, n: to + 1, of: state.chain.length }));
  }

  async function keepChain() {
    const answer = await ask({ ask: "keep", chain: state.chain });
    if (answer.error) { Lab.toast(answer.error, { bad: true }); return; }
    window.dispatchEvent(new CustomEvent("lab:chain", { detail: root.closest(".piece") }));
    Lab.toast(w("kept"));
  }

  async function fetchChain() {
    const answer = await ask({ ask: "chain" });
    if (!answer.chain) return;
    state.chain = answer.chain;
    state.focus = -1;
    restructure();
  }

  // what the server found

  const arrow = (from, to) => (from === to ? to : `${from} → ${to}`);

  function spread(row, told) {
    row.querySelector(".in").textContent = format.count(told.count);
    row.querySelector(".bits").textContent = format.fixed(told.entropy, 2);
    row.querySelector(".choices").textContent = format.number(told.choices);
  }

  function drawn(answer) {
    spread(startRow, answer.start);
    spread(endRow, answer.final);
    drawOutcome(answer);
    answer.stages.forEach((stage, n) => { if (cards[n]) patch(cards[n], stage, n); });
  }

  // All that is left, side by side: what a random number falls on. It stays in sight beside any slider.
  function drawOutcome({ bars }) {
    const left = bars.filter(([, , , , final]) => final > 0).sort((a, b) => b[4] - a[4]).slice(0, 24);
    while (outcome.children.length < left.length + 1) outcome.append(el("span"));
    while (outcome.children.length > left.length + 1) outcome.lastChild.remove();
    const rest = Math.max(0, 1 - left.reduce((sum, bar) => sum + bar[4], 0));
    const marked = marks();
    [...left.map((bar) => [bar[4], bar[6], marked.has(bar[0])]), [rest, "", false]].forEach(([share, text, chosen], n) => {
      const one = outcome.children[n];
      one.style.flexGrow = share.toFixed(5);
      one.className = n === left.length ? "rest" : chosen ? "chosen" : "";
      const shown = share > 0.07 ? text : "";
      if (one.textContent !== shown) one.textContent = shown;
    });
  }

  function patch(card, stage, n) {
    card.root.classList.toggle("is-off", stage.off);
    card.toggle.setAttribute("aria-checked", String(!stage.off));
    const { cells } = card;
    cells.in.textContent = stage.off ? "" : arrow(format.count(stage.in), format.count(stage.out));
    cells.cut.textContent = stage.off || !stage.cut ? "" : format.percent(stage.cut);
    cells.bits.textContent = stage.off ? "" : arrow(...stage.entropy.map((bits) => format.fixed(bits, 2)));
    cells.choices.textContent = stage.off ? "" : arrow(...stage.choices.map((choices) => format.number(choices)));
    card.mass.style.width = `${stage.off ? 0 : 100 * stage.cut}%`;
    card.did.textContent = stage.off ? "" : stage.did;
    card.warning.hidden = !stage.warning;
    card.warning.textContent = stage.warning;
    if (state.focus !== n || !card.mini) return;
    card.formula.textContent = stage.formula;
    card.now.textContent = stage.now;
    card.now.hidden = !stage.now;
    card.mini.hidden = !stage.mini?.y.length;
    if (!card.mini.hidden) Lab.logits.mini(card.mini, stage.mini, { w, format, sampler: state.chain[n][0], wide: card.wide || card.mini.clientWidth });
  }

  // For the tour: the first stage of this sampler, opened; its card.
  function open(name) {
    const n = state.chain.findIndex(([one], place) => one === name && !isOff(place));
    if (n >= 0 && state.focus !== n) choose(n);
    return cards[n]?.root;
  }

  return { root, structure, open, drawn, arrived: (answer) => { if (answer.chain) { state.focus = -1; structure(); } } };
};
