// The scatter plot of one proxy, data set and split, and the card of the cell under the pointer.

const scatter = document.getElementById("scatter");
const byName = (items, name) => items.find((item) => item.name === name) ?? items[0];
const figure = (value, digits = 3) => (Number.isFinite(value) ? value.toFixed(digits) : "–");
const count = (value) => value.toLocaleString("en", { maximumFractionDigits: 1 });
const make = (name, text, properties = {}) =>
  Object.assign(document.createElement(name), { textContent: text, ...properties });

const state = { space: null, view: null, pinned: null, shown: null };
let plot, controls, webgl;

function fill(select, items) {
  const before = select.value;
  select.replaceChildren(...items.map(({ name, title }) =>
    make("option", title ?? name, { value: name })));
  if (items.some(({ name }) => name === before)) select.value = before;
}

function chosen() {
  const dataset = byName(state.space.datasets, controls.dataset.value);
  return {
    dataset,
    split: byName(dataset.splits, controls.split.value),
    score: byName(dataset.scores, controls.proxy.value),
  };
}

// Which cells there are, and all their accuracies: the card shows them, whatever is plotted.
async function loadSpace(space) {
  const index = new Uint32Array(await inflate(`block-${space.index}`));
  const archs = (await inflateText(`block-${space.archs}`)).split("\n");
  const accuracy = new Map();
  for (const dataset of space.datasets) {
    for (const split of dataset.splits) {
      accuracy.set(split, await unpack(`block-${split.block}`, space.cells));
    }
  }
  Object.assign(state, { space, index, archs, accuracy, scores: new Map(), pinned: null, shown: null });
  const operations = new Set(archs.slice(0, 400).flatMap((text) => parseCell(text)?.operations ?? []));
  fill(controls.colour, [
    { name: "", title: "nothing" },
    ...[...operations].sort().map((name) => ({ name, title: `number of ${name}` })),
  ]);
  fill(controls.dataset, space.datasets);
}

async function scoreVector(score) {
  if (!state.scores.has(score)) state.scores.set(score, await unpack(`block-${score.block}`, state.space.cells));
  return state.scores.get(score);
}

const operationCount = (text, operation) =>
  parseCell(text)?.operations.filter((name) => name === operation).length ?? 0;

// A colour of the style in the present theme, in a form that Plotly can read.
function colours() {
  const probe = document.body.appendChild(document.createElement("span"));
  const names = ["ink", "soft", "line", "point", "warn", "pin"];
  const found = Object.fromEntries(names.map((name) => {
    probe.style.color = `var(--${name})`;
    return [name, getComputedStyle(probe).color];
  }));
  probe.remove();
  return found;
}

// Plotly reads markup in its texts; names are to be shown as they are.
const plain = (text) => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");

function traces(view) {
  const colour = colours();
  const horizontal = controls.x.value === "rank" ? view.scoreRank : view.value;
  const vertical = controls.y.value === "rank" ? view.accuracyRank : view.accuracy;
  const operation = controls.colour.value;
  const parts = [
    { name: "scored", failed: false, symbol: "circle", colour: colour.point },
    { name: "failed", failed: true, symbol: "x", colour: colour.warn },
  ];
  return parts.map((part) => {
    const at = view.cells.flatMap((_, position) => (view.failed[position] === part.failed ? [position] : []));
    const marker = { size: at.length > 5000 ? 4 : 6, opacity: at.length > 5000 ? 0.5 : 0.7, symbol: part.symbol };
    marker.color = part.colour;
    if (operation && !part.failed) {
      Object.assign(marker, {
        color: at.map((position) => operationCount(state.archs[view.cells[position]], operation)),
        colorscale: "Cividis", showscale: true, opacity: 0.85,
        colorbar: { title: { text: plain(operation), side: "right" }, thickness: 10, outlinewidth: 0, dtick: 1 },
      });
    }
    return {
      // Few points are sooner there without WebGL; thousands are slow without it, but there.
      type: webgl && at.length > 3000 ? "scattergl" : "scatter", mode: "markers", name: part.name, marker, positions: at,
      x: at.map((position) => horizontal[position]), y: at.map((position) => vertical[position]),
      hovertemplate: "%{x:,.5~g}, %{y:,.5~g}<extra></extra>",
    };
  });
}

