"use strict";
/* A video's page: draws the timeline, moves it with the player, and lets faces be named and merged. Texts that come from
   outside, names and labels, are only ever set as text, never as HTML. */

const data = JSON.parse(document.getElementById("data").textContent);
const numLabels = data.labels.length;
const faces = unpackFaces(data);
const total = data.duration;
const still = data.still;
const media = document.getElementById("media");
const memoryKey = `dfer:${data.key}`;
const edits = recall();
const view = { from: 0, to: total || 1 };
let people = [];
let position = 0; // of the playhead, seconds
let shownMoment = "";

const byId = (id) => document.getElementById(id);

/** Make an element with attributes and children; texts become text nodes. */
function make(tag, attributes = {}, ...children) {
  const svg = ["rect", "text", "g"].includes(tag);
  const element = svg ? document.createElementNS("http://www.w3.org/2000/svg", tag) : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value !== null && value !== false) element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children);
  return element;
}

// ---- names and merges

/** Return the names and merges of an earlier visit, else those that the page was made with. */
function recall() {
  try {
    const kept = JSON.parse(localStorage.getItem(memoryKey));
    if (kept && typeof kept.names === "object" && Array.isArray(kept.merges)) return kept;
  } catch {} // a browser may keep nothing for files
  return { names: { ...data.names }, merges: [...data.merges] };
}

function remember() {
  try {
    localStorage.setItem(memoryKey, JSON.stringify(edits));
  } catch {} // then the names last as long as the page
}

/** Bring the page in line with the names and merges. */
function update() {
  people = joinPeople(faces, edits.names, edits.merges, data.dissolve);
  for (const person of people) {
    person.runs = emotionRuns(person.segments, numLabels);
    person.gaps = findGaps(person.segments);
    person.summary = summarise(person.segments, numLabels);
  }
  listFaces();
  showNames();
  layOut();
}

/** Show everything that holds a name but the field it is edited in. */
function showNames() {
  fillSummary();
  byId("yaml").textContent = peopleYaml(data.source, people);
  shownMoment = "";
  showMoment();
}

/** Give a person a name; that of another person is refused, because a name means one person. */
function rename(person, field) {
  const name = field.value.trim();
  const other = people.find((one) => one !== person && name && one.name === name);
  field.setAttribute("aria-invalid", Boolean(other));
  if (other) return say(`${name} is face ${other.id} already: merge the two, or enter another name.`);
  say("");
  for (const id of person.ids) delete edits.names[id];
  person.name = name;
  if (name) edits.names[person.id] = name;
  remember();
  showNames();
  for (const one of people) describePlot(one);
  document.querySelectorAll("#faces select").forEach((select) => fillChoices(select));
  return undefined;
}

function merge(person, otherId) {
  const other = people.find(({ id }) => id === otherId);
  const ids = [...other.ids, ...person.ids].sort((one, two) => one - two);
  const { conflict } = inOrder(faces.filter(({ id }) => ids.includes(id)), data.dissolve);
  if (conflict !== null) {
    const names = `${callPerson(other)} and ${callPerson(person)}`;
    say(`${names} are seen at the same time, at ${clock(conflict, total)}: they are two people.`);
    return false;
  }
  edits.merges = edits.merges.filter((group) => !group.some((id) => ids.includes(id)));
  edits.merges.push(ids);
  const name = other.name || person.name;
  for (const id of ids) delete edits.names[id];
  if (name) edits.names[ids[0]] = name;
  remember();
  update();
  say(`Faces ${ids.join(" and ")} are one person now.`);
  focusFace(ids[0]);
  return true;
}

function separate(person) {
  edits.merges = edits.merges.filter((group) => !group.includes(person.id));
  remember();
  update();
  say(`Faces ${person.ids.join(" and ")} are separate again.`);
  focusFace(person.id);
}

function focusFace(id) {
  const field = document.querySelector(`#faces input[data-id="${id}"]`);
  if (field) field.focus();
}

function say(text) {
  byId("status").textContent = text;
}

// ---- the rows of faces

