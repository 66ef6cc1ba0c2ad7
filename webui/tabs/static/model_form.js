// The chosen model: its facts, whether it fits, every option of a load, RoPE.
"use strict";
Lab.hub.form = (tab) => {
  const { t, el } = Lab;
  const node = el("section.model-form", {});
  const kept = new Map(); // path -> what was typed for it
  const load = el("button.primary", { type: "button", id: "load", text: t("model.load"), title: t("model.load.help"), onclick: () => begin(false) });
  const beside = el("button.plain", { type: "button", id: "load-beside", text: t("model.beside"), title: t("model.beside.help"), onclick: () => begin(true) });
  const fitBox = el("div.fit", { "aria-live": "polite" });
  const table = el("details.contexts", {});
  const ropeBox = el("details.rope", {});
  const own = Lab.hub.own(tab, { values: () => values, set });
  let opened = "", values = {}, fields = {}, edits = 0;

  async function open() {
    const model = tab.model();
    if (!model) { opened = ""; node.replaceChildren(el("p.empty", { text: t("model.choose") })); return; }
    if (opened === model.path && node.contains(load)) { dress(); return; }
    opened = model.path;
    const answer = await tab.ask({ ask: "form", path: model.path });
    if (!answer.groups || opened !== model.path) return;
    values = kept.get(model.path) ?? answer.values;
    kept.set(model.path, values);
    fields = {};
    const [main, ...rest] = answer.groups.map(group);
    node.replaceChildren(el("h3.model-title", { text: model.name }), factsOf(model), main, fitBox, table, own.box, own.loraBox, ropeBox, ...rest, el("div.load-line", {}, load, beside));
    own.open(model);
    ropeBox.replaceChildren();
    dress();
    fit();
    rope();
  }

  function factsOf(model) {
    const rows = [["architecture", model.architecture], ["parameters", model.parameters], ["quantisation", [model.quantisation, model.bits && t("model.bits", { n: model.bits })].filter(Boolean).join(", ")], ["size", model.size], ["trained", model.context], ["layers", model.layers], ["kv_heads", model.kv_heads && `${model.kv_heads} / ${model.heads}`], ["experts", model.experts ? `${model.experts_used} / ${model.experts}` : ""], ["template", t(model.template ? "model.yes" : "model.no")], ["licence", model.licence]];
    return el("dl.now-facts", {}, ...rows.filter(([, value]) => value).map(([name, value]) => el("div", {}, el("dt", { text: t(`model.is.${name}`) }), el("dd", { text: String(value) }))));
  }

  function group(one) {
    const controls = el("div.controls", {}, ...one.controls.map(control));
    return one.group === "main" ? controls : el("details.options", {}, el("summary", { text: one.title }), controls);
  }

  function control(one) {
    const id = `load-${one.name}`;
    let field;
    if (one.kind === "flag") {
      field = el("input", { type: "checkbox", id, onchange: () => set(one.name, field.checked) });
      field.checked = values[one.name];
    } else if (one.kind === "word") {
      field = el("select", { id, onchange: () => set(one.name, field.value) }, ...one.choices.map(([value, text]) => el("option", { value, text })));
      field.value = values[one.name];
    } else if (one.kind === "numbers") {
      field = el("input", { type: "text", id, value: values[one.name].join(", "), oninput: () => set(one.name, field.value.split(/[,;\s]+/).filter(Boolean).map(Number)) });
    } else {
      const automatic = one.automatic !== undefined;
      field = el("input", { type: "number", id, min: automatic ? Math.min(one.low, one.automatic) : one.low, max: one.high, step: "any", placeholder: automatic ? t("model.auto") : "", oninput: () => set(one.name, field.value === "" && automatic ? one.automatic : Math.round(Number(field.value))) });
      field.value = automatic && values[one.name] === one.automatic ? "" : values[one.name];
    }
    fields[one.name] = field;
    return el("div.control", { title: one.help }, el("label", { for: id, text: one.label }), field, el("span.control-help", { text: one.help }));
  }

  function set(name, value) { values[name] = value; edits += 1; fitLater(); if (name === "n_ctx") ropeLater(); }
  const fitLater = Lab.later(120, fit);
  const ropeLater = Lab.later(120, () => rope());

  async function fit() {
    if (!opened) return;
    const at = edits, path = opened;
    const answer = await Lab.ask(tab.server, "model", { ask: "fit", path, values });
    if (at !== edits || path !== opened) return;
    fitBox.replaceChildren(...(answer.error ? [el("p.problem", { text: answer.error })] : drawn(answer)));
    if (!answer.error) drawTable(answer);
    else table.replaceChildren();
  }

  function drawn(answer) {
    for (const name of ["slots", "n_gpu_layers", "ubatch", "n_ctx"]) if (fields[name]) fields[name].placeholder = t("model.auto_now", { n: answer.plan[name] });
    const best = answer.gpus.length ? el("button.link", { type: "button", text: t("model.fit.best", { n: answer.best_layers, all: answer.layers }), onclick: () => { fields.n_gpu_layers.value = answer.best_layers; set("n_gpu_layers", answer.best_layers); } }) : el("span.quiet", { text: t("model.fit.no_gpu") });
    const take = answer.largest ? el("button.link", { type: "button", text: t("model.fit.largest", { n: answer.largest }), onclick: () => takeContext(answer.largest) }) : "";
    const { beside: more, place } = answer.set;
    tab.showSet(answer.set.meters);
    return [el(`p.verdict.${answer.code}`, { id: "verdict", text: answer.verdict }), place ? el("p.quiet", { id: "verdict-place", text: place }) : "", ...answer.meters.map(Lab.meter), more ? el(`p.verdict.small.${more.code}`, { id: "verdict-beside", text: more.text }) : "", el("div.fit-tools", {}, take, best)].filter(Boolean);
  }

  function takeContext(n) { fields.n_ctx.value = n; set("n_ctx", n); }

  function drawTable(answer) {
    const gpu = answer.gpus.length > 0;
    const head = ["context", "cache", "ram", ...(gpu ? ["gpu", "layers"] : []), "verdict"];
    const rows = answer.table.map((row) => el("tr" + (row.context === answer.plan.n_ctx ? ".here" : ""), { title: row.sentence }, ...head.map((name) => {
      if (name === "context") return el("th", { scope: "row" }, el("button.link", { type: "button", text: row.context, onclick: () => takeContext(row.context) }), row.beyond ? el("span.tag", { text: t("model.fit.beyond") }) : "");
      return el(name === "verdict" ? `td.${row.code}` : "td", { text: String(name === "verdict" ? row.word : row[name]) });
    })));
    table.replaceChildren(el("summary", { text: t("model.fit.table") }), el("div.scroll", { tabindex: "0", role: "region", "aria-label": t("model.fit.table") }, el("table.contexts-table", {}, el("thead", {}, el("tr", {}, ...head.map((name) => el("th", { scope: "col", text: t(`model.fit.col.${name}`) })))), el("tbody", {}, ...rows))));
  }

  // Each field of RoPE asks for the others.
  async function rope(change) {
    const path = opened;
    const answer = await Lab.ask(tab.server, "model", { ask: "rope", path, n_ctx: values.n_ctx, rope_base: values.rope_base, rope_scale: values.rope_scale, ...(change ? { set: change } : {}) });
    if (path !== opened) return;
    if (answer.error) { if (change) tab.say(answer.error); else ropeBox.replaceChildren(); return; }
    if (change) { tab.say(""); values.rope_base = answer.rope_base; values.rope_scale = answer.rope_scale; edits += 1; }
    if (!ropeBox.children.length) drawRope(answer);
    for (const [name, value] of [["alpha", answer.alpha], ["base", answer.base], ["scale", answer.scale]]) {
      const field = ropeBox.querySelector(`#rope-${name}`);
      if (field !== document.activeElement) field.value = value;
    }
    const warning = ropeBox.querySelector(".rope-warning");
    warning.textContent = answer.warning;
    warning.hidden = !answer.warning;
    ropeBox.querySelector(".rope-reach").textContent = answer.reach_text;
    if (answer.severe) ropeBox.open = true;
  }

  function drawRope(answer) {
    const field = (name, step) => {
      const input = el("input", { type: "number", id: `rope-${name}`, step, min: "0", oninput: () => { if (Number(input.value) > 0) later({ [name]: Number(input.value) }); } });
      return el("div.control", { title: t(`model.rope.${name}.help`) }, el("label", { for: `rope-${name}`, text: t(`model.rope.${name}`) }), input, el("span.control-help", { text: t(`model.rope.${name}.help`) }));
    };
    const later = Lab.later(150, (change) => rope(change));
    const stretch = el("input", { type: "number", id: "rope-stretch", min: "64", step: "256", value: values.n_ctx || answer.own.trained, "aria-label": t("model.rope.stretch") });
    const go = el("button.plain", { type: "button", id: "rope-go", text: t("model.rope.go"), onclick: async () => { takeContext(Math.round(Number(stretch.value))); await rope({ stretch: Number(stretch.value) }); } });
    ropeBox.replaceChildren(el("summary", { text: t("model.rope") }),
      el("p.quiet", { text: t("model.rope.own", { base: answer.own.base, head: answer.own.head, trained: answer.own.trained }) }),
      el("div.stretch", {}, el("label", { for: "rope-stretch", text: t("model.rope.stretch") }), stretch, go, el("button.link", { type: "button", text: t("model.rope.plain"), onclick: async () => { await rope({ scale: 1 }); await rope({ alpha: 1 }); } })),
      el("div.controls", {}, field("alpha", "0.05"), field("base", "any"), field("scale", "0.25")),
      el("p.quiet.rope-reach", {}), el("p.rope-warning", { role: "status", hidden: true }));
  }

  const seat = () => tab.seats.find((one) => one.path === tab.chosen && one.stage === "ready");

  function dress() {
    const there = seat();
    beside.hidden = tab.stage !== "ready" || Boolean(there);
    load.disabled = !tab.model()?.loadable || tab.seats.some((one) => one.stage === "loading" && (one.current || one.path === tab.chosen));
    load.textContent = t(there ? "model.load_again" : "model.load");
  }

  // One that is there already, and not the current one, is loaded again where it is.
  async function begin(more) {
    tab.changed(await tab.ask({ ask: "load", path: opened, values, beside: more || seat()?.current === false }));
    tab.reveal();
  }

  const again = () => { const model = tab.model(); if (model && model.path === opened) own.open(model); };
  return { node, open, fit, dress, again };
};
