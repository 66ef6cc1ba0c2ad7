// Messages of a chat as DOM: finished ones from the server's safe HTML, the live one block by block with a plain tail.
"use strict";
Lab.messageView = (actions) => {
  const { t, el, icon, iconButton } = Lab;

  function addCopyButtons(body) {
    for (const pre of body.querySelectorAll("pre:not([data-ready])")) {
      pre.dataset.ready = "1";
      pre.tabIndex = 0;
      const button = iconButton("copy", t("copy.code"), async () => {
        await Lab.copy(pre.querySelector("code")?.textContent ?? "");
        button.replaceChildren(icon("check"));
        setTimeout(() => button.replaceChildren(icon("copy")), 1200);
      });
      const frame = el("div.code");
      pre.replaceWith(frame);
      frame.append(pre, button);
    }
  }

  function figure(item) {
    if (item.kind === "seed") {
      return el("button.figure.seed", { type: "button", title: item.help, onclick: () => actions.seed(item.seed) }, item.text);
    }
    const node = el("span.figure", { title: item.help, tabindex: "-1" }, item.text);
    if (item.kind === "context") {
      const share = Math.min(1, item.share);
      node.prepend(el("span.gauge" + (share > 0.85 ? ".full" : ""), { "aria-hidden": "true" }, el("i", { style: `width:${(share * 100).toFixed(0)}%` })));
    }
    return node;
  }

  function versions(message) {
    const at = message.versions.indexOf(message.id);
    const go = (step) => () => actions.select(message.versions[at + step]);
    const back = iconButton("prev", t("version.previous"), go(-1));
    const on = iconButton("next", t("version.next"), go(1));
    back.disabled = at === 0;
    on.disabled = at === message.versions.length - 1;
    const label = t("version.label", { n: at + 1, of: message.versions.length });
    return el("span.versions", { role: "group", "aria-label": label }, back, el("span", { text: `${at + 1}/${message.versions.length}` }), on);
  }

  function buttons(message, last) {
    const bar = el("div.actions", {});
    if (message.versions.length > 1) bar.append(versions(message));
    const copying = iconButton("copy", t("copy"), async () => {
      await Lab.copy(message.text);
      copying.replaceChildren(icon("check"));
      setTimeout(() => copying.replaceChildren(icon("copy")), 1200);
    });
    bar.append(copying, iconButton("edit", t("edit"), () => actions.edit(message)));
    if (message.traced) bar.append(iconButton("tokens", t("explain"), (event) => explain(message, event.currentTarget), { "aria-expanded": "false" }));
    if (message.role === "assistant") {
      bar.append(iconButton("again", t("again"), () => actions.regenerate(message.id)));
      bar.append(iconButton("bars", t("look"), () => Lab.look({ message: message.id })));
      if (last) bar.append(iconButton("more", t("continue"), () => actions.goOn(message.id)));
    } else if (last) {
      bar.append(iconButton("again", t("answer"), () => actions.regenerate(message.id)));
    }
    return bar;
  }

  async function explain(message, button) {
    const node = button.closest(".message");
    const open = node.querySelector(".explain");
    button.setAttribute("aria-expanded", String(!open));
    if (open) { open.remove(); return; }
    const tokens = await actions.trace(message.id);
    if (tokens?.length) node.append(Lab.explain(tokens));
  }

  function thinking(text, open) {
    return el("details.thoughts", { open }, el("summary", { text: t("thoughts") }), el("div.thought", { text }));
  }

  function make(message, last) {
    const body = el("div.body.prose-lab", {});
    const node = el(`article.message.${message.role}`, { "data-id": message.id, "aria-label": message.who }, el("header.who", { text: message.who }));
    if (message.notice) node.append(el("p.note", { text: message.notice }));
    if (message.thoughts) node.append(thinking(message.thoughts, false));
    node.append(body);
    if (message.live) {
      node.classList.add("live");
      node.append(el("p.stage", { text: t("stage.waiting") }));
      return node;
    }
    if (message.role === "user") body.classList.add("plain");
    if (message.role === "user") body.textContent = message.text;
    else body.innerHTML = message.html; // made and sanitised by the server
    addCopyButtons(body);
    if (message.problem) node.append(el("p.problem", { role: "alert" }, el("span", { text: message.problem })));
    const foot = el("footer", {});
    if (message.figures.length) foot.append(el("div.figures", {}, ...message.figures.map(figure)));
    foot.append(buttons(message, last));
    node.append(foot);
    return node;
  }

  // What is new of the reply being written; `state` remembers how many whole blocks are drawn.
  function patch(node, live, state) {
    const body = node.querySelector(".body");
    let tail = body.querySelector(":scope > .tail");
    if (!tail) {
      body.replaceChildren((tail = el("div.tail")));
      tail.append(document.createTextNode(""));
      state.blocks = 0;
    }
    if (live.count - live.blocks.length === state.blocks) {
      for (const html of live.blocks) {
        const block = document.createElement("div");
        block.innerHTML = html; // made and sanitised by the server
        tail.before(...block.childNodes);
      }
      state.blocks = live.count;
      if (live.blocks.length) addCopyButtons(body);
    }
    const text = tail.firstChild;
    if (live.tail.startsWith(text.data)) text.appendData(live.tail.slice(text.data.length));
    else text.data = live.tail;
    if (live.thoughts) {
      let thoughts = node.querySelector(".thoughts");
      if (!thoughts) body.before((thoughts = thinking("", true)));
      thoughts.querySelector(".thought").textContent = live.thoughts;
      if (live.tail || live.count) thoughts.removeAttribute("open");
    }
    const stage = node.querySelector(".stage");
    const words = [live.stage, live.speed, live.problem].filter(Boolean).join(" · ");
    if (stage.textContent !== words) stage.textContent = words;
    node.classList.toggle("thinking", !live.tail && !live.thoughts && !state.blocks);
  }

  return { make, patch };
};
