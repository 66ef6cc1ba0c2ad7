// The sheet of keyboard shortcuts, and those shortcuts that belong to no piece.
"use strict";
(() => {
  const { t, el, iconButton } = Lab;
  const rows = () => [
    [t("keys.chat"), [
      ["Enter", t("keys.send")], ["Shift+Enter", t("keys.newline")], ["Esc", t("keys.stop")], ["Alt+N", t("keys.new")],
      ["Alt+R", t("keys.again")], ["Alt+← Alt+→", t("keys.versions")], ["↑", t("keys.edit")], ["Alt+L", t("keys.list")],
    ]],
    [t("keys.logits"), [
      ["Ctrl+Enter", t("keys.look")], ["Alt+→", t("keys.forward")], ["Alt+←", t("keys.back")], ["↑ ↓", t("keys.walk")], ["Enter", t("keys.take")],
    ]],
    [t("keys.page"), [["Alt+1 … Alt+7", t("keys.tabs")], ["/", t("keys.focus")], ["?", t("keys.sheet")]]],
  ];

  Lab.shortcuts = () => {
    const open = document.getElementById("shortcuts");
    if (open) { open.close(); return; }
    const sheet = el("dialog", { id: "shortcuts", "aria-labelledby": "shortcuts-title" },
      el("header", {}, el("h2", { id: "shortcuts-title", text: t("shortcuts") }), iconButton("close", t("close"), () => sheet.close())),
      ...rows().map(([title, keys]) => el("section", {}, el("h3", { text: title }),
        el("dl", {}, ...keys.flatMap(([key, meaning]) => [
          el("dt", {}, ...key.split(" ").map((k) => k === "…" ? " … " : el("kbd", { text: k }))), el("dd", { text: meaning })])))));
    sheet.addEventListener("close", () => sheet.remove());
    sheet.addEventListener("click", (event) => { if (event.target === sheet) sheet.close(); });
    document.body.append(sheet);
    sheet.showModal();
  };

  // A field in a tab that has just been left may still have the focus.
  const typing = (target) => target.closest?.("input, textarea, select, [contenteditable]")?.offsetParent;
  document.addEventListener("keydown", (event) => {
    if (event.altKey && !event.ctrlKey && !event.metaKey && /^Digit[1-7]$/.test(event.code)) {
      event.preventDefault();
      Lab.openTab(Lab.start.tabs[Number(event.code.slice(5)) - 1]);
    } else if (event.key === "?" && !typing(event.target)) {
      event.preventDefault();
      Lab.shortcuts();
    }
  });
})();
