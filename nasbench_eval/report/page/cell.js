// Reads a cell's string and draws the cell. All text enters the page through textContent.

const SVG = "http://www.w3.org/2000/svg";
const NAMES = {
  nor_conv_3x3: "conv 3×3", nor_conv_1x1: "conv 1×1", avg_pool_3x3: "pool 3×3", skip_connect: "skip",
  conv3x3: "conv 3×3", conv1x1: "conv 1×1", maxpool3x3: "pool 3×3",
};

// {vertices: [label], edges: [{source, target, operation}], operations: [name]}, or null for other strings.
function parseCell(text) {
  if (/^\|[^|~]+~\d+(\|[^|~]+~\d+)*\|(\+\|[^|~]+~\d+(\|[^|~]+~\d+)*\|)+$/.test(text)) return onEdges(text);
  if (/^\|([^|~]+(~\d+)+\|)*output(~\d+)+\|$/.test(text)) return onVertices(text);
  return null;
}

// NAS-Bench-201: an operation an edge, the edges into each node between two "+".
function onEdges(text) {
  const edges = text.split("+").flatMap((node, position) =>
    node.split("|").filter(Boolean).map((token) => {
      const [operation, source] = token.split("~");
      return { source: Number(source), target: position + 1, operation };
    }));
  const last = text.split("+").length;
  if (edges.some((edge) => edge.source >= edge.target)) return null;
  const vertices = Array.from({ length: last + 1 }, (_, number) =>
    number === 0 ? "in" : number === last ? "out" : String(number));
  const operations = edges.map((edge) => edge.operation);
  return { vertices, operations, edges: edges.filter((edge) => edge.operation !== "none") };
}

// NAS-Bench-101: an operation a vertex, followed by the vertices it reads from.
function onVertices(text) {
  const tokens = text.split("|").filter(Boolean).map((token) => token.split("~"));
  const edges = tokens.flatMap(([, ...sources], position) =>
    sources.map((source) => ({ source: Number(source), target: position + 1, operation: "" })));
  if (edges.some((edge) => edge.source >= edge.target)) return null;
  const operations = tokens.slice(0, -1).map(([operation]) => operation);
  return { vertices: ["input", ...operations, "output"], operations, edges };
}

function kindOf(operation) {
  if (/3x3/.test(operation) && /conv/.test(operation)) return "conv3";
  if (/conv/.test(operation)) return "conv1";
  if (/pool/.test(operation)) return "pool";
  return /skip/.test(operation) ? "skip" : "plain";
}

function node(name, attributes, text) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  if (text !== undefined) element.textContent = text;
  return element;
}

// The vertices stand below each other; an edge that jumps over some goes around them, on the side that its
// source's parity says, the farther the longer it is.
function drawCell(text) {
  const cell = parseCell(text);
  if (!cell) return null;
  const wide = cell.vertices.some((label) => label in NAMES);
  const [step, middle, half] = wide ? [42, 140, 44] : [58, 140, 14];
  const height = 28 + step * (cell.vertices.length - 1) + 12;
  const y = (vertex) => 20 + step * vertex;
  const svg = node("svg", { viewBox: `0 0 280 ${height}`, role: "img", class: "cell" });
  svg.append(node("title", {}, `${cell.vertices.length} vertices, ${cell.edges.length} edges`));
  const marker = node("marker", {
    id: "tip", viewBox: "0 0 8 8", refX: 7, refY: 4, markerWidth: 7, markerHeight: 7,
    orient: "auto-start-reverse", markerUnits: "userSpaceOnUse",
  });
  marker.append(node("path", { d: "M0 0 8 4 0 8z", fill: "context-stroke" }));
  svg.append(marker);
  const labels = [];
  for (const { source, target, operation } of cell.edges) {
    const span = target - source;
    const side = span === 1 ? 0 : source % 2 === 0 ? 1 : -1;
    const from = [middle + side * half, y(source) + (side ? 0 : 13)];
    const to = [middle + side * half, y(target) - (side ? 0 : 14)];
    const reach = side * (wide ? 14 + 22 * (span - 1) : 52 * (span - 1) + 8);
    const path = side
      ? `M${from} C${from[0] + reach} ${from[1] + 8} ${to[0] + reach} ${to[1] - 8} ${to}`
      : `M${from} L${to}`;
    svg.append(node("path", { d: path, class: `edge ${kindOf(operation)}`, "marker-end": "url(#tip)" }));
    if (operation) {
      const at = { x: from[0] + 0.75 * reach, y: (from[1] + to[1]) / 2 + 4, class: `label ${kindOf(operation)}` };
      labels.push(node("text", at, NAMES[operation] ?? operation));
    }
  }
  cell.vertices.forEach((label, vertex) => {
    const kind = `vertex ${label in NAMES ? kindOf(label) : "plain"}`;
    svg.append(node("rect", {
      x: middle - half, y: y(vertex) - 13, width: 2 * half, height: 26, rx: wide ? 6 : 13, class: kind,
    }));
    labels.push(node("text", { x: middle, y: y(vertex) + 4, class: kind }, NAMES[label] ?? label));
  });
  svg.append(...labels);
  return svg;
}
