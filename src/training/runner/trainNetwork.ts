import path from 'node:path';
import { existsSync } from 'node:fs';
import { createWasmBackend, type ComputeBackend } from '../../compute';
import type { TensorLibrary } from '../../compute/device/library';
import { parametersOf, type Architecture } from '../../network/builtin';
import { isStillOurs } from '../launchers/claim';
import { weightOf } from '../../network/builtin/layerWeight';
import { layerUse, samplesLookedAt } from '../layerUse';
import { trainLoop, type LoopEnd } from '../loop';
import { TrainedModel } from '../model';
import { ADAPTER_FILE, BEST_ADAPTER_FILE, writeModel } from '../modelFile';
import { openTraining, type OpenedTraining } from '../open';
import { Optimizer } from '../optimizer';
import type { ResolvedTraining } from '../recipe';
import { runPaths, truncateEvents, type StoredRun } from '../run/runFolder';
import type { RunEvent } from '../run/run';
import type { Task } from '../tasks/task';
import { readTrainState, writeTrainState, type StateIdentity, type TrainPosition } from '../trainState';
import { deviceSettingsOf } from '../../compute/device/environment';
import type { Reporter } from './reporter';
import type { RunEnd } from './runEnd';
import type { StopWish } from './stopWish';
import { openTensors } from './tensors';

/** A run is evaluated at least this often. */
const LEAST_EVALUATIONS = 10;

/** A run of a built-in network. @throws Error in one line */
export async function trainNetwork(run: StoredRun, reporter: Reporter, wish: StopWish): Promise<RunEnd> {
  const say = (message: string): void => {
    reporter.tell([{ kind: 'note', message }]);
    process.stdout.write(`${message}\n`);
  };
  // Opening can take a while; who stops the run then has nothing to keep.
  const opening = new AbortController();
  wish.onWanted(() => {
    opening.abort();
  });
  const backend = createWasmBackend(1);
  try {
    const library = await openTensors({
      name: process.env.RANKSCOPE_BACKEND,
      settings: deviceSettingsOf(process.env),
      onNotice: say,
    });
    reporter.update({ backend: { name: library.name, about: library.about } });
    const opened = await openTraining(run.record.resolved, { backend, signal: opening.signal });
    try {
      return await new NetworkRun(run, opened, library, backend, reporter, wish, say).train();
    } finally {
      await opened.task.dispose();
    }
  } catch (error) {
    if (opening.signal.aborted && wish.wanted && !(error instanceof RangeError)) return { kind: 'stopped' };
    throw error;
  } finally {
    await backend.dispose();
  }
}

class NetworkRun {
  private readonly architecture: Architecture;
  private readonly task: Task;
  private readonly training: ResolvedTraining;
  private readonly files: ReturnType<typeof runPaths>;
  private readonly stepsPerEpoch: number;
  private readonly steps: number;
  private readonly model: TrainedModel;
  private readonly optimizer: Optimizer;
  private readonly never = new AbortController().signal;

  constructor(
    private readonly run: StoredRun,
    private readonly opened: OpenedTraining,
    private readonly library: TensorLibrary,
    private readonly backend: ComputeBackend,
    private readonly reporter: Reporter,
    private readonly wish: StopWish,
    private readonly say: (message: string) => void,
  ) {
    const { architecture, task, values } = opened;
    const { tf } = library;
    this.architecture = architecture;
    this.task = task;
    this.training = run.record.resolved.training;
    this.files = runPaths(run.folder);
    this.stepsPerEpoch = Math.max(1, Math.ceil(task.samples / this.training.batchSize));
    this.steps = stepsOf(this.training, this.stepsPerEpoch);
    const { ema, freezeStatistics } = this.training;
    this.model = new TrainedModel(tf, architecture, values, { ema, freezeStatistics });
    this.optimizer = new Optimizer(tf, this.training.optimizer, this.model.trained);
  }

