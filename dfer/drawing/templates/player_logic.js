"use strict";
/* The logic of a video's page, without the page: plain functions on plain values. Times are seconds, shares are 0 to 1.
   A test runs this file in Node and compares its sums with those of Python. */

const SAME_S = 0.0015; // the data's times are whole milliseconds: what differs by less is equal

/** Return the faces as the page's data has them: columns become arrays, milliseconds seconds, per mille shares. */
function unpackFaces(data) {
  return data.faces.map((face) => ({
    id: face.id,
    thumbnail: face.thumbnail,
    segments: face.start.map((start, n) => ({
      start: start / 1000,
      end: face.end[n] / 1000,
      label: face.top[n],
      shares: face.shares.slice(n * data.labels.length, (n + 1) * data.labels.length).map((share) => share / 1000),
      confidence: face.confidence[n] / 10000,
      reasons: data.reasons[face.why[n]],
      box: face.box.slice(4 * n, 4 * n + 4),
    })),
  }));
}

/** Return the people: faces joined by `merges`, a list of lists of face ids, and named by `names`, id -> name. */
function joinPeople(faces, names, merges, dissolve) {
  const people = [];
  const taken = new Set();
  for (const face of faces) {
    if (taken.has(face.id)) continue;
    const group = merges.find((ids) => ids.includes(face.id)) || [face.id];
    const members = faces.filter((other) => group.includes(other.id));
    members.forEach((member) => taken.add(member.id));
    const ids = members.map((member) => member.id).sort((one, two) => one - two);
    const { segments } = inOrder(members, dissolve);
    people.push({
      id: ids[0],
      ids,
      name: names[ids.find((id) => names[id])] || "",
      thumbnail: face.thumbnail,
      segments,
    });
  }
  return people;
}

/** Return what a person is called. */
function callPerson(person) {
  return person.name || `face ${person.id}`;
}

/** Return the segments of faces in order of time, and the moment from which two of them are seen at once, or null.
    Where one shot dissolves into the next, for `dissolve` seconds at most, the first one stays, as in Python. */
function inOrder(faces, dissolve) {
  const stretches = faces.flatMap((face) => splitStretches(face.segments));
  if (faces.length < 2) return { segments: stretches.flat(), conflict: null };
  const endOf = (stretch) => stretch[stretch.length - 1].end;
  stretches.sort((one, two) => one[0].start - two[0].start || endOf(one) - endOf(two));
  let segments = [];
  let conflict = null;
  let begun = -Infinity;
  let until = -Infinity;
  for (let stretch of stretches) {
    const { start } = stretch[0];
    if (start < until - SAME_S) {
      if (until - start > dissolve + SAME_S || start <= begun || endOf(stretch) <= until) conflict ??= start;
      stretch = stretch.filter((one) => one.end > until + SAME_S);
      stretch = stretch.map((one) => ({ ...one, start: Math.max(one.start, until) }));
    }
    segments = segments.concat(stretch);
    begun = start;
    if (stretch.length) until = Math.max(until, endOf(stretch));
  }
  return { segments, conflict };
}

/** Return segments, split wherever the face is gone between two of them. */
function splitStretches(segments) {
  const stretches = [];
  segments.forEach((segment, n) => {
    if (!n || segment.start - segments[n - 1].end > SAME_S) stretches.push([]);
    stretches[stretches.length - 1].push(segment);
  });
  return stretches;
}

/** Return the number of the last segment that has begun at a time, or -1. */
function lastBegun(segments, time) {
  let low = 0;
  let high = segments.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (segments[middle].start <= time + 1e-6) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}

/** Return the number of the segment that is shown at a time, or -1 where the person is not seen. */
function segmentAt(segments, time) {
  const number = lastBegun(segments, time);
  return number >= 0 && time < segments[number].end + SAME_S ? number : -1;
}

