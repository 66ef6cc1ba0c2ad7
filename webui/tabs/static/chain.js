// The sampler chain as a list: order by dragging or by keys, a switch and sliders for each stage.
"use strict";
Lab.drawings.chain = (root, { server, trigger }) => {
  const { t, el, iconButton } = Lab;
  const state = { stages: [], samplers: {}, balanced: true, before: new Map(), edits: 0 };
  const list = el("ol.stages", { "aria-label": t("chain.label") });
  const add = el("select", { "aria-label": t("chain.add"), title: t("chain.add.help"), onchange: addStage });
  const reset = el("button.link", { type: "button", text: t("chain.reset"), onclick: () => say({ ask: "reset" }, true) });
  const problem = el("p.problem", { role: "alert", hidden: true });
  root.append(list, problem, el("div.foot", {}, add, reset));

  // One question at a time, in order; `set` sends what stands here when its turn comes.
  let turn = Promise.resolve();
  function say(question, redraw) {
    turn = turn.then(() => sayNow(question, redraw));
    return turn;
  }

  async function sayNow(question, redraw) {
    const edits = state.edits;
    const steps = state.stages.map((stage) => [stage.name, stage.values]);
    const answer = await Lab.ask(server, "chain", question.ask === "set" ? { ask: "set", steps } : question);
    problem.hidden = !answer.error;
    problem.textContent = answer.error ?? "";
    if (answer.error) return;
    take(answer, redraw, state.edits !== edits);
    if (question.ask !== "get") {
      trigger("changed", {});
      window.dispatchEvent(new CustomEvent("lab:chain", { detail: root }));
    }
  }

  // `outdated`: something was changed here since the question; then only what the server knows better is taken.
  function take(answer, redraw, outdated) {
    if (answer.samplers) { state.samplers = answer.samplers; drawAdd(); }
    state.balanced = answer.balanced;
    reset.hidden = answer.balanced;
    const same = answer.stages.length === state.stages.length && answer.stages.every((stage, n) => stage.name === state.stages[n].name);
    if (outdated && state.stages.length) return;
    state.stages = answer.stages;
    if (redraw || !same) draw();
    else state.stages.forEach((stage, n) => dress(list.children[n], stage));
  }

  const later = Lab.later(140, () => say({ ask: "set" }, false));
  Lab.whenLeaving(() => later.now());
  function save() { state.edits += 1; later(); }

  function drawAdd() {
    const groups = {};
    for (const [name, sampler] of Object.entries(state.samplers)) {
      const group = (groups[sampler.family] ??= el("optgroup", { label: t(`chain.family.${sampler.family}`) }));
      group.append(el("option", { value: name, text: sampler.title, title: sampler.summary }));
    }
    add.replaceChildren(el("option", { value: "", text: t("chain.add") }), ...["penalty", "shape", "cut", "select"].map((f) => groups[f]).filter(Boolean));
  }

  function addStage() {
    const name = add.value;
    add.value = "";
    if (!name) return;
    const { place, there } = Lab.placing(name, state.stages, state.samplers);
    const values = { ...state.samplers[name].neutral, ...structuredClone(state.samplers[name].defaults) };
    if (there) Object.assign(state.stages[place], { values, off: false });
    else state.stages.splice(place, 0, { name, values, off: false });
    draw();
    save();
    list.children[place].querySelector("input, select, textarea")?.focus();
  }

  function draw() {
    list.replaceChildren(...state.stages.map((stage, n) => row(stage, n)));
  }

  // What can change without drawing the row anew.
  function dress(node, stage) {
    node.classList.toggle("off", stage.off);
    const toggle = node.querySelector(".toggle");
    toggle.setAttribute("aria-checked", String(!stage.off));
    node.querySelector(".state").textContent = stage.off ? t("chain.off") : "";
    const warning = node.querySelector(".warning");
    warning.hidden = !stage.warning;
    warning.textContent = stage.warning;
  }

  function row(stage, n) {
    const sampler = state.samplers[stage.name];
    const [main, ...others] = sampler.params;
    const node = el("li.stage", { "data-name": stage.name });
    const handle = el("button.handle", { type: "button", title: t("chain.move"), "aria-label": t("chain.move.label", { name: sampler.title, n: n + 1 }), onkeydown: (event) => moveByKey(event, n) }, "⠿");
    const toggle = el("button.toggle", { type: "button", role: "switch", title: t("chain.switch.help"), "aria-label": t("chain.switch", { name: sampler.title }), onclick: () => flip(n) });
    const title = el("span.name", { title: `${sampler.summary}\n${sampler.formula}` }, sampler.title, el("span.state", {}));
    const rare = others.filter((param) => param.advanced);
    const common = others.filter((param) => !param.advanced);
    node.append(el("div.line", {}, handle, toggle, title, control(stage, main, n, true), iconButton("close", t("chain.remove", { name: sampler.title }), () => remove(n))));
    if (common.length) node.append(el("div.others", {}, ...common.map((param) => control(stage, param, n, false))));
    if (rare.length) {
      const box = el("div.others.rare", { hidden: true }, ...rare.map((param) => control(stage, param, n, false)));
      const more = iconButton("next", t("chain.more", { name: sampler.title }), () => { box.hidden = !box.hidden; more.setAttribute("aria-expanded", String(!box.hidden)); }, { "aria-expanded": "false" });
      more.classList.add("more-button");
      title.append(more);
      node.append(box);
    }
    node.append(el("p.warning", { hidden: true }));
    Lab.dragging(handle, node, { rows: () => [...list.children], done: (from, to) => { move(from, to); list.children[to].querySelector(".handle").focus(); } });
    dress(node, stage);
    return node;
  }

  function control(stage, param, n, main) {
    const id = `${root.parentElement.id}-${n}-${param.name}`;
    const change = (value) => { state.stages[n].values[param.name] = value; save(); };
    const value = stage.values[param.name];
    const box = el("div.control", {});
    if (!main) box.append(el("label", { for: id, title: param.help, text: param.label }));
    const named = main ? { "aria-label": param.label, title: param.help } : { title: param.help };
    if (param.kind === "float" || param.kind === "int") {
      const field = el("input", { type: "number", id, step: "any", inputmode: "decimal", ...named });
      field.value = shown(value);
      const limits = param.legal ?? [-Infinity, Infinity];
      field.addEventListener("change", () => {
        const typed = Number(field.value.replace(",", "."));
        const good = field.value !== "" && Number.isFinite(typed) ? Math.min(limits[1], Math.max(limits[0], param.kind === "int" ? Math.round(typed) : typed)) : state.stages[n].values[param.name];
        field.value = shown(good);
        if (range) range.value = good;
        change(good);
      });
      let range = null;
      if (param.slider) {
        range = el("input", { type: "range", min: param.slider[0], max: param.slider[1], step: param.kind === "int" ? 1 : param.step, tabindex: "0", "aria-label": param.label, title: param.help });
        range.value = value;
        range.addEventListener("input", () => { const now = Number(range.value); field.value = shown(now); change(now); });
        box.append(range);
      }
      box.append(field);
    } else if (param.kind === "bool") {
      const field = el("input", { type: "checkbox", id, ...named });
      field.checked = value;
      field.addEventListener("change", () => change(field.checked));
      box.append(field);
    } else if (param.kind === "choice") {
      const field = el("select", { id, ...named }, ...param.choices.map((choice) => el("option", { value: choice, text: choice })));
      field.value = value;
      field.addEventListener("change", () => change(field.value));
      box.append(field);
    } else {
      const field = el("input", { type: "text", id, spellcheck: "false", placeholder: Lab.lists.examples[param.kind] ?? "", ...named });
      field.value = Lab.lists.write(param.kind, value);
      field.addEventListener("change", () => {
        try { change(Lab.lists.read(param.kind, field.value)); field.removeAttribute("aria-invalid"); } catch { field.setAttribute("aria-invalid", "true"); }
      });
      field.classList.add("wide");
      box.append(field);
    }
    return box;
  }

  const shown = (value) => String(Number(Number(value).toFixed(6)));

  function flip(n) {
    const stage = state.stages[n];
    const sampler = state.samplers[stage.name];
    if (stage.off) {
      const earlier = state.before.get(stage.name);
      Object.assign(stage.values, earlier ?? sampler.defaults);
    } else {
      state.before.set(stage.name, { ...stage.values });
      Object.assign(stage.values, sampler.neutral);
    }
    state.edits += 1;
    later.cancel();
    say({ ask: "set" }, true).then(() => {
      if (document.activeElement === document.body) list.children[n]?.querySelector(".toggle").focus();
    });
  }

  function remove(n) {
    const [gone] = state.stages.splice(n, 1);
    draw();
    save();
    Lab.toast(t("chain.removed", { name: state.samplers[gone.name].title }), { label: t("undo"), action: () => { state.stages.splice(n, 0, gone); draw(); save(); } });
  }

  function move(from, to) {
    if (to < 0 || to >= state.stages.length || from === to) return;
    state.stages.splice(to, 0, ...state.stages.splice(from, 1));
    draw();
    save();
  }

  function moveByKey(event, n) {
    const step = { ArrowUp: -1, ArrowDown: 1 }[event.key];
    if (!step) return;
    event.preventDefault();
    move(n, n + step);
    list.children[Math.min(Math.max(n + step, 0), state.stages.length - 1)]?.querySelector(".handle").focus();
  }

  window.addEventListener("lab:chain", ({ detail }) => { if (detail !== root) say({ ask: "get" }, true); });
  say({ ask: "get" }, true);
};
