// Under a reply: its tokens shaded by how unlikely they were, and for the one that is chosen the others it could have been.
"use strict";
Lab.explain = (tokens) => {
  const { t, el } = Lab;
  const detail = el("div.detail", { "aria-live": "polite" }, el("p.quiet", { text: t("explain.how") }));
  const items = tokens.map(([id, text, raw, final, rank]) => ({
    id, text, surprise: Math.min(1, -Math.log2(Math.max(raw, 1e-9)) / 10),
    title: t("explain.title", { text: Lab.visible(text), raw: Lab.percent(raw), final: Lab.percent(final), rank }),
  }));

  const digits = (value, n) => value.toLocaleString(Lab.start.language, { minimumFractionDigits: n, maximumFractionDigits: n });

  function pick(index) {
    const [id, text, raw, final, rank, entropy, others] = tokens[index];
    const rows = [{ id, text, raw, final, cut: "", chosen: true }, ...others.map(([other, r, f]) => ({ text: other, raw: r, final: f, cut: f === 0 ? t("bars.is_cut") : "", chosen: false }))];
    rows.sort((one, other) => other.raw - one.raw);
    const numbers = t("explain.numbers", { n: index + 1, of: tokens.length, rank, entropy: digits(entropy, 2), choices: digits(2 ** entropy, 1), id });
    detail.replaceChildren(el("p.numbers", { text: numbers }), Lab.bars(rows));
  }

  return el("div.explain", {}, Lab.tokenStrip(items, { pick }), detail);
};
