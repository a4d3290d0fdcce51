/** LZMA and LZMA2 (LZMA specification, 7-zip.org), decoded into memory: archives of pickles are small. */

/** The data breaks the format. */
export class LzmaError extends Error {
  override readonly name = 'LzmaError';
}

const PROBABILITY_BITS = 11;
const EVEN = 1 << (PROBABILITY_BITS - 1);
const MOVE_BITS = 5;
const STATES = 12;
/** States up to here follow a literal. */
const LITERAL_STATES = 7;
const POSITION_SLOTS_OF_LENGTH = 4;
const ALIGN_BITS = 4;
const FIRST_MODELLED_SLOT = 4;
const LAST_MODELLED_SLOT = 14;
const SHORTEST_MATCH = 2;

type Probabilities = Uint16Array;
const probabilities = (count: number): Probabilities => new Uint16Array(count).fill(EVEN);

class RangeDecoder {
  private range = 0xffffffff;
  private code = 0;

  constructor(
    private readonly input: Uint8Array,
    private position: number,
    private readonly end: number,
  ) {
    for (let i = 0; i < 5; i++) this.code = ((this.code << 8) | this.next()) >>> 0;
  }

  bit(model: Probabilities, index: number): number {
    const probability = model[index] ?? EVEN;
    const bound = (this.range >>> PROBABILITY_BITS) * probability;
    let bit = 0;
    if (this.code < bound) {
      this.range = bound;
      model[index] = probability + (((1 << PROBABILITY_BITS) - probability) >>> MOVE_BITS);
    } else {
      this.range -= bound;
      this.code -= bound;
      model[index] = probability - (probability >>> MOVE_BITS);
      bit = 1;
    }
    this.normalise();
    return bit;
  }

  /** Bits of even probability. */
  direct(bits: number): number {
    let value = 0;
    for (let i = 0; i < bits; i++) {
      this.range >>>= 1;
      const bit = this.code >= this.range ? 1 : 0;
      if (bit === 1) this.code -= this.range;
      value = value * 2 + bit;
      this.normalise();
    }
    return value;
  }

  /** A number whose bits each have a model that depends on those before. */
  tree(model: Probabilities, bits: number, offset = 0): number {
    let node = 1;
    for (let i = 0; i < bits; i++) node = (node << 1) | this.bit(model, offset + node);
    return node - (1 << bits);
  }

  /** The same, lowest bit first. */
  reverseTree(model: Probabilities, bits: number, offset = 0): number {
    let node = 1;
    let value = 0;
    for (let i = 0; i < bits; i++) {
      const bit = this.bit(model, offset + node);
      node = (node << 1) | bit;
      value |= bit << i;
    }
    return value;
  }

  private normalise(): void {
    if (this.range >= 2 ** 24) return;
    this.range = (this.range << 8) >>> 0;
    this.code = ((this.code << 8) | this.next()) >>> 0;
  }

  private next(): number {
    if (this.position >= this.end) throw new LzmaError('the data ends too early');
    return this.input[this.position++] ?? 0;
  }
}

class LengthModel {
  private readonly choice = probabilities(2);
  private readonly low = probabilities(16 << 3);
  private readonly middle = probabilities(16 << 3);
  private readonly high = probabilities(1 << 8);

  decode(range: RangeDecoder, positionState: number): number {
    if (range.bit(this.choice, 0) === 0) return range.tree(this.low, 3, positionState << 3);
    if (range.bit(this.choice, 1) === 0) return 8 + range.tree(this.middle, 3, positionState << 3);
    return 16 + range.tree(this.high, 8);
  }
}

/** All that a decoder has learned; made anew where the stream says so. */
class Models {
  state = 0;
  readonly distances = [0, 0, 0, 0];
  readonly literals: Probabilities;
  readonly isMatch = probabilities(STATES << 4);
  readonly isRepeat = probabilities(STATES);
  readonly isRepeat0 = probabilities(STATES);
  readonly isRepeat1 = probabilities(STATES);
  readonly isRepeat2 = probabilities(STATES);
  readonly isLongRepeat0 = probabilities(STATES << 4);
  readonly slots = probabilities(POSITION_SLOTS_OF_LENGTH << 6);
  readonly positions = probabilities(1 << 7);
  readonly align = probabilities(1 << ALIGN_BITS);
  readonly lengths = new LengthModel();
  readonly repeatLengths = new LengthModel();
  readonly lc: number;
  readonly lp: number;
  readonly pb: number;

  constructor(properties: number) {
    if (properties >= 9 * 5 * 5) throw new LzmaError('properties that do not exist');
    this.lc = properties % 9;
    this.lp = Math.floor(properties / 9) % 5;
    this.pb = Math.floor(properties / 45);
    this.literals = probabilities(0x300 << (this.lc + this.lp));
  }
}

class Decoder {
  position = 0;
  readonly output: Uint8Array;

  constructor(size: number) {
    this.output = new Uint8Array(size);
  }

