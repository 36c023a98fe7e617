"use strict";
// The page of picks. What each pick is at a threshold was computed by gembench ("steps"); the page counts. Only a
// micrograph whose marks were edited here is matched anew, by `matched`.
const TRUE = 1, FALSE = 0, IGNORED = -1, BELOW = 9;
const data = JSON.parse(document.getElementById("data").textContent);
const $ = (id) => document.getElementById(id);
const micrographs = data.micrographs;
const COLOURS = ["#e69f00", "#56b4e9", "#2fd3a3", "#e59ac4", "#ff8a3d", "#9ccbff"]; // of views
const KINDS = { // what is drawn: colour, dash (in units of the line's width), words
  true: ["#56b4e9", [], "true"], false: ["#ff8a3d", [3, 2], "false"], missed: ["#f5e642", [1, 1.6], "missed"],
  unsure: ["#e8e8e8", [6, 2, 1, 2], "unsure"], picks: ["#e69f00", [], "picks"],
};
const state = { at: 0, threshold: -Infinity, boxes: false, annotating: false, scale: 1, x: 0, y: 0, undo: [], hidden: new Set() };

// ---- picks, marks and what becomes of them

const isParticle = ([, , label]) => (data.labels ? data.labels.includes(label) : !data.ignored.includes(label));
const isUnsure = (mark) => data.ignored.includes(mark[2]) && !isParticle(mark);

for (const [number, m] of micrographs.entries()) {
  m.number = number;
  m.x ??= []; m.y ??= []; m.view ??= []; m.marks ??= []; m.steps ??= [];
  m.original = JSON.stringify(m.marks);
  m.wasJudged = Boolean(m.judged);
  m.order = [...m.x.keys()];
  if (data.scored) m.order.sort((a, b) => m.score[b] - m.score[a] || a - b);
}

const isEdited = (m) => JSON.stringify(m.marks) !== m.original;
const isJudged = (m) => data.picked && (isEdited(m) ? m.marks.length > 0 : m.wasJudged);
const reaches = (m, pick, threshold) => !data.scored || m.score[pick] >= threshold;

/** What every pick of a micrograph is, and its partner among the particles; BELOW what does not reach the threshold. */
function judge(m, threshold) {
  const outcome = new Int8Array(m.x.length).fill(BELOW), partner = new Int32Array(m.x.length).fill(-1);
  if (isEdited(m)) return matched(m, threshold, outcome, partner);
  for (const [score, pick, result, particle] of m.steps) {
    if (score !== null && score < threshold) break;
    outcome[pick] = result;
    partner[pick] = particle;
  }
  return { outcome, partner };
}

/** Picks by falling score take marks one to one: the nearest free one or, if "optimal", as many as can be had. */
function matched(m, threshold, outcome, partner) {
  const join = (picks, marks) => {
    const owner = new Map();
    const near = (pick) => marks.map(([x, y], mark) => [Math.hypot(m.x[pick] - x, m.y[pick] - y), mark])
      .filter(([distance]) => distance <= data.radius).sort((a, b) => a[0] - b[0] || a[1] - b[1]).map(([, mark]) => mark);
    const take = (pick, seen) => near(pick).some((mark) => {
      if (seen.has(mark)) return false;
      seen.add(mark);
      if (owner.has(mark) && !(data.method === "optimal" && take(owner.get(mark), seen))) return false;
      owner.set(mark, pick);
      return true;
    });
    for (const pick of picks) take(pick, new Set());
    return owner;
  };
  const above = m.order.filter((pick) => reaches(m, pick, threshold));
  for (const pick of above) outcome[pick] = FALSE;
  for (const [mark, pick] of join(above, m.marks.filter(isParticle))) { outcome[pick] = TRUE; partner[pick] = mark; }
  for (const pick of join(above.filter((one) => outcome[one] === FALSE), m.marks.filter(isUnsure)).values()) outcome[pick] = IGNORED;
  return { outcome, partner };
}

