"use strict";

// Sorts a table by a column: its heading holds a button, its cells a value in data-value where
// that is not their text. Cells without a value stay last.

const byText = new Intl.Collator(undefined, { numeric: true });

function sortBy(heading) {
  const body = heading.closest("table").tBodies[0];
  const number = heading.dataset.kind === "number";
  const descending = heading.getAttribute("aria-sort") === "ascending";
  const valueOf = (row) => {
    const cell = row.cells[heading.cellIndex];
    const text = cell.dataset.value ?? cell.textContent.trim();
    return number && text !== "" ? Number(text) : text;
  };
  const compare = (a, b) => {
    if (a.value === "" || b.value === "") return (a.value === "") - (b.value === "");
    const order = number ? a.value - b.value : byText.compare(a.value, b.value);
    return descending ? -order : order;
  };
  const rows = Array.from(body.rows, (row) => ({ row, value: valueOf(row) }));
  body.append(...rows.sort(compare).map((one) => one.row));
  for (const other of heading.parentNode.cells) other.removeAttribute("aria-sort");
  heading.setAttribute("aria-sort", descending ? "descending" : "ascending");
}

for (const button of document.querySelectorAll("table.sortable th button")) {
  button.addEventListener("click", () => sortBy(button.closest("th")));
}

// Films are short, and the browser's own controls would cover them: buttons below play them and
// step through their frames. Without scripts the browser's controls stay.
for (const bar of document.querySelectorAll(".buttons")) {
  const video = bar.parentNode.querySelector("video");
  const fps = Number(video.dataset.fps);
  const play = bar.querySelector("[data-step='0']");
  const toggle = () => (video.paused ? video.play() : video.pause());
  for (const button of bar.children) {
    const step = Number(button.dataset.step);
    button.addEventListener("click", () => {
      if (step === 0) return toggle();
      video.pause();
      const frames = Math.round(video.duration * fps);
      const frame = (Math.floor(video.currentTime * fps) + step + frames) % frames;
      video.currentTime = (frame + 0.5) / fps;
    });
  }
  video.addEventListener("click", toggle);
  video.addEventListener("play", () => (play.textContent = "pause"));
  video.addEventListener("pause", () => (play.textContent = "play"));
  video.controls = false;
  bar.hidden = false;
}
