// The tour: five steps for newcomers, each beside the thing it is about.
"use strict";
Lab.logits.tour = ({ w }, piece) => {
  const { el } = Lab;
  const stops = [
    ["look", ".prompt"], ["picture", ".picture"], ["funnel", ".funnel"], ["draw", ".draws"], ["walk", ".walk-strip"],
  ];
  document.getElementById("logits-tour-card")?.remove();
  const came = document.activeElement;
  let place = 0;
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

  function target() { return piece.querySelector(stops[place][1]); }

  function to(step) {
    if (step >= stops.length) { end(); return; }
    target()?.classList.remove("toured");
    place = Math.max(0, step);
    const [name] = stops[place];
    title.textContent = w(`tour.${name}`);
    text.textContent = w(`tour.${name}.text`);
    count.textContent = `${place + 1} / ${stops.length}`;
    back.disabled = place === 0;
    next.textContent = place === stops.length - 1 ? w("tour.done") : w("tour.next");
    target()?.classList.add("toured");
    target()?.scrollIntoView({ block: "center", behavior: "instant" });
    put();
    next.focus({ preventScroll: true });
  }

  // Below the thing, or above it where there is no room, and always inside the window.
  function put() {
    const box = target()?.getBoundingClientRect();
    if (!box) return;
    const { offsetWidth: wide, offsetHeight: high } = card;
    const below = box.bottom + 10 + high < window.innerHeight ? box.bottom + 10 : box.top - high - 10 > 50 ? box.top - high - 10 : window.innerHeight - high - 16;
    card.style.top = `${Math.round(below)}px`;
    card.style.left = `${Math.round(Math.max(12, Math.min(window.innerWidth - wide - 12, box.left + 12)))}px`;
  }

  function end() {
    target()?.classList.remove("toured");
    window.removeEventListener("resize", onResize);
    card.remove();
    came?.focus?.();
  }
};