/** The counts of a micrograph at the threshold. */
function count(m) {
  const judged = isJudged(m), c = { picks: 0, true: 0, false: 0, unsure: 0, particles: 0, judged };
  if (!judged) {
    c.picks = m.order.filter((pick) => reaches(m, pick, state.threshold)).length;
    return c;
  }
  for (const outcome of judge(m, state.threshold).outcome) {
    if (outcome === BELOW) continue;
    c.picks += 1;
    c[outcome === TRUE ? "true" : outcome === FALSE ? "false" : "unsure"] += 1;
  }
  c.particles = m.marks.filter(isParticle).length;
  return c;
}

/** Adds what follows from counts; proportions are those of `gembench score`, NaN where it has none. */
function finish(c) {
  c.missed = c.particles - c.true;
  c.errors = c.missed + c.false;
  c.precision = c.true / (c.true + c.false);
  c.recall = c.true / c.particles;
  c.f1 = 2 * c.true / (c.true + c.false + c.particles);
  return c;
}

/** True and false picks at every distinct score, from the highest down. */
function curve() {
  const events = [];
  let particles = 0;
  for (const m of micrographs.filter(isJudged)) {
    particles += m.marks.filter(isParticle).length;
    const before = new Map(), { outcome } = judge(m, -Infinity);
    const steps = isEdited(m) ? m.order.map((pick) => [m.score[pick], pick, outcome[pick]]) : m.steps;
    for (const [score, pick, now] of steps) {
      const was = before.get(pick);
      events.push([score, (now === TRUE) - (was === TRUE), (now === FALSE) - (was === FALSE)]);
      before.set(pick, now);
    }
  }
  events.sort((a, b) => b[0] - a[0]);
  const points = [];
  let found = 0, wrong = 0;
  for (const [n, [score, more, worse]] of events.entries()) {
    found += more;
    wrong += worse;
    if (n + 1 === events.length || events[n + 1][0] !== score) {
      points.push(finish({ threshold: score, true: found, false: wrong, particles }));
    }
  }
  return points;
}

// ---- the threshold

const scores = data.scored ? micrographs.flatMap((m) => m.score ?? []) : [];
const sliding = scores.length > 0;
const lowest = scores.reduce((a, b) => Math.min(a, b), Infinity), highest = scores.reduce((a, b) => Math.max(a, b), -Infinity);
const digits = sliding ? Math.max(0, Math.ceil(2.5 - Math.log10(Math.max(highest - lowest, 1e-9)))) : 0;
const unit = 10 ** -digits;
const range = { low: Math.floor(lowest / unit) * unit, high: (Math.floor(highest / unit) + 1) * unit };
let points = [];

function setThreshold(value) {
  if (!sliding || !Number.isFinite(value)) return;
  state.threshold = value;
  $("threshold").value = value;
  if (document.activeElement !== $("number")) $("number").value = value;
  showCounts();
}

const stepped = (steps) => Number((state.threshold + steps * unit).toFixed(digits));

// ---- counts, list, command

const ROWS = [["picks", "Picks"], ["particles", "Particles"], ["true", "True"], ["false", "False"], ["unsure", "Unsure"],
  ["missed", "Missed"], ["precision", "Precision"], ["recall", "Recall"], ["f1", "F1"]];
const PROPORTIONS = new Set(["precision", "recall", "f1"]);
let counts = [], whole = {};

/** As gembench prints: a tenth of a per cent, halves to the even digit. */
function percent(value) {
  if (!Number.isFinite(value)) return "–";
  const tenths = value * 100 * 10, floor = Math.floor(tenths);
  const rounded = tenths - floor === 0.5 ? (floor + floor % 2) / 10 : value * 100;
  return `${rounded.toFixed(1)} %`;
}

function element(tag, text, attributes = {}) {
  const made = document.createElement(tag);
  made.textContent = text;
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  return made;
}