function listFaces() {
  const rows = people.map((person) => {
    const name = make("input", {
      type: "text",
      value: person.name,
      placeholder: `face ${person.id}`,
      maxlength: 200,
      "data-id": person.id,
      "aria-label": `Name of face ${person.ids.join(" and ")}`,
      spellcheck: "false",
      oninput: (event) => rename(person, event.target),
    });
    const picture = person.thumbnail
      ? make("img", { src: person.thumbnail, alt: `Face ${person.id}`, width: 58, height: 58 })
      : make("span", { class: "blank", "aria-hidden": "true" }, `${person.id}`);
    person.canvas = make("canvas", { class: "plot", role: "img" });
    const who = make("div", { class: "who" }, picture, name, mergeTools(person), make("p", {}, sumUp(person)));
    const row = make("li", { "data-id": person.id }, who);
    if (still) row.append(make("div", {}, chances(person.segments[0], numLabels)));
    else row.append(person.canvas);
    describePlot(person);
    return row;
  });
  byId("faces").replaceChildren(...rows);
  byId("no-face").hidden = people.length > 0;
  for (const id of ["legend", "summary-section"]) byId(id).hidden = people.length === 0;
  if (!still && people.length) {
    byId("faces").append(make("div", { class: "playhead", id: "playhead", "aria-hidden": "true" }));
    for (const person of people) watchPlot(person);
  }
}

/** Return the choice of whom a face is the same as, and the button that undoes it. */
function mergeTools(person) {
  const tools = make("span", { class: "tools" });
  if (person.ids.length > 1) {
    const label = `Separate the faces ${person.ids.join(" and ")}`;
    tools.append(make("button", { type: "button", "aria-label": label, onclick: () => separate(person) }, "Separate"));
  }
  // The faces in an image are seen at the same time, so they are different people.
  if (people.length > 1 && !still) {
    const select = make("select", {
      "aria-label": `Merge face ${person.id} with`,
      "data-id": person.id,
      onchange: (event) => {
        if (event.target.value !== "" && !merge(person, Number(event.target.value))) event.target.value = "";
      },
    });
    fillChoices(select);
    tools.append(select);
  }
  return tools;
}

function fillChoices(select) {
  const own = Number(select.dataset.id);
  const choices = people.filter(({ id }) => id !== own).map((other) => make("option", { value: other.id }, callPerson(other)));
  select.replaceChildren(make("option", { value: "" }, "Same as …"), ...choices);
}

function sumUp(person) {
  if (still) return answerOf(person.segments[0]);
  const { visible, unsure, shares } = person.summary;
  const best = shares.indexOf(Math.max(...shares));
  const parts = [shares[best] > 0 ? `${data.labels[best]} ${percent(shares[best])}` : "not sure"];
  parts.push(`seen ${clock(visible, total)}`);
  if (person.gaps.length) parts.push(person.gaps.length === 1 ? "1 gap" : `${person.gaps.length} gaps`);
  if (unsure > SAME_S && shares[best] > 0) parts.push(`not sure ${clock(unsure, total)}`);
  if (person.ids.length > 1) parts.push(`faces ${person.ids.join(", ")}`);
  return parts.join(" · ");
}

function describePlot(person) {
  person.canvas.setAttribute("aria-label", `Timeline of ${callPerson(person)}: ${sumUp(person)}`);
}

function percent(share) {
  return share > 0 && share < 0.005 ? "<1 %" : `${Math.round(100 * share)} %`;
}

/** Return bars of the probabilities of a segment, the likeliest first. */
function chances(segment, count) {
  const order = segment.shares.map((_, label) => label).sort((one, two) => segment.shares[two] - segment.shares[one]);
  const rows = order.slice(0, count).flatMap((label) => {
    const bar = make("b");
    bar.style.width = `${100 * segment.shares[label]}%`;
    bar.style.background = segment.reasons.length ? "var(--muted)" : data.colors[label];
    return [make("span", {}, data.labels[label]), make("i", {}, bar), make("span", {}, percent(segment.shares[label]))];
  });
  return make("div", { class: "chances" }, ...rows);
}

