// What is kept for the chosen model: preset, template, idle minutes, load at start; and its LoRAs, whose scales change live.
"use strict";
Lab.hub.own = (tab, form) => {
  const { t, el } = Lab;
  const summary = el("summary", {});
  const box = el("details.options", { id: "model-own", hidden: true }, summary);
  const loraBox = el("details.options", { id: "model-loras", hidden: true });
  let path = "";

  async function open(model) {
    path = model.path;
    const answer = await tab.ask({ ask: "own", path }, "model_own");
    if (answer.kept && path === model.path) { draw(answer); loras(answer); }
  }

  async function keep(name, value) {
    const at = path;
    const answer = await tab.ask({ ask: "keep", path, name, value }, "model_own");
    if (answer.kept && at === path) summary.textContent = t("model.own", { summary: answer.summary });
  }

  function draw(answer) {
    const { kept } = answer;
    summary.textContent = t("model.own", { summary: answer.summary });
    const idle = el("input", { type: "number", id: "own-idle", min: "0", max: answer.idle_most, step: "1", placeholder: String(answer.idle_general || t("model.own.idle.never")), value: kept.idle_minutes ?? "", onchange: () => { if (idle.checkValidity()) keep("idle_minutes", idle.value === "" ? null : Number(idle.value)); else idle.reportValidity(); } });
    const start = el("input", { type: "checkbox", id: "load-at-start", onchange: () => keep("load_at_start", start.checked) });
    start.checked = kept.load_at_start;
    const controls = el("div.controls", {},
      control("own-preset", "model.own.preset", choice("own-preset", "preset", t("model.own.preset.none"), answer.presets, kept.preset)),
      control("own-template", "model.own.template", choice("own-template", "template", t(answer.in_file ? "model.own.template.file" : "model.own.template.guess"), answer.templates, kept.template)),
      control("own-idle", "model.own.idle", idle),
      control("load-at-start", "model.at_start", start));
    box.replaceChildren(summary, controls);
    box.hidden = false;
  }

  function choice(id, name, nothing, names, value) {
    const gone = value && !names.includes(value) ? [el("option", { value, text: t("model.own.gone", { name: value }) })] : [];
    const field = el("select", { id, onchange: () => keep(name, field.value) }, el("option", { value: "", text: nothing }), ...gone, ...names.map((one) => el("option", { value: one, text: one })));
    field.value = value;
    return field;
  }

  function control(id, key, field) {
    return el("div.control", { title: t(`${key}.help`) }, el("label", { for: id, text: t(key) }), field, el("span.control-help", { text: t(`${key}.help`) }));
  }

  // Scales of LoRAs that are loaded go to the engine as they are moved: one change on its way, the newest one waiting.
  const note = el("p.quiet", { role: "status" });
  let waiting = {}, sending = false;
  async function send() {
    if (sending) return;
    sending = true;
    while (Object.keys(waiting).length) {
      const at = path, scales = waiting;
      waiting = {};
      note.textContent = t("model.lora.sending");
      const answer = await tab.ask({ ask: "adapters", path, scales }, "model_own");
      if (at !== path) continue;
      note.textContent = answer.scales ? t("model.lora.sent") : "";
    }
    sending = false;
  }
  const sendLater = Lab.later(150, send);

  function loras({ loras: found, live }) {
    waiting = {};
    note.textContent = "";
    loraBox.hidden = !found.length;
    loraBox.replaceChildren(el("summary", { text: t("model.lora") }), ...found.map((lora, n) => row(lora, n, live.includes(lora.path))), note);
    loraBox.open = found.some((lora) => form.values().loras.some((one) => one.path === lora.path));
  }

  function row(lora, n, live) {
    const now = form.values().loras.find((one) => one.path === lora.path);
    const on = el("input", { type: "checkbox", id: `lora-${n}`, onchange: put });
    const slide = el("input", { type: "range", min: "-2", max: "2", step: "0.05", "aria-label": t("model.lora.scale", { name: lora.name }), oninput: () => { scale.value = slide.value; put(); } });
    const scale = el("input", { type: "number", id: `lora-${n}-scale`, step: "0.05", min: "-10", max: "10", "aria-label": t("model.lora.scale", { name: lora.name }), oninput: () => { slide.value = scale.value; put(); } });
    scale.value = now?.scale ?? 1;
    slide.value = scale.value;
    on.checked = Boolean(now);
    function put(event) {
      if (event?.target !== on) on.checked = true;
      if (!scale.checkValidity()) return scale.reportValidity();
      const value = Number(scale.value) || 0;
      form.set("loras", [...form.values().loras.filter((one) => one.path !== lora.path), ...(on.checked ? [{ path: lora.path, scale: value }] : [])]);
      if (live) { waiting[lora.path] = on.checked ? value : 0; sendLater(); } else note.textContent = t("model.lora.next");
    }
    return el("div.lora", { title: t("model.lora.help") }, on, el("label", { for: `lora-${n}` }, `${lora.name} · ${lora.size} `, live ? el("span.tag.on", { title: t("model.lora.live.help"), text: t("model.lora.live") }) : ""), slide, scale);
  }

  return { box, loraBox, open };
};