function showCounts() {
  counts = micrographs.map((m) => finish(count(m)));
  const judged = counts.filter((c) => c.judged), counted = judged.length ? judged : counts;
  whole = { judged: judged.length > 0 };
  for (const name of ["picks", "true", "false", "unsure", "particles"]) whole[name] = counted.reduce((sum, c) => sum + c[name], 0);
  finish(whole);
  $("counts").tBodies[0].replaceChildren(...ROWS.filter(([name]) => name === "picks" || whole.judged).map(([name, words]) => {
    const row = element("tr", "");
    row.append(element("th", words, { scope: "row" }));
    for (const [where, c] of [["here", counts[state.at]], ["all", whole]]) {
      const known = name === "picks" || c.judged;
      row.append(element("td", !known ? "–" : PROPORTIONS.has(name) ? percent(c[name]) : c[name],
        { id: `${where}-${name}`, "data-value": known ? c[name] : "" }));
    }
    return row;
  }));
  const edited = micrographs.filter(isEdited).length;
  $("status").textContent = (whole.judged ? `${judged.length} of ${counts.length} micrographs judged, matched within ${data.radius} px (${data.method}).` : "") +
    (edited ? ` Marks edited on ${edited}.` : "");
  for (const [n, m] of micrographs.entries()) {
    const c = counts[n];
    m.line.textContent = c.judged ? `${c.picks} picks · ${c.false} false · ${c.missed} missed` : data.picked ? `${c.picks} picks` : `${m.marks.length} marks`;
    if (isEdited(m)) m.line.textContent += " · edited";
  }
  $("command").textContent = data.command + (sliding ? ` --threshold ${state.threshold}` : "") + (data.output ? ` -o ${data.output}-${state.threshold}.star` : "");
  for (const id of ["curve", "best"]) $(id).hidden = !(whole.judged && sliding);
  $("undo").disabled = !state.undo.length;
  $("reset").disabled = !isEdited(micrographs[state.at]);
  showFilters();
  drawHistogram();
  drawCurve();
  draw();
}

function sortList() {
  const by = { name: () => 0, errors: (a, b) => counts[b.number].errors - counts[a.number].errors,
    most: (a, b) => counts[b.number].picks - counts[a.number].picks, fewest: (a, b) => counts[a.number].picks - counts[b.number].picks };
  state.list = [...micrographs].sort((a, b) => by[$("sort").value](a, b) || a.number - b.number);
  $("list").replaceChildren(...state.list.map((m) => m.item));
}

function makeList() {
  for (const m of micrographs) {
    const button = element("button", "");
    const face = m.thumbnail ? element("img", "", { src: m.thumbnail, alt: "" }) : element("i", "", { title: "no picture in this page" });
    m.line = element("span", "");
    button.append(face, element("b", m.name), m.line);
    button.addEventListener("click", () => choose(m.number));
    m.item = element("li", "");
    m.item.append(button);
  }
}

let drawn = "";
function showFilters() {
  const kinds = whole.judged ? ["true", "false", "missed", "unsure"] : data.picked ? ["picks"] : [];
  if (drawn === kinds.join()) return;
  drawn = kinds.join();
  $("filters").replaceChildren(...kinds.map((kind) => {
    const [colour, dash, words] = KINDS[kind], label = element("label", "", { title: `Show ${words}` });
    const box = element("input", "", { type: "checkbox", id: `show-${kind}` });
    box.checked = !state.hidden.has(kind);
    box.addEventListener("change", () => { state.hidden[box.checked ? "delete" : "add"](kind); draw(); });
    const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg"), ring = document.createElementNS("http://www.w3.org/2000/svg", "circle");
    for (const [name, value] of [["width", 24], ["height", 24], ["aria-hidden", true]]) svg.setAttribute(name, value);
    for (const [name, value] of [["cx", 12], ["cy", 12], ["r", 8], ["fill", "none"], ["stroke", colour], ["stroke-width", 2.5],
      ["stroke-dasharray", dash.map((d) => 2.5 * d).join(" ")]]) ring.setAttribute(name, value);
    svg.append(ring);
    label.append(box, svg, words);
    return label;
  }));
}

// ---- drawing

/** A canvas's context in CSS pixels, cleared. */
function fresh(canvas, height = null) {
  const ratio = window.devicePixelRatio || 1, width = canvas.clientWidth, tall = height ?? canvas.clientHeight;
  canvas.width = Math.round(width * ratio);
  canvas.height = Math.round(tall * ratio);
  if (height !== null) canvas.style.height = `${height}px`;
  const g = canvas.getContext("2d");
  g.setTransform(ratio, 0, 0, ratio, 0, 0);
  g.font = "12px system-ui, sans-serif";
  return [g, width, tall];
}

