/**
 * The WGSL of the exact Gram matrix. WGSL has no float64, so everything is integers: a line (a row or column of the
 * smaller side) is a fixed-point number per element, in the units of its own largest exponent; its digits are balanced
 * base-256 digits −128 … 127, called slices, most significant first; a product of two slices is a sum of products of
 * bytes, exact in int32 over a tile; the sums of the products of equal weight are added, shifted, to a 96-bit integer.
 */

/** Lines and threads of a workgroup of the kernels that go over the elements. */
export const LINES_PER_GROUP = 64;

/** Elements that one thread looks through for the largest magnitude. */
export const ELEMENTS_PER_THREAD = 256;

/** Words (of four elements each) that one thread cuts into slices. */
export const WORDS_PER_THREAD = 16;

/** Words of the long side that a workgroup of the product holds at once; tiles are padded to a multiple of it. */
export const WORDS_PER_STEP = 8;

/** What every kernel is told, in this order, as 32-bit integers. */
export const PARAMETERS = [
  /** Lines: the smaller side of the matrix. */
  'lines',
  /** The same, padded with lines of zeros to whole blocks. */
  'paddedLines',
  /** Elements of a line in this tile. */
  'length',
  /** Words of a line in this tile, padded. */
  'words',
  /** Distance of two lines, and of two elements of a line, in elements. */
  'lineStride',
  'elementStride',
  /** Bytes of the fixed-point numbers. */
  'slices',
  /** Exponent field of the largest element of all. */
  'topExponent',
  /** p + q of the slices that are multiplied. */
  'weight',
  /** Of the dispatch, in blocks; of the band, in rows. */
  'firstBlockRow',
  'firstRow',
  'endRow',
  /** Entries of the packed lower triangle before the band. */
  'bandStart',
] as const;

export type Parameters = Readonly<Record<(typeof PARAMETERS)[number], number>>;

/** Bytes of the parameters, padded as a uniform buffer must be. */
export const PARAMETER_BYTES = Math.ceil(PARAMETERS.length / 4) * 16;

const HEADER = `
struct Parameters {
${PARAMETERS.map((name) => `  ${name}: u32,`).join('\n')}
}
@group(0) @binding(0) var<uniform> tile: Parameters;
`;

/** Lowest bits of a float32, zero in those that were float16, bfloat16 or float8. */
const BELOW_HALF = '0x1fffu';

/**
 * Bits of the largest magnitude of every line: of positive floats, and NaN and infinity above them, bits sort alike. After
 * them, not zero where any element has more than the eleven bits of mantissa of float16.
 */
export const LARGEST = `${HEADER}
@group(0) @binding(1) var<storage, read> elements: array<u32>;
@group(0) @binding(2) var<storage, read_write> largest: array<atomic<u32>>;

@compute @workgroup_size(${LINES_PER_GROUP})
fn main(@builtin(global_invocation_id) id: vec3u) {
  if (id.x >= tile.lines) { return; }
  let end = min(tile.length, (id.y + 1u) * ${ELEMENTS_PER_THREAD}u);
  var most = 0u;
  var some = 0u;
  for (var k = id.y * ${ELEMENTS_PER_THREAD}u; k < end; k++) {
    let bits = elements[id.x * tile.lineStride + k * tile.elementStride];
    most = max(most, bits & 0x7fffffffu);
    some |= bits & ${BELOW_HALF};
  }
  atomicMax(&largest[id.x], most);
  if (some != 0u) { atomicOr(&largest[tile.lines], some); }
}
`;

/**
 * Cuts a tile into slices: word k of slice p of line i is at [p][k][i]. An element is mantissa · 2^(exponent − 150); as a
 * fixed-point number it is mantissa · 2^(8·slices − 26 − (line's top exponent − exponent)), rounded to an integer, below
 * 2^(8·slices − 2). What rounding loses is squared and summed, in units of the last digit of the line with the largest
 * exponent. Adding 128 to every digit makes the digits bytes; flipping their top bits makes them signed again.
 */
