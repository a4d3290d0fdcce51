/** Lines of text with a class each: softmax cross-entropy and accuracy. */
import { createHash } from 'node:crypto';
import type { Scalar, Tensor } from '@tensorflow/tfjs-core';
import { CheckpointError, printable } from '../../checkpoint/errors';
import { countOf } from '../../checkpoint/wording';
import type { Tf } from '../../network/builtin/architecture';
import { Pauses } from '../../network/data/pauses';
import { readLabelledLines, readText, type LabelledLines } from '../../network/data/text';
import { addRows, crossEntropy, type RowSums } from './crossEntropy';
import { evenIndices, outputsOf } from './evaluation';
import { DEFAULT_EVALUATED } from './language';
import { contextOf, shareOf } from './languageData';
import { EpochOrder, Permutation } from './permutation';
import { derivedStream } from './randomness';
import type { TextData } from './recipe';
import { DEFAULT_BATCH, requireNetwork, type TaskOptions } from './settings';
import type { Batch, Run, Task, TaskEvaluation } from './task';
import { Vocabulary } from './vocabulary';

/** Names of classes told; most data has a handful. */
const MAX_TOLD = 10;

/** Lines as the network takes them. */
interface Lines {
  /** lines × context. */
  readonly tokens: Uint16Array;
  readonly labels: Int32Array;
}

export interface LineData {
  readonly vocabulary: Vocabulary;
  /** In the order of their numbers. */
  readonly classes: readonly string[];
  readonly context: number;
  readonly train: Lines;
  readonly validation: Lines;
  readonly cut: number;
  readonly identities: readonly string[];
}

/** @throws CheckpointError with one line that names the file; the signal's reason */
export async function openLineClassification(data: TextData, options: TaskOptions): Promise<Task> {
  const lines = await openLineData(data, options.signal);
  const { classes, context } = lines;
  const [given = 0] = options.network.output;
  const output = [options.network.output.length === 1 ? Math.max(given, classes.length) : classes.length];
  const what = `text of ${countOf(classes.length, 'class', 'classes')}`;
  requireNetwork(options.network, { input: [context], output }, what, data.path);
  return new LineClassification(lines, data, options);
}

/** @throws CheckpointError; the signal's reason */
export async function openLineData(data: TextData, signal: AbortSignal): Promise<LineData> {
  const context = contextOf(data);
  const all = await readLabelledLines(data.path, signal);
  const other = data.validation === undefined ? undefined : await readLabelledLines(data.validation, signal);
  const alphabet = data.vocabulary === undefined ? undefined : await readText(data.vocabulary, signal);
  const pauses = new Pauses(signal);
  const texts = alphabet === undefined ? [...all.texts, ...(other?.texts ?? [])] : [alphabet.text];
  const vocabulary = await Vocabulary.of(texts, true, data.vocabulary ?? data.path, pauses);
  const classes = [...new Set(all.labels)].sort(byNumberOrName);
  const tokens = await encode(all, vocabulary, classes, context, data.path, pauses);
  const parts =
    other === undefined
      ? split(tokens, context, shareOf(data), data.path)
      : {
          train: tokens,
          validation: await encode(other, vocabulary, classes, context, data.validation ?? '', pauses),
        };
  const cut = [...all.texts, ...(other?.texts ?? [])].filter(
    (text) => text.length > context && Array.from(text).length > context,
  ).length;
  const identities = [all, other, alphabet].map((one) => one?.identity ?? '');
  return { vocabulary, classes, context, ...parts, cut, identities };
}

function byNumberOrName(a: string, b: string): number {
  const difference = Number(a) - Number(b);
  return Number.isNaN(difference) || difference === 0 ? (a < b ? -1 : 1) : difference;
}

async function encode(
  { labels, texts }: LabelledLines,
  vocabulary: Vocabulary,
  classes: readonly string[],
  context: number,
  file: string,
  pauses: Pauses,
): Promise<Lines> {
  const tokens = new Uint16Array(texts.length * context).fill(vocabulary.special('padding'));
  const numbers = new Map(classes.map((name, number) => [name, number]));
  const found = new Int32Array(texts.length);
  for (const [i, text] of texts.entries()) {
    if (pauses.isDue) await pauses.pause();
    const label = labels[i] ?? '';
    const number = numbers.get(label);
    if (number === undefined) {
      const reason = `the class "${printable(label)}" does not occur in the data for training`;
      throw new CheckpointError('malformed', reason, { file });
    }
    found[i] = number;
    tokens.set(await vocabulary.encode(text, file, pauses, context), i * context);
  }
  return { tokens, labels: found };
}