/** Return in words what a segment says. */
function answerOf(segment) {
  const label = data.labels[segment.label];
  const confidence = `confidence ${percent(segment.confidence)}`;
  if (segment.reasons.length) return `not sure: ${segment.reasons.join(", ")} (${label}, ${confidence})`;
  return `${label}, ${confidence}`;
}

// ---- drawing the timeline

function palette() {
  const style = getComputedStyle(document.documentElement);
  return Object.fromEntries(
    ["paper", "ink", "muted", "rule", "empty", "hatch", "veil"].map((name) => [name, style.getPropertyValue(`--${name}`).trim()]),
  );
}

/** Set a canvas to the screen's own pixels. */
function prepare(canvas) {
  const scale = window.devicePixelRatio || 1;
  const { width, height } = canvas.getBoundingClientRect();
  canvas.width = Math.max(1, Math.round(width * scale));
  canvas.height = Math.max(1, Math.round(height * scale));
  const pen = canvas.getContext("2d");
  pen.font = `${11 * scale}px system-ui, "DejaVu Sans", sans-serif`;
  pen.textBaseline = "middle";
  return { pen, scale, width: canvas.width, height: canvas.height };
}

function layOut() {
  if (still) return;
  const colors = palette();
  drawAxis(colors);
  for (const person of people) drawPlot(person, colors);
  const zoomed = view.to - view.from < total * 0.999;
  byId("pan").hidden = !zoomed || !people.length;
  if (zoomed) byId("pan").value = (1000 * view.from) / (total - (view.to - view.from));
  placeHead();
}

function drawAxis(colors) {
  const { pen, scale, width, height } = prepare(document.querySelector("#axis canvas"));
  const { step, times } = tickTimes(view.from, view.to, Math.max(2, width / scale / 70));
  pen.fillStyle = colors.muted;
  for (const time of times) {
    const x = ((time - view.from) / (view.to - view.from)) * width;
    const text = clock(time, total, step < 1 ? 1 : 0);
    const half = pen.measureText(text).width / 2;
    pen.textAlign = "center";
    pen.fillText(text, Math.min(width - half, Math.max(half, x)), height * 0.4);
    pen.fillRect(Math.min(width - scale, Math.round(x)), height - 5 * scale, scale, 5 * scale);
  }
}

function drawPlot(person, colors) {
  const { pen, scale, width, height } = prepare(person.canvas);
  const strip = Math.round(19 * scale);
  const area = { width, height: height - strip - Math.round(3 * scale) };
  const x = (time) => Math.round(((time - view.from) / (view.to - view.from)) * width);
  pen.fillStyle = colors.empty;
  pen.fillRect(0, 0, width, area.height);
  pen.fillRect(0, height - strip, width, strip);
  drawShares(pen, person, area, x);
  const inView = person.runs.filter((run) => run.end > view.from && run.start < view.to);
  const hatch = makeHatch(pen, colors, scale);
  for (const run of inView) {
    const [left, right] = [x(run.start), Math.max(x(run.end), x(run.start) + 1)];
    if (run.reasons.length) {
      for (const [top, tall] of [[0, area.height], [height - strip, strip]]) {
        pen.fillStyle = top ? colors.empty : colors.veil;
        pen.fillRect(left, top, right - left, tall);
        pen.fillStyle = hatch;
        pen.fillRect(left, top, right - left, tall);
      }
    } else {
      pen.fillStyle = data.colors[run.label];
      pen.fillRect(left, height - strip, right - left, strip);
    }
    const text = run.reasons.length ? "not sure" : data.labels[run.label];
    writeInside(pen, text, Math.max(0, left), Math.min(width, right), height - strip / 2, run, colors, scale);
  }
}

