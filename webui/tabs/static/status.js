// The line at the top right: the model's state, language, theme, shortcuts. Asks the server by itself.
"use strict";
Lab.drawings.status = (root, { server }) => {
  const { t, el, iconButton, icon } = Lab;
  const bar = el("span.bar", { "aria-hidden": "true" }, el("i"));
  const text = el("span.text", { text: t("status.asking") });
  const model = el("button.model", { type: "button", onclick: () => Lab.openTab("model") }, el("span.dot", { "aria-hidden": "true" }), text, bar);
  const spoken = el("span.sr", { role: "status", "aria-live": "polite" });
  const language = el("button.icon-button.language", { type: "button", onclick: switchLanguage });
  const theme = el("button.icon-button", { type: "button", onclick: switchTheme });
  const notices = el("div.notices", { role: "alert" });
  root.append(
    el("span.brand", {}, logo(), el("span", { text: "Sampler Lab" })),
    el("div.right", {}, model, spoken, language, theme, iconButton("help", t("shortcuts"), () => Lab.shortcuts(), { id: "shortcuts-button" })),
    notices,
  );
  let last = {};
  let timer = 0;

  function logo() {
    const bars = [14, 9, 5, 3];
    return el("span.logo", { "aria-hidden": "true" }, ...bars.map((h, n) => el(n === 1 ? "i.chosen" : "i", { style: `height:${h}px` })));
  }

  function show(state) {
    if (state.lost) {
      root.dataset.stage = "lost";
      text.textContent = t("status.lost");
      return;
    }
    root.dataset.stage = state.stage;
    text.textContent = state.text;
    model.title = state.detail || state.text;
    model.setAttribute("aria-label", t("status.label", { text: state.text }));
    bar.firstChild.style.width = `${Math.round(state.progress * 100)}%`;
    if (state.stage !== last.stage) spoken.textContent = state.stage === "loading" ? "" : state.text;
    language.textContent = state.language.toUpperCase();
    language.title = t("language.switch");
    language.setAttribute("aria-label", `${state.language.toUpperCase()}: ${t("language.switch")}`);
    showTheme(state.theme);
    if (JSON.stringify(state.notices) !== JSON.stringify(last.notices)) {
      notices.replaceChildren(...state.notices.map((notice) => {
        const box = el("div.notice", {}, el("span", { text: notice }));
        box.append(iconButton("close", t("close"), () => box.remove()));
        return box;
      }));
    }
    last = state;
    Lab.model = state;
    window.dispatchEvent(new CustomEvent("lab:status", { detail: state }));
  }

  function showTheme(choice) {
    const names = { auto: "half", light: "sun", dark: "moon" };
    if (theme.dataset.choice === choice) return;
    theme.dataset.choice = choice;
    const label = t("theme.now", { name: t(`theme.${choice}`) });
    theme.title = label;
    theme.setAttribute("aria-label", label);
    theme.replaceChildren(icon(names[choice]));
  }

  async function keep(values) {
    show(await Lab.ask(server, "status", { ask: "state", keep: values }));
  }
  Lab.keep = keep;

  async function switchLanguage() {
    await Lab.chooseLanguage(Lab.start.language === "ru" ? "en" : "ru");
  }
  Lab.chooseLanguage = async (choice) => {
    window.dispatchEvent(new Event("lab:leaving"));
    await Lab.wait(50);
    await Lab.ask(server, "status", { ask: "state", keep: { language: choice } });
    location.reload();
  };

  function switchTheme() {
    const next = { auto: "light", light: "dark", dark: "auto" };
    Lab.chooseTheme(next[last.theme ?? "auto"]);
  }
  Lab.chooseTheme = (choice) => {
    Lab.setTheme(choice);
    keep({ theme: choice });
  };

  async function poll() {
    clearTimeout(timer);
    if (!document.hidden || !last.stage) show(await Lab.ask(server, "status", { ask: "state" }));
    timer = setTimeout(poll, { loading: 500, lost: 500, none: 1500, failed: 1500 }[root.dataset.stage] ?? 4000);
  }
  Lab.refreshStatus = poll;
  document.addEventListener("visibilitychange", () => { if (!document.hidden) poll(); });
  window.addEventListener("lab:model-changing", () => setTimeout(poll, 150));
  poll();
};
