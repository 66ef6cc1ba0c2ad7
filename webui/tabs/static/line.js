// One line of news under a form, and a second one for what else is to be known.
"use strict";
Lab.drawings.line = (root, { props, watch }) => {
  root.setAttribute("role", "status");
  const news = Lab.el("div.line-news"), notice = Lab.el("div.line-notice");
  root.append(news, notice);
  const draw = () => {
    const value = props.value ?? {};
    news.textContent = value.text ?? "";
    notice.textContent = value.notice ?? "";
    news.classList.toggle("problem", Boolean(value.problem));
  };
  watch("value", draw);
  draw();
};
