/** Numbers that follow from a text alone, the same on every machine: sfc32 (Doty-Humphrey), seeded by FNV-1a hashes. */
export class Random {
  private readonly state: [number, number, number, number];

  constructor(seed: string) {
    this.state = [hash(seed, 0), hash(seed, 1), hash(seed, 2), 1];
    // The generator's own rule: the first numbers still look like the seed.
    for (let i = 0; i < 12; i++) this.next();
  }

  /** From 0 to 2³² − 1. */
  next(): number {
    const [a, b, c, counter] = this.state;
    const result = (a + b + counter) >>> 0;
    this.state[3] = (counter + 1) | 0;
    this.state[0] = b ^ (b >>> 9);
    this.state[1] = (c + (c << 3)) | 0;
    this.state[2] = (((c << 21) | (c >>> 11)) + result) | 0;
    return result;
  }

  /** From 0 to `limit` − 1; 0 where there is nothing to choose from. */
  below(limit: number): number {
    return limit <= 1 ? 0 : Math.floor((this.next() / 2 ** 32) * limit);
  }

  /** From `least` to `most`. */
  between(least: number, most: number): number {
    return least + this.below(most - least + 1);
  }

  /** From 1 to `most`; halves of the range as likely as the halves of that half. */
  small(most: number): number {
    return Math.max(1, Math.min(most, Math.floor(2 ** ((this.next() / 2 ** 32) * Math.log2(most + 1)))));
  }

  chance(probability: number): boolean {
    return this.next() < probability * 2 ** 32;
  }

  /** @throws Error for an empty list */
  pick<T>(items: readonly T[]): T {
    const item = items[this.below(items.length)];
    if (item === undefined) throw new Error('nothing to pick from');
    return item;
  }

  bytes(length: number): Buffer {
    return Buffer.from(Array.from({ length }, () => this.next() & 0xff));
  }
}

function hash(text: string, salt: number): number {
  let value = 0x811c9dc5 ^ Math.imul(salt, 0x9e3779b1);
  for (let i = 0; i < text.length; i++) value = Math.imul(value ^ text.charCodeAt(i), 0x01000193);
  return value;
}
