import { CheckpointError } from '../errors';
import { textAttributes } from './attributes';
import { describeDataset, type DatasetContent } from './dataset';
import type { Hdf5File } from './file';
import { isGroup, linksOf, type Link } from './links';
import { readObjectHeader, type Message } from './objectHeader';

/** Links in all: more than four for each tensor of the largest models. */
const MAX_LINKS = 2_000_000;
/** Groups in groups; Keras nests some ten deep. */
const MAX_DEPTH = 256;
/** Of a path from the root. */
const MAX_PATH_CHARACTERS = 65_536;

export interface DatasetNode {
  /** Names from the root. */
  readonly path: readonly string[];
  readonly content: DatasetContent;
}

/** What a file holds. */
export interface Hdf5Tree {
  readonly datasets: readonly DatasetNode[];
  /** Text attributes of groups by path (names joined with `/`, the root empty), those that were asked for. */
  readonly attributes: ReadonlyMap<string, ReadonlyMap<string, readonly string[]>>;
  /** Paths that lead to other places, none of which was followed. */
  readonly links: readonly {
    readonly path: readonly string[];
    readonly target: Exclude<Link['target'], { kind: 'hard' }>;
  }[];
  /** Groups that are linked again under another name, which are listed once. */
  readonly again: readonly (readonly string[])[];
}

export interface WalkOptions {
  /** Which text attributes of groups are kept. */
  readonly isWanted: (attribute: string) => boolean;
  /** What values without a type are, given where they stand. */
  readonly untypedAs: (path: readonly string[]) => 'bfloat16' | undefined;
}

interface Place {
  readonly path: readonly string[];
  readonly address: number;
}

/**
 * All datasets under the root, groups depth first in the order of their links. Soft and external links are told, never
 * followed.
 *
 * @throws CheckpointError naming the dataset where it can
 */
export function walk(file: Hdf5File, root: number, { isWanted, untypedAs }: WalkOptions): Hdf5Tree {
  const datasets: DatasetNode[] = [];
  const attributes = new Map<string, ReadonlyMap<string, readonly string[]>>();
  const links: Hdf5Tree['links'][number][] = [];
  const again: (readonly string[])[] = [];
  const groups = new Set<number>();
  let count = 0;
  const open: Place[] = [{ path: [], address: root }];
  const visitGroup = ({ path, address }: Place, messages: readonly Message[]): void => {
    if (groups.has(address)) {
      again.push(path);
      return;
    }
    groups.add(address);
    const texts = textAttributes(file, messages, isWanted);
    if (texts.size > 0) attributes.set(path.join('/'), texts);
    const names = new Set<string>();
    const children: Place[] = [];
    for (const { name, target } of linksOf(file, messages)) {
      if (names.has(name)) throw file.error('malformed', `the name "${name}" is given twice`, address);
      if (++count > MAX_LINKS) throw file.error('unsupported', `more than ${MAX_LINKS} names`, address);
      names.add(name);
      const inner = [...path, name];
      if (
        inner.length > MAX_DEPTH ||
        inner.reduce((sum, { length }) => sum + length, 0) > MAX_PATH_CHARACTERS
      )
        throw file.error('unsupported', `groups nested deeper than ${MAX_DEPTH} levels`, address);
      if (target.kind === 'hard') children.push({ path: inner, address: target.address });
      else links.push({ path: inner, target });
    }
    open.push(...children.reverse());
  };
  for (let place = open.pop(); place !== undefined; place = open.pop()) {
    const { path, address } = place;
    try {
      const messages = readObjectHeader(file, address);
      if (isGroup(messages)) visitGroup(place, messages);
      else datasets.push({ path, content: contentOf(file, messages, untypedAs(path)) });
    } catch (error) {
      if (!(error instanceof CheckpointError)) throw error;
      throw error.at({ file: file.window.path, ...(path.length > 0 && { tensor: path.join('/') }) });
    }
  }
  return { datasets, attributes, links, again };
}

/** What is not read in one dataset keeps none of the others from being read. */
function contentOf(
  file: Hdf5File,
  messages: readonly Message[],
  untypedAs: 'bfloat16' | undefined,
): DatasetContent {
  try {
    return describeDataset(file, messages, untypedAs);
  } catch (error) {
    if (!(error instanceof CheckpointError) || error.kind !== 'unsupported') throw error;
    return { shape: [], dtype: 'unknown', reason: error.reason };
  }
}
