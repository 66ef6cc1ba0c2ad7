// The Session tab.
"use strict";
Lab.drawings.session = (root, { server }) => {
  const { t, el } = Lab;

  function choice(name, values, current, onchange) {
    const group = el("div.segments", { role: "radiogroup", "aria-label": t(`${name}.label`) });
    for (const value of values) {
      group.append(el("label", {}, Object.assign(el("input.bare", { type: "radio", name: `session-${name}`, value, onchange: () => onchange(value) }), { checked: value === current }), el("span", { text: t(`${name}.${value}`) })));
    }
    return el("div.setting", { title: t(`${name}.help`) }, el("span.setting-name", { text: t(`${name}.label`) }), group);
  }

  function table(title, rows) {
    return el("section", {}, el("h3", { text: title }), el("table.facts", {}, el("tbody", {}, ...rows)));
  }

  async function show() {
    const facts = await Lab.ask(server, "session", { ask: "facts" });
    if (facts.error) { root.replaceChildren(el("p.problem", { text: facts.error })); return; }
    const flag = ({ name, value, changed, help }) => el("tr" + (changed ? ".changed" : ""), {},
      el("th", { scope: "row" }, el("code", { text: name }), el("span.help", { text: help })), el("td", { text: value }));
    root.replaceChildren(el("div.column", {},
      el("section", {}, el("h3", { text: t("session.look") }),
        choice("language", ["auto", "en", "ru"], facts.language, Lab.chooseLanguage),
        choice("theme", ["auto", "light", "dark"], facts.theme, Lab.chooseTheme)),
      el("section", {}, el("h3", { text: t("session.memory") }), Lab.meter(facts.memory)),
      table(t("session.versions"), facts.versions.map(([name, value]) => el("tr", {}, el("th", { scope: "row", text: name }), el("td", { text: value })))),
      el("p.quiet", { text: t("session.folder", { folder: facts.folder }) })),
    table(t("session.flags"), facts.flags.map(flag)));
  }

  Lab.whenShown(root, show);
};
