/** Seeds are 32-bit. */
export const MAX_SEED = 2 ** 32 - 1;

/**
 * A seeded stream of random numbers: xoshiro128** (Blackman & Vigna, "Scrambled linear pseudorandom number
 * generators", 2021), whose state is filled by the first four outputs of a Weyl sequence of step 0x9e3779b9 through the
 * 32-bit finaliser of MurmurHash3. Integer operations alone, so that every engine and processor gives the same numbers;
 * period 2¹²⁸ − 1, more than any factor needs.
 */
export class RandomStream {
  private a: number;
  private b: number;
  private c: number;
  private d: number;

  /**
   * @param seed a whole number from 0 to 2³² − 1
   * @throws RangeError for any other
   */
  constructor(seed: number) {
    if (!Number.isInteger(seed) || seed < 0 || seed > MAX_SEED) {
      throw new RangeError(`a seed is a whole number from 0 to ${MAX_SEED}, not ${seed}`);
    }
    let weyl = seed;
    const next = (): number => (weyl = (weyl + 0x9e3779b9) | 0);
    this.a = finalise(next());
    this.b = finalise(next());
    this.c = finalise(next());
    this.d = finalise(next());
  }

  /** Uniform on the whole numbers 0 … 2³² − 1. */
  integer(): number {
    const result = Math.imul(rotate(Math.imul(this.b, 5), 7), 9) >>> 0;
    const shifted = this.b << 9;
    this.c ^= this.a;
    this.d ^= this.b;
    this.b ^= this.c;
    this.a ^= this.d;
    this.c ^= shifted;
    this.d = rotate(this.d, 11);
    return result;
  }

  /** Uniform on (−bound, bound): midpoints of 2³² equal cells, so that the law is symmetric and never gives 0. */
  symmetric(bound: number): number {
    return bound * ((2 * this.integer() + 1) / 2 ** 32 - 1);
  }
}

function rotate(x: number, by: number): number {
  return (x << by) | (x >>> (32 - by));
}

function finalise(x: number): number {
  let h = x;
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return h ^ (h >>> 16);
}
