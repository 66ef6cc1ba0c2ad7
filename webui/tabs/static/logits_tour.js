// The tour: five steps for newcomers, each beside the thing it is about.
"use strict";
Lab.logits.tour = ({ w, openStage }, piece) => {
  const { el } = Lab;
  const stops = [
    ["look", ".prompt"], ["picture", ".picture"], ["funnel", ".funnel"], ["draw", ".draws"], ["walk", ".walk-strip"],
  ];
  document.getElementById("logits-tour-card")?.remove();
  const came = document.activeElement;
  let place = 0;
  let target = null;
  const title = el("h4", { id: "logits-tour-title" });
  const text = el("p", {});
  const count = el("span.count", {});
  const back = el("button.plain", { type: "button", text: w("tour.back"), onclick: () => to(place - 1) });
  const next = el("button.primary", { type: "button", id: "logits-tour-next", onclick: () => to(place + 1) });
  const close = el("button.link", { type: "button", text: w("tour.close"), onclick: end });
  const card = el("div.tour-card", { id: "logits-tour-card", role: "dialog", "aria-labelledby": "logits-tour-title", tabindex: "-1" }, title, text, el("div.row", {}, count, el("span.spring"), close, back, next));
  piece.append(card);
  card.addEventListener("keydown", (event) => { if (event.key === "Escape") { event.stopPropagation(); end(); } });
  const onResize = () => put();
  window.addEventListener("resize", onResize);
  to(0);

  function to(step) {
    if (step >= stops.length) { end(); return; }
    target?.classList.remove("toured");
    place = Math.max(0, step);
    const [name, selector] = stops[place];
    target = (name === "funnel" && openStage("min_p")) || piece.querySelector(selector);
    title.textContent = w(`tour.${name}`);
    text.textContent = w(`tour.${name}.text`);
    count.textContent = `${place + 1} / ${stops.length}`;
    back.disabled = place === 0;
    next.textContent = place === stops.length - 1 ? w("tour.done") : w("tour.next");
    target?.classList.add("toured");
    target?.scrollIntoView({ block: window.innerWidth < 1024 && target.offsetHeight > 300 ? "start" : "center", behavior: "instant" });
    put();
    next.focus({ preventScroll: true });
  }

  // Beside the thing where there is room, so that it stays in sight: below, above, right or left of it; else in a corner.
  function put() {
    const box = target?.getBoundingClientRect();
    if (!box) return;
    const { offsetWidth: wide, offsetHeight: high } = card;
    const [right, bottom] = [window.innerWidth - wide - 12, window.innerHeight - high - 12];
    const inside = (value, most) => Math.max(12, Math.min(most, value));
    const places = [
      [inside(box.left + 12, right), box.bottom + 10], [inside(box.left + 12, right), box.top - high - 10],
      [box.right + 10, inside(box.bottom - high, bottom)], [box.left - wide - 10, inside(box.bottom - high, bottom)],
    ];
    const head = document.querySelector("#tabs > .tab-wrapper")?.getBoundingClientRect().bottom ?? 46;
    const [left, top] = places.find(([x, y]) => x >= 12 && x <= right && y >= head && y <= bottom) ?? [right, bottom];
    card.style.top = `${Math.round(top)}px`;
    card.style.left = `${Math.round(left)}px`;
  }

  function end() {
    target?.classList.remove("toured");
    window.removeEventListener("resize", onResize);
    card.remove();
    came?.focus?.();
  }
};
