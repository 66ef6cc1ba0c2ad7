// The Chat tab: opens chats, sends, follows the reply that is being written, keeps the draft.
"use strict";
Lab.drawings.chat = (root, { server }) => {
  const { t, el, icon, iconButton } = Lab;
  const narrow = window.matchMedia("(max-width: 767px)");
  const state = { chat: 0, messages: [], running: [], live: null, version: 0, blocks: 0, editing: null, watching: false, draft: "" };

  const ask = async (question) => {
    const answer = await Lab.ask(server, "chat", question);
    if (answer.error && !answer.lost) Lab.toast(answer.error, { bad: true });
    return answer;
  };

  // the parts

  const view = Lab.messageView({ select, edit, regenerate, goOn, trace, seed: useSeed });
  const list = Lab.chatList({ ask, open: (chat) => { showList(narrow.matches ? false : null); open(chat); }, fresh: newChat, close: () => showList(false, true) });
  const title = el("h2.title", { id: "chat-title" });
  const listButton = iconButton("list", t("list.show"), () => showList(!root.classList.contains("with-list"), true), { id: "show-list", "aria-controls": "chat-list" });
  const head = el("div.head", {}, listButton, title, iconButton("plus", t("list.new"), newChat, { id: "new-chat-small", title: t("list.new.help") }));
  const messages = el("div.messages", { id: "messages" });
  const scroll = el("div.scroll", { tabindex: "0", role: "region", "aria-label": t("messages") }, messages);
  const down = iconButton("down", t("down"), () => toEnd(true), { id: "to-end", hidden: true });
  const field = el("textarea", { id: "message", rows: "1", placeholder: t("composer"), "aria-label": t("composer"), spellcheck: "true" });
  const send = el("button.send", { type: "submit", id: "send", title: t("send"), "aria-label": t("send") }, icon("send"));
  const stop = el("button.stop", { type: "button", id: "stop", title: t("stop"), "aria-label": t("stop"), hidden: true, onclick: halt }, icon("stop"));
  const editing = el("div.editing", { hidden: true }, el("span", { text: t("editing") }), el("button.link", { type: "button", text: t("cancel"), onclick: () => endEdit(true) }));
  const hint = el("p.hint", { id: "composer-hint", text: t("composer.hint") });
  const form = el("form.composer", { autocomplete: "off" }, editing, el("div.box", {}, field, send, stop), hint);
  const spoken = el("div.sr", { role: "status", "aria-live": "polite" });
  const shade = el("div.shade", { onclick: () => showList(false) });
  root.append(list.root, shade, el("section.talk", { "aria-labelledby": "chat-title" }, head, scroll, down, form, spoken));
  showList(!narrow.matches && Lab.start.chatList);

  // On a narrow screen the list lies over the chat, so there it is never kept open.
  function showList(on, keep = false) {
    if (on !== null) root.classList.toggle("with-list", on);
    if (keep && !narrow.matches) Lab.keep({ chat_list: on });
    listButton.setAttribute("aria-expanded", String(root.classList.contains("with-list")));
    if (on && narrow.matches) list.search.focus({ preventScroll: true });
  }

  // showing a chat

  const atEnd = () => scroll.scrollHeight - scroll.scrollTop - scroll.clientHeight < 60;
  let sticking = true;
  scroll.addEventListener("scroll", () => { sticking = atEnd(); down.hidden = sticking; }, { passive: true });
  function toEnd(force) {
    if (!force && !sticking) return;
    scroll.scrollTop = scroll.scrollHeight;
    sticking = true;
    down.hidden = true;
  }

  // The room changes when the tab comes back into view, a phone's keyboard opens, or the fonts arrive.
  new ResizeObserver(() => toEnd(false)).observe(scroll);
  document.fonts.ready.then(() => toEnd(false));

  function showAll(answer) {
    state.chat = answer.chat;
    state.messages = answer.messages;
    state.running = answer.running;
    // It may have ended between the two: then the first look of `watch` fetches it.
    if (state.messages.at(-1)?.live && !state.running.includes(state.chat)) state.running = [...state.running, state.chat];
    state.version = 0;
    state.blocks = 0;
    title.textContent = answer.title || t("new.title");
    messages.replaceChildren(...state.messages.map((message, n) => view.make(message, n === state.messages.length - 1)));
    if (!state.messages.length) messages.replaceChildren(emptyState());
    const wanted = state.chat ? `#chat=${state.chat}` : "#";
    if (location.hash !== wanted && (location.hash || state.chat)) history.replaceState(null, "", wanted);
    list.setCurrent(state.chat);
    showRunning();
    toEnd(true);
    if (state.running.length) watch();
  }

  function emptyState() {
    const model = Lab.model ?? { stage: "asking" };
    const box = el("div.blank", { id: "blank" });
    if (model.stage === "none" || model.stage === "failed") {
      box.append(el("h2", { text: t(model.stage === "none" ? "blank.none" : "blank.failed") }), el("p", { text: model.detail || t("blank.none.text") }),
        el("button.primary", { type: "button", text: t("blank.open"), onclick: () => Lab.openTab("model") }));
      return box;
    }
    box.append(el("h2", { text: t("blank.title") }), el("p", { text: t("blank.text") }),
      el("ul.ideas", {}, ...["1", "2", "3"].map((n) => el("li", {}, el("button", { type: "button", title: t("idea.help"), text: t(`idea.${n}`), onclick: () => { field.value = t(`idea.${n}`); fieldChanged(); field.focus(); } })))));
    if (model.hint) {
      box.append(el("p.first-run", {}, el("span", { text: t("first") }), el("button.link", { type: "button", text: t("first.ok"), onclick: (event) => { Lab.keep({ hint_seen: true }); event.target.parentNode.remove(); } })));
    }
    return box;
  }

  function showRunning() {
    const busy = state.running.includes(state.chat) && state.chat !== 0;
    send.hidden = busy;
    stop.hidden = !busy;
    root.classList.toggle("busy", busy);
  }

  let opening = Promise.resolve();
  function open(chat) {
    opening = openNow(chat);
    return opening;
  }

  async function openNow(chat) {
    keepDraft.now();
    endEdit(false);
    const before = field.value;
    const answer = await ask({ ask: "open", chat });
    if (!answer.messages) {
      if (answer.code === "no_such_chat") newChat();
      return;
    }
    showAll(answer);
    // What was typed while the answer was on its way belongs to the chat that opens.
    const typed = field.value.startsWith(before) ? field.value.slice(before.length) : field.value;
    setField(answer.draft + typed);
    if (typed) fieldChanged();
    if (!narrow.matches) field.focus({ preventScroll: true });
  }

  function newChat() {
    if (narrow.matches) showList(false);
    return open(0);
  }

  // following what is being written

  async function watch() {
    if (state.watching) return;
    state.watching = true;
    while (state.running.length) {
      const chat = state.chat;
      const answer = await Lab.ask(server, "chat", { ask: "watch", chat, version: state.version, blocks: state.blocks, running: state.running });
      if (answer.lost) { await Lab.wait(1000); continue; }
      if (answer.error) break;
      const before = state.running;
      state.running = answer.running;
      if (before.join() !== state.running.join()) list.refresh();
      if (chat !== state.chat) continue;
      if (answer.live) draw(answer.live);
      else if (before.includes(chat)) await finished(chat);
    }
    state.watching = false;
  }

  function draw(live) {
    const node = messages.querySelector(`article[data-id="${live.node}"]`);
    state.version = live.version;
    if (!node) return;
    view.patch(node, live, state);
    toEnd(false);
  }

  async function finished(chat) {
    const answer = await ask({ ask: "messages", chat, last: 1 });
    state.version = 0;
    state.blocks = 0;
    if (chat !== state.chat || !answer.messages) return;
    const [message] = answer.messages;
    const node = messages.querySelector(`article[data-id="${message.id}"]`);
    if (node) node.replaceWith(view.make(message, true));
    state.messages[state.messages.length - 1] = message;
    showRunning();
    toEnd(false);
    spoken.textContent = message.problem || t("finished");
    list.refresh();
  }

  // doing

  async function act(question) {
    const answer = await ask(question);
    if (answer.lost) Lab.toast(answer.error, { bad: true });
    if (answer.messages) showAll(answer);
    return Boolean(answer.messages);
  }

  async function submit() {
    if (form.dataset.sending) return;
    form.dataset.sending = "1";
    await opening;
    await submitNow();
    delete form.dataset.sending;
  }

  async function submitNow() {
    const text = field.value;
    if (!text.trim() || !stop.hidden) return;
    keepDraft.cancel();
    const target = state.editing;
    const sent = await act(target ? { ask: "edit", node: target.id, text } : { ask: "send", chat: state.chat, text });
    if (!sent) return;
    endEdit(false);
    setField(target ? state.draft : "");
  }

  async function halt() {
    if (stop.hidden) return;
    stop.disabled = true;
    await ask({ ask: "stop", chat: state.chat });
    stop.disabled = false;
  }

  const idle = () => stop.hidden;
  async function regenerate(node) { if (idle()) await act({ ask: "regenerate", node }); }
  async function goOn(node) { if (idle()) await act({ ask: "go_on", node }); }
  async function select(node) { if (node && idle()) await act({ ask: "select", node }); }

  async function trace(node) { return (await ask({ ask: "trace", node })).tokens; }

  async function useSeed(seed) {
    const answer = await ask({ ask: "keep_seed", seed });
    if (answer.error) return;
    window.dispatchEvent(new CustomEvent("lab:seed", { detail: seed }));
    Lab.toast(t("seed.kept", { seed }), { label: t("seed.free"), action: () => { ask({ ask: "keep_seed", seed: -1 }); window.dispatchEvent(new CustomEvent("lab:seed", { detail: -1 })); } });
  }

  function edit(message) {
    if (!idle()) return;
    if (!state.editing) state.draft = field.value;
    state.editing = message;
    editing.hidden = false;
    root.classList.add("is-editing");
    setField(message.text);
    field.focus();
  }

  function endEdit(restore) {
    if (!state.editing) return;
    state.editing = null;
    editing.hidden = true;
    root.classList.remove("is-editing");
    if (restore) setField(state.draft);
  }

  // the field

  const keepDraft = Lab.later(400, (chat, text) => { Lab.ask(server, "chat", { ask: "draft", chat, text }); });
  function grow() {
    field.style.height = "auto";
    field.style.height = `${Math.min(field.scrollHeight + 2, window.innerHeight * 0.4)}px`;
  }
  function setField(text) { field.value = text; grow(); }
  function fieldChanged() {
    grow();
    if (!state.editing) keepDraft(state.chat, field.value);
  }
  field.addEventListener("input", fieldChanged);
  form.addEventListener("submit", (event) => { event.preventDefault(); submit(); });
  Lab.whenLeaving(() => keepDraft.now());

  field.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
      event.preventDefault();
      submit();
    } else if (event.key === "ArrowUp" && !field.value && !event.shiftKey) {
      const mine = state.messages.filter((message) => message.role === "user").pop();
      if (mine) { event.preventDefault(); edit(mine); }
    }
  });

  const visible = () => root.offsetParent !== null;
  document.addEventListener("keydown", (event) => {
    if (!visible() || document.querySelector("dialog[open]")) return;
    const last = state.messages[state.messages.length - 1];
    const step = event.key === "ArrowLeft" ? -1 : 1;
    if (event.key === "Escape") {
      if (state.editing) endEdit(true);
      else if (!idle()) halt();
      else if (narrow.matches) showList(false);
    } else if (event.altKey && event.code === "KeyN") { event.preventDefault(); newChat(); }
    else if (event.altKey && event.code === "KeyL") { event.preventDefault(); showList(!root.classList.contains("with-list"), true); }
    else if (event.altKey && event.code === "KeyR" && last) { event.preventDefault(); regenerate(last.id); }
    else if (event.altKey && (event.key === "ArrowLeft" || event.key === "ArrowRight") && last) {
      event.preventDefault();
      select(last.versions[last.versions.indexOf(last.id) + step]);
    } else if (event.key === "/" && !event.target.closest?.("input, textarea")) { event.preventDefault(); field.focus(); }
  });

  window.addEventListener("lab:status", () => {
    const blank = messages.querySelector(".blank");
    if (blank && !state.messages.length && blank.dataset.stage !== Lab.model.stage) {
      const fresh = emptyState();
      fresh.dataset.stage = Lab.model.stage;
      messages.replaceChildren(fresh);
    }
  });
  window.addEventListener("lab:renamed", async ({ detail }) => {
    if (detail.id !== state.chat) return;
    const answer = await ask({ ask: "open", chat: state.chat });
    if (answer.title) title.textContent = answer.title;
  });
  window.addEventListener("hashchange", () => {
    const wanted = Number(/^#chat=(\d+)$/.exec(location.hash)?.[1] ?? 0);
    if (wanted !== state.chat) open(wanted);
  });

  const asked = /^#chat=(\d+)$/.exec(location.hash);
  open(asked ? Number(asked[1]) : -1);
};
