/** Slots of a table, four times what a byte tells apart: look-ups find their value in the first or second. */
const SLOTS = 1024;
const BYTE = 256;
/** Spreads the bits of a float: 2³² over the golden ratio, its upper bits the slot. */
const SPREAD = 0x9e3779b9;
const SLOT_SHIFT = 22;

/**
 * float32 values as bytes and back, exactly, where a channel has no more than 256 different ones: what was bytes before
 * it was scaled and normalised. Values are channels last.
 */
export class ValueTables {
  private readonly tables: readonly ValueTable[];

  constructor(readonly channels: number) {
    this.tables = Array.from({ length: channels }, () => new ValueTable());
  }

  /** @returns false when a channel has too many values; `codes` is then worthless */
  encode(values: Float32Array, codes: Uint8Array): boolean {
    const { channels, tables } = this;
    const bits = new Uint32Array(values.buffer, values.byteOffset, values.length);
    for (let channel = 0; channel < channels; channel++) {
      const table = tables[channel];
      if (table?.encode(bits, codes, channel, channels) !== true) return false;
    }
    return true;
  }

  decode(codes: Uint8Array, values: Float32Array): void {
    const { channels, tables } = this;
    for (let channel = 0; channel < channels; channel++) {
      const { values: table = new Float32Array(0) } = tables[channel] ?? {};
      for (let i = channel; i < codes.length; i += channels) values[i] = table[codes[i] ?? 0] ?? 0;
    }
  }
}

/** One channel's, by open addressing on the bits of the values. */
class ValueTable {
  readonly values = new Float32Array(BYTE);
  private readonly bitsOf = new Uint32Array(this.values.buffer);
  /** Code + 1 by slot; 0: empty. */
  private readonly slots = new Uint16Array(SLOTS);
  private count = 0;

  encode(bits: Uint32Array, codes: Uint8Array, from: number, step: number): boolean {
    for (let i = from; i < bits.length; i += step) {
      const code = this.codeOf(bits[i] ?? 0);
      if (code < 0) return false;
      codes[i] = code;
    }
    return true;
  }

  /** −1 when the table is full. */
  private codeOf(bits: number): number {
    for (let slot = Math.imul(bits, SPREAD) >>> SLOT_SHIFT; ; slot = (slot + 1) % SLOTS) {
      const entry = this.slots[slot] ?? 0;
      if (entry > 0 && this.bitsOf[entry - 1] === bits) return entry - 1;
      if (entry > 0) continue;
      if (this.count === BYTE) return -1;
      this.bitsOf[this.count] = bits;
      this.slots[slot] = ++this.count;
      return this.count - 1;
    }
  }
}