/** Return the runs of one emotion, and of unsure time, in order: {start, end, label, reasons}. */
function emotionRuns(segments, numLabels) {
  const runs = [];
  let run = null;
  for (const segment of segments) {
    const unsure = segment.reasons.length > 0;
    const goesOn =
      run && segment.start - run.end < SAME_S && unsure === run.unsure && (unsure || segment.label === run.label);
    if (!goesOn) {
      run = { start: segment.start, end: segment.end, label: segment.label, unsure, parts: [] };
      runs.push(run);
    }
    run.end = segment.end;
    run.parts.push(segment);
  }
  return runs.map(({ start, end, label, unsure, parts }) =>
    unsure
      ? { start, end, label: likeliest(parts, numLabels), reasons: mainReasons(parts) }
      : { start, end, label, reasons: [] },
  );
}

function likeliest(segments, numLabels) {
  const sums = new Array(numLabels).fill(0);
  for (const segment of segments) {
    segment.shares.forEach((share, label) => (sums[label] += share * (segment.end - segment.start)));
  }
  return sums.indexOf(Math.max(...sums));
}

/** Return the reasons of unsure segments, the one that holds for longest first. */
function mainReasons(segments) {
  const lengths = new Map();
  for (const segment of segments) {
    for (const reason of segment.reasons) {
      lengths.set(reason, (lengths.get(reason) || 0) + segment.end - segment.start);
    }
  }
  return [...lengths.keys()].sort((one, two) => lengths.get(two) - lengths.get(one));
}

/** Return the gaps between the times in which a person is seen: [start, end]. */
function findGaps(segments) {
  const gaps = [];
  for (let n = 1; n < segments.length; n += 1) {
    if (segments[n].start - segments[n - 1].end > SAME_S) gaps.push([segments[n - 1].end, segments[n].start]);
  }
  return gaps;
}

/** Sum up what a person shows, over the time that can be trusted. */
function summarise(segments, numLabels) {
  const runs = emotionRuns(segments, numLabels);
  const seconds = new Array(numLabels).fill(0);
  for (const run of runs) if (!run.reasons.length) seconds[run.label] += run.end - run.start;
  const visible = segments.reduce((sum, segment) => sum + segment.end - segment.start, 0);
  const trusted = seconds.reduce((sum, value) => sum + value, 0);
  const transitions = new Map();
  for (let n = 1; n < runs.length; n += 1) {
    const [one, two] = [runs[n - 1], runs[n]];
    if (one.reasons.length || two.reasons.length || two.start - one.end > SAME_S || one.label === two.label) continue;
    const pair = `${one.label},${two.label}`;
    transitions.set(pair, (transitions.get(pair) || 0) + 1);
  }
  const sure = segments.filter((segment) => !segment.reasons.length);
  const weighted = sure.reduce((sum, segment) => sum + segment.confidence * (segment.end - segment.start), 0);
  const changes = [...transitions.values()].reduce((sum, count) => sum + count, 0);
  return {
    visible,
    unsure: Math.max(0, visible - trusted),
    confidence: trusted > SAME_S ? weighted / trusted : null,
    seconds,
    shares: seconds.map((value) => (trusted ? value / trusted : 0)),
    transitions: [...transitions]
      .map(([pair, count]) => [...pair.split(",").map(Number), count])
      .sort((one, two) => two[2] - one[2]),
    changes,
    changesPerMinute: trusted > SAME_S ? (60 * changes) / trusted : null,
  };
}

/** Return the box of a person at a time, [x1, y1, x2, y2] in pixels: between the middles of neighbouring segments. */
function boxAt(segments, number, time) {
  const segment = segments[number];
  const middle = (segment.start + segment.end) / 2;
  const other = segments[time < middle ? number - 1 : number + 1];
  if (!other || Math.max(other.start - segment.end, segment.start - other.end) > SAME_S) return segment.box;
  const side = Math.max(segment.box[2] - segment.box[0], segment.box[3] - segment.box[1]);
  if (Math.abs(other.box[0] - segment.box[0]) > side) return segment.box; // a cut, not a movement
  const part = (time - middle) / ((other.start + other.end) / 2 - middle);
  return segment.box.map((value, n) => value + Math.min(1, Math.max(0, part)) * (other.box[n] - value));
}

