// The small picture of one stage, in the terms its sampler thinks in: bars or a staircase by rank, its limit as a line,
// what stays and what goes.
"use strict";
Lab.logits.svg = (name, attributes = {}, ...children) => {
  const node = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  node.append(...children);
  return node;
};

// `wide` is how many pixels there are: drawn to measure, so that its letters have the size of all others.
Lab.logits.mini = (host, mini, { w, format, sampler, wide }) => {
  const { svg } = Lab.logits;
  const { el } = Lab;
  const width = Math.min(520, wide || 400);
  const room = (width - 52) / mini.y.length;
  const letters = Math.max(0, ...mini.texts.map((piece) => [...piece].length));
  const tilted = room > 15 && letters * 6.2 > room; // names stand aslant where they would not fit side by side
  const height = tilted ? 138 : 118;
  const box = { left: 46, right: width - 6, top: 8, bottom: height - (tilted ? 40 : 20) };
  const down = mini.what === "sigmas";
  const share = !["distance", "surprise", "sigmas"].includes(mini.what);
  const logs = mini.log && mini.y.some((y) => y > 0);
  const everything = [...mini.y, ...mini.after, ...(mini.line === null ? [] : [mini.line])].filter((y) => Number.isFinite(y) && (!logs || y > 0));
  const floor = logs ? Math.max(1e-12, Math.min(...everything) / 1.6) : down ? Math.min(...everything) * 1.05 : 0;
  const top = down ? 0 : logs ? Math.max(...everything) * 1.15 : Math.max(1e-9, ...everything) * 1.05;
  const count = mini.y.length;
  const scale = (y) => {
    const part = logs ? (Math.log(Math.max(y, floor)) - Math.log(floor)) / (Math.log(top) - Math.log(floor)) : (y - floor) / (top - floor || 1);
    return box.bottom - Math.max(0, Math.min(1, part)) * (box.bottom - box.top);
  };
  const pitch = (box.right - box.left) / count;
  const bar = Math.max(1, Math.min(22, pitch * 0.72));
  const at = (n) => box.left + n * pitch + (pitch - bar) / 2;
  const stripes = svg("pattern", { id: "mini-stripes", width: 5, height: 5, patternUnits: "userSpaceOnUse", patternTransform: "rotate(45)" },
    svg("rect", { width: 5, height: 5, class: "between" }), svg("rect", { width: 2.4, height: 5, class: "stripe" }));
  const picture = svg("svg", { viewBox: `0 0 ${width} ${height}`, width, height, class: `mini-picture ${mini.kind}`, "aria-hidden": "true" }, svg("defs", {}, stripes));
  const label = (value) => (share ? format.tiny(value) : format.number(value));

  for (const tick of ticks()) {
    const y = scale(tick);
    picture.append(svg("line", { x1: box.left, x2: box.right, y1: y, y2: y, class: "grid" }));
    picture.append(text(box.left - 5, y + 3.5, label(tick), "end", "tick"));
  }
  mini.y.forEach((y, n) => {
    const kind = [mini.kept[n] ? "kept" : "cut", mini.marks.includes(n) ? "mark" : ""].join(" ");
    if (mini.kind === "change") {
      picture.append(rect(at(n), y, "ghost"));
      picture.append(rect(at(n) + bar * 0.18, mini.after[n] ?? 0, kind, bar * 0.64));
    } else if (mini.kind === "stairs") {
      const before = n ? mini.y[n - 1] : 0;
      picture.append(svg("rect", { x: box.left + n * pitch, width: Math.max(0.6, pitch - 0.6), y: scale(y), height: Math.max(1, scale(before) - scale(y)), class: kind }));
      picture.append(svg("rect", { x: box.left + n * pitch, width: Math.max(0.6, pitch - 0.6), y: scale(before), height: Math.max(0, box.bottom - scale(before)), class: "under" }));
    } else picture.append(rect(at(n), y, kind));
  });
  if (tilted) {
    mini.texts.slice(0, count).forEach((piece, n) => {
      const node = text(0, 0, short(piece, 58), "end", "piece-name");
      node.setAttribute("transform", `translate(${at(n) + bar / 2 + 3} ${box.bottom + 9}) rotate(-38)`);
      picture.append(node);
    });
  } else if (pitch > 15) mini.texts.slice(0, count).forEach((piece, n) => picture.append(text(at(n) + bar / 2, height - 7, short(piece, pitch), "middle", "piece-name")));
  if (mini.line !== null && mini.line <= top * 1.2) {
    const y = scale(mini.line);
    picture.append(svg("line", { x1: box.left, x2: box.right, y1: y, y2: y, class: "limit" }));
    picture.append(text(box.right - 2, y > box.top + 14 ? y - 4 : y + 12, label(mini.line), "end", "limit-label"));
  }
  if (mini.stop !== null) {
    const x = box.left + mini.stop * pitch;
    picture.append(svg("line", { x1: x, x2: x, y1: box.top - 4, y2: box.bottom, class: "limit" }));
  }
  const also = [sampler === "xtc" && mini.marks.length ? "xtc" : "", mini.kind === "change" ? "change" : "", logs ? "log" : ""].filter(Boolean);
  const caption = el("p.caption", { text: [mini.what, ...also].map((word) => w(`mini.${word}`)).join(" · ") });
  host.replaceChildren(caption, picture);
  host.setAttribute("aria-label", `${w(`mini.${mini.what}`)}: ${mini.kept.filter(Boolean).length} / ${count}`);

  function rect(x, y, kind, breadth = bar) {
    const one = scale(y);
    const base = down ? box.top : box.bottom;
    return svg("rect", { x, width: breadth, y: down ? box.top : one, height: Math.max(0.8, Math.abs(base - one)), class: kind });
  }

  function text(x, y, content, anchor, kind) {
    const node = svg("text", { x, y, "text-anchor": anchor, class: kind });
    node.textContent = content;
    return node;
  }

  function short(piece, room) {
    const most = Math.max(1, Math.floor(room / 6.2));
    return [...piece].length > most ? [...piece].slice(0, Math.max(1, most - 1)).join("") + "…" : piece;
  }

  function ticks() {
    if (logs) {
      const powers = [];
      for (let power = 0; power >= Math.log10(floor); power--) if (10 ** power <= top) powers.push(10 ** power);
      return powers.length > 5 ? powers.filter((_, n) => n % 2 === 0) : powers;
    }
    const span = top - floor;
    const raw = 10 ** Math.floor(Math.log10(span / 2));
    const pitch = [1, 2, 5, 10].map((k) => k * raw).find((one) => span / one <= 4) ?? span;
    const found = [];
    for (let tick = Math.ceil(floor / pitch) * pitch; tick <= top + 1e-12; tick += pitch) found.push(Number(tick.toPrecision(6)));
    return found;
  }
};
