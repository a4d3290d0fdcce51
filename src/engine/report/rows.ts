import type { AuditDocument, LayerAudit, LayerPart } from '../document';

export const SORT_ORDERS = ['order', 'name', 'utilization', 'rank', 'parameters'] as const;
export type SortOrder = (typeof SORT_ORDERS)[number];

/** One line of a table: a layer, or a part of the layer above it. */
export type Row =
  | { readonly layer: LayerAudit; readonly part?: undefined }
  | { readonly layer: LayerAudit; readonly part: LayerPart };

/** Layers in the order asked for, each followed by its parts. Ties stay in file order. */
export function rowsOf({ layers }: AuditDocument, sort: SortOrder): Row[] {
  return [...layers].sort(COMPARISONS[sort]).flatMap((layer) => {
    const parts: Row[] = (layer.parts ?? []).map((part) => ({ layer, part }));
    return [{ layer }, ...parts];
  });
}

const COMPARISONS: Readonly<Record<SortOrder, (a: LayerAudit, b: LayerAudit) => number>> = {
  order: () => 0,
  // By code point: the same everywhere, whatever the locale.
  name: (a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0),
  utilization: (a, b) => a.utilization - b.utilization,
  rank: (a, b) => a.rank - b.rank,
  parameters: (a, b) => b.parameters - a.parameters,
};

/** What else there is to say of a layer: groups, depthwise, tied, a factor. */
export function remarks({ groups, trivialRank, tiedTo, factorOf }: LayerAudit): string {
  const said: string[] = [];
  if (trivialRank === true) said.push('depthwise');
  if (groups !== undefined) said.push(`${groups} groups`);
  if (tiedTo !== undefined) said.push(`tied to ${tiedTo}`);
  if (factorOf !== undefined) said.push(`factor of ${factorOf}`);
  return said.join(', ');
}
