// Moving a row of a list by its handle, with mouse, pen or finger: the row goes along with the pointer.
"use strict";
// `rows()` are the rows in their order, `moved(from, to)` is told at each place it passes, `done(place)` where it stays.
Lab.dragging = (handle, row, { rows, moved = () => {}, done }) => {
  handle.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    event.preventDefault();
    handle.focus();
    const began = rows().indexOf(row);
    let place = began;
    row.classList.add("dragged");
    const follow = (now) => {
      const others = rows().filter((one) => one !== row);
      const to = others.filter((one) => { const box = one.getBoundingClientRect(); return now.clientY > box.top + box.height / 2; }).length;
      scrollAt(now.clientY);
      if (to === place) return;
      row.parentNode.insertBefore(row, others[to] ?? null);
      moved(place, to);
      place = to;
    };
    const end = () => {
      window.removeEventListener("pointermove", follow);
      window.removeEventListener("pointerup", end);
      window.removeEventListener("pointercancel", end);
      row.classList.remove("dragged");
      if (place !== began) done(began, place);
    };
    window.addEventListener("pointermove", follow);
    window.addEventListener("pointerup", end);
    window.addEventListener("pointercancel", end);
  });

  // Near an edge of the window what lies beyond it comes into sight.
  function scrollAt(y) {
    const edge = 56;
    const by = y > window.innerHeight - edge ? 14 : y < edge + 60 ? -14 : 0;
    if (!by) return;
    let box = row.parentElement;
    while (box && !(box.scrollHeight > box.clientHeight + 1 && /auto|scroll/.test(getComputedStyle(box).overflowY))) box = box.parentElement;
    (box ?? document.scrollingElement).scrollBy(0, by);
  }
};
