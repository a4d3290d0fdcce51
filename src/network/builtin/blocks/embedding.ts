import type { Tensor } from '../architecture';
import type { ArchitectureBuilder } from '../builder';
import { TRANSFORMER } from '../starts';
import type { Block, Running } from './block';

export interface EmbeddingSpec {
  /** Path of the module: its table is `<module>.weight`. */
  readonly module: string;
  /** Rows of the table. */
  readonly count: number;
  readonly width: number;
}

/** Rows of a table by their numbers: […] of int32 to […, width]. */
export function embedding(builder: ArchitectureBuilder, spec: EmbeddingSpec): Block {
  const table = embeddingTable(builder, spec);
  return (run, ids) => lookUp(run, run.values(table), ids);
}

/** Rows of a table: […] of int32 to […, width]. */
export function lookUp({ tf }: Running, table: Tensor, ids: Tensor): Tensor {
  const rows = tf.gather(table, tf.cast(tf.reshape(ids, [-1]), 'int32'));
  return tf.reshape(rows, [...ids.shape, table.shape[1] ?? 0]);
}

/**
 * The first rows of a table, one a place in the sequence: [batch, tokens, width] plus the row of each token.
 *
 * @param first row of the first place
 */
export function positionEmbedding(builder: ArchitectureBuilder, spec: EmbeddingSpec, first = 0): Block {
  const table = embeddingTable(builder, spec);
  return ({ tf, values }, x) => {
    const tokens = x.shape[1] ?? 0;
    return tf.add(x, tf.slice(values(table), [first, 0], [tokens, spec.width]));
  };
}

/** The table alone. @returns its name */
export function embeddingTable(
  builder: ArchitectureBuilder,
  { module, count, width }: EmbeddingSpec,
): string {
  return builder.parameter({
    name: `${module}.weight`,
    shape: [count, width],
    start: TRANSFORMER,
    decays: true,
  });
}