function drawHistogram() {
  if (!sliding) return;
  const [g, width, height] = fresh($("histogram"), 90), bins = Math.max(10, Math.floor(width / 6)), edge = 8;
  const across = (value) => edge + (value - range.low) / (range.high - range.low) * (width - 2 * edge);
  const heaps = new Float64Array(bins);
  for (const score of scores) heaps[Math.min(bins - 1, Math.floor((score - range.low) / (range.high - range.low) * bins))] += 1;
  const most = heaps.reduce((a, b) => Math.max(a, b));
  for (const [n, heap] of heaps.entries()) {
    const from = range.low + n / bins * (range.high - range.low), left = across(from), step = (width - 2 * edge) / bins;
    g.fillStyle = from + (range.high - range.low) / bins > state.threshold ? "#0072b2" : "#c3cad1";
    const tall = heap && Math.max(2, Math.sqrt(heap / most) * (height - 6));
    g.fillRect(left, height - tall, step - 1, tall);
  }
  g.fillStyle = "#1d2125";
  g.fillRect(across(state.threshold) - 1, 0, 2, height);
}

function drawCurve() {
  if ($("curve").hidden) return;
  const [g, width, height] = fresh($("curve"), 220), left = 42, bottom = 34, top = 10, right = 12;
  const x = (v) => left + v * (width - left - right), y = (v) => height - bottom - v * (height - top - bottom);
  g.strokeStyle = "#dde2e7"; g.fillStyle = "#56606a"; g.textAlign = "center";
  for (const v of [0, 0.5, 1]) {
    g.beginPath(); g.moveTo(x(v), y(0)); g.lineTo(x(v), y(1)); g.moveTo(x(0), y(v)); g.lineTo(x(1), y(v)); g.stroke();
    g.fillText(v, x(v), height - bottom + 14);
    g.textAlign = "right"; g.fillText(v, left - 5, y(v) + 4); g.textAlign = "center";
  }
  g.fillText("recall", x(0.5), height - 4);
  g.save(); g.translate(12, y(0.5)); g.rotate(-Math.PI / 2); g.fillText("precision", 0, 0); g.restore();
  g.strokeStyle = "#0072b2"; g.lineWidth = 2; g.beginPath();
  for (const p of points) if (p.particles && p.true + p.false) g.lineTo(x(p.recall), y(p.precision));
  g.stroke();
  if (Number.isFinite(whole.precision) && Number.isFinite(whole.recall)) {
    g.fillStyle = "#d55e00"; g.strokeStyle = "#fff"; g.beginPath(); g.arc(x(whole.recall), y(whole.precision), 6, 0, 7); g.fill(); g.stroke();
  }
}

function extent(m) {
  const most = (values, n) => values.reduce((a, b) => Math.max(a, b), 0) + data.box + n;
  return m.width ? [m.width, m.height] : [most([...m.x, ...m.marks.map((k) => k[0])], 0), most([...m.y, ...m.marks.map((k) => k[1])], 0)];
}

function fit() {
  const [width, height] = extent(micrographs[state.at]), canvas = $("view");
  state.scale = Math.min(canvas.clientWidth / width, canvas.clientHeight / height);
  state.x = (width - canvas.clientWidth / state.scale) / 2;
  state.y = (height - canvas.clientHeight / state.scale) / 2;
}

// A pixel's centre is its index: pixel 0 reaches from -0.5 to 0.5.
const toScreen = (x, y) => [(x + 0.5 - state.x) * state.scale, (y + 0.5 - state.y) * state.scale];
const toPixels = (x, y) => [x / state.scale + state.x - 0.5, y / state.scale + state.y - 0.5];

function outline(g, x, y, kind, colour) {
  const [, dash] = KINDS[kind], [cx, cy] = toScreen(x, y), r = data.box / 2 * state.scale, line = Math.max(1.5, Math.min(3, r / 10));
  g.lineWidth = line;
  g.setLineDash(dash.map((d) => d * line));
  g.strokeStyle = colour;
  g.beginPath();
  if (state.boxes) g.rect(cx - r, cy - r, 2 * r, 2 * r); else g.arc(cx, cy, r, 0, 2 * Math.PI);
  g.stroke();
  g.setLineDash([]);
}