  async train(): Promise<RunEnd> {
    const { steps, stepsPerEpoch, training } = this;
    const start = await this.startingPosition();
    this.introduce(start);
    const { tf } = this.library;
    const { model, optimizer, task, wish, never } = this;
    const beganAt = performance.now();
    const end = await trainLoop({
      ...{ tf, model, optimizer, task, training, steps, stepsPerEpoch, start },
      evaluateEvery: evaluateEvery(training, steps, stepsPerEpoch),
      signal: never,
      shouldStop: () => wish.wanted,
      onEvents: (events, position) => {
        this.report(events, position, start, beganAt);
      },
      save: (position) => this.save(position),
      onBest:
        training.evaluate?.keepBest === true
          ? (position) => this.write(this.files.best, BEST_ADAPTER_FILE, position)
          : undefined,
      look: training.evaluate?.utilization === false ? undefined : (step, epoch) => this.look(step, epoch),
    });
    return this.ended(end);
  }

  private introduce({ step }: TrainPosition): void {
    const { architecture, task, steps, opened } = this;
    const { trained, total, dense } = parametersOf(architecture);
    const { name, higherIsBetter } = task.metric;
    this.reporter.update({
      steps,
      step,
      parameters: { trained, total, dense },
      metric: name,
      higherIsBetter,
    });
    this.reporter.write();
    for (const note of opened.notes) this.say(note);
    const from = step === 0 ? '' : `, from step ${step}`;
    process.stdout.write(
      `${architecture.title}: ${trained} of ${total} parameters are trained, ${steps} steps${from}, on ${this.library.about}\n`,
    );
  }

  /** Where it goes on: from its checkpoint, or from the beginning. */
  private async startingPosition(): Promise<TrainPosition> {
    const { checkpoint } = this.files;
    if (!existsSync(checkpoint)) {
      truncateEvents(this.run.folder, -1);
      return { step: 0, seconds: 0 };
    }
    const state = await readTrainState(checkpoint, this.identity, this.never);
    this.model.restore(state.parameters, state.averages);
    this.optimizer.restore(state.slots);
    truncateEvents(this.run.folder, state.position.step);
    if (state.backend !== this.library.name)
      this.say(`goes on with ${this.library.name} what ${state.backend} began: the same to rounding only`);
    return state.position;
  }

  private get identity(): StateIdentity {
    const { optimizer, seed, batchSize } = this.training;
    return {
      network: this.opened.identity,
      data: this.task.identity,
      optimizer: JSON.stringify(optimizer),
      seed,
      batchSize,
    };
  }

  private report(
    events: readonly RunEvent[],
    { step, seconds }: TrainPosition,
    start: TrainPosition,
    beganAt: number,
  ): void {
    this.reporter.tell(events);
    const made = step - start.step;
    // By the clock, so that evaluations and checkpoints count.
    const passed = (performance.now() - beganAt) / 1000;
    const left = made > 0 ? (passed / made) * (this.steps - step) : undefined;
    this.reporter.update({ step, seconds, ...(left !== undefined && { secondsLeft: left }) });
    for (const event of events) {
      const line = lineOf(event, this.steps);
      if (line !== undefined) process.stdout.write(`${line}\n`);
    }
  }

  /** The model as it is evaluated: averaged, where the recipe averages. */
  private async write(file: string, adapterFile: string, { step }: TrainPosition): Promise<void> {
    const { record, folder } = this.run;
    if (!isStillOurs(folder)) throw new Error('another process goes on with this run');
    const values = await this.model.values();
    await writeModel(file, path.join(folder, adapterFile), this.architecture, values, {
      recipe: path.basename(record.recipe),
      run: record.id,
      step,
    });
  }

