import { leave } from './scheme';

/** Group sizes that quantisation tools offer. */
const USUAL = [8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096] as const;

/**
 * Columns of a group, from how many groups there are: the whole row for one, what the configuration says where it fits,
 * an even share, or the only usual size that leaves a shorter last group.
 *
 * @throws CheckpointError where none, or more than one, fits
 */
export function groupSizeOf(columns: number, groups: number, stated: number | undefined): number {
  const fits = (size: number): boolean => Math.ceil(columns / size) === groups;
  if (groups === 1) return columns;
  if (stated !== undefined && stated > 0 && fits(stated)) return stated;
  if (columns % groups === 0) return columns / groups;
  const [size, ...others] = USUAL.filter(fits);
  if (size !== undefined && others.length === 0) return size;
  throw leave(`whose ${groups} groups of ${columns} inputs have no plain size`);
}