function layout(view) {
  const colour = colours();
  const axis = { gridcolor: colour.line, zeroline: false, linecolor: colour.line };
  const titled = (text) => ({ ...axis, title: { text: plain(text), standoff: 10 } });
  const { dataset, split, score } = view;
  const n = count(view.cells.length);
  return {
    margin: { l: 60, r: 15, t: 30, b: 55 }, showlegend: false, hovermode: "closest",
    // A finger that drags wants to scroll the page.
    dragmode: matchMedia("(pointer: coarse)").matches ? false : "zoom",
    paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
    font: { color: colour.ink, family: getComputedStyle(document.body).fontFamily, size: 12 },
    xaxis: titled(controls.x.value === "rank" ? `rank of ${score.name}, ${n} the best` : score.name),
    yaxis: titled(controls.y.value === "rank" ? `rank of ${split.title}, ${n} the best` : `${split.title}, %`),
    modebar: { bgcolor: "rgba(0,0,0,0)", color: colour.soft, activecolor: colour.ink },
    // Zoom and position are kept until something else is plotted.
    uirevision: [state.space.name, dataset.name, split.name, score.name, controls.x.value, controls.y.value].join(),
  };
}

function pinTrace(view) {
  const position = view.cells.indexOf(state.pinned);
  const at = position < 0 || (view.failed[position] && controls.x.value !== "rank") ? [] : [position];
  const horizontal = controls.x.value === "rank" ? view.scoreRank : view.value;
  const vertical = controls.y.value === "rank" ? view.accuracyRank : view.accuracy;
  return {
    type: "scatter", mode: "markers", hoverinfo: "skip", x: at.map((p) => horizontal[p]), y: at.map((p) => vertical[p]),
    marker: { size: 16, color: "rgba(0,0,0,0)", line: { width: 2.5, color: colours().pin } },
  };
}

async function draw() {
  const { dataset, split, score } = chosen();
  const vector = await scoreVector(score);
  const accuracy = state.accuracy.get(split);
  const absent = vector.distinct.length + 1;
  const cells = Array.from(state.index.keys()).filter((cell) =>
    vector.codes[cell] !== absent && accuracy.codes[cell] < accuracy.distinct.length);
  const view = {
    dataset, split, score, vector, cells,
    value: cells.map((cell) => valueOf(vector, cell)),
    failed: cells.map((cell) => vector.codes[cell] === absent - 1),
    accuracy: cells.map((cell) => valueOf(accuracy, cell)),
    scoreRank: meanRanks(vector, cells),
    accuracyRank: meanRanks(accuracy, cells),
  };
  state.view = view;
  view.traces = traces(view);
  await Plotly.react(plot, [...view.traces, pinTrace(view)], layout(view), {
    displaylogo: false, responsive: true, plotlyServerURL: "", showSendToCloud: false,
    // Named one by one: among Plotly's own is one that sends the chart away.
    modeBarButtons: [["toImage"], ["zoom2d", "pan2d", "zoomIn2d", "zoomOut2d", "resetScale2d"]],
  });
  describe(view);
  const best = view.accuracy.reduce((best, value, position, all) => (value > all[best] ? position : best), 0);
  showCell(state.pinned ?? state.shown ?? cells[best]);
}

function describe(view) {
  const known = view.score.figures[view.split.name];
  const failed = view.failed.filter(Boolean).length;
  const parts = [`${count(view.cells.length)} cells${failed ? `, ${count(failed)} failed (crosses, ranked lowest)` : ""}`];
  for (const [symbol, metric, stem, published] of [
    ["Kendall τ", "kendall_tau", "kendall", "published_tau"],
    ["Spearman ρ", "spearman_rho", "spearman", "published_rho"],
  ]) {
    if (known?.[metric] == null) continue;
    const interval = known[`${stem}_low`] == null ? ""
      : ` [${figure(known[`${stem}_low`])}, ${figure(known[`${stem}_high`])}]`;
    const paper = known[published] == null ? "" : `, published ${figure(known[published])}`;
    parts.push(`${symbol} ${figure(known[metric])}${interval}${paper}`);
  }
  document.getElementById("scatter-figures").textContent = parts.join(" · ");
}

