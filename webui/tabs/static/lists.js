// Values that are lists, as people type them: "198, 2" for tokens, "198: -5, 220: 3" for biases, "314 7042: 4" for
// sequences, quoted texts with commas between. What a file or another program has as JSON is read as well.
"use strict";
Lab.lists = {
  examples: { tokens: "198, 2", biases: "198: -5, 220: 3", sequences: "314 7042: 4, 198 198: -5", texts: "\"\\n\", \":\"" },

  write(kind, value) {
    if (kind === "text") return String(value);
    const items = Array.isArray(value) ? value : Object.entries(value ?? {});
    if (kind === "tokens") return items.join(", ");
    if (kind === "texts") return items.map((text) => JSON.stringify(text)).join(", ");
    return items.map(([tokens, bias]) => `${[tokens].flat().join(" ")}: ${bias}`).join(", ");
  },

  // Throws where the text means nothing.
  read(kind, text) {
    const plain = text.trim();
    if (kind === "text") return text;
    if (!plain) return kind === "biases" ? {} : [];
    if (/^[[{]/.test(plain)) return JSON.parse(plain);
    if (kind === "texts") return JSON.parse(`[${plain}]`).map(String);
    const parts = plain.split(kind === "tokens" ? /[,;\s]+/ : /[,;]+\s*/).filter(Boolean);
    if (kind === "tokens") return parts.map(whole);
    const pairs = parts.map((part) => {
      const [tokens, bias] = part.split(/\s*[:=]\s*/);
      if (!/^-inf$|^[+-]?\d+(\.\d+)?$/.test(bias)) throw new Error(part);
      return [tokens.trim().split(/\s+/).map(whole), bias === "-inf" ? bias : Number(bias)];
    });
    if (kind === "sequences") return pairs;
    return Object.fromEntries(pairs.map(([tokens, bias]) => {
      if (tokens.length !== 1) throw new Error(tokens.join(" "));
      return [tokens[0], bias];
    }));

    function whole(token) {
      if (!/^#?\d+$/.test(token)) throw new Error(token);
      return Number(token.replace("#", ""));
    }
  },
};