function cross(g, [x, y, label]) {
  const [cx, cy] = toScreen(x, y);
  for (const [colour, width] of [["#000", 4], [isParticle([x, y, label]) ? "#f5e642" : "#e8e8e8", 2]]) {
    g.strokeStyle = colour; g.lineWidth = width;
    g.beginPath(); g.moveTo(cx - 6, cy); g.lineTo(cx + 6, cy); g.moveTo(cx, cy - 6); g.lineTo(cx, cy + 6); g.stroke();
  }
}

function draw() {
  const m = micrographs[state.at], canvas = $("view"), [g, width, height] = fresh(canvas);
  g.clearRect(0, 0, width, height);
  if (m.picture?.complete && m.picture.naturalWidth) {
    g.imageSmoothingEnabled = state.scale * m.binning < 3;
    g.drawImage(m.picture, -state.x * state.scale, -state.y * state.scale, m.picture.naturalWidth * m.binning * state.scale, m.picture.naturalHeight * m.binning * state.scale);
  } else if (!m.image) {
    g.fillStyle = "#c3cad1"; g.fillText("no picture of this micrograph in this page", 12, 22);
  }
  const judged = isJudged(m), { outcome, partner } = judged ? judge(m, state.threshold) : {}, shows = (kind) => !state.hidden.has(kind);
  for (const pick of m.order) {
    if (!reaches(m, pick, state.threshold)) continue;
    const kind = !judged ? "picks" : outcome[pick] === TRUE ? "true" : outcome[pick] === FALSE ? "false" : "unsure";
    const colour = judged || m.view[pick] < 0 ? KINDS[kind][0] : COLOURS[m.view[pick] % COLOURS.length];
    if (shows(kind)) outline(g, m.x[pick], m.y[pick], kind, colour);
  }
  const taken = new Set(partner);
  if (judged && data.picked && shows("missed")) {
    for (const [n, [x, y]] of m.marks.filter(isParticle).entries()) if (!taken.has(n)) outline(g, x, y, "missed", KINDS.missed[0]);
  }
  if (state.annotating || !data.picked) for (const mark of m.marks) cross(g, mark);
  const c = counts[state.at];
  canvas.setAttribute("aria-label", `${m.name}: ${c.picks} picks` + (judged ? `, ${c.true} true, ${c.false} false, ${c.missed} missed` : "") + `, ${m.marks.length} marks`);
}

function choose(number) {
  micrographs[state.at].item.firstChild.removeAttribute("aria-current");
  state.at = number;
  const m = micrographs[number];
  m.item.firstChild.setAttribute("aria-current", "true");
  const { offsetTop } = m.item, list = $("list");
  if (list.scrollHeight > list.clientHeight) list.scrollTop = offsetTop - list.offsetTop - list.clientHeight / 3;
  $("name").textContent = m.name;
  if (m.image && !m.picture) {
    m.picture = new Image();
    m.picture.onload = draw;
    m.picture.src = m.image;
  }
  fit();
  showCounts();
}

const move = (by) => choose(state.list[(state.list.indexOf(micrographs[state.at]) + by + state.list.length) % state.list.length].number);

function zoom(factor, cx = $("view").clientWidth / 2, cy = $("view").clientHeight / 2) {
  const [x, y] = toPixels(cx, cy);
  state.scale = Math.min(40, Math.max(0.02, state.scale * factor));
  state.x = x + 0.5 - cx / state.scale;
  state.y = y + 0.5 - cy / state.scale;
  draw();
}

// ---- marks

let stored = 0;
for (const character of JSON.stringify(micrographs.map((m) => [m.name, m.x, m.y, m.original]))) stored = (stored * 31 + character.charCodeAt(0)) | 0;
const KEY = `gembench marks ${stored}`;

function setMarks(m, marks, undoable = true) {
  if (undoable) state.undo.push([m.number, m.marks]);
  m.marks = marks;
  try {
    localStorage.setItem(KEY, JSON.stringify(Object.fromEntries(micrographs.filter(isEdited).map((one) => [one.name, one.marks]))));
  } catch { /* the browser keeps nothing: downloads still work */ }
  points = sliding ? curve() : [];
  showCounts();
}

