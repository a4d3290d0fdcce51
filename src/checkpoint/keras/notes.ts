import type { Hdf5Tree } from '../hdf5/tree';
import { countOf } from '../wording';
import type { KerasConfig } from './config';

/** Names repeated in a note. */
const MAX_NAMED = 5;

/** What a person should know of a configuration before the model is loaded in Keras; nothing of it is run here. */
export function configNotes({ code, foreign }: KerasConfig): string[] {
  const notes: string[] = [];
  if (code.length > 0) {
    notes.push(
      `Python code is in the model's configuration (Lambda: ${named(code)}): not run here, but Keras may`,
    );
  }
  if (foreign.length > 0) {
    notes.push(
      `the model's configuration names classes outside Keras, which loading it there imports: ${named(foreign)}`,
    );
  }
  return notes;
}

/** Links that were not followed, and groups listed once though they have several names. */
export function linkNotes({ links, again }: Hdf5Tree): string[] {
  const notes: string[] = [];
  const external = links.flatMap(({ target }) => (target.kind === 'external' ? [target.file] : []));
  const soft = links.filter(({ target }) => target.kind === 'soft').map(({ path }) => path.join('/'));
  if (external.length > 0) {
    const files = [...new Set(external)];
    notes.push(
      `${countOf(external.length, 'link leads', 'links lead')} to other files and none is followed: ${named(files)}`,
    );
  }
  if (soft.length > 0)
    notes.push(`${countOf(soft.length, 'name is', 'names are')} only a link to another: ${named(soft)}`);
  if (again.length > 0) {
    const paths = again.map((path) => path.join('/'));
    notes.push(
      `${countOf(again.length, 'group has several names and is', 'groups have several names and are')} listed once: ${named(paths)}`,
    );
  }
  return notes;
}

function named(names: readonly string[]): string {
  const more = names.length > MAX_NAMED ? ` and ${names.length - MAX_NAMED} more` : '';
  return (
    names
      .slice(0, MAX_NAMED)
      .map((name) => `"${name}"`)
      .join(', ') + more
  );
}