export const SLICE = `${HEADER}
@group(0) @binding(1) var<storage, read> elements: array<u32>;
@group(0) @binding(2) var<storage, read> largest: array<u32>;
@group(0) @binding(3) var<storage, read_write> sliced: array<u32>;
@group(0) @binding(4) var<storage, read_write> lost: array<f32>;

var<workgroup> squares: array<f32, ${LINES_PER_GROUP}>;

@compute @workgroup_size(${LINES_PER_GROUP})
fn main(
  @builtin(global_invocation_id) id: vec3u,
  @builtin(local_invocation_index) thread: u32,
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
) {
  let line = id.x;
  let isLine = line < tile.lines;
  var top = 1u;
  if (isLine) { top = max(largest[line] >> 23u, 1u); }
  let up = 8i * i32(tile.slices) - 26i;
  var square = 0.0;
  let end = min(tile.words, (id.y + 1u) * ${WORDS_PER_THREAD}u);
  for (var word = id.y * ${WORDS_PER_THREAD}u; word < end; word++) {
    var low = vec4u(0u);
    var high = 0u;
    for (var e = 0u; e < 4u; e++) {
      let k = word * 4u + e;
      var bits = 0u;
      if (isLine && k < tile.length) {
        bits = elements[line * tile.lineStride + k * tile.elementStride];
      }
      var mantissa = bits & 0x7fffffu;
      var exponent = (bits >> 23u) & 0xffu;
      if (exponent == 0u) { exponent = 1u; } else { mantissa |= 0x800000u; }
      let shift = up - i32(top - exponent);
      var fixed = vec2u(0u);
      if (shift >= 0i) {
        fixed = vec2u(mantissa << u32(shift), (mantissa >> 1u) >> (31u - u32(shift)));
      } else {
        let down = u32(min(-shift, 30i));
        let rounded = (mantissa + (1u << (down - 1u))) >> down;
        let rest = f32(i32(mantissa) - i32(rounded << down)) / f32(1u << down);
        square += rest * rest;
        fixed.x = rounded;
      }
      if (bits >= 0x80000000u) {
        fixed = ~fixed;
        fixed.x += 1u;
        if (fixed.x == 0u) { fixed.y += 1u; }
      }
      let digits = fixed.x + 0x80808080u;
      let carry = select(0u, 1u, digits < fixed.x);
      low[e] = digits;
      high |= ((fixed.y + 0x80u + carry) & 0xffu) << (8u * e);
    }
    let at = word * tile.paddedLines + line;
    let slice = tile.words * tile.paddedLines;
    let extra = tile.slices - 4u;
    if (extra == 1u) { sliced[at] = high ^ 0x80808080u; }
    for (var p = 0u; p < 4u; p++) {
      let bytes = (low >> vec4u(24u - 8u * p)) & vec4u(0xffu);
      let packed = bytes.x | (bytes.y << 8u) | (bytes.z << 16u) | (bytes.w << 24u);
      sliced[(extra + p) * slice + at] = packed ^ 0x80808080u;
    }
  }
  // 2^(top − topExponent); what is 2^-126 of the largest does not matter.
  let weight = bitcast<f32>((127u - min(tile.topExponent - min(top, tile.topExponent), 126u)) << 23u);
  squares[thread] = square * weight * weight;
  workgroupBarrier();
  for (var half = ${LINES_PER_GROUP / 2}u; half > 0u; half >>= 1u) {
    if (thread < half) { squares[thread] += squares[thread + half]; }
    workgroupBarrier();
  }
  if (thread == 0u) { lost[group.y * groups.x + group.x] += squares[0]; }
}
`;

/** Side of the square of entries that one thread computes. */
export type ThreadTile = 4 | 8;

/** Rows and columns of the block of a workgroup of 16 × 16 threads. */
export function blockSide(side: ThreadTile): number {
  return 16 * side;
}

/**
 * Adds the products of the slices p + q = weight, shifted to their place, to the 96-bit sums of a band of the packed
 * lower triangle. Written out without arrays, so that every sum is in a register.
 */