function restore() {
  try {
    const kept = JSON.parse(localStorage.getItem(KEY) ?? "{}");
    for (const m of micrographs) if (Array.isArray(kept[m.name])) m.marks = kept[m.name];
  } catch { /* nothing is kept */ }
}

function markNear(m, x, y) {
  const reach = Math.max(12 / state.scale, data.box / 4);
  let nearest = -1, least = reach;
  for (const [n, mark] of m.marks.entries()) {
    const distance = Math.hypot(mark[0] - x, mark[1] - y);
    if (distance <= least) [nearest, least] = [n, distance];
  }
  return nearest;
}

function clickMark(x, y) {
  const m = micrographs[state.at], n = markNear(m, x, y), [width, height] = extent(m);
  if (n >= 0) setMarks(m, m.marks.filter((_, other) => other !== n));
  else if (x >= -0.5 && y >= -0.5 && x <= width - 0.5 && y <= height - 0.5) {
    setMarks(m, [...m.marks, [Number(x.toFixed(1)), Number(y.toFixed(1)), $("label").value.trim()]]);
  }
}

function undo() {
  const last = state.undo.pop();
  if (!last) return;
  if (last[0] !== state.at) choose(last[0]);
  setMarks(micrographs[last[0]], last[1], false);
}

// ---- downloads

