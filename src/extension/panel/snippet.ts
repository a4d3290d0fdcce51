import type { CheckpointFacts, LayerAudit } from '../../engine/document';
import { loaderOf } from './snippetLoaders';

type SnippetLayer = Pick<LayerAudit, 'name' | 'shape' | 'groups'>;

/**
 * A Python script that loads one layer with the library its format is at home in, computes its singular values with
 * NumPy and plots them. Names are hostile text: every one of them stands in a string literal of plain ASCII.
 */
export function pythonSnippet(checkpoint: CheckpointFacts, layer: SnippetLayer): string {
  const { tensorName, index } = splitStackIndex(layer.name);
  const loader = loaderOf(checkpoint.format);
  const [m, n] = layer.shape;
  const lines = [
    ...loader.imports,
    'import matplotlib.pyplot as plt',
    'import numpy as np',
    '',
    `path = ${pythonString(checkpoint.path)}`,
    `name = ${pythonString(tensorName)}`,
    `m, n, groups = ${m}, ${n}, ${layer.groups ?? 1}  # one group's matrix is m out × n in`,
    '',
    ...loader.load,
    ...(index === undefined ? [] : [`tensor = tensor[${index}]`]),
    'tensor = np.asarray(tensor, dtype=np.float64)',
    '# Stored out × in if the leading axes make m rows, else in × out: the singular values are the same.',
    'rows = m if groups * m in np.cumprod(tensor.shape) else n',
    'matrices = tensor.reshape(groups, rows, -1)',
    ...(loader.channelsLast === true && (layer.groups ?? 1) > 1 ? GROUPS_LAST : []),
    'sigma = np.linalg.svd(matrices, compute_uv=False).mean(axis=0)',
    '',
    'plt.semilogy(np.arange(1, len(sigma) + 1), sigma / sigma[0])',
    'plt.title(name, parse_math=False)',
    'plt.xlabel("index")',
    'plt.ylabel("singular value / largest")',
    'plt.show()',
  ];
  return `${lines.join('\n')}\n`;
}

/** Where channels are the last axis, so are the groups: of a depthwise kernel the last but one, k × C × multiplier. */
const GROUPS_LAST = [
  'if tensor.shape[-2] != groups:',
  '    tensor = tensor.reshape(*tensor.shape[:-1], groups, -1)',
  'matrices = np.moveaxis(tensor, -2, 0).reshape(groups, -1, m)',
];

/** Experts of a stack are layers of their own, called `tensor[i]`. */
function splitStackIndex(name: string): { tensorName: string; index?: number } {
  const match = /^(.*)\[(\d{1,9})\]$/s.exec(name);
  const [, tensorName, index] = match ?? [];
  return tensorName === undefined || tensorName === ''
    ? { tensorName: name }
    : { tensorName, index: Number(index) };
}

/** A Python string literal of plain ASCII: JSON's escapes are Python's, and everything else is escaped as well. */
export function pythonString(text: string): string {
  return JSON.stringify(text).replace(/[\u007f-\uffff]/g, (unit, offset: number, whole: string) =>
    escapeUnit(unit, offset, whole),
  );
}

/** Python reads \ud83d\ude00 as two lone surrogates, unlike JSON: characters beyond the first plane need \U. */
function escapeUnit(unit: string, offset: number, whole: string): string {
  const code = whole.codePointAt(offset) ?? 0;
  if (code > 0xffff) return `\\U${code.toString(16).padStart(8, '0')}`;
  const previous = offset > 0 ? (whole.codePointAt(offset - 1) ?? 0) : 0;
  return previous > 0xffff ? '' : `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`;
}
