// The Model tab: what is loaded on top, the list on the left, the chosen model's form on the right.
"use strict";
Lab.hub = {};
Lab.drawings.model = (root, { server }) => {
  const { t, el } = Lab;
  const tab = { server, models: [], chosen: "", stage: "", loaded: "" };
  const problem = el("p.problem", { role: "alert", hidden: true });
  const now = el("section.now", { "aria-live": "polite" });
  tab.say = (sentence) => { problem.hidden = !sentence; problem.textContent = sentence ?? ""; };
  tab.ask = async (question, name = "model") => {
    const answer = await Lab.ask(server, name, question);
    tab.say(answer.error);
    return answer;
  };
  tab.model = () => tab.models.find((model) => model.path === tab.chosen);
  tab.show = show;
  tab.changed = (answer) => { show(answer); window.dispatchEvent(new Event("lab:model-changing")); };
  tab.choose = (path) => { tab.chosen = path; list.draw(); form.open(); };
  const list = Lab.hub.list(tab);
  const form = Lab.hub.form(tab);
  root.append(now, problem, el("div.model-columns", {}, list.node, form.node));

  let asked = ""; // a model that another section wants to be shown; the list may have to be read anew for it
  tab.take = (answer) => {
    if (!answer.models) return;
    tab.models = answer.models;
    list.folders(answer.folders);
    if (tab.models.some((model) => model.path === asked)) { tab.chosen = asked; asked = ""; }
    if (!tab.model()?.loadable) tab.chosen = (tab.models.find((model) => model.path === tab.loaded) ?? tab.models.find((model) => model.loadable))?.path ?? "";
    list.draw();
    form.open();
  };

  async function refresh(scan) {
    show(await tab.ask({ ask: "state" }));
    tab.take(await tab.ask({ ask: "list", scan: Boolean(scan) }, "model_list"));
  }
  tab.refresh = refresh;

  function show(answer) {
    if (!answer.stage) return;
    tab.stage = answer.stage;
    tab.loaded = answer.loaded;
    tab.seats = answer.seats.length;
    root.dataset.stage = answer.stage;
    const seats = answer.seats.length ? answer.seats : [{ ...answer, name: "", facts: [], current: true }];
    const parts = seats.map(seat);
    if (answer.freed) parts.push(el("p.quiet", { text: answer.freed }));
    const focused = document.activeElement?.id;
    now.replaceChildren(...parts);
    if (focused && now.querySelector(`#${focused}`)) now.querySelector(`#${focused}`).focus();
    form.dress();
    if (answer.seats.some((one) => one.stage === "loading")) follow();
  }

  function seat(one) {
    const line = el("div.now-line", {}, el("span.dot", { "aria-hidden": "true" }), el("strong", { text: one.text || one.name }));
    if (seatsMany() && one.current) line.append(el("span.tag.on", { text: t("model.current") }));
    const button = (id, key, what) => line.append(el("button.plain", { type: "button", id: one.current ? id : undefined, text: t(key), onclick: () => act(what, one.name) }));
    const parts = [line];
    if (one.stage === "loading") {
      button("cancel-load", "cancel", "cancel");
      parts.push(el("div.progress", { role: "progressbar", "aria-label": one.text, "aria-valuemin": "0", "aria-valuemax": "100", "aria-valuenow": Math.round(one.progress * 100) }, el("i", { style: `width:${one.progress * 100}%` })));
    } else if (one.stage === "ready") {
      if (!one.current) button("", "model.make_current", "current");
      button("unload", "model.unload", "unload");
      parts.push(el("dl.now-facts", {}, ...one.facts.map(([name, value]) => el("div", {}, el("dt", { text: name }), el("dd", { text: value })))));
    } else if (one.detail) parts.push(el(one.stage === "failed" ? "p.problem" : "p.quiet", { text: one.detail }));
    return el("div.seat", { "data-stage": one.stage }, ...parts);
  }
  const seatsMany = () => tab.seats > 1;

  const follow = Lab.later(250, async () => {
    const answer = await Lab.ask(server, "model", { ask: "state" });
    if (answer.lost) return follow();
    show(answer);
    if (answer.stage !== "loading") { list.draw(); form.fit(); }
  });

  async function act(what, name) {
    tab.changed(await tab.ask({ ask: what, name }));
    list.draw();
    form.fit();
  }

  window.addEventListener("lab:show-model", async ({ detail }) => {
    asked = detail.path;
    await refresh(true);
    form.node.scrollIntoView({ block: "nearest" });
  });
  window.addEventListener("lab:status", ({ detail }) => { if (detail.stage !== tab.stage && root.offsetParent) refresh(false); });
  Lab.whenShown(root, () => refresh(false));
};
