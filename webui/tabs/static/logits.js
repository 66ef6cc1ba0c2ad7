// The Logits tab: what the page knows, and the one question it asks whenever anything moves. The parts stand in
// logits_*.js; each draws itself from the answers.
"use strict";
Lab.logits = { wanted: null };

// Being sent here from any tab: Lab.look({ prompt: "..." }), or { source: "chat" | "default" | "notebook" }, or
// { message: id } for the place where a reply began.
Lab.look = (what) => {
  Lab.logits.wanted = what;
  Lab.openTab("logits");
  window.dispatchEvent(new Event("lab:look"));
};

Lab.drawings.logits = async (root, { server }) => {
  const { el } = Lab;
  const state = {
    look: null, node: 0, chain: [], balanced: [], seed: 0, coin: "dice", shown: 20, order: "raw", focus: -1, log: false,
    samplers: {}, answer: null, row: null, walk: null, prompt: "", model: "", api: false, next: new Map(), drawn: null,
  };

  async function ask(question) {
    const answer = await Lab.ask(server, "logits", question);
    return typeof answer === "string" ? JSON.parse(answer) : answer;
  }

  const start = await opened();
  const words = start.words;
  const w = (key, values = {}) => {
    const text = words[key];
    if (text === undefined) throw new Error(`no word for logits.${key}`);
    return text.replace(/\{(\w+)\}/g, (_, name) => values[name] ?? "");
  };
  for (const name of ["chain", "balanced", "samplers", "seed", "api"]) state[name] = start[name];
  const format = Lab.logits.format(start.language);

  async function opened() {
    for (;;) {
      const answer = await ask({ ask: "open" });
      if (answer.words) return answer;
      await Lab.wait(1000);
    }
  }

  // asking

  const view = () => ({
    look: state.look, node: state.node, chain: state.chain, seed: state.seed, coin: state.coin,
    shown: state.shown, order: state.order, focus: state.focus,
  });
  let busy = false;
  let again = false;

  // Whatever moved, the newest state is asked for: one question under way, and at most one more after it.
  async function live() {
    if (!state.look) return;
    if (busy) { again = true; return; }
    busy = true;
    root.dataset.busy = "1";
    do {
      again = false;
      const began = performance.now();
      const look = state.look;
      const answer = await ask({ ask: "see", ...view() });
      if (look === state.look) show(answer);
      root.dataset.milliseconds = String(Math.round(performance.now() - began));
    } while (again);
    busy = false;
    delete root.dataset.busy;
  }

  // A question that leads to another position. They never overlap.
  let moving = null;
  async function move(question) {
    while (moving) await moving;
    root.classList.add("moving");
    root.classList.toggle("reading", question.ask === "look");
    moving = ask({ ...view(), ...question });
    const answer = await moving;
    moving = null;
    root.classList.remove("moving", "reading");
    if (answer.stopped) tools.say(w("reading.stopped"));
    else arrive(answer);
    return answer;
  }

  function arrive(answer) {
    if (show(answer) && answer.look) {
      for (const name of ["look", "node", "row", "walk", "model"]) state[name] = answer[name];
      if (answer.chain) state.chain = answer.chain;
      if (answer.seed !== undefined) state.seed = answer.seed;
      remember();
      root.classList.add("looked");
      for (const part of parts) part.arrived?.(answer);
      for (const part of parts) part.drawn?.(answer);
    }
  }

  function show(answer) {
    problem.hidden = !answer.error;
    problem.textContent = answer.error ?? "";
    if (answer.error) return false;
    state.answer = answer;
    for (const part of parts) part.drawn?.(answer);
    return true;
  }

  // the parts

  const problem = el("p.problem", { role: "alert", hidden: true });
  const spoken = el("div.sr", { role: "status", "aria-live": "polite" });
  const tools = { state, w, ask, live, move, view, format, say: (text) => { spoken.textContent = text; }, fail: show, changed, redraw, marks };
  const prompt = Lab.logits.prompt(tools, start.prompt);
  const walk = Lab.logits.walk(tools);
  const funnel = Lab.logits.funnel(tools);
  tools.openStage = funnel.open;
  const picture = Lab.logits.picture(tools);
  const draws = Lab.logits.draws(tools);
  const take = Lab.logits.take(tools, root);
  const parts = [prompt, walk, funnel, picture, draws, take];

  function redraw() { for (const part of parts) part.drawn?.(state.answer); }

  // The tokens chosen at this place, by a step of the walk or by the last draw: how, and their text.
  function marks() {
    const found = new Map(state.next);
    if (state.drawn) found.set(state.drawn.token, { how: "drawn", text: state.drawn.text });
    return found;
  }

  // The chain, the seed or the coin moved: what was drawn from the old one is no longer true.
  function changed() {
    draws.stale();
    remember();
    live();
  }

  // A page that is loaded again finds its walk again, as long as the server holds it.
  function remember() {
    const { look, node, chain, seed } = state;
    if (look) sessionStorage.setItem("lab.look", JSON.stringify({ look, node, chain, seed }));
  }

  async function recall() {
    const kept = JSON.parse(sessionStorage.getItem("lab.look") ?? "null");
    if (!kept) return;
    const answer = await ask({ ...view(), ...kept, ask: "go" });
    if (answer.error || !answer.look || state.look || moving) return;
    for (const name of ["chain", "seed"]) state[name] = kept[name];
    arrive({ ...answer, chain: kept.chain, seed: kept.seed });
  }

  root.append(
    prompt.root, problem, spoken, walk.strip,
    el("div.columns", {}, el("div.side", {}, funnel.root), el("div.main", {}, picture.root, draws.root, walk.root)),
  );
  prompt.tools.append(take.root);
  funnel.structure();

  if (!Lab.logits.wanted) await recall();
  const sent = () => {
    const { wanted } = Lab.logits;
    Lab.logits.wanted = null;
    if (wanted) prompt.look(wanted);
  };
  window.addEventListener("lab:look", sent);
  sent();

  window.addEventListener("lab:chain", async ({ detail }) => {
    if (detail === root) return;
    const answer = await ask({ ask: "chain" });
    if (answer.chain) { state.chain = answer.chain; funnel.structure(); changed(); }
  });
  window.addEventListener("lab:seed", ({ detail }) => { if (detail >= 0) { state.seed = detail; draws.seed(); changed(); } });

  // The first time the tab is seen with a model there is already something to look at.
  const first = () => {
    if (!state.look && !moving && root.offsetParent !== null && Lab.model?.stage === "ready" && prompt.untouched()) prompt.look({});
  };
  new IntersectionObserver(first).observe(root);
  window.addEventListener("lab:status", first);
};

