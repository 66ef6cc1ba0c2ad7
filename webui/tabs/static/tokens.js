// A text as its tokens. Blanks, line ends and control tokens are made visible; a click tells which token was meant.
"use strict";
Lab.visible = (text) => {
  if (text === "") return "∅";
  return text.replace(/ /g, "·").replace(/\n/g, "↵").replace(/\t/g, "⇥").replace(/[\u0000-\u0008\u000b-\u001f\u007f\u00a0\u200b-\u200f\u2028\u2029\ufeff]/g, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, "0")}`);
};
// `tokens`: [{text, id, title, surprise, drawn}]; surprise 0..1 shades a token, `drawn` marks what a model chose. `pick(index)` when one is chosen.
Lab.tokenStrip = (tokens, { chosen = -1, from = 0, pick } = {}) => {
  const { t, el } = Lab;
  const strip = el("div.strip", { role: "listbox", "aria-label": t("tokens.label"), tabindex: "0" });
  const show = (index) => {
    [...strip.children].forEach((node, n) => { node.classList.toggle("chosen", n === index); node.setAttribute("aria-selected", String(n === index)); });
    strip.children[index]?.scrollIntoView({ block: "nearest" });
    strip.setAttribute("aria-activedescendant", strip.children[index]?.id ?? "");
    chosen = index;
    pick?.(index);
  };
  const name = `token-${Math.random().toString(36).slice(2)}`;
  tokens.forEach((token, n) => {
    const control = /^<\|?.*\|?>$/.test(token.text) && token.text.length > 2;
    const node = el("span.token" + (control ? ".control" : "") + (token.drawn ? ".drawn" : "") + (n === chosen ? ".chosen" : ""), { role: "option", id: `${name}-${n}`, "aria-selected": String(n === chosen), title: token.title ?? t("tokens.title", { text: JSON.stringify(token.text), id: token.id, n: from + n }), onclick: () => show(n) }, Lab.visible(token.text));
    if (token.surprise) node.style.setProperty("--surprise", `${Math.round(token.surprise * 60)}%`);
    strip.append(node);
  });
  strip.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1, Home: -tokens.length, End: tokens.length }[event.key];
    if (!step || event.altKey) return;
    event.preventDefault();
    show(Math.min(Math.max(chosen + step, 0), tokens.length - 1));
  });
  return strip;
};
Lab.drawings.tokens = Lab.shows((value, trigger) => Lab.tokenStrip(value.tokens, { ...value, pick: (index) => trigger("select", { index }) }));
