// Values that are lists, as people type them: "198, 2" for tokens, "198: -5, 220: 3" for biases; the rest as JSON.
"use strict";
Lab.logits.lists = {
  examples: { tokens: "198, 2", biases: "198: -5, 220: 3", sequences: "[[[198, 220], -5]]", texts: "[\"…\"]" },

  write(kind, value) {
    const pairs = Array.isArray(value) ? value : Object.entries(value ?? {});
    if (!pairs.length && kind !== "text") return "";
    if (kind === "tokens") return pairs.join(", ");
    if (kind === "biases") return pairs.map(([token, bias]) => `${token}: ${bias}`).join(", ");
    return kind === "text" ? String(value) : JSON.stringify(value);
  },

  // Throws where the text means nothing.
  read(kind, text) {
    const plain = text.trim();
    if (kind === "text") return text;
    if (!plain) return kind === "biases" ? {} : [];
    if (kind === "sequences" || kind === "texts" || /^[[{]/.test(plain)) return JSON.parse(plain);
    const parts = plain.split(kind === "biases" ? /[,;]+\s*/ : /[,;\s]+/).filter(Boolean);
    if (kind === "tokens") return parts.map(whole);
    return Object.fromEntries(parts.map((part) => {
      const [token, bias] = part.split(/\s*[:=]\s*/);
      if (!/^-inf$|^[+-]?\d+(\.\d+)?$/.test(bias)) throw new Error(part);
      return [whole(token), bias === "-inf" ? bias : Number(bias)];
    }));

    function whole(token) {
      if (!/^#?\d+$/.test(token)) throw new Error(token);
      return Number(token.replace("#", ""));
    }
  },
};