// Numbers as people of a language write them; the same rules as in webui/lab/texts.py.
Lab.logits.format = (language) => {
  const thin = "\u202f";
  const local = (text) => (language === "ru" ? text.replace(".", ",") : text).replace("-", "−");
  const count = (value) => String(Math.round(value)).replace(/\B(?=(\d{3})+(?!\d))/g, thin);
  // As one reads it in a sentence; `share` is the same for columns, where zeros at the end keep the signs in line.
  const percent = (part) => share(part, (text) => text.replace(/\.?0+$/, ""));
  function share(part, shorten = (text) => text) {
    const value = part * 100;
    if (!(value > 0)) return `0${thin}%`;
    if (value < 0.001) return `<${local("0.001")}${thin}%`;
    if (value >= 100) return `100${thin}%`;
    if (value >= 99.95) return `>${local("99.9")}${thin}%`;
    return `${local(shorten(value.toFixed(value < 0.1 ? 3 : value < 10 ? 2 : 1)))}${thin}%`;
  }
  function number(value) {
    if (Math.abs(value) >= 1000) return count(value);
    return local(value.toPrecision(3).replace(/(\.\d*?)0+$/, "$1").replace(/\.$/, ""));
  }
  const fixed = (value, digits) => local(value.toFixed(digits));
  // As a power of ten, for what has too many zeros to be read.
  function small(value) {
    const [mantissa, power] = value.toExponential(0).split("e");
    const raised = [...String(Number(power))].map((digit) => (digit === "-" ? "⁻" : "⁰¹²³⁴⁵⁶⁷⁸⁹"[digit])).join("");
    return `${mantissa === "1" ? "" : `${mantissa}·`}10${raised}`;
  }
  // Of a token far down: how small it is, not only that it is.
  const tiny = (part) => (part > 0 && part < 1e-5 ? `${small(part * 100)}${thin}%` : percent(part));
  return { count, percent, share, tiny, number, fixed, small, local };
};