function drawShares(pen, person, area, x) {
  const segments = person.segments;
  const inView = lastBegun(segments, view.to) - Math.max(0, lastBegun(segments, view.from)) + 1;
  const stack = (left, right, share) => {
    let bottom = 0;
    for (let label = 0; label < numLabels; label += 1) {
      const top = bottom + share(label);
      const low = Math.round(area.height * (1 - bottom));
      const high = Math.round(area.height * (1 - top));
      pen.fillStyle = data.colors[label];
      if (low > high) pen.fillRect(left, high, right - left, low - high);
      bottom = top;
    }
  };
  if (inView <= area.width) {
    for (let n = Math.max(0, lastBegun(segments, view.from)); n < segments.length && segments[n].start < view.to; n += 1) {
      const { start, end, shares } = segments[n];
      const sum = shares.reduce((one, two) => one + two, 0) || 1; // per mille add up to 1 but for rounding
      stack(x(start), Math.max(x(end), x(start) + 1), (label) => shares[label] / sum);
    }
    return;
  }
  const columns = binColumns(segments, view.from, view.to, area.width, numLabels);
  for (let column = 0; column < area.width; column += 1) {
    const seen = columns.seen[column];
    if (seen > 0) stack(column, column + 1, (label) => columns.shares[column * numLabels + label] / seen);
  }
}

function makeHatch(pen, colors, scale) {
  const size = Math.round(6 * scale);
  const tile = make("canvas", { width: size, height: size });
  const line = tile.getContext("2d");
  line.strokeStyle = colors.hatch;
  line.lineWidth = scale;
  for (const shift of [-size, 0, size]) {
    line.beginPath();
    line.moveTo(shift - 1, size + 1);
    line.lineTo(shift + size + 1, -1);
    line.stroke();
  }
  return pen.createPattern(tile, "repeat");
}

function writeInside(pen, text, left, right, middle, run, colors, scale) {
  const wide = pen.measureText(text).width;
  if (wide + 8 * scale > right - left) return;
  pen.textAlign = "center";
  if (run.reasons.length) {
    pen.fillStyle = colors.empty;
    pen.fillRect((left + right - wide) / 2 - 3 * scale, middle - 7 * scale, wide + 6 * scale, 14 * scale);
  }
  pen.fillStyle = run.reasons.length ? colors.ink : data.inks[run.label];
  pen.fillText(text, (left + right) / 2, middle + scale / 2);
}

function placeHead() {
  const head = byId("playhead");
  if (!head || !people.length) return;
  const canvas = people[0].canvas;
  const share = (position - view.from) / (view.to - view.from);
  head.hidden = share < 0 || share > 1;
  head.style.left = `${canvas.offsetLeft + share * canvas.clientWidth}px`;
}

// ---- time

/** Return the time of the answers that the player shows; the container's own clock may begin earlier. */
function playerTime() {
  return Math.min(total, Math.max(0, media.currentTime - data.offset));
}

function seek(time) {
  position = Math.min(total, Math.max(0, time));
  if (media && media.readyState > 0) media.currentTime = position + data.offset;
  follow();
}

/** Bring the page to the position: the timeline, the answers, and the boxes. */
function follow() {
  const span = view.to - view.from;
  if (position < view.from || position > view.to) {
    view.from = Math.max(0, Math.min(total - span, position - 0.1 * span));
    view.to = view.from + span;
    layOut();
  }
  placeHead();
  showMoment();
  drawBoxes();
}

function showMoment() {
  if (still) return;
  const seen = people
    .map((person) => ({ person, number: segmentAt(person.segments, position) }))
    .filter(({ number }) => number >= 0);
  const when = `${clock(position, total)} / ${clock(total, total)}`;
  if (byId("time").textContent !== when) byId("time").textContent = when;
  const moment = seen.map(({ person, number }) => `${person.id}:${number}`).join();
  if (moment === shownMoment && moment !== "") return;
  shownMoment = moment;
  const slider = byId("seek");
  const words = seen.map(({ person, number }) => `${callPerson(person)} ${answerOf(person.segments[number])}`);
  slider.setAttribute("aria-valuenow", position.toFixed(2));
  slider.setAttribute("aria-valuetext", `${clock(position, total)}: ${words.join("; ") || "no face"}`);
  const shown = seen.map(({ person, number }) => describeMoment(person, person.segments[number], seen.length > 2 ? 3 : numLabels));
  byId("now").replaceChildren(...(shown.length ? shown : [make("p", { class: "answer" }, "no face is seen")]));
}

