// The Model tab: what is loaded on top, the list on the left, the chosen model's form on the right.
"use strict";
Lab.hub = {};
Lab.drawings.model = (root, { server }) => {
  const { t, el } = Lab;
  const tab = { server, models: [], chosen: "", stage: "", loaded: "", seats: [] };
  const problem = el("p.problem", { role: "alert", hidden: true });
  const now = el("section.now", { "aria-live": "polite" });
  const together = el("div.together", {});
  tab.say = (sentence) => { problem.hidden = !sentence; problem.textContent = sentence ?? ""; };
  tab.ask = async (question, name = "model") => {
    const answer = await Lab.ask(server, name, question);
    tab.say(answer.error);
    return answer;
  };
  tab.model = () => tab.models.find((model) => model.path === tab.chosen);
  tab.show = show;
  tab.reveal = () => now.scrollIntoView({ block: "nearest" });
  tab.showSet = (meters) => together.replaceChildren(...meters.map(Lab.meter));
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

  let shown = "";
  function show(answer) {
    if (!answer.stage) return;
    const before = `${tab.stage} ${tab.loaded}`;
    tab.stage = answer.stage;
    tab.loaded = answer.loaded;
    tab.seats = answer.seats;
    root.dataset.stage = answer.stage;
    const drawn = JSON.stringify([answer.seats, answer.news, answer.freed, answer.text, answer.detail]);
    if (drawn !== shown) {
      shown = drawn;
      const seats = answer.seats.length ? answer.seats : [{ ...answer, name: "", facts: [], current: true }];
      const parts = seats.map(seat);
      if (answer.news.text) parts.push(news(answer.news));
      if (answer.freed) parts.push(el("p.quiet", { text: answer.freed }));
      const focused = document.activeElement?.id;
      now.replaceChildren(...parts, together);
      if (focused && now.querySelector(`#${focused}`)) now.querySelector(`#${focused}`).focus();
    }
    if (!answer.seats.some((one) => one.stage === "ready")) together.replaceChildren();
    form.dress();
    if (before !== `${tab.stage} ${tab.loaded}`) form.again();
    if (answer.seats.some((one) => one.stage === "loading")) follow();
  }

  // What a change of the current model brought with it: one line, which can be taken back.
  let heard = "";
  function news({ text, undo }) {
    if (heard !== text) window.dispatchEvent(new CustomEvent("lab:chain", { detail: root }));
    heard = text;
    return el("p.quiet.news", { id: "model-news" }, text, " ", undo ? el("button.link", { type: "button", id: "undo-preset", text: t("undo"), onclick: async () => { heard = ""; show(await tab.ask({ ask: "undo_preset" })); window.dispatchEvent(new CustomEvent("lab:chain", { detail: root })); } }) : "");
  }

  function seat(one, place) {
    const name = one.stage === "failed" && one.name ? `${one.name}: ${one.text}` : one.text || one.name;
    const line = el("div.now-line", {}, el("span.dot", { "aria-hidden": "true" }), el("strong", { text: name }));
    if (seatsMany() && one.current) line.append(el("span.tag.on", { title: t("model.current.help"), text: t("model.current") }));
    const button = (id, key, what) => line.append(el("button.plain", { type: "button", id: one.current ? id : `${id}-${place}`, text: t(key), title: t(`${key}.help`), onclick: () => act(what, one.name) }));
    const parts = [line];
    if (!one.current && one.name && one.stage !== "failed") button("make-current", "model.make_current", "current");
    if (one.stage === "loading") {
      button("cancel-load", "cancel", "cancel");
      parts.push(el("div.progress", { role: "progressbar", "aria-label": one.text, "aria-valuemin": "0", "aria-valuemax": "100", "aria-valuenow": Math.round(one.progress * 100) }, el("i", { style: `width:${one.progress * 100}%` })));
    } else if (one.name) {
      button("unload", one.stage === "ready" ? "model.unload" : "model.dismiss", "unload");
    }
    if (one.stage === "ready") parts.push(el("dl.now-facts", {}, ...one.facts.map(([name, value]) => el("div", {}, el("dt", { text: name }), el("dd", { text: value })))));
    else if (one.detail) parts.push(el(one.stage === "failed" ? "p.problem" : "p.quiet", { text: one.detail }));
    return el("div.seat", { "data-stage": one.stage, "data-name": one.name }, ...parts);
  }
  const seatsMany = () => tab.seats.length > 1;

  const follow = Lab.later(250, async () => {
    const answer = await Lab.ask(server, "model", { ask: "state" });
    if (answer.lost) return follow();
    show(answer);
    if (!answer.seats?.some((one) => one.stage === "loading")) { list.draw(); form.fit(); }
  });

  // Others load, unload and ask as well: a look now and then while the tab is in sight.
  async function glance() {
    if (root.offsetParent && !document.hidden && !tab.seats.some((one) => one.stage === "loading")) {
      const names = tab.seats.map((one) => one.name + one.stage).join();
      const answer = await Lab.ask(server, "model", { ask: "state" });
      show(answer);
      if (answer.seats && names !== answer.seats.map((one) => one.name + one.stage).join()) { list.draw(); form.fit(); }
    }
    setTimeout(glance, 5000);
  }
  setTimeout(glance, 5000);

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
