// Taking away: a file that opens again without the model, a table, a picture, a call for the API. And the tour.
"use strict";
Lab.logits.take = (tools, piece) => {
  const { state, w, ask, view } = tools;
  const { el } = Lab;
  const file = el("input", { type: "file", accept: ".json,application/json", hidden: true, "aria-hidden": "true", tabindex: "-1" });
  const items = [
    ["json", saveFile], ["csv", saveTable], ["png", savePicture], ["call", copyCall],
  ].map(([name, action]) => el("button", { type: "button", role: "menuitem", id: `logits-${name}`, text: w(`save.${name}`), title: w(`save.${name}.help`), onclick: async () => { close(); await action(); } }));
  const menu = el("div.menu", { role: "menu", hidden: true }, ...items);
  const button = el("button.plain", { type: "button", id: "logits-save", "aria-haspopup": "menu", "aria-expanded": "false", text: w("save"), title: w("save.help"), onclick: () => (menu.hidden ? open() : close()) });
  const load = el("button.plain", { type: "button", id: "logits-load", text: w("load"), title: w("load.help"), onclick: () => file.click() });
  const tour = el("button.plain", { type: "button", id: "logits-tour", text: w("tour"), title: w("tour.help"), onclick: () => Lab.logits.tour(tools, piece) });
  const root = el("div.take", {}, el("div.with-menu", {}, button, menu), load, tour, file);

  function open() {
    menu.hidden = false;
    button.setAttribute("aria-expanded", "true");
    items[0].focus();
    setTimeout(() => document.addEventListener("click", outside), 0);
  }
  function close() {
    menu.hidden = true;
    button.setAttribute("aria-expanded", "false");
    document.removeEventListener("click", outside);
  }
  const outside = (event) => { if (!menu.contains(event.target)) close(); };
  menu.addEventListener("keydown", (event) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (event.key === "Escape") { event.stopPropagation(); close(); button.focus(); }
    if (!step) return;
    event.preventDefault();
    items[(items.indexOf(document.activeElement) + step + items.length) % items.length].focus();
  });

  function download(content, kind, ending) {
    const blob = content instanceof Blob ? content : new Blob([content], { type: kind });
    const link = el("a", { href: URL.createObjectURL(blob), download: `look-${state.seed}.${ending}` });
    document.body.append(link);
    link.click();
    link.remove();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  }

  async function asked(question) {
    if (!state.look) { Lab.toast(w("look_first")); return null; }
    const answer = await ask({ ...view(), ...question });
    if (answer.error) { Lab.toast(answer.error, { bad: true }); return null; }
    return answer;
  }

  async function saveFile() {
    const answer = await asked({ ask: "save" });
    if (answer) download(answer.file, "application/json", "json");
  }

  async function saveTable() {
    const answer = await asked({ ask: "csv" });
    if (answer) download(`\ufeff${answer.file}`, "text/csv;charset=utf-8", "csv");
  }

  async function savePicture() {
    if (!state.answer) { Lab.toast(w("look_first")); return; }
    const canvas = Lab.logits.paint(tools, piece);
    canvas.toBlob((blob) => download(blob, "image/png", "png"), "image/png");
  }

  async function copyCall() {
    const answer = await asked({ ask: "call" });
    if (!answer) return;
    await Lab.copy(answer.call);
    Lab.toast(w(answer.served ? "copied" : "copied.no_api"));
  }

  file.addEventListener("change", async () => {
    const [chosen] = file.files;
    file.value = "";
    if (!chosen) return;
    state.node = 0;
    const answer = await tools.move({ ask: "load", file: await chosen.text() });
    if (!answer.error && !answer.lost) Lab.toast(w("loaded", { model: answer.model }));
  });

  return { root };
};

