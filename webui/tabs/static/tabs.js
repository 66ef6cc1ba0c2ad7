// Which tab is open is kept, so that a reload or a new visit comes back to it; a link to a chat opens Chat.
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

  document.addEventListener("click", ({ target }) => {
    const button = target.closest?.(`${strip} [role=tab]`);
    const name = Lab.start.tabs.find((tab) => button?.id === `tab-${tab}-button`);
    if (!name || name === open) return;
    places[open] = window.scrollY;
    open = name;
    requestAnimationFrame(() => window.scrollTo(0, places[name] ?? 0));
    Lab.keep({ tab: name });
  });
})();
