/**
 * The runner: `trainer.js <run folder>` makes one run, `trainer.js --jobs N <run folder>…` several, each in a process of
 * its own. What comes of it stands in the folders (`run/run.ts`).
 */
import { runOne } from './runOne';
import { runQueue } from './queue';
import { probeLibrary } from './probe';

async function main(argv: readonly string[]): Promise<number> {
  const [first, second, ...rest] = argv;
  if (first === '--probe' && second !== undefined) return probeLibrary(second);
  if (first === '--jobs' && second !== undefined) return runQueue(rest, Number(second));
  if (first === undefined || second !== undefined) {
    process.stderr.write('usage: trainer.js <run folder> | --jobs N <run folder>…\n');
    return 2;
  }
  return runOne(first);
}

main(process.argv.slice(2)).then(
  (code) => process.exit(code),
  (error: unknown) => {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
    process.exit(1);
  },
);
