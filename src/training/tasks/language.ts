/** Text: the next character, or those that were covered. Cross-entropy, and perplexity of a token. */
import { createHash } from 'node:crypto';
import type { Scalar, Tensor } from '@tensorflow/tfjs-core';
import type { Tf } from '../../network/builtin/architecture';
import { addRows, crossEntropy, perplexity, type RowSums } from './crossEntropy';
import { evenIndices, outputsOf } from './evaluation';
import { openLanguageData, type LanguageData } from './languageData';
import { below, derivedStream, uniform } from './randomness';
import type { TextData } from './recipe';
import { DEFAULT_BATCH, requireNetwork, type TaskOptions } from './settings';
import type { Batch, Run, Task, TaskEvaluation } from './task';
import { WindowOrder, windowsOf } from './windows';

export const DEFAULT_EVALUATED = 1000;

/** Shares of Devlin et al., "BERT", 2019, §3.1. */
const CHOSEN = 0.15;
const COVERED = 0.8;
const EXCHANGED = 0.1;

/** @throws CheckpointError with one line that names the file; the signal's reason */
export async function openLanguage(data: TextData, options: TaskOptions): Promise<Task> {
  const texts = await openLanguageData(data, options.signal);
  const { context, vocabulary } = texts;
  const what = `text of ${vocabulary.characters.length} characters`;
  requireNetwork(options.network, { input: [context], output: [context, vocabulary.size] }, what, data.path);
  return new Language(texts, data, options.batchSize ?? DEFAULT_BATCH);
}

/** A window as the network gets it, and what it shall say. */
interface Window {
  readonly tokens: Int32Array;
  readonly targets: Int32Array;
  /** 1 where the loss looks. */
  readonly weights: Float32Array;
}

class Language implements Task {
  readonly metric = { name: 'perplexity', higherIsBetter: false } as const;
  readonly samples: number;
  readonly identity: string;
  readonly notes: readonly string[];
  private readonly isMasked: boolean;
  private order: WindowOrder;

  constructor(
    private readonly texts: LanguageData,
    private readonly data: TextData,
    private readonly batchSize: number,
  ) {
    const { train, context, vocabulary, identities } = texts;
    this.isMasked = data.task === 'masked';
    this.samples = windowsOf(train.length, context);
    this.order = new WindowOrder(train.length, context, 0);
    const settings = [this.isMasked, context, train.length, data.evaluateAtMost ?? DEFAULT_EVALUATED];
    this.identity = createHash('sha256')
      .update(JSON.stringify(['text', ...identities, ...settings]))
      .digest('hex');
    this.notes = [`${vocabulary.size} tokens: ${vocabulary.characters.length} characters of the text`];
  }

  /** [tokens; targets; and, of covered text, weights of the targets], each windows × context. */
  batch(step: number, size: number, seed: number, signal: AbortSignal): Promise<Batch> {
    signal.throwIfAborted();
    if (this.order.seed !== seed)
      this.order = new WindowOrder(this.texts.train.length, this.texts.context, seed);
    const { order } = this;
    const windows = Array.from({ length: size }, (_, i) => {
      const { epoch, place, start } = order.at(step * size + i);
      return this.window(this.texts.train, start, seed, epoch, place);
    });
    return Promise.resolve(this.batchOf(windows));
  }

  loss(tf: Tf, run: Run, [tokens, targets, weights]: readonly Tensor[]): Scalar {
    if (tokens === undefined || targets === undefined) throw new Error('a batch without its targets');
    const losses = crossEntropy(tf, run(tokens), targets);
    if (weights === undefined) return tf.mean(losses);
    const flat = tf.reshape(weights, [-1]);
    return tf.div(tf.sum(tf.mul(losses, flat)), tf.sum(flat));
  }

  async evaluate(
    tf: Tf,
    run: Run,
    signal: AbortSignal,
    onFraction?: (fraction: number) => void,
  ): Promise<TaskEvaluation> {
    const { validation, context } = this.texts;
    const count = Math.floor((validation.length - 1) / context);
    const chosen = evenIndices(count, this.data.evaluateAtMost ?? DEFAULT_EVALUATED);
    const sums: RowSums = { rows: 0, right: 0, loss: 0 };
    for (let from = 0; from < chosen.length; from += this.batchSize) {
      const windows = Array.from(chosen.subarray(from, from + this.batchSize), (window) =>
        this.window(validation, window * context, 0, 0, window),
      );
      const [tokens, targets, weights] = this.batchOf(windows);
      if (tokens === undefined || !(targets?.values instanceof Int32Array)) break;
      const logits = await outputsOf(tf, run, tokens, signal);
      addRows(sums, logits, targets.values, weights?.values);
      onFraction?.(Math.min(1, (from + windows.length) / chosen.length));
    }
    const loss = sums.loss / sums.rows;
    return { value: perplexity(loss), loss, samples: chosen.length };
  }

  inputs(most: number): Promise<Batch> {
    const windows = Array.from(evenIndices(this.samples, most), (window) =>
      this.window(this.texts.train, window * this.texts.context, 0, 0, window),
    );
    return Promise.resolve(this.batchOf(windows).slice(0, 1));
  }

  dispose(): Promise<void> {
    return Promise.resolve();
  }

  private window(text: Uint16Array, start: number, seed: number, epoch: number, place: number): Window {
    const { context } = this.texts;
    const tokens = Int32Array.from(text.subarray(start, start + context));
    if (this.isMasked) return this.covered(tokens, seed, epoch, place);
    const targets = Int32Array.from(text.subarray(start + 1, start + context + 1));
    return { tokens, targets, weights: new Float32Array(context).fill(1) };
  }

  /** Some characters covered, some exchanged for others, some left as they are; one at least. */
  private covered(targets: Int32Array, seed: number, epoch: number, place: number): Window {
    const { vocabulary, context } = this.texts;
    const stream = derivedStream(seed, 'mask', epoch, place);
    const tokens = targets.slice();
    const isChosen = Array.from(targets, () => uniform(stream) < CHOSEN);
    if (!isChosen.includes(true)) isChosen[below(stream, context)] = true;
    for (const [i, chosen] of isChosen.entries()) {
      if (!chosen) continue;
      const fate = uniform(stream);
      if (fate < COVERED) tokens[i] = vocabulary.special('mask');
      else if (fate < COVERED + EXCHANGED) tokens[i] = below(stream, vocabulary.characters.length);
    }
    const weights = Float32Array.from(isChosen, (chosen) => (chosen ? 1 : 0));
    return { tokens, targets, weights };
  }

  private batchOf(windows: readonly Window[]): Batch {
    const shape = [windows.length, this.texts.context];
    const rows = (of: (window: Window) => Int32Array): Int32Array => {
      const all = new Int32Array(windows.length * this.texts.context);
      windows.forEach((window, i) => {
        all.set(of(window), i * this.texts.context);
      });
      return all;
    };
    const weights = new Float32Array(windows.length * this.texts.context);
    windows.forEach((window, i) => {
      weights.set(window.weights, i * this.texts.context);
    });
    return [
      { values: rows(({ tokens }) => tokens), shape },
      { values: rows(({ targets }) => targets), shape },
      ...(this.isMasked ? [{ values: weights, shape }] : []),
    ];
  }
}