function describeMoment(person, segment, count) {
  return make(
    "div",
    { class: "moment" },
    make("b", {}, callPerson(person)),
    make("p", { class: "answer" }, answerOf(segment)),
    chances(segment, count),
  );
}

/** Draw the faces' boxes over the picture, which the player may show smaller than its own frame. */
function drawBoxes() {
  const layer = byId("boxes");
  const wanted = media && data.size && (still || byId("show-boxes").checked);
  if (!wanted) return layer.replaceChildren();
  const [width, height] = [media.videoWidth || media.naturalWidth, media.videoHeight || media.naturalHeight];
  if (!width) return undefined;
  const scale = Math.min(media.clientWidth / width, media.clientHeight / height);
  const [shownWidth, shownHeight] = [width * scale, height * scale];
  const left = media.offsetLeft + (media.clientWidth - shownWidth) / 2;
  const top = media.offsetTop + (media.clientHeight - shownHeight) / 2;
  const drawn = people.flatMap((person) => {
    const number = still ? 0 : segmentAt(person.segments, position);
    if (number < 0) return [];
    const segment = person.segments[number];
    const box = still ? segment.box : boxAt(person.segments, number, position);
    const color = segment.reasons.length ? data.unsureColor : data.colors[segment.label];
    const ink = segment.reasons.length ? "#fff" : data.inks[segment.label];
    const [x, y] = [left + (box[0] / data.size[0]) * shownWidth, top + (box[1] / data.size[1]) * shownHeight];
    const [w, h] = [((box[2] - box[0]) / data.size[0]) * shownWidth, ((box[3] - box[1]) / data.size[1]) * shownHeight];
    const text = make("text", { x: x + 5, y: Math.max(13, y - 5), fill: ink }, callPerson(person));
    const tag = { x: x - 1, y: Math.max(0, y - 18), height: 18, class: "tag" };
    tag.width = 10 + 7 * callPerson(person).length;
    return [[[make("rect", { x, y, width: w, height: h, stroke: color, rx: 3 })], [make("rect", { ...tag, style: `fill:${color}` }), text]]];
  });
  layer.replaceChildren(...drawn.flatMap(([box]) => box), ...drawn.flatMap(([, tag]) => tag)); // no box crosses a name
  layer.querySelectorAll("text").forEach((text) => {
    text.previousSibling.setAttribute("width", text.getComputedTextLength() + 10);
  });
  return undefined;
}

function zoom(factor) {
  const span = Math.min(total, Math.max(2, (view.to - view.from) * factor));
  const share = Math.min(1, Math.max(0, (position - view.from) / (view.to - view.from)));
  view.from = Math.max(0, Math.min(total - span, position - share * span));
  view.to = view.from + span;
  layOut();
}

function panTo(share) {
  const span = view.to - view.from;
  view.from = share * (total - span);
  view.to = view.from + span;
  layOut();
}

// ---- pointer and keys

function timeAt(canvas, clientX) {
  const { left, width } = canvas.getBoundingClientRect();
  return view.from + Math.min(1, Math.max(0, (clientX - left) / width)) * (view.to - view.from);
}

function watchPlot(person) {
  const { canvas } = person;
  canvas.addEventListener("pointermove", (event) => showTip(person, event));
  canvas.addEventListener("pointerleave", () => (byId("tip").hidden = true));
  canvas.addEventListener("click", (event) => seek(timeAt(canvas, event.clientX)));
  canvas.addEventListener("wheel", panWithWheel, { passive: false });
}

function panWithWheel(event) {
  const sideways = event.shiftKey ? event.deltaY || event.deltaX : event.deltaX;
  const span = view.to - view.from;
  if (!sideways || span >= total * 0.999) return;
  event.preventDefault();
  panTo(Math.min(1, Math.max(0, (view.from + (sideways / 800) * span) / (total - span))));
}

