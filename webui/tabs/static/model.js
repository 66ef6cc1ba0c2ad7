// The Model tab: the list, the form of a load, what is loaded.
"use strict";
Lab.drawings.model = (root, { server }) => {
  const { t, el, iconButton } = Lab;
  const state = { models: [], chosen: "", stage: "", loaded: "" };
  const ask = async (question) => {
    const answer = await Lab.ask(server, "model", question);
    problem.hidden = !answer.error;
    problem.textContent = answer.error ?? "";
    return answer;
  };
  const problem = el("p.problem", { role: "alert", hidden: true });
  const now = el("section.now", { "aria-live": "polite" });
  const list = el("div.models", { role: "radiogroup", "aria-label": t("model.list") });
  const context = el("input", { type: "number", id: "load-context", min: "64", step: "256", title: t("model.context.help") });
  const layers = el("input", { type: "number", id: "load-layers", min: "-1", step: "1", title: t("model.layers.help") });
  const load = el("button.primary", { type: "button", id: "load", text: t("model.load"), onclick: begin });
  const path = el("input.wide", { type: "text", "aria-label": t("model.add"), placeholder: t("model.add.place") });
  const folders = el("p.quiet", {});
  root.append(now, problem,
    el("section", {}, el("div.title-row", {}, el("h3", { text: t("model.list") }), iconButton("again", t("model.scan"), () => refresh(true))), list, folders),
    el("section.load-form", {},
      el("label", { for: "load-context", title: t("model.context.help") }, t("model.context")), context,
      el("label", { for: "load-layers", title: t("model.layers.help") }, t("model.layers")), layers, load),
    el("form.add-path", { onsubmit: add }, path, el("button.plain", { type: "submit", text: t("model.add") })));

  async function refresh(scan) {
    const answer = await ask({ ask: "list", scan: Boolean(scan) });
    if (!answer.models) return;
    state.models = answer.models;
    if (document.activeElement !== context) context.value = answer.n_ctx;
    if (document.activeElement !== layers) layers.value = answer.n_gpu_layers;
    folders.textContent = t("model.folders", { folders: answer.folders.join(", ") });
    show(answer);
    drawList();
  }

  function drawList() {
    if (!state.models.some((model) => model.path === state.chosen)) state.chosen = (state.models.find((model) => model.path === state.loaded) ?? state.models.find((model) => model.loadable))?.path ?? "";
    list.replaceChildren(...state.models.map(row));
    if (!state.models.length) list.append(el("p.empty", { text: t("model.empty") }));
    load.disabled = !state.chosen || state.stage === "loading";
  }

  function row(model) {
    const field = el("input.bare", { type: "radio", name: "model", value: model.path, disabled: !model.loadable, onchange: () => { state.chosen = model.path; drawList(); } });
    field.checked = model.path === state.chosen;
    const details = [model.architecture, model.parameters, [model.quantisation, model.in_words].filter(Boolean).join(" – "), model.size, model.context ? t("model.trained", { n: model.context }) : "", model.loadable && !model.template ? t("model.no_template") : ""];
    const node = el("label.model" + (model.path === state.chosen ? ".chosen" : "") + (model.loadable ? "" : ".broken"), { title: model.path }, field,
      el("span.model-name", {}, model.name, model.origin === "starter" ? el("span.tag", { text: t("model.starter") }) : "", model.path === state.loaded && state.stage === "ready" ? el("span.tag.on", { text: t("model.loaded") }) : ""),
      el("span.model-facts", { text: model.problem || details.filter(Boolean).join(" · ") }));
    if (model.origin !== "added") return node;
    return el("div.with-tool", {}, node, iconButton("close", t("model.forget", { name: model.name }), async () => { const answer = await ask({ ask: "forget", path: model.path }); if (answer.models) { state.models = answer.models; drawList(); } }));
  }

  function show(answer) {
    state.stage = answer.stage;
    state.loaded = answer.loaded;
    root.dataset.stage = answer.stage;
    const parts = [el("div.now-line", {}, el("span.dot", { "aria-hidden": "true" }), el("strong", { text: answer.text }))];
    if (answer.stage === "loading") {
      parts[0].append(el("button.plain", { type: "button", id: "cancel-load", text: t("cancel"), onclick: cancel }));
      parts.push(el("div.progress", { role: "progressbar", "aria-label": answer.text, "aria-valuemin": "0", "aria-valuemax": "100", "aria-valuenow": Math.round(answer.progress * 100) }, el("i", { style: `width:${answer.progress * 100}%` })));
    } else if (answer.stage === "ready") {
      parts[0].append(el("button.plain", { type: "button", id: "unload", text: t("model.unload"), onclick: unload }));
      parts.push(el("dl.now-facts", {}, ...answer.facts.map(([name, value]) => el("div", {}, el("dt", { text: name }), el("dd", { text: value })))));
    } else if (answer.detail) {
      parts.push(el(answer.stage === "failed" ? "p.problem" : "p.quiet", { text: answer.detail }));
    }
    const focused = document.activeElement?.id;
    now.replaceChildren(...parts);
    if (focused && now.querySelector(`#${focused}`)) now.querySelector(`#${focused}`).focus();
    load.disabled = !state.chosen || answer.stage === "loading";
    if (answer.stage === "loading") follow();
  }

  const follow = Lab.later(250, async () => {
    const answer = await Lab.ask(server, "model", { ask: "state" });
    if (answer.lost) return follow();
    show(answer);
    if (answer.stage !== "loading") drawList();
  });

  async function begin() {
    const answer = await ask({ ask: "load", path: state.chosen, n_ctx: Math.round(Number(context.value)), n_gpu_layers: Math.round(Number(layers.value)) });
    window.dispatchEvent(new Event("lab:model-changing"));
    if (answer.stage) { show(answer); drawList(); }
  }
  async function cancel() { const answer = await ask({ ask: "cancel" }); if (answer.stage) { show(answer); drawList(); } window.dispatchEvent(new Event("lab:model-changing")); }
  async function unload() { const answer = await ask({ ask: "unload" }); if (answer.stage) { show(answer); drawList(); } window.dispatchEvent(new Event("lab:model-changing")); }
  async function add(event) {
    event.preventDefault();
    if (!path.value.trim()) return;
    const answer = await ask({ ask: "add", path: path.value });
    if (answer.models) { path.value = ""; state.models = answer.models; drawList(); }
  }

  window.addEventListener("lab:status", ({ detail }) => { if (detail.stage !== state.stage && root.offsetParent) refresh(false); });
  Lab.whenShown(root, () => refresh(false));
};
