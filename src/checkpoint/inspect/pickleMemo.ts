/** Memo keys that are counted one by one: two bytes of memory for 16 of them. */
const MAX_COUNTED_KEYS = 1 << 24;
/** Keys beyond those; a pickler numbers from 0 on, so none that is honest has any. */
const MAX_FAR_KEYS = 100_000;

/**
 * What a pickle remembers. Only values that can tell a name are kept, however many others it remembers; how many
 * keys there are is counted exactly, since MEMOIZE takes their number as the next key.
 */
export class PickleMemo<Value> {
  /** Too many keys to tell what MEMOIZE means. */
  isLost = false;
  private readonly values = new Map<number, Value>();
  private bits = new Uint8Array(128);
  private readonly far = new Set<number>();
  private count = 0;

  get(key: number): Value | undefined {
    return this.values.get(key);
  }

  /** @param value undefined for one that tells nothing. */
  put(key: number, value: Value | undefined): void {
    this.use(key);
    if (value === undefined) this.values.delete(key);
    else this.values.set(key, value);
  }

  putNext(value: Value | undefined): void {
    this.put(this.count, value);
  }

  private use(key: number): void {
    if (key < 0 || key >= MAX_COUNTED_KEYS) {
      if (this.far.has(key)) return;
      if (this.far.size >= MAX_FAR_KEYS) this.isLost = true;
      else this.far.add(key);
      this.count++;
      return;
    }
    const byte = key >> 3;
    if (byte >= this.bits.length) {
      const wider = new Uint8Array(Math.max(byte + 1, 2 * this.bits.length));
      wider.set(this.bits);
      this.bits = wider;
    }
    const before = this.bits[byte] ?? 0;
    const bit = 1 << (key & 7);
    if ((before & bit) === 0) this.count++;
    this.bits[byte] = before | bit;
  }
}