// The picture as an image: drawn anew, in the colours of the page, with what a reader must know.
Lab.logits.paint = ({ state, w, format, marks }, piece) => {
  const style = getComputedStyle(piece);
  const colour = (name) => style.getPropertyValue(`--${name}`).trim();
  const sans = (size, weight = 400) => `${weight} ${size}px "IBM Plex Sans", system-ui, sans-serif`;
  const mono = (size) => `400 ${size}px "IBM Plex Mono", ui-monospace, monospace`;
  const { answer } = state;
  const bars = answer.bars.slice(0, 24);
  const stages = answer.stages.map((stage, n) => [stage, state.chain[n]]).filter(([stage]) => !stage.off);
  const [width, pitch, left, right] = [1160, 24, 210, 780];
  const headHeight = 92;
  const height = headHeight + Math.max(bars.length + 1, stages.length * 2) * pitch + 34;
  const canvas = document.createElement("canvas");
  const ratio = 2;
  canvas.width = width * ratio;
  canvas.height = height * ratio;
  const pen = canvas.getContext("2d");
  pen.scale(ratio, ratio);
  pen.fillStyle = colour("paper");
  pen.fillRect(0, 0, width, height);
  const write = (text, x, y, font, fill, align = "left", most = undefined) => {
    pen.font = font;
    pen.fillStyle = fill;
    pen.textAlign = align;
    pen.fillText(text, x, y, most);
  };
  const tail = [...(state.walk?.prompt ?? []).map(([, text]) => text), ...(state.walk?.path ?? []).map((step) => step[2])].join("");
  write(state.model, 24, 34, sans(17, 600), colour("ink"));
  write([...tail].length > 110 ? `…${[...tail].slice(-110).join("")}` : tail, 24, 60, mono(13), colour("ink-2"), "left", width - 48);
  write(w("png.head", { n: format.count(answer.final.count), of: format.count(state.row.vocabulary), choices: format.number(answer.final.choices), seed: state.seed }), 24, 82, sans(13), colour("ink-2"));
  const top = Math.max(...bars.map(([, , raw, , final]) => Math.max(raw, final)), 0.01);
  const wide = (share) => Math.max(0, (right - left - 150) * Math.min(1, share / top));
  [...bars, null].forEach((bar, n) => {
    const y = headHeight + n * pitch;
    const { others } = answer;
    const [token, , raw, , final, cutBy, text] = bar ?? [-1, 0, others.raw, 0, others.final, -1, w("others", { n: format.count(others.count) })];
    const cut = cutBy >= 0;
    const mark = marks().get(token);
    if (mark) write(mark.how === "drawn" ? "◆" : "◇", left - 7, y + 16, sans(9), colour("ink"), "center");
    write([...text].length > 22 ? `${[...text].slice(0, 21).join("")}…` : text, left - 14, y + 16, mono(13), colour(cut || token < 0 ? "ink-3" : "ink"), "right", left - 30);
    pen.fillStyle = colour("raw");
    pen.globalAlpha = 0.35;
    pen.fillRect(left, y + 3, wide(raw), pitch - 6);
    pen.globalAlpha = 1;
    pen.fillStyle = colour(mark ? "chosen" : "kept");
    pen.fillRect(left, y + 6, wide(final), pitch - 12);
    const end = left + wide(Math.max(raw, final)) + 8;
    write(cut ? `${format.percent(raw)} · ${w("cut_by", { title: state.samplers[state.chain[cutBy][0]].title })}` : `${format.share(raw)} → ${format.share(final)}`, end, y + 16, sans(12), colour(cut ? "cut" : "ink-2"));
  });
  stages.forEach(([stage, [name, values]], n) => {
    const y = headHeight + n * pitch * 2;
    const [main] = state.samplers[name].params;
    const value = main?.slider ? ` ${format.local(String(Number(Number(values[main.name]).toFixed(6))))}` : "";
    write(`${state.samplers[name].title}${value}`, right + 20, y + 16, sans(13, 600), colour("ink"), "left", width - right - 40);
    write(stage.did, right + 20, y + 34, sans(12), colour("ink-2"), "left", width - right - 40);
  });
  write("Sampler Lab", width - 24, height - 14, sans(12, 600), colour("ink-3"), "right");
  return canvas;
};