const STAR_REFUSES = /["'#]|[^\S ]/;
const starWord = (text) => (text === "" || / /.test(text) ? `"${text}"` : text);
const csvCell = (text) => (/[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : `${text}`);

/** Rows as a STAR file or a table; columns: [heading of STAR, of the table, values]. A column of nulls is left out. */
function download(name, star, columns) {
  columns = columns.filter(([, , values]) => values.some((value) => value !== null));
  const length = columns.length ? columns[0][2].length : 0, rows = Array.from({ length }, (_, n) => columns.map((c) => c[2][n]));
  if (star && rows.some((row) => row.some((value) => typeof value === "string" && STAR_REFUSES.test(value)))) {
    $("status").textContent = "A name or label has a character that STAR files cannot hold: download CSV.";
    return;
  }
  const text = star
    ? ["# written by gembench", "", "data_particles", "", "loop_", ...columns.map(([heading], n) => `_${heading} #${n + 1}`),
      ...rows.map((row) => row.map((value) => (typeof value === "string" ? starWord(value) : value ?? "nan")).join("\t")), ""]
    : [columns.map((c) => c[1]).join(","), ...rows.map((row) => row.map((value) => csvCell(value ?? "")).join(","))];
  const link = element("a", "", { download: name, href: URL.createObjectURL(new Blob([text.join("\n") + "\n"], { type: "text/plain" })) });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

function downloadPicks(star) {
  const rows = micrographs.flatMap((m) => [...m.x.keys()].filter((pick) => reaches(m, pick, state.threshold)).map((pick) => [m, pick]));
  const column = (value) => rows.map(([m, pick]) => value(m, pick) ?? null);
  const sized = rows.every(([m]) => m.pixel_size);
  download(star ? "picks.star" : "picks.csv", star, [
    ["rlnCoordinateX", "x", column((m, n) => m.x[n])], ["rlnCoordinateY", "y", column((m, n) => m.y[n])],
    ["rlnAutopickFigureOfMerit", "score", column((m, n) => m.score?.[n])],
    star ? ["rlnClassNumber", "", column((m, n) => (rows.some(([o, k]) => o.view[k] >= 0) ? m.view[n] + 1 : null))]
      : ["", "view", column((m, n) => (m.view[n] >= 0 ? m.view[n] : null))],
    ["gembenchTemplate", "template", column((m, n) => (m.template[n] >= 0 ? m.template[n] : null))],
    ["rlnAnglePsi", "psi", column((m, n) => m.psi[n])],
    ["rlnMicrographName", "micrograph", column((m) => m.name)],
    ...(!sized ? [] : star ? [["rlnMagnification", "", column(() => 10000)], ["rlnDetectorPixelSize", "", column((m) => m.pixel_size)]]
      : [["", "pixel_size", column((m) => m.pixel_size)]]),
  ]);
}

function downloadMarks(star) {
  const rows = micrographs.flatMap((m) => m.marks.map((mark) => [m.name, ...mark]));
  const column = (n) => rows.map((row) => row[n]);
  download(star ? "marks.star" : "marks.csv", star, [["rlnCoordinateX", "x", column(1)], ["rlnCoordinateY", "y", column(2)],
    ["gembenchLabel", "label", column(3)], ["rlnMicrographName", "micrograph", column(0)]]);
}

// ---- mouse, touch, keys

const fingers = new Map();
let gesture = null;

function place(event) {
  const { left, top } = $("view").getBoundingClientRect();
  return [event.clientX - left, event.clientY - top];
}

$("view").addEventListener("pointerdown", (event) => {
  try { $("view").setPointerCapture(event.pointerId); } catch { /* the pointer has gone */ }
  fingers.set(event.pointerId, place(event));
  const m = micrographs[state.at], mark = state.annotating && fingers.size === 1 ? markNear(m, ...toPixels(...place(event))) : -1;
  gesture = { start: place(event), moved: fingers.size > 1, mark, before: m.marks };
});

$("view").addEventListener("pointermove", (event) => {
  const now = place(event), last = fingers.get(event.pointerId);
  if (!last) return hover(now);
  $("hover").hidden = true;
  const others = [...fingers].filter(([id]) => id !== event.pointerId).map(([, at]) => at);
  fingers.set(event.pointerId, now);
  if (others.length) {
    const [ox, oy] = others[0], far = (p) => Math.max(10, Math.hypot(p[0] - ox, p[1] - oy));
    zoom(far(now) / far(last), (now[0] + ox) / 2, (now[1] + oy) / 2);
    return;
  }
  gesture.moved ||= Math.hypot(now[0] - gesture.start[0], now[1] - gesture.start[1]) > 5;
  if (!gesture.moved) return;
  const m = micrographs[state.at];
  if (gesture.mark >= 0) {
    const [x, y] = toPixels(...now);
    m.marks = gesture.before.map((mark, n) => (n === gesture.mark ? [Number(x.toFixed(1)), Number(y.toFixed(1)), mark[2]] : mark));
  } else {
    state.x -= (now[0] - last[0]) / state.scale;
    state.y -= (now[1] - last[1]) / state.scale;
  }
  draw();
});

function release(event) {
  if (!fingers.delete(event.pointerId) || !gesture) return;
  const m = micrographs[state.at];
  if (gesture.moved && gesture.mark >= 0) {
    const marks = m.marks;
    m.marks = gesture.before;
    setMarks(m, marks);
  } else if (!gesture.moved && state.annotating && event.type === "pointerup") clickMark(...toPixels(...place(event)));
  else if (!gesture.moved) hover(place(event));
  if (!fingers.size) gesture = null;
}
$("view").addEventListener("pointerup", release);
$("view").addEventListener("pointercancel", release);
$("view").addEventListener("pointerleave", () => { $("hover").hidden = true; });
$("view").addEventListener("wheel", (event) => { event.preventDefault(); zoom(Math.exp(-event.deltaY / 400), ...place(event)); }, { passive: false });

function hover([cx, cy]) {
  const m = micrographs[state.at], [x, y] = toPixels(cx, cy);
  let nearest = -1, least = data.box / 2;
  for (const pick of m.order) {
    const distance = Math.hypot(m.x[pick] - x, m.y[pick] - y);
    if (distance < least && reaches(m, pick, state.threshold)) [nearest, least] = [pick, distance];
  }
  const words = nearest < 0 ? [] : [data.scored ? `score ${m.score[nearest].toFixed(3)}` : "", m.view[nearest] >= 0 ? `view ${m.view[nearest]}` : "",
    m.psi[nearest] === null ? "" : `psi ${m.psi[nearest].toFixed(0)}°`].filter(Boolean);
  $("hover").hidden = !words.length;
  $("hover").textContent = words.join(" · ");
  $("hover").style.left = `${Math.min(cx + 14, $("view").clientWidth - 190)}px`;
  $("hover").style.top = `${Math.max(4, cy - 30)}px`;
}

function annotate() {
  state.annotating = !state.annotating;
  $("annotate").setAttribute("aria-pressed", state.annotating);
  $("view").classList.toggle("annotating", state.annotating);
  draw();
}

function changeShape() {
  state.boxes = !state.boxes;
  $("shape").textContent = state.boxes ? "Circles" : "Boxes";
  draw();
}

function adopt() {
  const m = micrographs[state.at], new_ = m.order.filter((pick) => reaches(m, pick, state.threshold) && !m.marks.some(([x, y]) => Math.hypot(x - m.x[pick], y - m.y[pick]) <= data.radius));
  setMarks(m, [...m.marks, ...new_.map((pick) => [m.x[pick], m.y[pick], $("label").value.trim()])]);
}

function best() {
  const top = points.reduce((a, b) => (b.f1 > a.f1 ? b : a), points[0]);
  if (top) setThreshold(top.threshold);
}

const refit = () => { fit(); draw(); };
const KEYS = { n: () => move(1), ArrowRight: () => move(1), p: () => move(-1), ArrowLeft: () => move(-1), "[": () => setThreshold(stepped(-1)),
  "]": () => setThreshold(stepped(1)), "+": () => zoom(1.3), "=": () => zoom(1.3), "-": () => zoom(1 / 1.3), 0: refit, b: changeShape, a: annotate, u: undo };
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || /^(INPUT|SELECT)$/.test(event.target.tagName)) return;
  if (!Object.hasOwn(KEYS, event.key)) return;
  event.preventDefault();
  KEYS[event.key]();
});