function showCell(cell) {
  if (cell === undefined || cell === null) return;
  state.shown = cell;
  const { view, space, archs, index, accuracy } = state;
  const card = document.getElementById("cell-card");
  const position = view.cells.indexOf(cell);
  const score = valueOf(view.vector, cell);
  const code = view.vector.codes[cell] - view.vector.distinct.length;
  const drawing = drawCell(archs[cell]);
  const facts = document.createElement("dl");
  const value = code === 1 ? "not scored" : code === 0 ? "failed" : String(Number(score.toPrecision(5)));
  facts.append(make("dt", view.score.name), make("dd", value));
  if (position >= 0) {
    const of = count(view.cells.length);
    facts.append(make("dt", "rank of score"), make("dd", `${count(view.scoreRank[position])} of ${of}`));
    facts.append(make("dt", "rank of accuracy"), make("dd", `${count(view.accuracyRank[position])} of ${of}`));
  }
  const table = document.createElement("table");
  const splits = [...new Map(space.datasets.flatMap((d) => d.splits.map((s) => [s.name, s]))).keys()];
  const head = table.createTHead().insertRow();
  head.append(make("th", "accuracy, %", { scope: "col" }), ...splits.map((s) => make("th", s, { scope: "col" })));
  const body = table.createTBody();
  for (const dataset of space.datasets) {
    const row = body.insertRow();
    row.append(make("th", dataset.title, { scope: "row" }));
    for (const name of splits) {
      const split = dataset.splits.find((s) => s.name === name);
      row.append(make("td", split ? figure(valueOf(accuracy.get(split), cell), 2) : "–"));
    }
  }
  const title = `Cell ${index[cell]}${state.pinned === cell ? " (pinned)" : ""}`;
  card.replaceChildren(make("h3", title), ...(drawing ? [drawing] : []), make("code", archs[cell]), facts, table);
}

function pin(cell) {
  state.pinned = state.pinned === cell ? null : cell;
  const { x, y } = pinTrace(state.view);
  Plotly.restyle(plot, { x: [x], y: [y] }, [2]);
  showCell(cell);
}

const cellOf = ({ points: [point] }) =>
  state.view.cells[state.view.traces[point.curveNumber]?.positions[point.pointNumber]];

function find() {
  const text = controls.find.value.trim();
  const cell = /^\d+$/.test(text) ? state.index.indexOf(Number(text)) : state.archs.indexOf(text);
  controls.find.setCustomValidity(text && cell < 0 ? "No such cell was scored." : "");
  controls.find.reportValidity();
  if (cell >= 0 && text && state.pinned !== cell) pin(cell);
}

async function start() {
  const { spaces } = JSON.parse(document.getElementById("data").textContent);
  const canvas = document.createElement("canvas");
  webgl = Boolean(canvas.getContext("webgl2") ?? canvas.getContext("webgl"));
  document.head.append(make("script", await inflateText("plotly")));
  plot = document.getElementById("plot");
  controls = document.getElementById("scatter-form").elements;
  fill(controls.space, spaces);
  const [first] = spaces[0].datasets;
  const tau = ({ figures }) => figures[first.splits[0].name]?.kendall_tau ?? -2;
  const start = first.scores.reduce((best, score) => (tau(score) > tau(best) ? score : best));
  controls.space.closest("label").hidden = spaces.length < 2;
  const update = async () => {
    const space = byName(spaces, controls.space.value);
    if (space !== state.space) await loadSpace(space);
    const dataset = byName(space.datasets, controls.dataset.value);
    fill(controls.split, dataset.splits);
    fill(controls.proxy, dataset.scores);
    if (!state.view) controls.proxy.value = start.name;
    await draw();
  };
  const form = document.getElementById("scatter-form");
  form.addEventListener("submit", (event) => event.preventDefault());
  // One after the other: what is drawn last is what was chosen last.
  let queue = update();
  const later = () => { queue = queue.then(update); };
  form.addEventListener("change", (event) => (event.target === controls.find ? find() : later()));
  document.addEventListener("themechange", later);
  await queue;
  plot.on("plotly_hover", (event) => {
    const cell = cellOf(event);
    if (state.pinned === null && cell !== undefined) showCell(cell);
  });
  plot.on("plotly_click", (event) => {
    const cell = cellOf(event);
    if (cell !== undefined) pin(cell);
  });
  document.documentElement.dataset.ready = Math.round(performance.now());
}

if (scatter) {
  // After the first paint: the tables need not wait for the plot.
  requestAnimationFrame(() => setTimeout(() => start().catch((error) => {
    document.getElementById("scatter-figures").textContent =
      `The plot cannot be drawn in this browser: ${error.message}`;
    document.documentElement.dataset.ready = "failed";
  })));
} else {
  document.documentElement.dataset.ready = Math.round(performance.now());
}
