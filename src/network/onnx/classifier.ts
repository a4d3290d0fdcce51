import type { Tensor } from 'onnxruntime-common';
import { printable } from '../../checkpoint/errors';
import { floatValues } from './activations';
import type { GraphIndex } from './graph';
import type { Observation } from './observation';

/** The output that tells classes, and how. */
export interface Classifier {
  readonly output: string;
  readonly classes: number;
  /** A single number a sample: class 1 when it is above this. */
  readonly threshold: number | undefined;
  readonly notes: readonly string[];
}

/** The first output of one row of numbers a sample; undefined when there is none. */
export function findClassifier(graph: GraphIndex, { values, samples }: Observation): Classifier | undefined {
  const rows = graph.outputs.flatMap(({ name }) => {
    const { dims = [] } = values.get(name) ?? {};
    const [n, classes = 0, ...rest] = dims;
    return n === samples && classes > 0 && rest.every((size) => size === 1) ? [{ name, classes }] : [];
  });
  const [first] = rows;
  if (first === undefined) return undefined;
  const { name, classes } = first;
  const shown = printable(name);
  const notes =
    graph.outputs.length > 1
      ? [
          `Of the network's ${graph.outputs.length} outputs, "${shown}" is taken as scores of ${classes} classes.`,
        ]
      : [];
  if (classes > 1) return { output: name, classes, threshold: undefined, notes };
  const isProbability = endsInSigmoid(graph, name);
  const rule = isProbability ? 'a probability (class 1 above 0.5)' : 'a logit (class 1 above 0)';
  return {
    output: name,
    classes: 2,
    threshold: isProbability ? 0.5 : 0,
    notes: [...notes, `The network's one output "${shown}" is taken as ${rule}.`],
  };
}

/** Whether a value is a sigmoid's, looking through nodes that only reshape. */
function endsInSigmoid(graph: GraphIndex, name: string): boolean {
  let value = name;
  for (let step = 0; step < 8; step++) {
    const node = graph.nodes[graph.producer(value) ?? -1];
    if (node?.operator === 'Sigmoid') return true;
    if (!/^(?:Identity|Cast|Reshape|Flatten|Squeeze|Unsqueeze)$/.test(node?.operator ?? '')) return false;
    value = node?.inputs[0] ?? '';
  }
  return false;
}

/** @throws Error for a label that is none of the network's classes. */
export function requireLabels(labels: Int32Array, { classes }: Classifier): void {
  const wrong = labels.findIndex((label) => label < 0 || label >= classes);
  if (wrong < 0) return;
  throw new Error(
    `sample ${wrong} of the validation data has the label ${labels[wrong] ?? NaN}, but the network tells ${classes} classes (0 … ${classes - 1}): check "labels" in the recipe`,
  );
}

export interface Score {
  readonly correct: number;
  /** First sample whose scores are not numbers, among those of the batch; −1 for none. */
  readonly notANumber: number;
}

/** How many of a batch's samples get their label. Scores that are not numbers count as wrong. */
export function score(
  { classes, threshold }: Classifier,
  output: Tensor,
  labels: Int32Array,
  first: number,
  count: number,
): Score {
  const values = floatValues(output) ?? new Float32Array(0);
  let correct = 0;
  let notANumber = -1;
  const width = threshold === undefined ? classes : 1;
  for (let i = 0; i < count; i++) {
    const row = values.subarray(i * width, (i + 1) * width);
    if (row.length < width || row.some(Number.isNaN)) {
      if (notANumber < 0) notANumber = i;
      continue;
    }
    const told = threshold === undefined ? largest(row) : Number((row[0] ?? 0) > threshold);
    if (told === labels[first + i]) correct++;
  }
  return { correct, notANumber };
}

function largest(row: Float32Array): number {
  let best = 0;
  for (let i = 1; i < row.length; i++) if ((row[i] ?? 0) > (row[best] ?? 0)) best = i;
  return best;
}
