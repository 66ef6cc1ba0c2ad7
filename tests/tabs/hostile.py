"""Texts that would do something if a page were careless."""

from __future__ import annotations

HOSTILE = (
    "<script>window.__hurt=1</script>",
    "<img src=x onerror=window.__hurt=1>",
    "<svg/onload=window.__hurt=1>",
    "<iframe srcdoc='<script>parent.__hurt=1</script>'></iframe>",
    "[click](javascript:window.__hurt=1)",
    "[click](JaVaScRiPt&#58;window.__hurt=1)",
    "[click](data:text/html,<script>window.__hurt=1</script>)",
    "<javascript:window.__hurt=1>",
    "![x](https://evil.example/pixel.png)",
    "![x][1]\n\n[1]: https://evil.example/pixel.png",
    '<a href="x" style="position:fixed" onmouseover="window.__hurt=1">x</a>',
    '<math><mtext><table><mglyph><style><!--</style><img title="--&gt;&lt;img src=1 onerror=window.__hurt=1&gt;">',
    "</div></article><form action=https://evil.example><button>x</button></form>",
    "<style>body{background:url(https://evil.example/x)}</style>",
    "<link rel=stylesheet href=https://evil.example/x.css>",
    "<meta http-equiv=refresh content='0;url=https://evil.example'>",
    "${window.__hurt=1} {{window.__hurt=1}} {{#each this}}x{{/each}} @children",
    '```"><img src=x onerror=window.__hurt=1>\ncode\n```',
    "```html\n</code></pre><img src=x onerror=window.__hurt=1>\n```",
    '[x](https://ok.example" onclick="window.__hurt=1)',
    "<details open ontoggle=window.__hurt=1>x",
    "\u202e<b>right to left</b>\u2066 \x00 \ufeff",
)
