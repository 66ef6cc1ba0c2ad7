// Quantise: a smaller version of a model, and what it lost.
"use strict";
Lab.drawings.quantise = (root, { server }) => {
  const { t, el } = Lab;
  const seen = { types: [], models: "", job: "" };
  const field = (id, control, help) => { control.id = `quantise-${id}`; control.title = t(`quantise.${id}.help`); return el("div.field", {}, el("label", { for: control.id, text: t(`quantise.${id}`) }), control, help ? el("p.quiet", { text: t(`quantise.${id}.help`) }) : ""); };
  const problem = el("p.problem", { role: "alert", hidden: true });
  const spoken = el("p.sr", { role: "status", "aria-live": "polite" });
  const empty = el("p.empty", { hidden: true }, `${t("quantise.empty")} `, el("button.link", { type: "button", text: t("quantise.empty.get"), onclick: () => Lab.openTab("model-get") }));
  const source = el("select", { onchange: () => types() });
  const type = el("select", { onchange: () => chosen(true) });
  const advice = el("p.advice", {});
  const name = el("input.wide", { type: "text", autocomplete: "off" });
  const matrix = el("input.wide", { type: "text", autocomplete: "off" });
  const matrixBox = el("details", {}, el("summary", { text: t("quantise.matrix.title") }), field("matrix", matrix, true));
  const where = el("p.quiet", {});
  const start = el("button.primary", { type: "submit", text: t("quantise.start"), title: t("quantise.start.help") });
  const job = el("div.work", { hidden: true });
  const make = el("form", { onsubmit: (event) => { event.preventDefault(); ask({ ask: "start", path: source.value, type: type.value, name: name.value, matrix: matrix.value }); } },
    el("h3", { text: t("quantise.make") }), el("p.quiet", { text: t("quantise.make.help") }), field("source", source), field("type", type), advice, field("name", name), where, matrixBox, el("div.tools", {}, start), job);
  const reference = el("select", {});
  const other = el("select", {});
  const text = el("textarea", { rows: 5, spellcheck: "false", placeholder: t("quantise.text.default") });
  const go = el("button.primary", { type: "submit", text: t("quantise.compare"), title: t("quantise.compare.help") });
  const result = el("div.work", { hidden: true });
  const compare = el("form", { onsubmit: (event) => { event.preventDefault(); ask({ ask: "compare", reference: reference.value, other: other.value, text: text.value }); } },
    el("h3", { text: t("quantise.compare.title") }), el("p.quiet", { text: t("quantise.compare.help") }), field("reference", reference), field("other", other), el("details", {}, el("summary", { text: t("quantise.text.title") }), field("text", text)), el("div.tools", {}, go), result);
  root.append(problem, spoken, empty, make, compare);

  async function ask(question) {
    const answer = await Lab.ask(server, "quantise", question);
    problem.hidden = !answer.error;
    problem.textContent = answer.error ?? "";
    if (answer.error) problem.scrollIntoView({ block: "nearest" });
    if ("active" in answer) show(answer);
    return answer;
  }

  function show(answer) {
    if (answer.models) list(answer);
    const { job: made, comparison } = answer;
    work(job, made, "cancel", made?.state === "done" ? [el("button.plain", { type: "button", text: t("quantise.load"), onclick: () => { Lab.openTab("model-own"); window.dispatchEvent(new CustomEvent("lab:show-model", { detail: { path: made.path } })); } })] : []);
    work(result, comparison, "compare_cancel", []);
    if (comparison?.rows) result.append(el("p.finding", { text: comparison.verdict }), el("dl", {}, ...comparison.rows.map(([label, value, help]) => el("div", {}, el("dt", { text: label }), el("dd", { text: value }), el("dd.quiet", { text: help })))), el("p.quiet", { text: comparison.places }));
    start.disabled = made?.state === "running";
    go.disabled = comparison?.state === "running";
    const now = `${made?.title} ${made?.state}`;
    const ended = seen.job.endsWith(" running") && made?.state === "done";
    if (ended) { spoken.textContent = made.text; refresh(made.path); }
    seen.job = now;
    if (answer.active) follow();
  }

  // The new file is among the models: it is what one wants to compare the original with.
  async function refresh(path) {
    const from = source.value;
    await ask({ ask: "state" });
    reference.value = from;
    other.value = path;
    await types();
  }

  function list(answer) {
    where.textContent = t("quantise.folder", { folder: answer.folder });
    const none = !answer.models.length;
    empty.hidden = !none;
    make.hidden = compare.hidden = none;
    const listed = JSON.stringify(answer.models);
    if (listed === seen.models) return;
    seen.models = listed;
    for (const select of [source, reference, other]) {
      const before = select.value;
      select.replaceChildren(...answer.models.map((one) => el("option", { value: one.path, text: one.label })));
      if (answer.models.some((one) => one.path === before)) select.value = before;
      else if (select === other && answer.models.length > 1) select.selectedIndex = 1;
    }
    if (!none) types();
  }

  // Asked for by several at once: an answer for another source is too late, and the type that is chosen stays.
  async function types() {
    const path = source.value;
    const answer = await ask({ ask: "types", path });
    if (!answer.types || path !== source.value) return;
    seen.types = answer.types;
    const group = (key, rows) => rows.length ? [el("optgroup", { label: t(`quantise.group.${key}`) }, ...rows.map((one) => el("option", { value: one.type, text: one.label })))] : [];
    const plain = answer.types.filter((one) => !one.matrix);
    const wanted = type.value || "Q4_K_M";
    type.replaceChildren(...group("usual", plain.filter((one) => one.usual)), ...group("other", plain.filter((one) => !one.usual)), ...group("matrix", answer.types.filter((one) => one.matrix)));
    type.value = answer.types.some((one) => one.type === wanted) ? wanted : answer.types[0]?.type;
    chosen(false);
  }

  function chosen(byHand) {
    const one = seen.types.find((each) => each.type === type.value);
    if (!one) return;
    advice.textContent = one.advice;
    advice.classList.toggle("warn", one.warn);
    name.value = one.name;
    if (byHand || one.matrix) matrixBox.open = one.matrix;
  }

  function work(box, one, cancel, tools) {
    box.hidden = !one;
    if (!one) return;
    const held = box.contains(document.activeElement);
    const percent = Math.round(100 * one.share);
    const running = one.state === "running";
    box.dataset.state = one.state;
    box.replaceChildren(el("div.title-row", {}, el("strong", { text: one.title }), el("span.tag", { text: running ? `${percent} %` : t(`quantise.state.${one.state}`) }), ...tools,
      running ? el("button.plain", { type: "button", text: t("quantise.cancel"), "aria-label": `${t("quantise.cancel")}: ${one.title}`, onclick: () => ask({ ask: cancel }) }) : ""),
      running ? el("div.progress", { role: "progressbar", "aria-label": one.title, "aria-valuemin": "0", "aria-valuemax": "100", "aria-valuenow": percent }, el("i", { style: `width:${percent}%` })) : "",
      one.text ? el("p.quiet", { text: one.text }) : "", one.problem ? el("p.problem", { text: one.problem }) : "");
    if (held) box.querySelector("button")?.focus();
  }

  const follow = Lab.later(500, async () => {
    if (!root.offsetParent) return;
    const answer = await Lab.ask(server, "quantise", { ask: "state" });
    if ("active" in answer) show(answer); else if (answer.lost) follow();
  });
  Lab.whenShown(root, () => ask({ ask: "state" }));
};