export function productShader(side: ThreadTile, isSoftware: boolean): string {
  // The same number: drivers unroll what they see is constant, which a processor's takes seconds to compile.
  const steps = isSoftware ? `min(${WORDS_PER_STEP}u, tile.words - word)` : `${WORDS_PER_STEP}u`;
  const quads = side / 4;
  const block = blockSide(side);
  const perStep = WORDS_PER_STEP * (block / 4);
  const each = (count: number, line: (i: number) => string): string =>
    Array.from({ length: count }, (_, i) => line(i)).join('\n');
  const entries = (line: (r: number, c: number) => string): string =>
    each(side, (r) => each(side, (c) => line(r, c)));
  const part = (name: string, i: number): string => `${name}${Math.floor(i / 4)}.${'xyzw'.charAt(i % 4)}`;
  return `${HEADER}
@group(0) @binding(1) var<storage, read> sliced: array<vec4u>;
@group(0) @binding(2) var<storage, read_write> sums: array<u32>;

var<workgroup> rows: array<vec4u, ${perStep}>;
var<workgroup> columns: array<vec4u, ${perStep}>;

/** sums += value · 2^shift, in 96 bits. */
fn add(at: u32, value: i32, shift: u32) {
  let sign = u32(value >> 31u);
  let bits = shift & 31u;
  let low = u32(value) << bits;
  let middle = (sign << bits) | ((u32(value) >> 1u) >> (31u - bits));
  var x = vec3u(low, middle, sign);
  if (shift >= 64u) { x = vec3u(0u, 0u, low); } else if (shift >= 32u) { x = vec3u(0u, low, middle); }
  let s0 = sums[at] + x.x;
  let c0 = select(0u, 1u, s0 < x.x);
  let t1 = sums[at + 1u] + x.y;
  let s1 = t1 + c0;
  let c1 = select(0u, 1u, t1 < x.y) + select(0u, 1u, s1 < c0);
  sums[at] = s0;
  sums[at + 1u] = s1;
  sums[at + 2u] += x.z + c1;
}

fn put(row: u32, column: u32, value: i32, shift: u32) {
  if (row < tile.endRow && column <= row) {
    add(3u * (row * (row + 1u) / 2u + column - tile.bandStart), value, shift);
  }
}

@compute @workgroup_size(16, 16)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(local_invocation_id) local: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let blockRow = tile.firstBlockRow + group.y;
  if (group.x > blockRow) { return; }
  let quads = tile.paddedLines / 4u;
${entries((r, c) => `  var s${r}_${c} = 0i;`)}
  let last = tile.slices - 1u;
  for (var p = tile.weight - min(tile.weight, last); p <= min(tile.weight, last); p++) {
    let q = tile.weight - p;
    for (var word = 0u; word < tile.words; word += ${WORDS_PER_STEP}u) {
      for (var at = thread; at < ${perStep}u; at += 256u) {
        let step = word + at / ${block / 4}u;
        let quad = at % ${block / 4}u;
        rows[at] = sliced[(p * tile.words + step) * quads + blockRow * ${block / 4}u + quad];
        columns[at] = sliced[(q * tile.words + step) * quads + group.x * ${block / 4}u + quad];
      }
      workgroupBarrier();
      for (var step = 0u; step < ${steps}; step++) {
${each(quads, (i) => `        let a${i} = rows[step * ${block / 4}u + ${i * 16}u + local.y];`)}
${each(quads, (i) => `        let b${i} = columns[step * ${block / 4}u + ${i * 16}u + local.x];`)}
${entries((r, c) => `        s${r}_${c} += dot4I8Packed(${part('a', r)}, ${part('b', c)});`)}
      }
      workgroupBarrier();
    }
  }
  let shift = 8u * (2u * last - tile.weight);
  let row = blockRow * ${block}u + 4u * local.y;
  let column = group.x * ${block}u + 4u * local.x;
  // Short as a loop: written out, it is most of what a driver compiles.
  var all = array<i32, ${side * side}>(${Array.from({ length: side * side }, (_, i) => `s${Math.floor(i / side)}_${i % side}`).join(', ')});
  for (var i = 0u; i < ${side * side}u; i++) {
    let r = i / ${side}u;
    let c = i % ${side}u;
    put(row + r / 4u * 64u + r % 4u, column + c / 4u * 64u + c % 4u, all[i], shift);
  }
}
`;
}

/**
 * Writes the 96-bit sums as the bits of float64 numbers, rounded to nearest, ties to even, in the units of the matrix:
 * the last digit of line i is worth 2^(top exponent − 124 − 8·slices).
 */
export const FINISH = `${HEADER}
@group(0) @binding(1) var<storage, read> sums: array<u32>;
@group(0) @binding(2) var<storage, read> largest: array<u32>;
@group(0) @binding(3) var<storage, read_write> gram: array<vec2u>;

fn unit(line: u32) -> i32 {
  return i32(max(largest[line] >> 23u, 1u)) - 124i - 8i * i32(tile.slices);
}

@compute @workgroup_size(${LINES_PER_GROUP})
fn main(@builtin(global_invocation_id) id: vec3u) {
  let row = tile.firstRow + id.y;
  let column = id.x;
  if (row >= tile.endRow || column > row) { return; }
  let at = row * (row + 1u) / 2u + column - tile.bandStart;
  var x = vec3u(sums[3u * at], sums[3u * at + 1u], sums[3u * at + 2u]);
  let sign = x.z & 0x80000000u;
  if (sign != 0u) {
    x = ~x;
    x.x += 1u;
    if (x.x == 0u) {
      x.y += 1u;
      if (x.y == 0u) { x.z += 1u; }
    }
  }
  if (all(x == vec3u(0u))) {
    gram[at] = vec2u(0u);
    return;
  }
  // Leading zeros are shifted out: first whole words, then bits.
  var exponent = 1023i + 95i + unit(row) + unit(column);
  while (x.z == 0u) {
    x = vec3u(0u, x.x, x.y);
    exponent -= 32i;
  }
  let zeros = countLeadingZeros(x.z);
  exponent -= i32(zeros);
  if (zeros > 0u) {
    let back = 32u - zeros;
    x = vec3u(x.x << zeros, (x.y << zeros) | (x.x >> back), (x.z << zeros) | (x.y >> back));
  }
  // 1 + 31 bits of x.z and 21 of x.y are kept.
  var high = (u32(exponent) << 20u) | ((x.z >> 11u) & 0xfffffu);
  var low = (x.z << 21u) | (x.y >> 11u);
  let half = (x.y >> 10u) & 1u;
  let more = select(0u, 1u, ((x.y & 0x3ffu) | x.x) != 0u);
  if ((half & (more | (low & 1u))) == 1u) {
    low += 1u;
    if (low == 0u) { high += 1u; }
  }
  gram[at] = vec2u(low, high | sign);
}
`;