const BUTTONS = { previous: () => move(-1), next: () => move(1), fit: refit, nearer: () => zoom(1.3), farther: () => zoom(1 / 1.3), shape: changeShape,
  annotate, undo, adopt, best, reset: () => setMarks(micrographs[state.at], JSON.parse(micrographs[state.at].original)),
  copy: () => navigator.clipboard?.writeText($("command").textContent), "picks-star": () => downloadPicks(true), "picks-csv": () => downloadPicks(false),
  "marks-star": () => downloadMarks(true), "marks-csv": () => downloadMarks(false) };
for (const [id, action] of Object.entries(BUTTONS)) $(id).addEventListener("click", action);
$("threshold").addEventListener("input", () => setThreshold(Number(Number($("threshold").value).toFixed(digits))));
$("number").addEventListener("input", () => setThreshold($("number").valueAsNumber));
$("sort").addEventListener("change", sortList);
window.addEventListener("resize", () => { fit(); showCounts(); });

// ---- begin

restore();
makeList();
const labels = new Set(["particle", ...data.labels ?? [], ...data.ignored, ...micrographs.flatMap((m) => m.marks.map(([, , label]) => label))]);
$("labels").append(...[...labels].filter(Boolean).map((label) => element("option", "", { value: label })));
$("label").value = data.labels?.[0] ?? "particle";
$("summary").textContent = `${micrographs.length} micrographs` + (data.picked ? `, ${micrographs.reduce((sum, m) => sum + m.x.length, 0)} picks` : "") +
  (data.without ? `; ${micrographs.length - data.without} of them with a picture, evenly chosen: the counts are of all` : "");
$("sliding").hidden = !sliding;
$("command-line").hidden = !data.command || !sliding;
$("take").hidden = $("adopt").hidden = $("counts").hidden = !data.picked;
for (const [name, value] of [["min", range.low.toFixed(digits)], ["max", range.high.toFixed(digits)], ["step", unit]]) $("threshold").setAttribute(name, value);
if (!data.picked) {
  state.annotating = true;
  $("annotate").setAttribute("aria-pressed", true);
  $("view").classList.add("annotating");
}
if (sliding) {
  state.threshold = data.threshold ?? Number(range.low.toFixed(digits));
  $("threshold").value = $("number").value = state.threshold;
  points = curve();
}
counts = micrographs.map((m) => finish(count(m)));
$("sort").value = counts.some((c) => c.judged) ? "errors" : "name";
sortList();
choose(state.list[0].number);
