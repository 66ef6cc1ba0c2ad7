// One line of news under a form.
"use strict";
Lab.drawings.line = (root, { props, watch }) => {
  root.setAttribute("role", "status");
  const draw = () => {
    const value = props.value ?? {};
    root.textContent = value.text ?? "";
    root.classList.toggle("problem", Boolean(value.problem));
  };
  watch("value", draw);
  draw();
};
