// The fallback order: which model is asked first, which next, and what is answered when none of them does.
"use strict";
Lab.drawings.fallback = (root, { server }) => {
  const { t, el, iconButton } = Lab;
  let order = { models: [], names: [], most: 0, longest: 0 };
  let edits = 0;
  const problem = el("p.problem", { id: "fallback-problem", role: "alert", hidden: true });
  const rows = el("ol.fallback-rows", {});
  const empty = el("p.empty", { text: t("fallback.empty") });
  const enabled = el("input", { type: "checkbox", id: "fallback-enabled", onchange: () => change({ enabled: enabled.checked }) });
  const seconds = el("input", { type: "number", id: "fallback-seconds", min: "0", step: "any", oninput: () => { if (valid(seconds)) changeLater({ seconds: Number(seconds.value) }); } });
  const last = el("textarea", { id: "fallback-text", rows: "2", oninput: () => changeLater({ text: last.value }) });
  const choose = el("select", { id: "fallback-add", "aria-label": t("fallback.add.label"), title: t("fallback.add.label") });
  const add = el("button.plain", { type: "submit", text: t("fallback.add"), title: t("fallback.add.label") });
  const adding = el("form.fallback-add", { onsubmit: (event) => { event.preventDefault(); if (choose.value) change({ enabled: order.enabled || !order.models.length, models: [...order.models, { name: choose.value, seconds: null, here: true }] }); } }, choose, add);
  const file = el("p.quiet", {});
  const saved = el("p.quiet", { role: "status" });
  root.append(el("p.fallback-about", { text: t("fallback.about") }),
    el("label.fallback-on", { for: "fallback-enabled", title: t("fallback.enabled.help") }, enabled, t("fallback.enabled")),
    problem, rows, empty, adding,
    el("div.fallback-field", { title: t("fallback.seconds.help") }, el("label", { for: "fallback-seconds", text: t("fallback.seconds") }), seconds, el("span.control-help", { text: t("fallback.seconds.help") })),
    el("div.fallback-field.wide", { title: t("fallback.text.help") }, el("label", { for: "fallback-text", text: t("fallback.text") }), last, el("span.control-help", { text: t("fallback.text.help") })),
    el("div.fallback-foot", {}, saved, file));

  const valid = (field) => field.value !== "" && field.checkValidity();
  const sendTyped = Lab.later(400, () => change({}));
  const changeLater = (values) => { order = { ...order, ...values }; edits += 1; sendTyped(); };
  Lab.whenLeaving(sendTyped.now);

  async function change(values) {
    const at = ++edits;
    order = { ...order, ...values };
    sendTyped.cancel();
    if (values.models) draw();
    const models = order.models.map(({ name, seconds }) => ({ name, seconds }));
    const answer = await Lab.ask(server, "fallback", { ask: "keep", enabled: order.enabled, models, seconds: order.seconds, text: order.text });
    if (at !== edits) return;
    if (answer.error) { say(answer.error); saved.textContent = ""; return; }
    saved.textContent = t("fallback.saved");
    const moved = JSON.stringify(answer.models) !== JSON.stringify(order.models);
    order = { ...answer, text: order.text };
    if (moved) draw(); else say(answer.problem);
  }

  function say(sentence) {
    problem.hidden = !sentence;
    problem.textContent = sentence ?? "";
  }

  function draw() {
    const focused = document.activeElement?.id;
    enabled.checked = order.enabled;
    seconds.max = order.longest;
    if (document.activeElement !== seconds) seconds.value = order.seconds;
    if (document.activeElement !== last) last.value = order.text;
    rows.replaceChildren(...order.models.map(row));
    empty.hidden = order.models.length > 0;
    const left = order.names.filter((name) => !order.models.some((model) => model.name === name));
    choose.replaceChildren(...left.map((name) => el("option", { value: name, text: name })));
    adding.hidden = !left.length || order.models.length >= order.most;
    file.textContent = order.file;
    say(order.problem);
    if (focused && rows.querySelector(`#${focused}`)) rows.querySelector(`#${focused}`).focus();
  }

  function row(model, n) {
    const own = el("input", { type: "number", id: `fallback-seconds-${n}`, min: "0", max: order.longest, step: "any", placeholder: String(order.seconds), value: model.seconds ?? "", title: t("fallback.own.help"), "aria-label": t("fallback.own", { name: model.name }), oninput: () => { if (own.checkValidity()) changeLater({ models: order.models.map((one, m) => (m === n ? { ...one, seconds: own.value === "" ? null : Number(own.value) } : one)) }); } });
    const arrow = (sign, id, key, to, off) => el("button.icon-button", { type: "button", id: `${id}-${n}`, disabled: off, title: t(key, { name: model.name }), "aria-label": t(key, { name: model.name }), text: sign, onclick: () => move(n, to, id) });
    return el("li.fallback-row", { "data-name": model.name }, el("span.fallback-name", {}, model.name, model.here ? "" : el("span.tag", { title: t("fallback.missing.help"), text: t("fallback.missing") })),
      own, el("span.quiet", { text: t("fallback.unit") }),
      arrow("↑", "fallback-up", "fallback.up", n - 1, n === 0), arrow("↓", "fallback-down", "fallback.down", n + 1, n === order.models.length - 1),
      iconButton("close", t("fallback.remove", { name: model.name }), () => change({ models: order.models.filter((one, m) => m !== n) })));
  }

  function move(from, to, id) {
    const models = [...order.models];
    models.splice(to, 0, ...models.splice(from, 1));
    change({ models });
    (rows.querySelector(`#${id}-${to}:not(:disabled)`) ?? rows.children[to]?.querySelector("button:not(:disabled)"))?.focus();
  }

  Lab.whenShown(root, async () => {
    const at = edits;
    const answer = await Lab.ask(server, "fallback", { ask: "get" });
    if (at !== edits) return;
    if (answer.error) say(answer.error); else { order = answer; draw(); }
  });
};
