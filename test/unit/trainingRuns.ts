/** Runs as the engine tells of them, for tests of the page and of the host. */
import type { CurveId, CurvePart, RunEvent, RunSummary } from '../../webview/training/protocol';

type Status = RunSummary['status'];
type Record = RunSummary['record'];

export interface RunMore {
  readonly status?: Partial<Status>;
  readonly record?: Partial<Record>;
  readonly detail?: string;
  readonly files?: Partial<RunSummary['files']>;
  readonly launch?: Partial<NonNullable<RunSummary['launch']>> | 'none';
}

/** A run that goes on, 40 of 100 steps. */
export function run(name: string, more: RunMore = {}): RunSummary {
  const { launch } = more;
  return {
    folder: `/r.runs/${name}`,
    record: {
      ...{ schema: 'rankscope/run@1', tool: { name: 'rankscope', version: '0' }, id: name, group: 'g' },
      ...{ label: name, choices: {}, recipe: '/r.rankscope.json', form: 'sine', rank: 5, seed: 1 },
      ...{ createdAt: '2026-01-01T00:00:00.000Z', launcher: 'here' },
      ...more.record,
    },
    ...(launch !== 'none' && {
      launch: {
        ...{ launcher: 'here', command: ['node', 'trainer.js'], attempt: 1, host: 'n1' },
        startedAt: '2026-01-01T00:00:01.000Z',
        ...launch,
      },
    }),
    status: {
      ...{ state: 'running', attempt: 1, updatedAt: '2026-01-01T00:00:02.000Z', seconds: 10 },
      ...{ step: 40, steps: 100 },
      ...more.status,
    },
    ...(more.detail !== undefined && { detail: more.detail }),
    files: { model: false, checkpoint: true, log: true, ...more.files },
  };
}

/** One of a comparison: what was chosen decides form, rank and seed. */
export function chosen(
  form: 'dense' | 'low-rank' | 'sine' | 'lora' | 'sine-lora',
  rank: number | undefined,
  seed: number,
  status: Partial<Status> = {},
  group = 'g',
): RunSummary {
  const name = `${group}-${form}-${String(rank)}-${seed}`;
  const choices = { form, ...(rank !== undefined && { rank }), seed };
  const record = { choices, form, seed, group, label: name, ...(rank !== undefined && { rank }) };
  const all = run(name, { record, status });
  if (rank !== undefined) return all;
  const { rank: _, ...without } = all.record;
  return { ...all, record: without };
}

export const train = (step: number, loss: number, more: object = {}): RunEvent => ({
  ...{ kind: 'train', step, loss, seconds: step / 10, epoch: step / 50 },
  ...more,
});

export const evaluation = (step: number, value: number, more: { readonly loss?: number } = {}): RunEvent => ({
  ...{ kind: 'evaluation', step, metric: 'accuracy', higherIsBetter: true, value },
  ...more,
});

export const utilization = (step: number, ...used: readonly number[]): RunEvent => ({
  ...{ kind: 'utilization', step, utilized: 0.5, original: 0.9 },
  layers: used.map((utilizedRank, i) => ({ name: `l${i}.weight`, maxRank: 10, rank: 9, utilizedRank })),
});

/** Points as (x, y): step, epoch and seconds are x, x/10 and x/100. */
export function curve(
  folder: string,
  id: CurveId,
  points: readonly (readonly [x: number, y: number])[],
  from = 0,
): CurvePart {
  const values = points.flatMap(([x, y]) => [x, x / 10, x / 100, y, y, y]);
  return { folder, id, from, values: Float64Array.from(values) };
}

export const plain = (text: string): string => text.replaceAll('\u00a0', ' ');
