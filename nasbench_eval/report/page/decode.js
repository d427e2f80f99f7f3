// Unpacks the blocks of the page; points.py says how they are made.

const base64Bytes = (text) => {
  const binary = atob(text.trim());
  const bytes = new Uint8Array(binary.length);
  for (let i = 0; i < binary.length; i++) bytes[i] = binary.charCodeAt(i);
  return bytes;
};

async function inflate(id) {
  const packed = base64Bytes(document.getElementById(id).textContent);
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Response(stream).arrayBuffer();
}

const inflateText = async (id) => new TextDecoder().decode(await inflate(id));

// From all first bytes, all second bytes, ... to the bytes of one item after another.
function joinPlanes(planes, size) {
  const count = planes.length / size;
  const bytes = new Uint8Array(planes.length);
  for (let plane = 0; plane < size; plane++) {
    for (let i = 0; i < count; i++) bytes[i * size + plane] = planes[plane * count + i];
  }
  return bytes.buffer;
}

// {distinct: Float64Array(K), codes: Uint16Array or Uint32Array(cells)}; code K failed, K + 1 is absent.
async function unpack(id, cells) {
  const buffer = await inflate(id);
  const k = new DataView(buffer).getUint32(0, true);
  const halves = new Uint32Array(joinPlanes(new Uint8Array(buffer, 4, 4 * k), 4));
  const pairs = new Uint32Array(2 * k); // lower half, which is 0, then upper half
  halves.forEach((half, i) => { pairs[2 * i + 1] = half; });
  const distinct = new Float64Array(pairs.buffer);
  const planes = new Uint8Array(buffer, 4 + 4 * k);
  const size = planes.length / cells;
  const bytes = joinPlanes(planes, size);
  return { distinct, codes: size === 2 ? new Uint16Array(bytes) : new Uint32Array(bytes) };
}

const valueOf = (vector, cell) => {
  const code = vector.codes[cell];
  return code < vector.distinct.length ? vector.distinct[code] : NaN;
};

// Ranks 1 to n (the best) among some cells; equal ones share their mean rank, failed ones are the lowest.
function meanRanks(vector, cells) {
  const k = vector.distinct.length;
  const counts = new Uint32Array(k + 1);
  const place = (cell) => (vector.codes[cell] < k ? vector.codes[cell] + 1 : 0);
  for (const cell of cells) counts[place(cell)]++;
  const rank = new Float64Array(k + 1);
  for (let code = 0, before = 0; code <= k; before += counts[code++]) {
    rank[code] = before + (counts[code] + 1) / 2;
  }
  return Float64Array.from(cells, (cell) => rank[place(cell)]);
}
