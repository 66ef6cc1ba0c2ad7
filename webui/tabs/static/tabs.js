// Which tab is open is kept, and which section of Model, so that a reload or a new visit comes back to it; a link to a
// chat opens Chat.
"use strict";
(() => {
  const strip = "#tabs > .tab-wrapper";
  const linked = location.hash.startsWith("#chat=") && performance.getEntriesByType("navigation")[0]?.type === "navigate";
  let open = linked ? "chat" : Lab.start.tab;
  const page = document.documentElement;
  page.classList.add("opening");
  const places = {}; // how far down each tab is read

  const watcher = new MutationObserver(() => {
    if (!document.querySelector(`${strip} [role=tab][id]`)) return;
    watcher.disconnect();
    Lab.openTab(open);
    page.classList.remove("opening");
  });
  watcher.observe(page, { childList: true, subtree: true });

  // The sections are made when Model is opened for the first time.
  let section = Lab.start.section;
  const sections = new MutationObserver(() => {
    if (!document.querySelector("#model-tabs [role=tab][id]")) return;
    sections.disconnect();
    if (document.getElementById(`tab-model-${section}-button`)?.getAttribute("aria-selected") === "false") Lab.openTab(`model-${section}`);
  });
  sections.observe(page, { childList: true, subtree: true });

  document.addEventListener("click", ({ target }) => {
    const part = target.closest?.("#model-tabs > .tab-wrapper [role=tab]")?.id.match(/^tab-model-(\w+)-button$/)?.[1];
    if (part && part !== section) Lab.keep({ model_section: (section = part) });
    const button = target.closest?.(`${strip} [role=tab]`);
    const name = Lab.start.tabs.find((tab) => button?.id === `tab-${tab}-button`);
    if (!name || name === open) return;
    places[open] = window.scrollY;
    open = name;
    requestAnimationFrame(() => window.scrollTo(0, places[name] ?? 0));
    Lab.keep({ tab: name });
  });
})();
