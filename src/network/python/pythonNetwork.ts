/** A PyTorch model in a Python process of its own. */
import path from 'node:path';
import type { OnFraction } from '../../compute';
import type {
  Evaluation,
  LayerGram,
  NetworkFacts,
  NetworkLayer,
  RunnableNetwork,
  WeightChange,
} from '../network';
import { ExchangeFolder } from './exchangeFolder';
import { findPython } from './findPython';
import { CHANGE_FILE, type OpenedModel, type PythonArguments, type PythonEvent } from './protocol';
import { PythonProcess } from './pythonProcess';

export interface PythonNetworkOptions {
  /** Interpreter; absent: found on the path. */
  readonly python?: string | undefined;
  /** Absolute path of the user's file. */
  readonly file: string;
  /** Default: `load`. */
  readonly function?: string | undefined;
  readonly arguments?: PythonArguments | undefined;
  readonly signal: AbortSignal;
  /** What the user's code prints, a line at a time. */
  readonly onLog?: ((line: string) => void) | undefined;
}

/**
 * Runs the user's function in Python and takes the model it returns. This executes the user's code: callers ask for
 * trust first.
 *
 * @throws {Error} with one line that says what to do: no interpreter, no torch, a mistake in the user's code (with its
 *   line), something returned that is not a model … or the signal's reason
 */
export async function openPythonNetwork(options: PythonNetworkOptions): Promise<RunnableNetwork> {
  const { file, signal, onLog = () => undefined } = options;
  const python = await findPython([options.python]);
  const events: Listeners = { notes: [], onFraction: undefined };
  const exchange = await ExchangeFolder.make();
  let running: PythonProcess | undefined;
  try {
    running = await PythonProcess.start(
      {
        python,
        folder: path.dirname(file),
        onLog,
        onEvent: (event) => {
          hear(event, events, onLog);
        },
      },
      signal,
    );
    const opened = await running.request(
      'open',
      {
        file,
        function: options.function ?? 'load',
        arguments: options.arguments ?? {},
        folder: exchange.folder,
      },
      signal,
    );
    return new PythonNetwork(running, exchange, opened, events);
  } catch (error) {
    await running?.dispose();
    await exchange.remove();
    throw error;
  }
}

/** What Python says of its own accord, and who listens now. */
interface Listeners {
  readonly notes: string[];
  onFraction: OnFraction | undefined;
}

function hear(event: PythonEvent, listeners: Listeners, onLog: (line: string) => void): void {
  switch (event.event) {
    case 'fraction':
      listeners.onFraction?.(event.value);
      return;
    case 'note':
      listeners.notes.push(event.text);
      onLog(event.text);
      return;
    case 'stage':
    case 'hello':
      return;
  }
}

class PythonNetwork implements RunnableNetwork {
  readonly facts: NetworkFacts;
  readonly layers: readonly NetworkLayer[];

  constructor(
    private readonly python: PythonProcess,
    private readonly exchange: ExchangeFolder,
    opened: OpenedModel,
    private readonly listeners: Listeners,
  ) {
    const { layers, metric, notes, ...facts } = opened;
    // Notes of later calls join the same list.
    listeners.notes.unshift(...notes);
    this.facts = { ...facts, host: 'python', metric: metric ?? undefined, notes: listeners.notes };
    this.layers = layers;
  }

  async weight(layer: number, signal: AbortSignal): Promise<Float64Array> {
    const { groups, shape } = this.layer(layer);
    const { file } = await this.python.request('weight', { layer }, signal);
    return this.exchange.read(file, groups * shape[0] * shape[1]);
  }

  async inputGrams(
    layers: readonly number[],
    onGram: (gram: LayerGram) => Promise<void>,
    signal: AbortSignal,
    onFraction?: OnFraction,
  ): Promise<void> {
    let rest = [...layers].sort((a, b) => a - b);
    while (rest.length > 0) {
      const progress = { layers: rest, done: layers.length - rest.length, total: layers.length };
      this.listeners.onFraction = onFraction;
      const pass = await this.python.request('gramPass', progress, signal);
      this.listeners.onFraction = undefined;
      for (const layer of pass.layers) await onGram(await this.takeGram(layer, signal));
      const taken = new Set(pass.layers);
      rest = rest.filter((layer) => !taken.has(layer));
    }
  }

  private async takeGram(layer: number, signal: AbortSignal): Promise<LayerGram> {
    const { groups, shape } = this.layer(layer);
    const { file, vectors } = await this.python.request('gram', { layer }, signal);
    return { layer, gram: await this.exchange.read(file, groups * shape[1] ** 2), vectors };
  }

  async evaluate(change: WeightChange | undefined, signal: AbortSignal): Promise<Evaluation> {
    signal.throwIfAborted();
    if (change !== undefined) await this.hand(change);
    return this.python.request('evaluate', { layer: change?.layer ?? null }, signal);
  }

  async commit(change: WeightChange): Promise<void> {
    await this.hand(change);
    await this.python.request('commit', { layer: change.layer });
  }

  async reset(): Promise<void> {
    await this.python.request('reset', {});
  }

  async dispose(): Promise<void> {
    await this.python.dispose();
    await this.exchange.remove();
  }

  private async hand({ layer, weight }: WeightChange): Promise<void> {
    const { name, groups, shape } = this.layer(layer);
    if (weight.length !== groups * shape[0] * shape[1])
      throw new Error(`${name}: a weight of ${weight.length} numbers does not fit ${shape.join(' × ')}`);
    await this.exchange.write(CHANGE_FILE, weight);
  }

  private layer(index: number): NetworkLayer {
    const layer = this.layers[index];
    if (layer === undefined) throw new RangeError(`there is no layer ${index}`);
    return layer;
  }
}
