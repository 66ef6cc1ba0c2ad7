// Tooltips of Gradio's own buttons, which have none: the word `tip.<id>` belongs to the button of that id, or to
// the button that opens and closes the part of that id.
"use strict";
(() => {
  const tips = Object.keys(Lab.start.words).filter((key) => key.startsWith("tip.")).map((key) => [key.slice(4), Lab.t(key)]);
  // Tabs are made when they are opened first, so whatever comes into the page is looked at.
  new MutationObserver(() => {
    for (const [id, text] of tips) {
      const found = document.getElementById(id);
      const node = found?.matches("button") ? found : found?.querySelector(":scope > button");
      if (node && node.title !== text) node.title = text;
    }
  }).observe(document.documentElement, { childList: true, subtree: true });
})();
