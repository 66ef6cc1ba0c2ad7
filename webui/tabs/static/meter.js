// How much of something is used: a bar of labelled parts. `Lab.meter(value)` for other pieces; the value is Meter's.
"use strict";
Lab.meter = (value) => {
  const { el } = Lab;
  const parts = value.parts.filter((part) => part.amount > 0);
  return el("div.meter", { role: "group", "aria-label": value.label },
    el("div.meter-head", {}, el("span", { text: value.label }), el("span.meter-text", { text: value.text })),
    el("div.meter-bar", { "aria-hidden": "true" }, ...parts.map((part) => el(`i.${part.kind}`, { style: `width:${((100 * part.amount) / value.total).toFixed(2)}%`, title: part.label }))),
    el("ul.meter-key", {}, ...parts.map((part) => el("li", {}, el(`i.${part.kind}`), part.label))));
};
Lab.drawings.meter = Lab.shows(Lab.meter);