// A list of buttons is one stop for Tab; the arrow keys go on inside it.
Lab.logits.roving = (host, selector) => {
  const all = () => [...host.querySelectorAll(selector)].filter((node) => !node.disabled && !node.hidden);
  const steps = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1, Home: -Infinity, End: Infinity };
  let stop = null;
  function only(chosen) {
    for (const node of all()) node.tabIndex = node === chosen ? 0 : -1;
    stop = chosen;
  }
  host.addEventListener("focusin", ({ target }) => { const node = target.closest(selector); if (node && node !== stop) only(node); });
  host.addEventListener("keydown", (event) => {
    const step = steps[event.key];
    const nodes = all();
    const at = nodes.indexOf(event.target);
    if (!step || at < 0 || event.altKey || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    nodes[Math.min(nodes.length - 1, Math.max(0, at + step))].focus();
  });
  return {
    // After the list was made anew: where Tab stops now, and whether the focus goes there.
    refresh(chosen, focus = false) {
      const nodes = all();
      only(chosen ?? (nodes.includes(stop) ? stop : nodes[0]));
      if (focus) (stop ?? nodes[0])?.focus({ preventScroll: true });
    },
  };
};

// The prompt, where it comes from, and what to do when there is no model.
Lab.logits.prompt = ({ state, w, ask, move }, text) => {
  const { el } = Lab;
  const field = el("textarea", { id: "logits-prompt", rows: "2", "aria-label": w("prompt"), placeholder: w("prompt"), spellcheck: "false" });
  field.value = text;
  const go = el("button.primary", { type: "submit", id: "logits-look", title: w("look.help"), text: w("look") });
  const from = el("select.from", { id: "logits-from", "aria-label": w("from.label"), title: w("from.help"), onchange: () => { const source = from.value; from.value = ""; look({ source }); } },
    ...["", "chat", "default", "notebook"].map((source) => el("option", { value: source, text: w(source ? `from.${source}` : "from") })));
  const note = el("p.note", {});
  const tools = el("div.tools", {}, go, from);
  const reading = el("div.reading", {}, el("span", { text: w("reading") }), el("button.link", { type: "button", text: w("stop"), title: w("reading.stop.help"), onclick: () => ask({ ask: "stop", ticket }) }));
  let ticket = "";
  const root = el("form.prompt", { autocomplete: "off" }, el("div.field", {}, field, reading), tools, note);
  let touched = false;

  function grow() {
    field.style.height = "auto";
    field.style.height = `${Math.min(field.scrollHeight + 2, 220)}px`;
  }
  field.addEventListener("input", () => { touched = true; grow(); });
  field.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) { event.preventDefault(); look({}); }
  });
  root.addEventListener("submit", (event) => { event.preventDefault(); look({}); });

  async function look({ prompt, source, message }) {
    touched = true;
    if (prompt !== undefined) { field.value = prompt; grow(); }
    ticket = String(Math.random());
    const answer = await move({ ask: "look", ticket, ...(source || message ? { source, message } : { prompt: field.value }) });
    if ((source || message) && answer.prompt !== undefined) { field.value = answer.prompt; grow(); }
  }

  function told() {
    const model = Lab.model;
    const stage = model?.stage ?? "asking";
    root.dataset.stage = stage;
    note.replaceChildren();
    if (stage === "none" || stage === "failed") {
      note.append(el("span", { text: `${w("no_model")} ` }), el("button.link", { type: "button", text: w("open_model"), onclick: () => Lab.openTab("model") }));
    } else if (stage === "loading") note.append(el("span", { text: model.text }));
    note.hidden = !note.childNodes.length;
    go.disabled = from.disabled = stage === "none" || stage === "failed";
  }
  window.addEventListener("lab:status", told);
  told();
  requestAnimationFrame(grow);
  return {
    root, tools, look,
    untouched: () => !touched,
    arrived(answer) { if (answer.prompt !== undefined && answer.chain) { field.value = answer.prompt; touched = true; grow(); } },
  };
};
