// A text as its tokens. Blanks, line ends and control tokens are made visible; a click tells which token was meant.
"use strict";
Lab.visible = (text) => {
  if (text === "") return "∅";
  return text.replace(/ /g, "·").replace(/\n/g, "↵").replace(/\t/g, "⇥").replace(/[\u0000-\u0008\u000b-\u001f\u007f\u00a0\u200b-\u200f\u2028\u2029\ufeff]/g, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, "0")}`);
};
Lab.drawings.tokens = (root, { props, watch, trigger }) => {
  const { t, el } = Lab;
  const MOST = 600;
  function draw() {
    const value = props.value;
    if (!value || !value.tokens.length) { root.replaceChildren(); return; }
    const from = Math.max(0, value.tokens.length - MOST);
    const strip = el("div.strip", { role: "list", "aria-label": t("tokens.label") });
    if (from) strip.append(el("span.skipped", { text: t("tokens.skipped", { n: from }) }));
    value.tokens.slice(from).forEach((token, n) => {
      const control = /^<\|?.*\|?>$/.test(token.text) && token.text.length > 2;
      strip.append(el("span.token" + (control ? ".control" : "") + (value.chosen === from + n ? ".chosen" : ""), { role: "listitem", title: t("tokens.title", { text: JSON.stringify(token.text), id: token.id, n: from + n }), onclick: () => trigger("pick", { index: from + n, id: token.id }) }, Lab.visible(token.text)));
    });
    root.replaceChildren(strip);
  }
  watch("value", draw);
  draw();
};
