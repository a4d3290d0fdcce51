import type { FitResult, FitTarget, OnFraction, SineFit, SineFitOptions } from '../backend';
import type { SineAnswer } from '../wasm/fits';
import type { WasmBackend } from '../wasm/backend';
import type { DeviceDescent, DeviceDescentEnd } from './device';

/**
 * Shares of the progress bar: two truncated SVDs on the processor, and the end of either descent. The device makes steps
 * faster than the processor, and decompositions weigh more than they do without it.
 */
const AFTER_START = 0.3;
const AFTER_DESCENT = [0.7, 1];

/** What a fit is made with: the processor for everything in float64, the device for the descents. */
export interface DeviceFitParts {
  readonly wasm: Pick<WasmBackend, 'sineTurn'>;
  readonly descend: (
    descent: DeviceDescent,
    signal: AbortSignal,
    onFraction: OnFraction,
  ) => Promise<DeviceDescentEnd>;
}

/**
 * `ComputeBackend.sineFit` with its descents on a device. Start points, the linear limit, errors and the choice between
 * them are the embedded backend's; where a descent ends is the device's, to its own rounding.
 */
export async function deviceSineFit(
  target: FitTarget,
  options: SineFitOptions,
  { wasm, descend }: DeviceFitParts,
  signal: AbortSignal,
  onFraction?: OnFraction,
): Promise<FitResult<SineFit>> {
  const { inputGram } = target;
  let answer: SineAnswer | undefined;
  for (let from = 0, descents = 0; ; descents++) {
    const start = from;
    const share = descents === 0 ? AFTER_START : 0;
    const result = await wasm.sineTurn(target, options, answer, signal, (fraction) => {
      onFraction?.(start + share * fraction);
    });
    if (result.kind !== 'fit') return result;
    const turn = result.fit;
    if (turn.kind === 'done') return { kind: 'fit', fit: turn.fit };
    const [begin, to] = [start + share, AFTER_DESCENT[descents] ?? 1];
    const descent: DeviceDescent = {
      ...turn.descent,
      W: turn.W,
      ...(inputGram === undefined ? {} : { inputGram }),
    };
    const end = await descend(descent, signal, (fraction) => {
      onFraction?.(begin + (to - begin) * fraction);
    });
    answer = { progress: turn.progress, end };
    from = to;
  }
}