  /** Decodes up to `limit`, or to the end mark. */
  decode(models: Models, range: RangeDecoder, limit: number): void {
    const m = models;
    while (this.position < limit) {
      const positionState = this.position & ((1 << m.pb) - 1);
      if (range.bit(m.isMatch, (m.state << 4) + positionState) === 0) {
        this.literal(m, range);
        continue;
      }
      let length: number;
      if (range.bit(m.isRepeat, m.state) === 0) {
        m.distances.pop();
        length = m.lengths.decode(range, positionState);
        m.state = m.state < LITERAL_STATES ? 7 : 10;
        const distance = this.distance(m, range, length);
        if (distance === 0xffffffff) return;
        m.distances.unshift(distance);
      } else if (this.isShortRepeat(m, range, positionState)) {
        m.state = m.state < LITERAL_STATES ? 9 : 11;
        this.copy(m.distances[0] ?? 0, 1, limit);
        continue;
      } else {
        length = m.repeatLengths.decode(range, positionState);
        m.state = m.state < LITERAL_STATES ? 8 : 11;
      }
      this.copy(m.distances[0] ?? 0, length + SHORTEST_MATCH, limit);
    }
  }

  /** Brings the repeated distance to the front. @returns whether one byte of the last distance is meant. */
  private isShortRepeat(m: Models, range: RangeDecoder, positionState: number): boolean {
    if (range.bit(m.isRepeat0, m.state) === 0)
      return range.bit(m.isLongRepeat0, (m.state << 4) + positionState) === 0;
    const which = range.bit(m.isRepeat1, m.state) === 0 ? 1 : 2 + range.bit(m.isRepeat2, m.state);
    m.distances.unshift(...m.distances.splice(which, 1));
    return false;
  }

  private literal(m: Models, range: RangeDecoder): void {
    const before = this.position > 0 ? (this.output[this.position - 1] ?? 0) : 0;
    const context = ((this.position & ((1 << m.lp) - 1)) << m.lc) + (before >> (8 - m.lc));
    const base = 0x300 * context;
    let symbol = 1;
    if (m.state >= LITERAL_STATES) {
      let matched = this.output[this.position - (m.distances[0] ?? 0) - 1] ?? 0;
      while (symbol < 0x100) {
        const matchBit = matched >> 7;
        matched = (matched << 1) & 0xff;
        const bit = range.bit(m.literals, base + ((1 + matchBit) << 8) + symbol);
        symbol = (symbol << 1) | bit;
        if (matchBit !== bit) break;
      }
    }
    while (symbol < 0x100) symbol = (symbol << 1) | range.bit(m.literals, base + symbol);
    this.output[this.position++] = symbol & 0xff;
    m.state = m.state < 4 ? 0 : m.state < 10 ? m.state - 3 : m.state - 6;
  }

  private distance(m: Models, range: RangeDecoder, length: number): number {
    const lengthState = Math.min(length, POSITION_SLOTS_OF_LENGTH - 1);
    const slot = range.tree(m.slots, 6, lengthState << 6);
    if (slot < FIRST_MODELLED_SLOT) return slot;
    const bits = (slot >> 1) - 1;
    const base = (2 | (slot & 1)) * 2 ** bits;
    if (slot < LAST_MODELLED_SLOT) return base + range.reverseTree(m.positions, bits, base - slot);
    return base + range.direct(bits - ALIGN_BITS) * 2 ** ALIGN_BITS + range.reverseTree(m.align, ALIGN_BITS);
  }

  private copy(distance: number, length: number, limit: number): void {
    const from = this.position - distance - 1;
    if (from < 0 || this.position + length > limit) throw new LzmaError('a match outside the data');
    for (let i = 0; i < length; i++) this.output[this.position + i] = this.output[from + i] ?? 0;
    this.position += length;
  }
}

/** @param properties one byte of lc, lp and pb; the dictionary's size after it is of no interest. @throws LzmaError */
export function decodeLzma(input: Uint8Array, properties: Uint8Array, size: number): Uint8Array {
  const decoder = new Decoder(size);
  decoder.decode(new Models(properties[0] ?? 0xff), new RangeDecoder(input, 0, input.length), size);
  return decoder.output.subarray(0, decoder.position);
}

/** Chunks, stored or compressed. @throws LzmaError */
export function decodeLzma2(input: Uint8Array, size: number): Uint8Array {
  const decoder = new Decoder(size);
  let models: Models | undefined;
  let properties = 0xff;
  for (let at = 0; at < input.length;) {
    const control = input[at] ?? 0;
    const field = (offset: number) => ((input[at + offset] ?? 0) << 8) | (input[at + offset + 1] ?? 0);
    if (control === 0) break;
    if (control <= 2) {
      const length = field(1) + 1;
      if (decoder.position + length > size || at + 3 + length > input.length)
        throw new LzmaError('a chunk too long');
      decoder.output.set(input.subarray(at + 3, at + 3 + length), decoder.position);
      decoder.position += length;
      at += 3 + length;
      continue;
    }
    if (control < 0x80) throw new LzmaError('no chunk begins here');
    const limit = decoder.position + ((control & 0x1f) << 16) + field(1) + 1;
    const packed = field(3) + 1;
    const reset = (control >> 5) & 3;
    if (reset >= 2) properties = input[at + 5] ?? 0xff;
    if (reset >= 1 || models === undefined) models = new Models(properties);
    const start = at + (reset >= 2 ? 6 : 5);
    if (limit > size || start + packed > input.length) throw new LzmaError('a chunk too long');
    decoder.decode(models, new RangeDecoder(input, start, start + packed), limit);
    at = start + packed;
  }
  return decoder.output.subarray(0, decoder.position);
}
