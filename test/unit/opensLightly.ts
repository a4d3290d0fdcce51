import assert from 'node:assert/strict';
import type { Checkpoint } from '../../src/checkpoint/checkpoint';
import { openCheckpoint } from '../../src/checkpoint/open';

/** Opening reads a list, not values: 300 MB is what an audit may take besides its largest layer. */
const MAX_GROWTH = 300e6;
/** Milliseconds. Whoever reads values of 20 GB needs more, however fast the machine; a busy one lists them in less. */
const MAX_TIME = 5000;

/** Opens a file of many gigabytes, and requires that its values are left alone. */
export async function opensLightly(file: string): Promise<Checkpoint> {
  const before = process.memoryUsage().rss;
  const start = performance.now();
  const checkpoint = await openCheckpoint(file);
  const [time, growth] = [performance.now() - start, process.memoryUsage().rss - before];
  assert.ok(time < MAX_TIME && growth < MAX_GROWTH, `${time.toFixed()} ms, ${growth} bytes`);
  assert.ok(checkpoint.bytes > 19e9);
  return checkpoint;
}
