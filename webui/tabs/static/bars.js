// Candidates for the next token: raw probability as a ghost, final as a solid bar, cut ones struck and named.
"use strict";
(() => {
  const { t, el } = Lab;
  const percent = (share) => {
    const value = share * 100;
    if (value === 0) return "0";
    const text = value >= 10 ? value.toFixed(1) : value >= 0.1 ? value.toFixed(2) : value >= 0.001 ? value.toFixed(4) : "<0.001";
    return Lab.start.language === "ru" ? text.replace(".", ",") : text;
  };

  Lab.drawings.bars = (root, { props, watch, trigger }) => {
    const width = (share, most) => `width:${Math.max(share > 0 ? 0.4 : 0, (share / most) * 100).toFixed(2)}%`;

    function row(item, n, most) {
      const kind = item.chosen ? ".is-chosen" : item.cut ? ".is-cut" : "";
      const spoken = t("bars.spoken", { n: n + 1, text: Lab.visible(item.text), raw: percent(item.raw), final: item.cut ? t("bars.cut", { by: item.cut }) : `${percent(item.final)} %` });
      return el("li.candidate" + kind, { "data-id": item.id, onclick: () => trigger("pick", { id: item.id }) },
        el("span.rank", { "aria-hidden": "true", text: String(n + 1) }),
        el("span.token", { title: t("tokens.id", { id: item.id }), "aria-hidden": "true" }, Lab.visible(item.text)),
        el("span.tracks", { "aria-hidden": "true" }, el("i.raw", { style: width(item.raw, most) }), el("i.final", { style: width(item.final, most) })),
        el("span.number", { "aria-hidden": "true", text: percent(item.raw) }),
        el("span.number.final", { "aria-hidden": "true", text: item.cut ? "–" : percent(item.final) }),
        el("span.fate", { "aria-hidden": "true", text: item.chosen ? `◆ ${t("bars.chosen")}` : item.cut }),
        el("span.sr", { text: spoken }));
    }

    function draw() {
      const value = props.value;
      if (!value || !value.rows) { root.replaceChildren(el("p.empty", { text: t("bars.empty") })); return; }
      const most = Math.max(...value.rows.map((item) => Math.max(item.raw, item.final)), 1e-9);
      const key = el("div.key", { "aria-hidden": "true" },
        el("span", {}, el("i.raw"), t("bars.raw")), el("span", {}, el("i.kept"), t("bars.final")), el("span", {}, el("i.cut"), t("bars.is_cut")), el("span", {}, el("i.chosen"), t("bars.chosen")));
      const head = el("div.candidate.columns", { "aria-hidden": "true" }, el("span.rank"), el("span"), el("span"), el("span.number", { text: t("bars.raw.short") }), el("span.number", { text: t("bars.final.short") }), el("span.fate"));
      const rest = el("div.candidate.rest", {}, el("span.rank"), el("span.token", { text: t("bars.rest", { n: value.rest.count.toLocaleString(Lab.start.language) }) }),
        el("span.tracks", {}, el("i.raw", { style: width(value.rest.raw, most) }), el("i.final", { style: width(value.rest.final, most) })), el("span.number", { text: percent(value.rest.raw) }), el("span.number.final", { text: percent(value.rest.final) }), el("span.fate"));
      root.replaceChildren(key, head, el("ol.candidates", { "aria-label": t("bars.label") }, ...value.rows.map((item, n) => row(item, n, most))), rest);
    }
    watch("value", draw);
    draw();
  };

  Lab.drawings.funnel = (root, { props, watch }) => {
    const number = (value, digits) => value.toLocaleString(Lab.start.language, { maximumFractionDigits: digits, minimumFractionDigits: digits });
    function draw() {
      const value = props.value;
      if (!value || !value.stages) { root.replaceChildren(el("p.empty", { text: t("funnel.empty") })); return; }
      const cell = (text, name) => el(`td.${name}`, { text });
      root.replaceChildren(el("table.funnel", {},
        el("thead", {}, el("tr", {}, ...["stage", "left", "mass", "entropy"].map((name) => el("th", { scope: "col", text: t(`funnel.${name}`), title: t(`funnel.${name}.help`) })))),
        el("tbody", {}, el("tr", {}, el("th", { scope: "row", text: t("funnel.start") }), cell(number(value.all, 0), "n"), cell("100 %", "n"), cell(value.stages.length ? number(value.stages[0].before, 2) : "", "n")),
          ...value.stages.map((stage) => el("tr", {}, el("th", { scope: "row", text: stage.title }), cell(number(stage.left, 0), "n"), cell(`${number(stage.mass * 100, 1)} %`, "n"), cell(number(stage.after, 2), "n"))))));
    }
    watch("value", draw);
    draw();
  };
})();