function showTip(person, event) {
  const time = timeAt(person.canvas, event.clientX);
  const number = segmentAt(person.segments, time);
  const tip = byId("tip");
  const parts = [make("b", {}, callPerson(person)), " ", make("span", { class: "when" }, clock(time, total))];
  if (number < 0) parts.push(make("p", { class: "answer" }, "not seen"));
  else parts.push(make("p", { class: "answer" }, answerOf(person.segments[number])), chances(person.segments[number], numLabels));
  tip.replaceChildren(...parts);
  tip.hidden = false;
  const { offsetWidth, offsetHeight } = tip;
  const right = event.clientX + 16 + offsetWidth < innerWidth;
  tip.style.left = `${Math.max(4, right ? event.clientX + 16 : event.clientX - 16 - offsetWidth)}px`;
  tip.style.top = `${Math.max(4, Math.min(innerHeight - offsetHeight - 4, event.clientY + 16))}px`;
}

const KEYS = {
  " ": () => playOrPause(),
  ArrowLeft: (event) => seek(position - (event.shiftKey ? 10 : 1)),
  ArrowRight: (event) => seek(position + (event.shiftKey ? 10 : 1)),
  ",": () => seek(position - 1 / data.fps),
  ".": () => seek(position + 1 / data.fps),
  "[": () => seekChange(-1),
  "]": () => seekChange(1),
  Home: () => seek(0),
  End: () => seek(total),
  "+": () => zoom(0.5),
  "=": () => zoom(0.5),
  "-": () => zoom(2),
  0: () => zoom(Infinity),
};

function onKey(event) {
  const { target } = event;
  if (event.ctrlKey || event.altKey || event.metaKey || !(event.key in KEYS)) return;
  const typing = target.matches('input[type="text"], select');
  const pressing = event.key === " " && target.matches('button, input[type="checkbox"], a');
  const scrolling = target.matches('.scroll, pre, input[type="range"]') && /^(Arrow|Home|End)/.test(event.key);
  if (typing || pressing || scrolling) return;
  event.preventDefault();
  event.stopPropagation(); // the player's own keys would seek a second time
  KEYS[event.key](event);
}

function seekChange(direction) {
  const time = nextChange(people, position, direction);
  if (time !== null) seek(time);
}

function playOrPause() {
  if (!media || media.error) return;
  if (media.paused) media.play().catch(() => say("The video cannot be played."));
  else media.pause();
}

// ---- summary and files

function fillSummary() {
  if (still) return fillStill();
  const head = ["", "seen", "not sure", "confidence", "changes", "per minute", ...data.labels];
  const cells = people.map(({ summary, ...person }) => [
    callPerson(person),
    clock(summary.visible, total),
    clock(summary.unsure, total),
    summary.confidence === null ? "–" : percent(summary.confidence),
    `${summary.changes}`,
    summary.changesPerMinute === null ? "–" : summary.changesPerMinute.toFixed(1),
    ...summary.seconds.map((seconds, label) => [clock(seconds, total), percent(summary.shares[label])]),
  ]);
  const swatches = [...Array(6).fill(null), ...data.colors];
  fillTable(byId("table"), head, cells, swatches);
  const moves = people.flatMap((person) =>
    person.summary.transitions.map(([one, two, count]) => [callPerson(person), data.labels[one], data.labels[two], `${count}`]),
  );
  fillTable(byId("transitions"), ["", "from", "to", "times"], moves, [], [0, 1, 2]);
  byId("transitions").hidden = byId("transitions-heading").hidden = moves.length === 0;
  return undefined;
}

function fillStill() {
  const cells = people.map((person) => [
    callPerson(person),
    answerOf(person.segments[0]),
    ...person.segments[0].shares.map((share) => percent(share)),
  ]);
  fillTable(byId("table"), ["", "answer", ...data.labels], cells, [null, null, ...data.colors], [0, 1]);
  byId("transitions").hidden = byId("transitions-heading").hidden = true;
}

function fillTable(table, head, rows, swatches = [], words = [0]) {
  const side = (column) => (words.includes(column) ? "word" : "");
  const title = (text, column) => {
    const cell = make("th", { scope: "col", class: side(column) });
    if (swatches[column]) {
      const swatch = make("span", { class: "swatch", "aria-hidden": "true" });
      swatch.style.background = swatches[column];
      cell.append(swatch);
    }
    cell.append(text || (column ? "" : "person"));
    return cell;
  };
  const body = rows.map((row) =>
    make("tr", {}, ...row.map((value, column) => {
      if (!column) return make("th", { scope: "row", class: "word" }, value);
      if (!Array.isArray(value)) return make("td", { class: side(column) }, value);
      return make("td", {}, value[0], make("br"), make("small", {}, value[1]));
    })),
  );
  table.replaceChildren(make("thead", {}, make("tr", {}, ...head.map(title))), make("tbody", {}, ...body));
}

