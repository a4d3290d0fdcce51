/** What a conversion came to: four statements, and the ledger. */
import type { ConversionDocument } from '../../../src/engine/conversionDocument';
import { bytes, compact, count, counted, percent } from '../../model/numbers';

/** A number to be seen first. */
export interface Statement {
  readonly title: string;
  readonly value: string;
  readonly detail: string;
}

/** Four statements of a finished conversion. */
export function statements({ summary }: ConversionDocument): readonly Statement[] {
  const { converted, dense, parametersBefore, parametersAfter, compressionRate } = summary;
  const stays = dense === 0 ? 'none stays dense' : `${count(dense)} ${dense === 1 ? 'stays' : 'stay'} dense`;
  return [
    {
      title: 'Compression rate',
      value: percent(compressionRate),
      detail: `${count(parametersAfter)} of ${counted(parametersBefore, 'parameter')}`,
    },
    {
      title: 'Storage',
      value: bytes(summary.bytesAfter),
      detail: `before: ${bytes(summary.bytesBefore)}; ${counted(converted, 'layer')} converted, ${stays}`,
    },
    errorStatement(summary.meanErrorRatio, converted),
    costStatement(summary),
  ];
}

function errorStatement(ratio: number | null, converted: number): Statement {
  const title = 'Error, sine ÷ SVD';
  if (ratio === null) return { title, value: '–', detail: 'no layer was converted' };
  const detail = `geometric mean over ${counted(converted, 'layer')}, at the same k`;
  return { title, value: ratio.toFixed(3), detail };
}

/** The sine of every entry is needed: the dense matrix is made once a pass and multiplies as before. */
function costStatement({ flopsBefore, flopsAfter }: ConversionDocument['summary']): Statement {
  const ratio = flopsBefore > 0 ? flopsAfter / flopsBefore : 1;
  return {
    title: 'FLOPs',
    value: `${ratio.toFixed(2)} ×`,
    detail: 'Sine-low-rank saves storage and trainable parameters, not FLOPs',
  };
}

export interface LedgerLine {
  readonly what: string;
  readonly description: string;
  readonly before: string;
  readonly after: string;
  /** After ÷ before; undefined of nothing. */
  readonly ratio: string | undefined;
}

export function ledger({ summary }: ConversionDocument): readonly LedgerLine[] {
  const line = (
    what: string,
    description: string,
    [before, after]: readonly [number, number],
    text: (value: number) => string,
  ): LedgerLine => ({
    ...{ what, description, before: text(before), after: text(after) },
    ratio: before > 0 ? percent(after / before) : undefined,
  });
  const { parametersBefore, parametersAfter, bytesBefore, bytesAfter, flopsBefore, flopsAfter } = summary;
  return [
    line('Parameters', 'Of the whole model', [parametersBefore, parametersAfter], count),
    line('Bytes', 'Of the tensors; factors are float32', [bytesBefore, bytesAfter], bytes),
    line('FLOPs', 'Of the layers, for one input vector each', [flopsBefore, flopsAfter], compact),
  ];
}
