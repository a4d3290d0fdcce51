import path from 'node:path';
import type { ConversionDocument } from '../../engine/conversionDocument';
import { pythonString } from '../panel/snippet';

/**
 * Python lines that load the factors of a conversion into the network they came from, with the module written beside
 * them. Paths are hostile text: they stand in string literals of plain ASCII.
 */
export function loadingLines({ files }: ConversionDocument): string {
  const loader = files.loader ?? '';
  const lines = [
    'import sys',
    '',
    `sys.path.insert(0, ${pythonString(path.dirname(loader === '' ? files.factors : loader))})`,
    'from sine_lowrank import load_into',
    '',
    'model = ...  # the network the checkpoint belongs to, as it was before',
    `load_into(model, ${pythonString(files.factors)})`,
  ];
  return `${lines.join('\n')}\n`;
}
