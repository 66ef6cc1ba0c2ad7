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

  // `rows`: [{text, id, raw, final, cut, chosen}], likeliest first; `cut` says (or only tells by being there) why it is out.
  Lab.bars = (rows) => {
    const most = Math.max(...rows.map((item) => Math.max(item.raw, item.final)), 1e-9);
    const width = (share) => `width:${Math.max(share > 0 ? 0.4 : 0, (share / most) * 100).toFixed(2)}%`;
    const row = (item, n) => {
      const kind = item.chosen ? ".is-chosen" : item.cut ? ".is-cut" : "";
      const spoken = t("bars.spoken", { n: n + 1, text: Lab.visible(item.text), raw: percent(item.raw), final: item.cut ? t("bars.is_cut") : `${percent(item.final)} %` });
      return el("li.candidate" + kind, {},
        el("span.rank", { "aria-hidden": "true", text: String(n + 1) }),
        el("span.token", { "aria-hidden": "true" }, Lab.visible(item.text)),
        el("span.tracks", { "aria-hidden": "true" }, el("i.raw", { style: width(item.raw) }), el("i.final", { style: width(item.final) })),
        el("span.number.share", { "aria-hidden": "true", text: percent(item.raw) }),
        el(item.cut ? "span.number.final" : "span.number.final.share", { "aria-hidden": "true", text: item.cut ? "–" : percent(item.final) }),
        el("span.fate", { "aria-hidden": "true", text: item.chosen ? `◆ ${t("bars.chosen")}` : item.cut }),
        el("span.sr", { text: spoken }));
    };
    const key = el("div.key", { "aria-hidden": "true" },
      el("span", {}, el("i.raw"), t("bars.raw")), el("span", {}, el("i.kept"), t("bars.final")), el("span", {}, el("i.cut"), t("bars.is_cut")), el("span", {}, el("i.chosen"), t("bars.chosen")));
    return el("div.bars", {}, key, el("ol.candidates", { "aria-label": t("bars.label") }, ...rows.map(row)));
  };
  Lab.percent = percent;
  Lab.drawings.bars = Lab.shows((value) => Lab.bars(value.rows));
})();
