// Presets above the chain: choosing one replaces the chain, a changed chain can be kept under a name.
"use strict";
Lab.drawings.presets = (root, { server }) => {
  const { t, el } = Lab;
  const state = { presets: [], current: "" };
  const choose = el("select", { id: "preset", "aria-label": t("preset.choose"), title: t("preset.choose.help"), onchange: () => use(choose.value) });
  const note = el("p.quiet", { id: "preset-note" });
  const news = el("p.problem", { id: "preset-news", role: "alert", hidden: true });
  const name = el("input", { type: "text", id: "preset-name", maxlength: "60", "aria-label": t("preset.name"), placeholder: t("preset.name"), title: t("preset.save.help") });
  const save = el("button.plain", { type: "submit", text: t("preset.save"), title: t("preset.save.help") });
  const erase = el("button.plain", { type: "button", id: "preset-delete", hidden: true, text: t("preset.delete"), title: t("preset.delete.help"), onclick: remove });
  const file = el("input", { type: "file", id: "preset-file", accept: ".json,.yaml,.yml,.settings,.preset", hidden: true, onchange: take });
  const bring = el("button.plain", { type: "button", text: t("preset.import"), title: t("preset.import.help"), onclick: () => file.click() });
  root.append(
    el("div.preset-line", {}, choose, erase, bring, file),
    note,
    news,
    el("form.preset-line", { onsubmit: (event) => { event.preventDefault(); keep(false); } }, name, save));

  async function ask(question) {
    const answer = await Lab.ask(server, "presets", question);
    tell(answer.error ?? (answer.notes ?? []).map((line) => t("preset.not_applied", { line })).join("\n"));
    if (answer.presets) show(answer);
    return answer;
  }

  function tell(text) {
    news.hidden = !text;
    news.textContent = text;
  }

  function show(answer) {
    state.presets = answer.presets;
    state.current = answer.current;
    const groups = [["preset.shipped", false], ["preset.own", true]].map(([label, own]) => {
      const members = state.presets.filter((preset) => preset.own === own);
      const options = members.map((preset) => el("option", { value: preset.name, text: preset.name, title: preset.note, disabled: Boolean(preset.broken) }));
      return members.length ? el("optgroup", { label: t(label) }, ...options) : "";
    });
    choose.replaceChildren(el("option", { value: "", text: t("preset.none"), disabled: true }), ...groups.filter(Boolean));
    choose.value = state.current;
    const now = state.presets.find((preset) => preset.name === state.current);
    note.textContent = now ? now.note : t("preset.changed");
    erase.hidden = !now?.own;
  }

  // The chain's editors draw the chain anew; we ourselves need not be asked again.
  const changed = () => window.dispatchEvent(new CustomEvent("lab:chain", { detail: root }));

  async function use(wanted) {
    const answer = await ask({ ask: "use", name: wanted });
    if (answer.presets) changed();
  }

  async function keep(replace) {
    const answer = await ask({ ask: "save", name: name.value, replace });
    if (answer.exists) {
      Lab.toast(t("preset.exists", { name: answer.exists }), { label: t("preset.replace"), action: () => keep(true) });
    } else if (answer.saved) {
      name.value = "";
      Lab.toast(t("preset.saved", { name: answer.saved }));
    }
  }

  async function remove() {
    const answer = await ask({ ask: "delete", name: state.current });
    if (!answer.deleted) return;
    Lab.toast(t("preset.deleted", { name: answer.deleted.name }), { label: t("undo"), action: () => ask({ ask: "restore", ...answer.deleted }) });
  }

  async function take() {
    const [chosen] = file.files;
    file.value = "";
    if (!chosen) return;
    if (chosen.size > 65536) return tell(t("preset.too_large"));
    const answer = await ask({ ask: "import", filename: chosen.name, content: await chosen.text() });
    if (!answer.saved) return;
    changed();
    Lab.toast(t("preset.saved", { name: answer.saved }));
  }

  const look = Lab.later(200, () => ask({ ask: "list" }));
  window.addEventListener("lab:chain", ({ detail }) => { if (detail !== root) look(); });
  ask({ ask: "list" });
};
