// Get models: one field, what was found, what a model offers, and the queue of downloads.
"use strict";
Lab.drawings.downloads = (root, { server }) => {
  const { t, el, iconButton } = Lab;
  const seen = { found: null, done: new Set(), first: true };
  const field = el("input", { type: "text", id: "downloads-text", "aria-label": t("downloads.text"), placeholder: t("downloads.text"), title: t("downloads.text.help") });
  const choice = (id, names) => el("select", { id, "aria-label": t(id.replace("-", ".")), title: t(`${id.replace("-", ".")}.help`) }, ...names.map((name) => el("option", { value: name, text: t(`${id.replace("-", ".")}.${name}`) })));
  const kind = choice("downloads-kind", ["gguf", "exl2", "lora", "any"]);
  const sort = choice("downloads-sort", ["downloads", "likes", "last_modified"]);
  const go = el("button.primary", { type: "submit", text: t("downloads.search"), title: t("downloads.search.help") });
  const problem = el("p.problem", { role: "alert", hidden: true });
  const address = el("input.wide", { type: "text", id: "downloads-endpoint", autocomplete: "off" });
  const token = el("input.wide.bare", { type: "password", id: "downloads-token", autocomplete: "off" });
  const standing = el("span", {});
  const forget = el("button.plain", { type: "button", text: t("downloads.token.forget"), onclick: () => connect(true) });
  const connection = el("details.connection", {}, el("summary", {}, standing),
    el("form", { onsubmit: (event) => { event.preventDefault(); connect(false); } },
      el("label", { for: "downloads-token" }, t("downloads.token")), token, el("p.quiet", { text: t("downloads.token.help") }),
      el("label", { for: "downloads-endpoint" }, t("downloads.endpoint")), address, el("p.quiet", { text: t("downloads.endpoint.help") }),
      el("p.quiet", { text: t("downloads.offline.help") }),
      el("div.tools", {}, el("button.plain", { type: "submit", text: t("downloads.connect") }), forget)));
  const queue = el("section.queue", { "aria-label": t("downloads.queue"), hidden: true });
  const spoken = el("p.sr", { role: "status", "aria-live": "polite" });
  const view = el("section.view", {});
  root.append(el("form.search", { onsubmit: (event) => { event.preventDefault(); search(); } }, field, kind, sort, go), connection, problem, queue, spoken, view);

  async function ask(question) {
    const answer = await Lab.ask(server, "downloads", question);
    problem.hidden = !answer.error;
    problem.textContent = answer.error ?? "";
    if (["hub_gated", "hub_token"].includes(answer.code)) connection.open = true;
    if (answer.jobs) show(answer);
    return answer;
  }

  async function busy(question) {
    go.disabled = true;
    root.setAttribute("aria-busy", "true");
    const answer = await ask(question);
    go.disabled = false;
    root.removeAttribute("aria-busy");
    return answer;
  }

  async function search() {
    if (!field.value.trim()) return field.focus();
    const answer = await busy({ ask: "search", text: field.value, kind: kind.value, sort: sort.value });
    if (answer.found) { seen.found = answer.found; results(); } else if (answer.offers) { seen.found = null; model(answer); }
  }

  async function open(repo, revision) {
    const answer = await busy({ ask: "open", repo, revision });
    if (answer.offers) model(answer);
  }

  function results() {
    const rows = seen.found.map((one) => el("li", {}, el("button.found", { type: "button", onclick: () => open(one.repo, "main") },
      el("strong", { text: one.repo }), one.gated ? el("span.tag", { text: t("downloads.gated") }) : "",
      el("span.about", { text: [one.parameters, one.architecture, t("downloads.likes", { n: one.likes }), t("downloads.count", { n: one.downloads }), one.updated].filter(Boolean).join(" · ") }))));
    view.replaceChildren(rows.length ? el("ul.results", {}, ...rows) : el("p.empty", { text: t("downloads.none") }));
  }

  function model(answer) {
    const back = seen.found ? el("button.link", { type: "button", text: t("downloads.back"), onclick: results }) : "";
    const branch = el("select", { "aria-label": t("downloads.branch"), onchange: () => open(answer.repo, branch.value) }, ...answer.branches.map((name) => el("option", { value: name, text: name })));
    branch.value = answer.revision;
    view.replaceChildren(back, el("div.title-row", {}, el("h3", { text: answer.repo }), answer.licence ? el("span.tag", { text: answer.licence }) : "", answer.gated ? el("span.tag", { text: t("downloads.gated") }) : "", answer.branches.length > 1 ? branch : ""),
      el("ul.offers", {}, ...answer.offers.map((one) => offer(answer, one))),
      answer.refused.length ? el("p.quiet", { text: t("downloads.refused", { names: answer.refused.slice(0, 4).join(", ") }) }) : "");
  }

  function offer(answer, one) {
    const label = t(one.state === "here" ? "downloads.here" : one.state === "queued" ? "downloads.queued" : "downloads.get");
    const get = el("button.plain", { type: "button", text: label, "aria-label": `${label}: ${one.title}`, disabled: Boolean(one.state || one.missing), onclick: async () => {
      const reply = await ask({ ask: "get", repo: answer.repo, key: one.key });
      if (reply.jobs) { get.disabled = true; get.textContent = t("downloads.queued"); }
    } });
    const chip = one.fit ? el(`span.fit.${one.fit.code}`, { title: one.fit.title, text: t(`downloads.fit.${one.fit.code}`) }, el("span.sr", { text: ` ${one.fit.title}` })) : "";
    return el("li" + (one.wanted ? ".wanted" : ""), { "data-key": one.key }, el("span.what", { title: one.files.join("\n") }, el("strong", { text: one.quantisation || one.title }), el("span.about", { text: one.words || one.title }), one.files.length > 1 ? el("span.about", { text: t("downloads.files", { n: one.files.length }) }) : ""),
      el("span.size", { text: one.size }), chip, get, el("span.advice", { text: one.missing || one.advice }));
  }

  async function connect(drop) {
    const answer = await ask({ ask: "connect", endpoint: address.value, token: drop ? "" : token.value, forget: drop });
    if (answer.jobs) { token.value = ""; connection.open = false; }
  }

  function show(answer) {
    const { hub } = answer;
    standing.textContent = hub.offline ? t("downloads.standing.offline") : t("downloads.standing", { host: hub.host, token: hub.token });
    if (document.activeElement !== address) address.value = hub.endpoint;
    address.disabled = hub.fixed;
    forget.hidden = !hub.has_token;
    queue.hidden = !answer.jobs.length;
    const focused = queue.contains(document.activeElement) ? document.activeElement.dataset.focus : "";
    queue.replaceChildren(el("h3", { text: t("downloads.queue") }), el("ul", {}, ...answer.jobs.map(job)));
    if (focused) (queue.querySelector(`[data-focus="${focused}"]`) ?? queue.querySelector("button"))?.focus();
    for (const one of answer.jobs.filter((each) => each.state === "done" && !seen.done.has(each.id))) {
      seen.done.add(one.id);
      if (!seen.first) spoken.textContent = t("downloads.finished", { name: one.title });
    }
    seen.first = false;
    if (answer.active) follow();
  }

  function job(one) {
    const tool = (name, action) => el("button.plain", { type: "button", text: t(`downloads.${name}`), "aria-label": `${t(`downloads.${name}`)}: ${one.title}`, "data-focus": `${one.id}-${action}`, onclick: () => ask({ ask: "change", action, id: one.id }) });
    const tools = [];
    if (one.place > 1) tools.push(tool("sooner", "sooner"));
    if (["waiting", "running"].includes(one.state)) tools.push(tool("pause", "pause"));
    if (one.state === "paused") tools.push(tool("resume", "resume"));
    if (one.state === "failed" || one.problem && one.state === "waiting") tools.push(tool("retry", "resume"));
    if (one.state === "done" && one.loadable) tools.push(el("button.plain", { type: "button", text: t("downloads.load"), "data-focus": `${one.id}-load`, onclick: () => { Lab.openTab("model-own"); window.dispatchEvent(new CustomEvent("lab:show-model", { detail: { path: one.path } })); } }));
    tools.push(one.state === "done" ? tool("forget", "forget") : tool("drop", "cancel"));
    const percent = Math.round(100 * one.share);
    return el(`li.job.${one.state}`, { "data-id": one.id, "data-state": one.state }, el("strong", { text: one.title }), el("span.tag", { text: one.place ? t("downloads.place", { n: one.place }) : t(`downloads.state.${one.state}`) }),
      el("span.about", { text: one.text }), el("div.tools", {}, ...tools),
      one.state === "done" ? "" : el("div.progress", { role: "progressbar", "aria-label": one.title, "aria-valuemin": "0", "aria-valuemax": "100", "aria-valuenow": percent }, el("i", { style: `width:${percent}%` })),
      one.problem ? el("p.problem", { text: one.problem }) : one.notice ? el("p.quiet", { text: one.notice }) : "");
  }

  const follow = Lab.later(700, async () => {
    if (!root.offsetParent || document.hidden) return; // whoever looks again asks anew
    const answer = await Lab.ask(server, "downloads", { ask: "state" });
    if (answer.jobs) show(answer); else if (answer.lost) follow();
  });
  Lab.whenShown(root, () => ask({ ask: "state" }));
  document.addEventListener("visibilitychange", () => { if (!document.hidden && root.offsetParent) ask({ ask: "state" }); });
  window.addEventListener("lab:downloads", () => ask({ ask: "state" })); // another piece has put something in the queue
};