/** Return a moment: "4.2 s" in a video of less than a minute, else "1:04.2" or "1:02:07.0". */
function clock(seconds, total, decimals = 1) {
  if (total < 60) return `${seconds.toFixed(decimals)} s`;
  const scale = 10 ** decimals;
  const ticks = Math.round(seconds * scale);
  const rest = (ticks % (60 * scale)) / scale;
  const minutes = Math.floor(ticks / (60 * scale));
  const tail = rest.toFixed(decimals).padStart(decimals ? decimals + 3 : 2, "0");
  if (total < 3600) return `${minutes}:${tail}`;
  return `${Math.floor(minutes / 60)}:${String(minutes % 60).padStart(2, "0")}:${tail}`;
}

const TICK_STEPS_S = [0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400];

/** Return the times to mark on an axis, at most `count`. */
function tickTimes(from, to, count) {
  const step = TICK_STEPS_S.find((value) => (to - from) / value <= count) || (to - from) / count;
  const times = [];
  for (let n = Math.ceil(from / step - 1e-9); n * step <= to + 1e-9; n += 1) times.push(n * step);
  return { step, times };
}

/** Return the mean shares, and how much is seen and unsure, in each of `count` columns of a stretch of time. */
function binColumns(segments, from, to, count, numLabels) {
  const shares = new Float64Array(count * numLabels);
  const seen = new Float64Array(count);
  const unsure = new Float64Array(count);
  const width = (to - from) / count;
  for (let n = Math.max(0, lastBegun(segments, from)); n < segments.length; n += 1) {
    const segment = segments[n];
    if (segment.start >= to) break;
    const first = Math.max(0, Math.floor((segment.start - from) / width));
    const last = Math.min(count - 1, Math.floor((segment.end - from) / width));
    for (let column = first; column <= last; column += 1) {
      const begin = Math.max(segment.start, from + column * width);
      const length = Math.min(segment.end, from + (column + 1) * width) - begin;
      if (length <= 0) continue;
      seen[column] += length / width;
      if (segment.reasons.length) unsure[column] += length / width;
      for (let label = 0; label < numLabels; label += 1) {
        shares[column * numLabels + label] += (segment.shares[label] * length) / width;
      }
    }
  }
  return { shares, seen, unsure };
}

/** Return the next time after, or with direction -1 before, `time` at which anybody's run begins; or null. */
function nextChange(people, time, direction) {
  let found = null;
  for (const { start } of people.flatMap((person) => person.runs)) {
    const beyond = direction > 0 ? start > time + 0.01 : start < time - 0.01;
    if (beyond && (found === null || (direction > 0 ? start < found : start > found))) found = start;
  }
  return found;
}

/** Return names and merges as the YAML that `dfer predict --people` reads; texts are quoted as in JSON, which YAML reads. */
function peopleYaml(source, people) {
  const names = people.filter((person) => person.name).map((person) => `${person.id}: ${quoteYaml(person.name)}`);
  const merges = people.filter((person) => person.ids.length > 1).map((person) => `[${person.ids.join(", ")}]`);
  const lines = [`${quoteYaml(source)}:`];
  if (names.length) lines.push(`  names: {${names.join(", ")}}`);
  if (merges.length) lines.push(`  merge: [${merges.join(", ")}]`);
  if (lines.length === 1) lines[0] += " {}";
  return `${lines.join("\n")}\n`;
}

function quoteYaml(text) {
  // YAML allows no control characters and no lone surrogates, even inside quotes.
  const hidden = /[\u007f-\u009f\u2028\u2029\ufeff\ufffe\uffff]/g;
  return JSON.stringify(text).replace(hidden, (letter) => `\\u${letter.charCodeAt(0).toString(16).padStart(4, "0")}`);
}
