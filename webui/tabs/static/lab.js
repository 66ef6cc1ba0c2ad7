// The start of the page's own script: language and theme before Gradio looks, and small helpers for the pieces.
"use strict";
window.Lab = (() => {
  const start = window.LabStart;
  const words = start.words;
  const drawings = {};

  // Gradio asks the browser for its language and for dark mode; the choice that was kept answers instead.
  Object.defineProperty(navigator, "language", { get: () => start.language, configurable: true });
  Object.defineProperty(navigator, "languages", { get: () => [start.language], configurable: true });
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  const isDark = (choice) => choice === "dark" || (choice !== "light" && dark.matches);
  const realMatch = window.matchMedia.bind(window);
  window.matchMedia = (query) => {
    const real = realMatch(query);
    if (!/prefers-color-scheme:\s*dark/.test(query)) return real;
    return new Proxy(real, {
      get(target, name) {
        if (name === "matches") return isDark(start.theme);
        const value = target[name];
        return typeof value === "function" ? value.bind(target) : value;
      },
    });
  };

  function setTheme(choice) {
    start.theme = choice;
    const on = isDark(choice);
    document.documentElement.dataset.theme = on ? "dark" : "light";
    if (document.body) document.body.classList.toggle("dark", on);
  }
  setTheme(start.theme);
  dark.addEventListener("change", () => setTheme(start.theme));

  function t(key, values = {}) {
    const text = words[key];
    if (text === undefined) throw new Error(`no word for ${key}`);
    return text.replace(/\{(\w+)\}/g, (_, name) => values[name] ?? "");
  }

  // el("button.plain", {title: "x", onclick: f}, "text", child, ...)
  function el(kind, attributes = {}, ...children) {
    const [tag, ...classes] = kind.split(".");
    const node = document.createElement(tag);
    if (classes.length) node.className = classes.join(" ");
    for (const [name, value] of Object.entries(attributes)) {
      if (value === undefined || value === null || value === false) continue;
      if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
      else if (name === "text") node.textContent = value;
      else if (name === "style") node.style.cssText = value;
      else node.setAttribute(name, value === true ? "" : value);
    }
    node.append(...children.filter((child) => child !== null && child !== undefined && child !== ""));
    return node;
  }

  const paths = {
    send: "M3 8h9M8.5 4.5 12 8l-3.5 3.5",
    stop: "M4.5 4.5h7v7h-7z",
    copy: "M5.5 5.5h7v7h-7zM3.5 10.5v-7h7",
    check: "M3 8.5 6.5 12 13 4.5",
    edit: "M3 13l.6-2.600L10.800 3.200l2 2L5.600 12.400zM9.5 4.5l2 2",
    again: "M12.800 6.5A5 5 0 1 0 13 9M13 3v3.600H9.400",
    more: "M3.5 4l5 4-5 4zM11.5 4v8",
    prev: "M9.5 4 5.5 8l4 4",
    next: "M6.5 4l4 4-4 4",
    plus: "M8 3v10M3 8h10",
    bin: "M3.5 4.5h9M6.5 4.5V3h3v1.5M4.800 4.5l.6 8.5h5.200l.6-8.5",
    tokens: "M1.5 5h3.5v6H1.5zM6.5 5h5v6h-5zM13 5h1.5v6H13z",
    list: "M2.5 4h11M2.5 8h11M2.5 12h11",
    down: "M8 3v9.5M4 8.5l4 4 4-4",
    search: "M7 3a4 4 0 1 0 0 8 4 4 0 0 0 0-8zM10 10l3.200 3.200",
    sun: "M8 5a3 3 0 1 0 0 6 3 3 0 0 0 0-6zM8 1.5v1.5M8 13v1.5M1.5 8H3M13 8h1.5M3.5 3.5l1 1M11.5 11.5l1 1M12.5 3.5l-1 1M4.5 11.5l-1 1",
    moon: "M13 9.5A5.5 5.5 0 0 1 6.5 3 5.5 5.5 0 1 0 13 9.5z",
    half: "M8 2.5a5.5 5.5 0 1 0 0 11zM8 2.5a5.5 5.5 0 0 1 0 11",
    help: "M5.800 6a2.300 2.300 0 1 1 3.200 2.100c-.7.300-1 .7-1 1.400M8 12v.3",
    close: "M4 4l8 8M12 4l-8 8",
    bars: "M3 13V3.500M6.500 13V7M10 13V9.500M13.500 13v-1.500",
  };
  function icon(name) {
    const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    svg.setAttribute("viewBox", "0 0 16 16");
    svg.setAttribute("aria-hidden", "true");
    svg.classList.add("icon");
    const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
    path.setAttribute("d", paths[name]);
    if (name === "half") path.setAttribute("fill-rule", "evenodd");
    svg.append(path);
    return svg;
  }

  function iconButton(name, label, onclick, attributes = {}) {
    return el("button.icon-button", { type: "button", title: label, "aria-label": label, onclick, ...attributes }, icon(name));
  }

  // One answer of a server function. What goes wrong on the way comes back as {lost: true}, never as an exception.
  async function ask(server, name, question) {
    const lost = { lost: true, error: t("lost") };
    try {
      return (await server[name](question)) ?? lost; // Gradio's client answers undefined when the server is away
    } catch {
      return lost;
    }
  }

  // `act` at the last moment: when the page is closed, reloaded or put away. What it sends then outlives the page (up to
  // the 64 KB that browsers allow; longer texts are sent as ever).
  let leaving = false;
  const realFetch = window.fetch.bind(window);
  window.fetch = (resource, options) => realFetch(resource, leaving && new Blob([options?.body ?? ""]).size < 60000 ? { ...options, keepalive: true } : options);
  window.addEventListener("pagehide", () => { leaving = true; }, { capture: true });
  window.addEventListener("pageshow", () => { leaving = false; });
  function whenLeaving(act) {
    for (const name of ["pagehide", "lab:leaving"]) window.addEventListener(name, act);
    document.addEventListener("visibilitychange", () => { if (document.hidden) act(); });
  }

  const wait = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

  // Do it once things have been quiet for so long, with the latest values; `now` does at once what is waiting.
  function later(milliseconds, action) {
    let timer = 0;
    let latest = [];
    const act = () => { timer = 0; action(...latest); };
    const run = (...values) => {
      clearTimeout(timer);
      latest = values;
      timer = setTimeout(act, milliseconds);
    };
    run.now = () => { if (timer) { clearTimeout(timer); act(); } };
    run.cancel = () => { clearTimeout(timer); timer = 0; };
    return run;
  }

  async function copy(text) {
    try {
      await navigator.clipboard.writeText(text);
    } catch {
      const area = el("textarea", { style: "position:fixed;opacity:0" });
      area.value = text;
      document.body.append(area);
      area.select();
      document.execCommand("copy");
      area.remove();
    }
  }

  // A sentence at the bottom that goes away by itself, with one action at most.
  function toast(text, { action, label, bad, seconds = 6 } = {}) {
    let host = document.getElementById("lab-toasts");
    if (!host) document.body.append((host = el("div", { id: "lab-toasts", role: "status", "aria-live": "polite" })));
    const box = el("div.toast" + (bad ? ".bad" : ""), {}, el("span", { text }));
    const close = () => box.remove();
    if (action) box.append(el("button.link", { type: "button", text: label, onclick: () => { close(); action(); } }));
    box.append(iconButton("close", t("close"), close));
    host.append(box);
    if (!bad) setTimeout(close, seconds * 1000);
    while (host.children.length > 3) host.firstChild.remove();
  }

  function openTab(name) {
    const button = document.getElementById(`tab-${name}-button`);
    if (!button) return;
    button.click();
    button.scrollIntoView({ inline: "center", block: "nearest" });
  }

  function draw(name, element, tools) {
    const root = element.querySelector(".piece") ?? element;
    if (root.dataset.drawn) return;
    root.dataset.drawn = "1";
    drawings[name](root, tools);
  }

  // The drawing of a piece that only shows its value: `make(value, trigger)` gives the node, anew whenever it changes.
  const shows = (make) => (root, { props, watch, trigger }) => {
    const show = () => root.replaceChildren(...(props.value ? [make(props.value, trigger)] : []));
    watch("value", show);
    show();
  };

  // Run `show` each time a piece comes into view, so that hidden tabs ask nothing.
  function whenShown(root, show) {
    new IntersectionObserver((entries) => { if (entries.some((entry) => entry.isIntersecting)) show(); }).observe(root);
  }

  return { shows, whenLeaving, whenShown, start, t, el, icon, iconButton, ask, wait, later, copy, toast, openTab, draw, drawings, setTheme, isDark };
})();
