/** Makes the bytes of a case: of the reader's name, the seed and the case's number alone. */
import { ANY_BYTES } from './mutators/bytes';
import { Random } from './random';
import type { FuzzReader, Seed, SeedFile } from './reader';

/** Larger cases would be slow and find nothing more. */
const MAX_BYTES = 4 * 1024 * 1024;
/** Mutations of one case; most have one or two. */
const MAX_MUTATIONS = 12;

export interface FuzzCase {
  readonly files: readonly SeedFile[];
  readonly open: string;
  /** It is a seed as it is, and has to open. */
  readonly isHonest: boolean;
}

/** Case `number` of a reader; the first ones are the seeds as they are. */
export function makeCase(reader: FuzzReader, seeds: readonly Seed[], seed: number, number: number): FuzzCase {
  const honest = seeds[number];
  if (honest !== undefined) return { ...honest, isHonest: honest.isRefused !== true };
  const random = new Random(`${reader.name}:${seed}:${number}`);
  // The smaller of two: less to read, and less that is mere values.
  const [one, other] = [random.pick(seeds), random.pick(seeds)];
  const origin = bytesOf(one) <= bytesOf(other) ? one : other;
  const files = [...origin.files];
  // Files of mere values are seldom worth a case.
  const known = files.flatMap(({ path }, i) => (reader.mutators(path).length > 0 ? [i] : []));
  const index = known.length > 0 && random.chance(0.9) ? random.pick(known) : random.below(files.length);
  const chosen = files[index];
  if (chosen === undefined) return { ...origin, isHonest: true };
  files[index] = { ...chosen, bytes: mutated(chosen, reader, seeds, random) };
  // Rarely a part is missing altogether.
  if (files.length > 1 && random.chance(0.02)) files.splice(random.below(files.length), 1);
  return { files, open: origin.open, isHonest: false };
}

function mutated(
  { path, bytes }: SeedFile,
  reader: FuzzReader,
  seeds: readonly Seed[],
  random: Random,
): Buffer {
  const ownMutators = reader.mutators(path);
  const others = seeds.flatMap(({ files }) =>
    files.filter((file) => extension(file.path) === extension(path)),
  );
  const context = { others: others.map((file) => file.bytes) };
  let result = bytes;
  let count = 1;
  while (count < MAX_MUTATIONS && random.chance(0.45)) count++;
  for (let i = 0; i < count; i++) {
    const isOwn = ownMutators.length > 0 && random.chance(0.65);
    const mutator = random.pick(isOwn ? ownMutators : ANY_BYTES);
    const next = mutator(result, random, context) ?? random.pick(ANY_BYTES)(result, random, context);
    if (next !== undefined) result = next.length > MAX_BYTES ? next.subarray(0, MAX_BYTES) : next;
  }
  const repaired = random.chance(0.95) ? reader.repair?.(result, random, context) : undefined;
  return repaired ?? result;
}

function bytesOf({ files }: Seed): number {
  return files.reduce((sum, { bytes }) => sum + bytes.length, 0);
}

function extension(path: string): string {
  return path.slice(path.lastIndexOf('.') + 1);
}
