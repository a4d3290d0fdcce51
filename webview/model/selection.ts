/** Which layers are chosen, by name: one click, a toggle, or a range as lists everywhere have them. */

export interface Selection {
  /** In the order they were chosen: the order of their colours. */
  readonly names: readonly string[];
  /** Where a range starts. */
  readonly anchor?: string;
}

export const NO_SELECTION: Selection = { names: [] };

export type SelectMode = 'only' | 'toggle' | 'range';

/** @param visible names of the rows in the order shown: what a range runs over. */
export function select(
  selection: Selection,
  name: string,
  mode: SelectMode,
  visible: readonly string[],
): Selection {
  switch (mode) {
    case 'only':
      return { names: [name], anchor: name };
    case 'toggle':
      return selection.names.includes(name)
        ? { names: selection.names.filter((other) => other !== name), anchor: name }
        : { names: [...selection.names, name], anchor: name };
    case 'range':
      return range(selection, name, visible);
  }
}

function range(selection: Selection, name: string, visible: readonly string[]): Selection {
  const anchor = selection.anchor ?? name;
  const [from, to] = [visible.indexOf(anchor), visible.indexOf(name)];
  if (from < 0 || to < 0) return { names: [name], anchor: name };
  const names = visible.slice(Math.min(from, to), Math.max(from, to) + 1);
  // From the anchor outwards: colours of the layers nearest to it stay while the range grows.
  return { names: from <= to ? names : names.reverse(), anchor };
}