function save(name, type, parts) {
  const url = URL.createObjectURL(new Blob(parts, { type }));
  const link = make("a", { href: url, download: name });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}

/** Save a file that the page holds, compressed and as base64. */
async function saveFile(number) {
  const holder = byId(`file-${number}`);
  const bytes = Uint8Array.from(atob(holder.textContent), (letter) => letter.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  save(holder.dataset.name, holder.dataset.type, [await new Response(stream).arrayBuffer()]);
}

// ---- start

function fillLegend() {
  const entry = (text, className, color) => {
    const mark = make("i", { class: className });
    if (color) mark.style.background = color;
    return make("li", {}, mark, text);
  };
  const entries = data.labels.map((label, n) => entry(label, "", data.colors[n]));
  if (!still) entries.push(entry("not sure", "hatched"), entry("not seen", "gap"));
  byId("legend").replaceChildren(...entries);
}

function watchPlayer() {
  media.addEventListener("error", () => {
    byId("no-media").hidden = false;
    media.hidden = true;
    byId("boxes").replaceChildren();
  });
  if (still) return media.addEventListener("load", drawBoxes);
  const fromPlayer = () => {
    position = playerTime();
    follow();
  };
  const tick = () => {
    fromPlayer();
    if (!media.paused && !media.ended) requestAnimationFrame(tick);
  };
  media.addEventListener("play", () => {
    byId("play").textContent = "Pause";
    requestAnimationFrame(tick);
  });
  media.addEventListener("pause", () => (byId("play").textContent = "Play"));
  media.addEventListener("seeked", () => media.paused && Math.abs(playerTime() - position) > 0.05 && fromPlayer());
  media.addEventListener("timeupdate", () => media.paused && Math.abs(playerTime() - position) > 0.05 && !media.seeking && fromPlayer());
  media.addEventListener("loadedmetadata", () => {
    if (position > 0) media.currentTime = position + data.offset;
    drawBoxes();
  });
  byId("speed").addEventListener("change", (event) => (media.playbackRate = Number(event.target.value)));
  return undefined;
}

function watchControls() {
  byId("play").addEventListener("click", playOrPause);
  byId("play").disabled = byId("speed").disabled = byId("show-boxes").disabled = !media;
  byId("previous").addEventListener("click", () => seekChange(-1));
  byId("next").addEventListener("click", () => seekChange(1));
  byId("show-boxes").addEventListener("change", drawBoxes);
  byId("zoom-in").addEventListener("click", () => zoom(0.5));
  byId("zoom-out").addEventListener("click", () => zoom(2));
  byId("zoom-fit").addEventListener("click", () => zoom(Infinity));
  byId("pan").addEventListener("input", (event) => panTo(Number(event.target.value) / 1000));
  byId("seek").setAttribute("aria-valuemax", total.toFixed(2));
  byId("seek").addEventListener("click", (event) => seek(timeAt(event.target, event.clientX)));
  document.addEventListener("keydown", onKey, true);
}

function start() {
  fillLegend();
  byId("save-yaml").addEventListener("click", () => save("people.yaml", "application/yaml", [peopleYaml(data.source, people)]));
  document.querySelectorAll(".save").forEach((button) => {
    button.addEventListener("click", () => saveFile(button.dataset.file));
  });
  if (!still) watchControls();
  if (media) watchPlayer();
  update();
  if (still) {
    byId("now-heading").hidden = byId("now").hidden = true;
    drawBoxes();
  }
  new ResizeObserver(() => {
    layOut();
    drawBoxes();
  }).observe(byId("timeline"));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", layOut);
  document.documentElement.dataset.ready = "true";
}

start();