/** A share for validation, from everywhere: files are often sorted by class. */
function split(
  { tokens, labels }: Lines,
  context: number,
  share: number,
  file: string,
): Pick<LineData, 'train' | 'validation'> {
  const count = Math.round(labels.length * share);
  if (count < 1 || count >= labels.length) {
    const reason = `${countOf(labels.length, 'line')} leave none for training or for validation`;
    throw new CheckpointError('malformed', reason, { file });
  }
  const order = new Permutation(labels.length, derivedStream(0, 'validation'));
  const chosen = new Set(Array.from({ length: count }, (_, i) => order.at(i)));
  const part = (isIn: (line: number) => boolean): Lines => {
    const lines = Array.from(labels.keys()).filter(isIn);
    const taken = new Uint16Array(lines.length * context);
    lines.forEach((line, i) => {
      taken.set(tokens.subarray(line * context, (line + 1) * context), i * context);
    });
    return { tokens: taken, labels: Int32Array.from(lines, (line) => labels[line] ?? 0) };
  };
  return { train: part((line) => !chosen.has(line)), validation: part((line) => chosen.has(line)) };
}

class LineClassification implements Task {
  readonly metric = { name: 'accuracy', higherIsBetter: true } as const;
  readonly samples: number;
  readonly identity: string;
  readonly notes: readonly string[];
  private order: EpochOrder;

  constructor(
    private readonly lines: LineData,
    private readonly data: TextData,
    private readonly options: TaskOptions,
  ) {
    const { train, validation, classes, context, vocabulary, cut, identities } = lines;
    this.samples = train.labels.length;
    this.order = new EpochOrder(this.samples, 0);
    const { labelSmoothing = 0 } = options;
    const settings = [
      context,
      this.samples,
      validation.labels.length,
      labelSmoothing,
      data.evaluateAtMost ?? null,
    ];
    this.identity = createHash('sha256')
      .update(JSON.stringify(['classes', ...identities, ...settings]))
      .digest('hex');
    const told = classes.slice(0, MAX_TOLD).map(printable).join(', ');
    this.notes = [
      `${vocabulary.size} tokens; classes ${told}${classes.length > MAX_TOLD ? ' …' : ''}`,
      ...(cut === 0 ? [] : [`${countOf(cut, 'line')} cut at ${context} characters`]),
    ];
  }

  batch(step: number, size: number, seed: number, signal: AbortSignal): Promise<Batch> {
    signal.throwIfAborted();
    if (this.order.seed !== seed) this.order = new EpochOrder(this.samples, seed);
    const { order } = this;
    const indices = Float64Array.from({ length: size }, (_, i) => order.sampleAt(step * size + i));
    return Promise.resolve(this.gather(this.lines.train, indices));
  }

  loss(tf: Tf, run: Run, [tokens, labels]: readonly Tensor[]): Scalar {
    if (tokens === undefined || labels === undefined) throw new Error('a batch without its labels');
    return tf.mean(crossEntropy(tf, run(tokens), labels, this.options.labelSmoothing));
  }

  async evaluate(
    tf: Tf,
    run: Run,
    signal: AbortSignal,
    onFraction?: (fraction: number) => void,
  ): Promise<TaskEvaluation> {
    const { validation } = this.lines;
    const size = this.options.batchSize ?? DEFAULT_BATCH;
    const chosen = evenIndices(validation.labels.length, this.data.evaluateAtMost ?? DEFAULT_EVALUATED);
    const sums: RowSums = { rows: 0, right: 0, loss: 0 };
    for (let from = 0; from < chosen.length; from += size) {
      const [tokens, labels] = this.gather(validation, chosen.subarray(from, from + size));
      if (tokens === undefined || !(labels?.values instanceof Int32Array)) break;
      addRows(sums, await outputsOf(tf, run, tokens, signal), labels.values);
      onFraction?.(sums.rows / chosen.length);
    }
    return { value: (100 * sums.right) / sums.rows, loss: sums.loss / sums.rows, samples: sums.rows };
  }

  inputs(most: number): Promise<Batch> {
    return Promise.resolve(this.gather(this.lines.train, evenIndices(this.samples, most)).slice(0, 1));
  }

  dispose(): Promise<void> {
    return Promise.resolve();
  }

  private gather({ tokens, labels }: Lines, indices: Int32Array | Float64Array): Batch {
    const { context } = this.lines;
    const rows = new Int32Array(indices.length * context);
    indices.forEach((line, i) => {
      rows.set(tokens.subarray(line * context, (line + 1) * context), i * context);
    });
    return [
      { values: rows, shape: [indices.length, context] },
      { values: Int32Array.from(indices, (line) => labels[line] ?? 0), shape: [indices.length] },
    ];
  }
}
