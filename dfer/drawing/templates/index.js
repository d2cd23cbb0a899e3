"use strict";
/* The index of videos: sorts the table by a column, and finds videos by name. */

const table = document.getElementById("videos");
const body = table.tBodies[0];
const rows = [...body.rows];

/** Return what a row is sorted by; numbers that are missing come last in either direction. */
function valueOf(row, column) {
  if (column < 0) return row.dataset.name;
  const text = row.querySelectorAll("td[data-value]")[column].dataset.value;
  return text === "" ? null : Number(text);
}

function compare(one, two, sign) {
  if (one === null || two === null) return (one === null) - (two === null);
  if (typeof one === "string") return sign * one.localeCompare(two, undefined, { numeric: true });
  return sign * (one - two);
}

function sortBy(button) {
  const head = button.closest("th");
  const column = Number(button.dataset.column);
  const first = column < 0 ? "ascending" : "descending"; // the most of something is what one looks for
  const second = first === "ascending" ? "descending" : "ascending";
  const direction = head.ariaSort === first ? second : first;
  for (const other of head.parentElement.cells) if (other.ariaSort) other.ariaSort = "none";
  head.ariaSort = direction;
  const sign = direction === "ascending" ? 1 : -1;
  rows.sort((one, two) => compare(valueOf(one, column), valueOf(two, column), sign));
  body.append(...rows);
}

function find(text) {
  const wanted = text.trim().toLocaleLowerCase();
  let shown = 0;
  for (const row of rows) {
    row.hidden = !row.cells[0].textContent.toLocaleLowerCase().includes(wanted);
    shown += !row.hidden;
  }
  document.getElementById("count").textContent = wanted ? `${shown} of ${rows.length}` : "";
}

table.tHead.addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (button) sortBy(button);
});
document.getElementById("find").addEventListener("input", (event) => find(event.target.value));
