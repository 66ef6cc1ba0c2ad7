// Fields of Gradio's that are kept by name: every change a moment later, and at once when the page is left.
"use strict";
Lab.drawings.keep = (root, { server, props }) => {
  const fields = props.fields; // {name: elem_id}
  const known = {}; // what is kept, as far as this page has heard
  const waiting = new Set(); // names whose text has yet to be sent
  const find = (name) => document.querySelector(`#${fields[name]} :is(textarea, input)`);
  const nameOf = (node) => Object.keys(fields).find((name) => node.closest?.(`#${fields[name]}`));
  let heard = false;

  // Gradio takes a text for its own when the field says that it was typed.
  let filling = false;
  function fill(field, text) {
    if (field.value === text) return;
    filling = true;
    field.value = text;
    field.dispatchEvent(new Event("input", { bubbles: true }));
    filling = false;
  }

  // Only what nobody has changed here follows what is kept: another page or tab may have changed it.
  function take(values) {
    for (const [name, text] of Object.entries(values)) {
      const field = find(name);
      if (!field) continue;
      if (!heard && waiting.has(name)) { if (field.matches("textarea")) fill(field, text + field.value); }
      else if (!waiting.has(name) && (!heard || field.value === known[name])) fill(field, text);
      known[name] = text;
    }
  }

  async function look() {
    const answer = await Lab.ask(server, "keep", { ask: "get" });
    if (answer.lost) { await Lab.wait(1000); return look(); }
    if (!answer.values) return;
    take(answer.values);
    heard = true;
    if (waiting.size) send();
  }

  async function sendNow() {
    if (!heard || !waiting.size) return;
    const values = {};
    for (const name of waiting) values[name] = find(name)?.value ?? "";
    waiting.clear();
    const answer = await Lab.ask(server, "keep", { ask: "set", values });
    if (answer.lost) {
      for (const name of Object.keys(values)) waiting.add(name);
      await Lab.wait(1000);
      return send();
    }
    if (answer.error) return Lab.toast(answer.error, { bad: true });
    for (const [name, text] of Object.entries(answer.values)) {
      const field = find(name);
      known[name] = text;
      // What the model wrote meanwhile is in no event of the browser's, and must not be overwritten by what was sent.
      if (field?.matches("textarea") && field.value !== values[name] && !waiting.has(name)) { waiting.add(name); send(); }
      // A number that was out of range shows what it has become, once nobody types in it any more.
      if (field?.matches("input") && !waiting.has(name) && document.activeElement !== field) fill(field, text);
    }
    window.dispatchEvent(new CustomEvent("lab:kept", { detail: root }));
  }
  const send = Lab.later(300, sendNow);

  document.addEventListener("input", (event) => {
    const name = filling ? undefined : nameOf(event.target);
    if (name) { waiting.add(name); send(); }
  });
  document.addEventListener("change", (event) => { if (nameOf(event.target)) { waiting.add(nameOf(event.target)); send(); } });
  Lab.whenLeaving(() => { send.cancel(); sendNow(); });
  window.addEventListener("lab:kept", ({ detail }) => { if (detail !== root) look(); });
  window.addEventListener("lab:seed", look);
  document.addEventListener("visibilitychange", () => { if (!document.hidden) look(); });
  const first = Object.keys(fields)[0];
  const ready = () => { if (find(first)) Lab.whenShown(document.getElementById(fields[first]), look); else setTimeout(ready, 50); };
  ready();
};