  /** @returns false for weights that are not finite */
  private async save(position: TrainPosition): Promise<boolean> {
    const { model, optimizer, library, architecture, files } = this;
    if (!isStillOurs(this.run.folder)) throw new Error('another process goes on with this run');
    const { parameters, averages } = await model.state();
    if (![...parameters.values()].every(isFinite32)) return false;
    const slots = new Map<string, Float32Array>();
    for (const [key, slot] of optimizer.state) slots.set(key, Float32Array.from(await slot.data()));
    const shapes = new Map(architecture.parameters.map(({ name, shape }) => [name, shape]));
    const { identity } = this;
    await writeTrainState(
      files.checkpoint,
      { position, identity, backend: library.name, parameters, averages, slots },
      shapes,
    );
    await this.write(files.model, ADAPTER_FILE, position);
    this.reporter.update({ checkpoint: { step: position.step, at: new Date().toISOString() } });
    return true;
  }

  private async look(step: number, epoch: number): Promise<RunEvent | undefined> {
    const { architecture, task, model, backend, never } = this;
    const { tf } = this.library;
    const [batch] = await task.inputs(samplesLookedAt(architecture), never);
    if (batch === undefined) return undefined;
    const { values, shape } = batch;
    const inputs = tf.tensor(values, [...shape], values instanceof Int32Array ? 'int32' : 'float32');
    try {
      const now = await model.values();
      const layers = await layerUse({
        ...{ tf, architecture, inputs, backend, signal: never },
        observed: (onInput) => model.observed({ onInput }),
        weight: (index) => {
          const layer = architecture.layers[index];
          if (layer === undefined) throw new RangeError(`there is no layer ${index}`);
          return Promise.resolve(weightOf(layer, now));
        },
      });
      if (layers.length === 0) return undefined;
      const share = (of: 'rank' | 'utilizedRank'): number =>
        layers.reduce((sum, layer) => sum + layer[of] / layer.maxRank, 0) / layers.length;
      return {
        kind: 'utilization',
        step,
        epoch,
        utilized: share('utilizedRank'),
        original: share('rank'),
        layers,
      };
    } finally {
      inputs.dispose();
    }
  }

  private ended(end: LoopEnd): RunEnd {
    const { kind, position } = end;
    this.reporter.update({ step: position.step, seconds: position.seconds });
    if (kind !== 'diverged') return { kind };
    const kept = existsSync(this.files.checkpoint)
      ? 'the last good checkpoint is kept'
      : 'no checkpoint had been made';
    return { kind, message: `${end.message}: ${kept}; a smaller learning rate or clipNorm may help` };
  }
}

function isFinite32(values: Float32Array): boolean {
  return values.every((value) => Number.isFinite(value));
}

function stepsOf({ epochs, steps }: ResolvedTraining, stepsPerEpoch: number): number {
  return steps ?? Math.max(1, Math.round((epochs ?? 1) * stepsPerEpoch));
}

function evaluateEvery({ evaluate }: ResolvedTraining, steps: number, stepsPerEpoch: number): number {
  if (evaluate?.everySteps !== undefined) return evaluate.everySteps;
  if (evaluate?.everyEpochs !== undefined)
    return Math.max(1, Math.round(evaluate.everyEpochs * stepsPerEpoch));
  return Math.max(1, Math.min(stepsPerEpoch, Math.ceil(steps / LEAST_EVALUATIONS)));
}

/** An event for the log; the panel and the state have the rest. */
function lineOf(event: RunEvent, steps: number): string | undefined {
  switch (event.kind) {
    case 'train':
      return `step ${event.step} of ${steps}, loss ${rounded(event.loss)}, ${rounded(event.samplesPerSecond)} samples/s`;
    case 'evaluation':
      return `step ${event.step} of ${steps}, ${event.metric} ${rounded(event.value)}, loss ${rounded(event.loss)}`;
    case 'utilization':
      return `step ${event.step} of ${steps}, mean layer utilization ${rounded(100 * event.utilized)} %`;
    case 'note':
      return undefined;
  }
}

function rounded(value: number | undefined): string {
  return value === undefined ? '?' : String(Number(value.toPrecision(4)));
}
