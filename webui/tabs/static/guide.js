// The first-run guide: a model for this machine, the others folded. In "Get models" a link opens it again.
"use strict";
Lab.drawings.guide = (root, { server }) => {
  const { t, el, iconButton } = Lab;
  const place = root.closest("#guide-get") ? "get" : "own";
  const problem = el("p.problem", { role: "alert", hidden: true });
  const again = el("button.link", { type: "button", text: t("guide.again"), hidden: true, onclick: () => look(true) });
  const body = el("section.guide", { "aria-label": t("guide.title"), hidden: true });
  root.append(...(place === "get" ? [again] : []), body);

  async function ask(question) {
    const answer = await Lab.ask(server, "guide", question);
    problem.hidden = !answer.error;
    problem.textContent = answer.error ?? "";
    return answer;
  }

  async function look(open = false) {
    if (!body.hidden && !open) open = Boolean(body.dataset.open);
    const answer = await ask({ ask: "state", open });
    if (answer.lost) return;
    body.hidden = !answer.models;
    again.hidden = !body.hidden;
    body.dataset.open = open ? "1" : "";
    if (answer.models) draw(answer);
  }

  async function close() {
    const answer = await ask({ ask: "seen" });
    if (answer.error) return;
    body.hidden = true;
    body.dataset.open = "";
    again.hidden = false;
    if (place === "get") again.focus();
  }

  function draw(answer) {
    const fitting = answer.models.filter((one) => one.code !== "too_large");
    const [first, ...rest] = fitting.length ? answer.models : [null, ...answer.models];
    body.replaceChildren(el("div.title-row", {}, el("h3", { text: t("guide.title") }), iconButton("close", t("guide.close"), close)),
      el("p.quiet", { text: t("guide.text", { machine: answer.machine, n: answer.context }) }), problem,
      first ? el("ul", {}, model(first)) : el("p.empty", { text: t("guide.none") }),
      el("details", {}, el("summary", { text: t("guide.others", { n: rest.length }) }), el("ul", {}, ...rest.map(model))));
  }

  function model(one) {
    const chip = el("span.verdict", {});
    const size = el("select", { "aria-label": `${t("guide.size")}: ${one.name}`, title: t("guide.size.help"), onchange: judge }, ...one.sizes.map((each) => el("option", { value: each.quantisation, text: each.label })));
    size.value = one.sizes.find((each) => each.chosen).quantisation;
    const get = el(`button.${one.code === "recommended" ? "primary" : "plain"}`, { type: "button", text: t("guide.get"), title: t("guide.get.help"), "aria-label": `${t("guide.get")}: ${one.name}`, onclick: download });
    function judge() {
      const chosen = one.sizes.find((each) => each.quantisation === size.value);
      chip.className = `verdict ${chosen.fits ? one.code === "slow" ? "slow" : "fits" : "too_large"}`;
      chip.textContent = (chosen.fits && one.code === "slow" ? `${t("guide.slow")} ` : "") + chosen.title;
    }
    async function download() {
      get.disabled = true;
      const answer = await ask({ ask: "get", name: one.name, quantisation: size.value });
      if (!answer.queued) { get.disabled = false; return; }
      get.textContent = t("guide.queued");
      Lab.openTab("model-get");
      window.dispatchEvent(new CustomEvent("lab:downloads"));
    }
    judge();
    return el(`li.${one.code}`, { "data-name": one.name }, el("span.what", {}, el("strong", { text: one.name }), one.code === "recommended" ? el("span.tag.on", { text: t("guide.recommended") }) : "", el("span.about", { text: one.about }), el("span.about", { text: [one.parameters, one.licence].join(" · ") })), size, get, chip);
  }

  Lab.whenShown(root.closest(".tabitem") ?? root, () => look());
};
