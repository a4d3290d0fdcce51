/** The order of samples and the random numbers of a run. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { RandomStream } from '../../src/lowrank/randomStream';
import { EpochOrder, Permutation } from '../../src/training/tasks/permutation';
import { derivedSeed } from '../../src/training/tasks/randomness';
import { WindowOrder, windowsOf } from '../../src/training/tasks/windows';

function listed(permutation: Permutation): number[] {
  return Array.from({ length: permutation.length }, (_, place) => permutation.at(place));
}

function correlation(a: readonly number[], b: readonly number[]): number {
  const mean = (values: readonly number[]): number => values.reduce((x, y) => x + y, 0) / values.length;
  const [ma, mb] = [mean(a), mean(b)];
  const product = (x: readonly number[], mx: number, y: readonly number[], my: number): number =>
    x.reduce((sum, value, i) => sum + (value - mx) * ((y[i] ?? 0) - my), 0);
  return product(a, ma, b, mb) / Math.sqrt(product(a, ma, a, ma) * product(b, mb, b, mb));
}

describe('a permutation without memory', () => {
  test('has every number once, at every length', () => {
    for (const length of [1, 2, 3, 5, 8, 17, 64, 99, 100, 101, 997, 1024, 7728]) {
      const all = listed(new Permutation(length, new RandomStream(length)));
      assert.deepEqual(
        [...all].sort((a, b) => a - b),
        Array.from({ length }, (_, i) => i),
      );
    }
  });

  test('is different for another seed, and no neighbour stays beside its neighbour', () => {
    const length = 20_000;
    const places = Array.from({ length }, (_, i) => i);
    const bound = 4 / Math.sqrt(length);
    const all = [1, 2].map((seed) => listed(new Permutation(length, new RandomStream(seed))));
    const [a = [], b = []] = all;
    assert.ok(Math.abs(correlation(a, b)) < bound);
    for (const one of all) {
      assert.ok(Math.abs(correlation(one, places)) < bound);
      assert.ok(Math.abs(correlation(one.slice(1), one.slice(0, -1))) < bound);
      const kept = one.filter((value, i) => Math.abs(value - (one[i + 1] ?? Infinity)) === 1).length;
      // Two are expected by chance.
      assert.ok(kept < 12, `${kept} neighbours stayed beside one another`);
    }
  });

  test('every order of three comes up equally often', () => {
    const counts = new Map<string, number>();
    for (let seed = 0; seed < 6000; seed++) {
      const order = listed(new Permutation(3, new RandomStream(seed))).join('');
      counts.set(order, (counts.get(order) ?? 0) + 1);
    }
    assert.equal(counts.size, 6);
    for (const [order, count] of counts) assert.ok(Math.abs(count - 1000) < 150, `${order}: ${count}`);
  });

  test('of a whole grid of 512³ gives any place at once', () => {
    const started = performance.now();
    const permutation = new Permutation(512 ** 3, new RandomStream(1));
    const seen = new Set(Array.from({ length: 10_000 }, (_, i) => permutation.at(13_421 * i)));
    assert.equal(seen.size, 10_000);
    assert.ok(performance.now() - started < 500);
    assert.throws(() => new Permutation(2 ** 32 + 1, new RandomStream(1)), RangeError);
  });
});

describe('the order of epochs', () => {
  test('is a permutation each, another every time, whatever is asked for first', () => {
    const order = new EpochOrder(50, 3);
    const epochs = [2, 0, 1].map((epoch) =>
      Array.from({ length: 50 }, (_, place) => order.sampleAt(50 * epoch + place)),
    );
    for (const epoch of epochs) assert.equal(new Set(epoch).size, 50);
    assert.equal(new Set(epochs.map((epoch) => epoch.join())).size, 3);
    const again = new EpochOrder(50, 3);
    assert.deepEqual(
      epochs[1],
      Array.from({ length: 50 }, (_, place) => again.sampleAt(place)),
    );
    assert.notDeepEqual(
      epochs[1],
      Array.from({ length: 50 }, (_, place) => new EpochOrder(50, 4).sampleAt(place)),
    );
    assert.deepEqual(order.placeOf(149), { epoch: 2, place: 49 });
  });

  test('seeds of one purpose are never those of another place', () => {
    const seeds = new Set<number>();
    for (let epoch = 0; epoch < 20; epoch++)
      for (let place = 0; place < 500; place++) seeds.add(derivedSeed(1, 'augmentation', epoch, place));
    // Places of one epoch never share a seed; of two epochs, by chance, 10⁴ seeds of 2³² hardly ever do.
    assert.ok(seeds.size >= 9999);
    assert.notEqual(derivedSeed(1, 'depths', 5), derivedSeed(1, 'background', 5));
    assert.notEqual(derivedSeed(1, 'depths', 5), derivedSeed(1, 'depths', 5 + 2 ** 32));
    assert.notEqual(derivedSeed(1, 'depths', 5), derivedSeed(2, 'depths', 5));
  });

  test('windows of a text lie side by side, and begin elsewhere in the next epoch', () => {
    const [length, context] = [1003, 10];
    const count = windowsOf(length, context);
    assert.equal(count, 99);
    const order = new WindowOrder(length, context, 5);
    const firsts = [0, 1, 2, 3, 4, 5].map((epoch) => {
      const starts = Array.from({ length: count }, (_, place) => order.at(epoch * count + place).start);
      const sorted = [...starts].sort((a, b) => a - b);
      assert.ok(sorted.every((start, i) => i === 0 || start - (sorted[i - 1] ?? 0) === context));
      // With the token that follows the last.
      assert.ok((sorted.at(-1) ?? 0) + context < length);
      return sorted[0] ?? 0;
    });
    assert.ok(new Set(firsts).size >= 3, firsts.join());
    // A text of one window has it every time.
    assert.equal(windowsOf(11, 10), 1);
    assert.ok(new WindowOrder(11, 10, 1).at(7).start === 0);
  });
});
