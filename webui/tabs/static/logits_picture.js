// The big picture: the whole vocabulary as a curve, the likeliest tokens as bars (what the model thinks, what is left of
// it), who cut the others, and any token that is looked for.
"use strict";
Lab.logits.picture = ({ state, w, format, live, move, ask, view, say, marks }) => {
  const { el } = Lab;
  const { svg } = Lab.logits;
  const overview = el("div.overview", { role: "img", "aria-label": w("overview") });
  const list = el("ol.bars", { id: "logits-bars", "aria-label": w("bars") });
  const axis = el("div.axis", { "aria-hidden": "true" });
  const line = el("div.limit-line", { hidden: true }, el("span"));
  const ghostWord = el("span.key.ghost", {});
  const chosenKey = el("span.key.chosen", { text: w("key.chosen"), hidden: true });
  const order = segments("order", ["raw", "final"], () => state.order, (value) => { state.order = value; live(); });
  const log = el("button.chip", { type: "button", id: "logits-log", "aria-pressed": "false", text: w("log"), title: w("log.help"), onclick: () => { state.log = !state.log; log.setAttribute("aria-pressed", String(state.log)); if (state.answer) drawn(state.answer); } });
  const more = el("button.link", { type: "button", id: "logits-more", onclick: () => { state.shown = state.shown >= 2000 ? 20 : Math.min(2000, state.shown * 4); live(); } });
  const field = el("input.find", { type: "text", id: "logits-find", placeholder: w("find"), "aria-label": w("find"), title: w("find.help"), spellcheck: "false", autocomplete: "off" });
  const found = el("ul.found", { id: "logits-found", "aria-live": "polite" });
  const root = el("section.picture.card", { "aria-labelledby": "logits-picture-title", id: "logits-picture" },
    el("header", {}, el("h3", { id: "logits-picture-title", text: w("picture") }), el("span.spring"), order, log, field),
    found, overview,
    el("div.legend", {}, ghostWord, el("span.key.solid", { text: w("key.final") }), el("span.key.cut", { text: w("key.cut") }), el("span.key.line", { text: w("key.limit"), hidden: true }), chosenKey),
    el("div.chart", {}, axis, list, line), more);
  const keys = Lab.logits.roving(list, ".token");
  const rows = [];
  let wide = 640; // asking the overview itself would lay out the page in the middle of every picture

  function segments(name, values, current, choose) {
    const group = el("div.segments", { role: "group", "aria-label": w(name) });
    for (const value of values) {
      group.append(el("button", {
        type: "button", "data-value": value, "aria-pressed": String(current() === value), text: w(`${name}.${value}`), title: w(`${name}.${value}.help`),
        onclick: () => { choose(value); for (const one of group.children) one.setAttribute("aria-pressed", String(one.dataset.value === value)); },
      }));
    }
    return group;
  }

  // one token

  function makeRow() {
    const token = el("button.token", { type: "button", tabindex: "-1" });
    const rank = el("span.rank");
    const ghost = el("i.ghost");
    const solid = el("i.solid");
    const raw = el("span.raw");
    const final = el("span.final");
    const fate = el("span.fate");
    const row = el("li.bar", {}, rank, token, el("span.track", { "aria-hidden": "true" }, ghost, solid), raw, final, fate);
    token.addEventListener("click", () => move({ ask: "step", token: Number(row.dataset.token) }));
    return { row, token, rank, ghost, solid, raw, final, fate };
  }

  function drawn(answer) {
    const { bars, others, focus } = answer;
    const before = rows.length;
    while (rows.length < bars.length + 1) { rows.push(makeRow()); list.append(rows[rows.length - 1].row); }
    while (rows.length > bars.length + 1) rows.pop().row.remove();
    const all = [...bars.map(([, , raw, seen, final]) => [focus < 0 ? raw : seen, final]), []];
    const top = niceTop(Math.max(...all.flat(), answer.limit?.kind === "probability" ? answer.limit.value : 0));
    const scale = scaleOf(top);
    const marked = marks();
    chosenKey.hidden = !marked.size;
    bars.forEach((bar, n) => { fill(rows[n], bar, scale, focus, marked.get(bar[0])); marked.delete(bar[0]); });
    fillOthers(rows[bars.length], others, scale, focus, [...marked.values()]);
    if (rows.length !== before) keys.refresh();
    drawAxis(scale, top, focus);
    drawLimit(answer, scale, bars);
    ghostWord.textContent = focus < 0 ? w("key.raw") : w("key.seen", { title: title(focus) });
    more.textContent = bars.length >= 2000 || others.count === 0 ? w("fewer") : w("show_more", { n: format.count(Math.min(2000, state.shown * 4)) });
    more.hidden = others.count === 0 && state.shown <= 20;
    drawOverview(answer);
    if (field.value) search();
  }

  const title = (place) => state.samplers[state.chain[place]?.[0]]?.title ?? "";

  function fill(cells, [token, rank, raw, seen, final, cutBy, text], scale, focus, mark) {
    const { row } = cells;
    const shown = focus < 0 ? raw : seen;
    row.dataset.token = token;
    row.classList.toggle("is-cut", cutBy >= 0);
    row.classList.remove("others");
    cells.token.disabled = false;
    if (cells.token.textContent !== text) cells.token.textContent = text;
    cells.rank.textContent = format.count(rank);
    cells.ghost.style.width = `${scale(shown)}%`;
    cells.solid.style.width = `${scale(final)}%`;
    cells.raw.textContent = shown > 0 ? format.share(shown) : "";
    cells.final.textContent = cutBy >= 0 ? "" : format.share(final);
    const cut = cutBy >= 0 ? w("cut_by", { title: title(cutBy) }) : "";
    const fate = [mark ? `${signs[mark.how]} ${w(`mark.${mark.how}`)}` : "", cut].filter(Boolean).join(" · ");
    dress(cells, mark ? mark.how : "");
    if (cells.fate.textContent !== fate) cells.fate.textContent = fate;
    const label = `${w("take", { text, id: token })} ${w("bar.says", { rank: format.count(rank), raw: format.percent(raw), final: format.percent(final) })} ${fate}`;
    cells.token.title = label;
    cells.token.setAttribute("aria-label", label);
  }

  const signs = { drawn: "◆", taken: "◇" };
  const dress = ({ row }, how) => { row.classList.toggle("is-chosen", how !== ""); row.dataset.mark = signs[how] ?? ""; };

  function fillOthers(cells, others, scale, focus, marked) {
    dress(cells, "");
    const shown = focus < 0 ? others.raw : others.seen;
    cells.row.classList.add("others");
    cells.row.classList.remove("is-cut");
    cells.row.removeAttribute("data-token");
    cells.row.hidden = others.count === 0;
    cells.token.disabled = true;
    cells.token.textContent = w("others", { n: format.count(others.count) });
    cells.token.removeAttribute("aria-label");
    cells.rank.textContent = "";
    cells.ghost.style.width = `${scale(shown)}%`;
    cells.solid.style.width = `${scale(others.final)}%`;
    cells.raw.textContent = shown > 0 ? format.share(shown) : "";
    cells.final.textContent = others.final > 0 ? format.share(others.final) : "";
    const alive = others.alive > 0 ? w("others.alive", { n: format.count(others.alive) }) : "";
    cells.fate.textContent = [...marked.map(({ how, text }) => `${signs[how]} ${text}`), alive].filter(Boolean).join(" · ");
    cells.fate.title = cells.fate.textContent;
  }

  // scales

  const floor = 1e-6;
  const niceTop = (highest) => [0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8, 1].find((top) => highest <= top) ?? 1;
  const scaleOf = (top) => (state.log
    ? (p) => (p <= floor ? 0 : 100 * (Math.log10(p) - Math.log10(floor)) / -Math.log10(floor))
    : (p) => 100 * Math.min(1, p / top));

  function drawAxis(scale, top, focus) {
    const ticks = state.log ? [1e-5, 1e-4, 1e-3, 0.01, 0.1, 1] : [0, 0.25, 0.5, 0.75, 1].map((part) => part * top);
    axis.replaceChildren(
      el("span.track", {}, ...ticks.map((tick) => el("span", { style: `left:${scale(tick)}%;transform:translateX(-${scale(tick) < 4 ? 0 : scale(tick) > 96 ? 100 : 50}%)`, text: tick ? format.percent(tick) : "0" }))),
      el("span.raw", { text: w(focus < 0 ? "col.raw" : "col.seen") }), el("span.final", { text: w("col.final") }));
  }

  // The chosen stage's limit: a line across the bars for a probability, one between two rows for a number of tokens.
  function drawLimit(answer, scale, bars) {
    const { limit } = answer;
    root.querySelector(".key.line").hidden = !limit;
    for (const cells of rows) cells.row.classList.remove("limit-after");
    line.hidden = limit?.kind !== "probability";
    if (!limit) return;
    if (limit.kind === "rank") {
      const last = state.order === "raw" ? bars.filter(([, , , seen]) => seen > 0).length : bars.length;
      if (limit.value <= last && limit.value > 0) rows[limit.value - 1].row.classList.add("limit-after");
      return;
    }
    const track = rows[0].solid.parentNode;
    line.style.left = `${track.offsetLeft + track.offsetWidth * scale(limit.value) / 100}px`;
    line.firstChild.textContent = `${title(answer.focus)}: ${format.percent(limit.value)}`;
    line.classList.toggle("left", scale(limit.value) > 60);
  }

  // The whole vocabulary, rank and probability both as logarithms, with the place each stage cuts at.

  function drawOverview(answer) {
    const curve = state.row?.curve;
    if (!curve) return;
    const [width, height] = [wide, 92];
    const [left, right, upper, lower] = [4, width - 4, 14, height - 16];
    const last = Math.log(curve[curve.length - 1][0]) || 1;
    const high = Math.log(curve[0][1]);
    const low = Math.max(Math.log(Math.max(curve[curve.length - 1][1], 1e-12)), Math.log(1e-12));
    const x = (rank) => left + (right - left) * Math.log(Math.max(1, rank)) / last;
    const y = (p) => upper + (lower - upper) * (high - Math.log(Math.max(p, 1e-12))) / (high - low || 1);
    const points = curve.map(([rank, p]) => `${x(rank).toFixed(1)},${y(p).toFixed(1)}`);
    const end = x(answer.final.count + 0.5);
    const area = (kind, clip) => svg("polygon", { points: `${left},${lower} ${points.join(" ")} ${right},${lower}`, class: kind, "clip-path": clip });
    const clip = (id, from, to) => svg("clipPath", { id }, svg("rect", { x: from, y: 0, width: Math.max(0, to - from), height }));
    const picture = svg("svg", { viewBox: `0 0 ${width} ${height}`, width, height, "aria-hidden": "true" },
      clip("logits-clip-kept", 0, end + 1), clip("logits-clip-cut", end + 1, width),
      area("area cut", "url(#logits-clip-cut)"), area("area kept", "url(#logits-clip-kept)"));
    for (let rank = 1; Math.log(rank) <= last; rank *= 10) picture.append(mark(x(rank), height - 4, format.count(rank), "tick", rank === 1 ? "start" : "middle"));
    flags(answer, x).forEach(({ at, row, text, anchor, focus }) => {
      const kind = focus ? " focus" : "";
      const y = 11 + row * 12;
      picture.append(svg("line", { x1: at, x2: at, y1: y - 8, y2: lower, class: `stage${kind}` }));
      picture.append(mark(at + (anchor === "start" ? 4 : -4), y, text, `stage-name${kind}`, anchor));
    });
    overview.replaceChildren(picture);
  }

  // Where each stage cuts, as flags: the pole furthest left is the tallest, so that its flag flies above the others.
  function flags(answer, x) {
    const cuts = answer.stages.map((stage, n) => ({ at: x(stage.out + 0.5), text: `${title(n)} ${format.count(stage.out)}`, focus: n === answer.focus, stage }))
      .filter(({ stage }) => !stage.off && stage.out < stage.in).sort((a, b) => b.at - a.at);
    const free = [];
    for (const flag of cuts) {
      const room = flag.text.length * 6.6 + 8;
      flag.anchor = flag.at + room > wide ? "end" : "start";
      const [from, to] = flag.anchor === "start" ? [flag.at, flag.at + room] : [flag.at - room, flag.at];
      flag.level = 1 + Math.max(-1, ...free.filter((other) => other.from < to && from < other.to).map((other) => other.level));
      free.push({ from, to, level: flag.level });
    }
    const highest = Math.min(4, Math.max(0, ...cuts.map((flag) => flag.level)));
    return cuts.map((flag) => ({ ...flag, row: Math.max(0, highest - flag.level) }));
  }

  function mark(x, y, content, kind, anchor) {
    const node = svg("text", { x, y, class: kind, "text-anchor": anchor });
    node.textContent = content;
    return node;
  }
  new ResizeObserver(([entry]) => {
    wide = Math.round(entry.contentRect.width) || 640;
    if (state.answer) drawn(state.answer);
  }).observe(overview);

  // looking for a token

  const search = Lab.later(120, async () => {
    const text = field.value;
    const patience = setTimeout(() => {
      if (!text || text !== field.value) return;
      found.replaceChildren(el("li.none", { text: w("find.reading", { n: format.count(state.row.vocabulary) }) }));
      root.classList.add("finding");
    }, 300);
    const answer = text && state.look ? await ask({ ...view(), ask: "find", text }) : { found: [] };
    clearTimeout(patience);
    if (answer.error || text !== field.value) return;
    found.replaceChildren(...answer.found.map(tellFate));
    if (text && !answer.found.length) found.append(el("li.none", { text: w("find.none") }));
    root.classList.toggle("finding", Boolean(text));
  });
  field.addEventListener("input", search);
  field.addEventListener("focus", () => { if (state.look) ask({ ...view(), ask: "find", text: "" }); }); // a big vocabulary takes a moment to read
  field.addEventListener("keydown", (event) => { if (event.key === "Escape") { event.stopPropagation(); field.value = ""; search(); search.now(); } });

  function tellFate(fate) {
    const words = fate.cut_by >= 0 ? w("fate.cut", { title: title(fate.cut_by), n: fate.cut_by + 1 }) : w("fate.kept", { final: format.percent(fate.final) });
    return el("li", { "data-token": String(fate.token) },
      el("button.token", { type: "button", text: fate.text, title: w("take", { text: fate.text, id: fate.token }), onclick: () => move({ ask: "step", token: fate.token }) }),
      el("span.id", { text: `#${fate.token}` }),
      el("span", { text: w("fate.rank", { rank: format.count(fate.rank), of: format.count(state.row.vocabulary), raw: format.tiny(fate.raw) }) }),
      el(fate.cut_by >= 0 ? "span.fate" : "span.alive", { text: words }));
  }

  return { root, drawn, arrived: () => say(w("arrived", { n: format.count(state.answer.final.count), of: format.count(state.row.vocabulary) })) };
};
