/**
 * A seeded stream of random numbers made of integer operations and IEEE additions only, so that every engine and
 * processor gives the same ones: trigonometric functions may differ in the last bit from one V8 to the next.
 */
export class Random {
  #state;

  /** @param {number} seed any 32-bit integer but 0 */
  constructor(seed) {
    this.#state = seed >>> 0;
    // The first outputs of xorshift follow the seed closely.
    for (let i = 0; i < 16; i++) this.integer();
  }

  /** Uniform on 1 … 2³²−1 (Marsaglia, "Xorshift RNGs", 2003: shifts 13, 17, 5). */
  integer() {
    let x = this.#state;
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    this.#state = x >>> 0;
    return this.#state;
  }

  /** Uniform on [low, high). */
  uniform(low = 0, high = 1) {
    return low + (high - low) * (this.integer() / 2 ** 32);
  }

  /** Nearly normal, mean 0 and variance 1: the sum of twelve uniforms, less six. */
  normal() {
    let sum = -6;
    for (let i = 0; i < 12; i++) sum += this.uniform();
    return sum;
  }
}
