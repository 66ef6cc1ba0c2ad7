// The list of chats: search, open, rename, delete with undo.
"use strict";
Lab.chatList = ({ ask, open, fresh, close }) => {
  const { t, el, icon, iconButton } = Lab;
  const search = el("input", { type: "search", placeholder: t("list.search"), "aria-label": t("list.search"), id: "chat-search" });
  const items = el("ul", {});
  const empty = el("p.empty", {});
  const create = el("button.new", { type: "button", id: "new-chat", title: t("list.new.help"), onclick: fresh }, icon("plus"), el("span", { text: t("list.new") }));
  const root = el("nav.chats", { "aria-label": t("list.label"), id: "chat-list" },
    el("div.top", {}, create, iconButton("close", t("close"), close, { id: "close-list" })),
    el("label.search", {}, icon("search"), search), items, empty);
  let current = 0;
  let shown = "";

  search.addEventListener("input", Lab.later(200, refresh));
  search.addEventListener("keydown", (event) => { if (event.key === "Escape" && search.value) { event.stopPropagation(); search.value = ""; refresh(); } });

  async function refresh() {
    show(await ask({ ask: "list", search: search.value }));
  }

  function show(answer) {
    if (!answer.chats) return;
    const now = JSON.stringify([answer.chats, current]);
    if (now === shown || items.querySelector("li > input")) return; // not under the hands of somebody who renames
    shown = now;
    let day = "";
    items.replaceChildren(...answer.chats.flatMap((chat) => {
      const group = dayOf(chat.updated);
      const head = group === day ? [] : [el("li.day", { text: group })];
      day = group;
      return [...head, item(chat)];
    }));
    empty.textContent = answer.chats.length ? "" : search.value ? t("list.nothing") : t("list.empty");
  }

  function dayOf(seconds) {
    const days = Math.floor((new Date().setHours(0, 0, 0, 0) - new Date(seconds * 1000).setHours(0, 0, 0, 0)) / 86400000);
    if (days <= 0) return t("list.today");
    if (days === 1) return t("list.yesterday");
    if (days < 7) return t("list.week");
    return new Date(seconds * 1000).toLocaleDateString(Lab.start.language, { month: "long", year: "numeric" });
  }

  function item(chat) {
    const link = el("button.open", { type: "button", title: chat.title, onclick: () => open(chat.id) }, el("span.title", { text: chat.title }));
    if (chat.found) link.append(el("span.found", { text: chat.found }));
    if (chat.running) link.append(el("span.running", { title: t("list.running") }));
    const row = el("li", { "data-id": chat.id }, link, el("span.tools", {},
      iconButton("edit", t("list.rename", { title: chat.title }), () => rename(row, chat)),
      iconButton("bin", t("list.delete", { title: chat.title }), () => remove(chat))));
    if (chat.id === current) { row.classList.add("current"); link.setAttribute("aria-current", "true"); }
    return row;
  }

  function rename(row, chat) {
    const field = el("input", { type: "text", "aria-label": t("list.title"), maxlength: "200" });
    field.value = chat.title;
    let done = false;
    const finish = async (save) => {
      if (done) return;
      done = true;
      shown = "";
      field.remove();
      if (save && field.value.trim()) await ask({ ask: "rename", chat: chat.id, title: field.value });
      refresh();
      window.dispatchEvent(new CustomEvent("lab:renamed", { detail: { id: chat.id } }));
    };
    field.addEventListener("keydown", (event) => {
      if (event.key === "Enter") finish(true);
      if (event.key === "Escape") { event.stopPropagation(); finish(false); }
    });
    field.addEventListener("blur", () => finish(true));
    row.replaceChildren(field);
    field.focus();
    field.select();
  }

  async function remove(chat) {
    show(await ask({ ask: "delete", chat: chat.id }));
    refresh();
    if (chat.id === current) fresh();
    Lab.toast(t("list.deleted", { title: chat.title }), {
      label: t("undo"),
      seconds: 12,
      action: async () => { await ask({ ask: "restore", chat: chat.id }); await refresh(); open(chat.id); },
    });
  }

  return { root, refresh, search, setCurrent(chat) { current = chat; shown = ""; refresh(); } };
};
