// The Model tab's list: search and sort, files dragged in, models added by path.
"use strict";
Lab.hub.list = (tab) => {
  const { t, el, iconButton } = Lab;
  const search = el("input.wide", { type: "text", id: "model-search", "aria-label": t("model.search"), placeholder: t("model.search"), oninput: draw });
  const sorts = ["name", "bytes", "count", "context", "modified"];
  const sort = el("select", { id: "model-sort", "aria-label": t("model.sort"), title: t("model.sort"), onchange: draw }, ...sorts.map((name) => el("option", { value: name, text: t(`model.sort.${name}`) })));
  const list = el("div.models", { role: "radiogroup", "aria-label": t("model.list") });
  const others = el("details.others", { hidden: true });
  const path = el("input.wide", { type: "text", "aria-label": t("model.add"), placeholder: t("model.add.place") });
  const folders = el("p.quiet", {});
  const picker = el("input", { type: "file", accept: ".gguf", hidden: true, "aria-label": t("model.drop.choose"), onchange: () => { upload(picker.files[0]); picker.value = ""; } });
  const coming = el("div.coming", { hidden: true });
  const drop = el("p.drop", {}, t("model.drop"), " ", el("button.link", { type: "button", text: t("model.drop.choose"), onclick: () => picker.click() }), picker);
  const node = el("section.model-list", { ondragover: over, ondragleave: () => node.classList.remove("over"), ondrop: dropped },
    el("div.title-row", {}, el("h3", { text: t("model.list") }), iconButton("again", t("model.scan"), () => tab.refresh(true))),
    el("div.find", {}, search, sort), list, others, coming, drop,
    el("form.add-path", { onsubmit: add }, path, el("button.plain", { type: "submit", text: t("model.add"), title: t("model.add.help") })), folders);

  function draw() {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    const fits = (model) => words.every((word) => `${model.name} ${model.title} ${model.architecture} ${model.quantisation} ${model.licence}`.toLowerCase().includes(word));
    const by = sort.value;
    const shown = tab.models.filter(fits).sort((a, b) => (by === "name" ? a.name.localeCompare(b.name) : b[by] - a[by]));
    list.replaceChildren(...shown.filter((model) => model.loadable).map(row));
    if (!list.children.length) list.append(el("p.empty", { text: t(tab.models.some((model) => model.loadable) ? "model.none_found" : "model.empty") }));
    const rest = shown.filter((model) => !model.loadable);
    others.hidden = !rest.length;
    others.replaceChildren(el("summary", { text: t("model.others", { n: rest.length }) }), ...rest.map(other));
  }

  function facts(model) {
    return [model.architecture, model.parameters, [model.quantisation, model.in_words].filter(Boolean).join(" – "), model.size, model.parts > 1 ? t("model.parts", { n: model.parts }) : "", model.context ? t("model.trained", { n: model.context }) : "", model.template ? "" : t("model.no_template")].filter(Boolean).join(" · ");
  }

  function row(model) {
    const field = el("input.bare", { type: "radio", name: "model", value: model.path, onchange: () => { tab.choose(model.path); list.querySelector("input:checked")?.focus(); } });
    field.checked = model.path === tab.chosen;
    const tags = [model.origin === "starter" ? el("span.tag", { text: t("model.starter") }) : "", tab.seats.some((one) => one.path === model.path && one.stage === "ready") ? el("span.tag.on", { text: t("model.loaded") }) : ""];
    return forgettable(model, el("label.model" + (field.checked ? ".chosen" : ""), { title: model.path }, field, el("span.model-name", {}, model.name, ...tags), el("span.model-facts", { text: facts(model) })));
  }

  function other(model) {
    return forgettable(model, el("div.model-other", { title: model.path }, el("span.model-name", { text: model.name }), el("span.model-facts", { text: model.problem }),
      model.architecture ? el("span.model-facts", { text: facts(model) }) : ""));
  }

  function forgettable(model, node) {
    if (model.origin !== "added") return node;
    return el("div.with-tool", {}, node, iconButton("close", t("model.forget", { name: model.name }), async () => tab.take(await tab.ask({ ask: "forget", path: model.path }, "model_list"))));
  }

  async function add(event) {
    event.preventDefault();
    if (!path.value.trim()) return;
    const answer = await tab.ask({ ask: "add", path: path.value }, "model_list");
    if (!answer.models) return;
    path.value = "";
    tab.chosen = answer.added;
    tab.take(answer);
  }

  function over(event) {
    if (![...event.dataTransfer.types].includes("Files")) return;
    event.preventDefault();
    node.classList.add("over");
  }
  function dropped(event) {
    event.preventDefault();
    node.classList.remove("over");
    upload(event.dataTransfer.files[0]);
  }

  // A file goes over in pieces, each after the answer to the one before, so that nothing waits in memory.
  let busy = false;
  async function upload(file) {
    if (!file || busy) return;
    const begun = await tab.ask({ ask: "begin", name: file.name, size: file.size }, "model_list");
    if (!begun.key) return;
    busy = true;
    let wanted = true;
    const bar = el("i"), text = el("span", {});
    const progress = el("div.progress", { role: "progressbar", "aria-label": file.name, "aria-valuemin": "0", "aria-valuemax": "100" }, bar);
    coming.replaceChildren(el("div.now-line", {}, text, el("button.plain", { type: "button", id: "cancel-upload", text: t("cancel"), onclick: () => { wanted = false; } })), progress);
    coming.hidden = false;
    const start = performance.now();
    let got = 0, answer = {};
    while (wanted && got < file.size) {
      const seconds = (performance.now() - start) / 1000;
      const percent = Math.floor((100 * got) / file.size);
      text.textContent = t("model.drop.progress", { name: file.name, percent, speed: Math.round(got / 1e6 / Math.max(seconds, 0.1)), left: got ? Math.ceil((seconds * (file.size - got)) / got) : "…" });
      bar.style.width = `${percent}%`;
      progress.setAttribute("aria-valuenow", percent);
      answer = await Lab.ask(tab.server, "model_piece", { binary: true, data: { file: file.slice(got, got + begun.piece), key: begun.key, start: got } });
      if (answer.error || answer.got === undefined) break;
      got = answer.got;
    }
    busy = false;
    coming.hidden = true;
    tab.say(answer.error);
    if (answer.models) { tab.chosen = answer.added; tab.take(answer); } else await Lab.ask(tab.server, "model_list", { ask: "drop", key: begun.key });
  }

  return { node, draw, folders: (names) => { folders.textContent = t("model.folders", { folders: names.join(", ") }); } };
};
