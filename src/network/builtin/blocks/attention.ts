import type { Tensor, Tf } from '../architecture';
import type { Block, Running } from './block';

export interface AttentionSpec {
  readonly width: number;
  readonly heads: number;
  /** A token sees those before it and itself. */
  readonly isCausal?: boolean;
}

/** @throws Error when the width is no multiple of the number of heads */
export function requireHeads({ width, heads }: AttentionSpec): void {
  if (width % heads !== 0)
    throw new Error(`a width of ${width} does not divide into ${heads} heads: choose a multiple of ${heads}`);
}

/**
 * Multi-head attention (Vaswani et al., "Attention is all you need", 2017, §3.2) over [batch, tokens, width], query, key
 * and value from one layer, one after the other and heads within each, as timm's and GPT-2's layers have them.
 */
export function fusedAttention(qkv: Block, output: Block, spec: AttentionSpec): Block {
  requireHeads(spec);
  return (run, x) => {
    const { tf } = run;
    const [batch = 0, tokens = 0] = x.shape;
    const rows = tf.reshape(qkv(run, x), [batch * tokens, 3 * spec.width]);
    const part = (which: number): Tensor => {
      const own = tf.slice(rows, [0, which * spec.width], [batch * tokens, spec.width]);
      return ofHeads(tf, tf.reshape(own, [batch, tokens, spec.width]), spec);
    };
    const [query, key, value] = [part(0), part(1), part(2)];
    return output(run, attend(run, query, key, value, spec));
  };
}

/** The same with a layer for each, as RoBERTa has them. */
export function separateAttention(
  layers: { readonly query: Block; readonly key: Block; readonly value: Block; readonly output: Block },
  spec: AttentionSpec,
): Block {
  requireHeads(spec);
  return (run, x) => {
    const part = (layer: Block): Tensor => ofHeads(run.tf, layer(run, x), spec);
    const [query, key, value] = [part(layers.query), part(layers.key), part(layers.value)];
    return layers.output(run, attend(run, query, key, value, spec));
  };
}

/** [batch, tokens, width] to [batch, heads, tokens, width/heads]. */
function ofHeads(tf: Tf, x: Tensor, { width, heads }: AttentionSpec): Tensor {
  const [batch = 0, tokens = 0] = x.shape;
  return tf.transpose(tf.reshape(x, [batch, tokens, heads, width / heads]), [0, 2, 1, 3]);
}

/** softmax(Q·Kᵀ/√d)·V of [batch, heads, tokens, d], heads put together again: [batch, tokens, width]. */
function attend({ tf }: Running, query: Tensor, key: Tensor, value: Tensor, spec: AttentionSpec): Tensor {
  const [batch = 0, , tokens = 0, each = 1] = query.shape;
  const scaled = tf.mul(query, 1 / Math.sqrt(each));
  const scores: Tensor = tf.matMul(scaled, key, false, true);
  const shares = tf.softmax(spec.isCausal === true ? tf.add(scores, causalMask(tf, tokens)) : scores);
  const mixed = tf.matMul(shares, value);
  return tf.reshape(tf.transpose(mixed, [0, 2, 1, 3]), [batch, tokens, spec.width]);
}

/** Low enough that the exponential is 0, and finite: infinities less infinities are no numbers. */
const HIDDEN = -1e9;

function causalMask(tf: Tf, tokens: number): Tensor {
  const mask = new Float32Array(tokens * tokens);
  for (let row = 0; row < tokens; row++) mask.fill(HIDDEN, row * tokens + row + 1, (row + 1) * tokens);
  return tf.tensor2d(mask, [tokens, tokens]);
}
