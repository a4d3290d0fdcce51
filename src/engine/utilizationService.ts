import { printable } from '../checkpoint/errors';
import { openNetwork } from '../network/open';
import { backendFacts, type BackendPool } from './backendPool';
import { searchesFolder } from './cache';
import type { EngineEnd } from './connection';
import { throttled } from './progress';
import { resolveMeasurement } from './utilization/measurementRequest';
import type { UtilizationDocument } from './utilizationDocument';
import type { UtilizeParams } from './utilizationProtocol';
import { utilize } from './utilize';

type Log = (level: 'info' | 'warn' | 'error', message: string) => void;

/** Measurements of utilized ranks, the engine's side of the protocol. */
export class UtilizationService {
  constructor(
    private readonly host: EngineEnd,
    private readonly backends: BackendPool,
    private readonly log: Log,
  ) {
    host.serve('utilize', (params, signal) => this.utilize(params, signal));
  }

  private async utilize(params: UtilizeParams, signal: AbortSignal): Promise<UtilizationDocument> {
    const { job, decompose, python, trusted } = params;
    const { host } = this;
    const { backend, why, release } = await this.backends.use(params.backend, params.threads, signal);
    const facts = backendFacts(backend, why);
    this.log(
      'info',
      `utilization ${job}: ${params.path} on ${backend.build}, ${backend.concurrency} threads`,
    );
    const onLog = (line: string): void => {
      this.log('info', `utilization ${job}: ${line}`);
    };
    try {
      const { recipe, settings, layers, checkpoint } = await resolveMeasurement(params);
      const document = await utilize({
        ...{ settings, layers, checkpoint, decompose, backend, signal },
        open: (opening) => openNetwork(recipe, { backend, signal: opening, trusted, python, onLog }),
        resume: params.resume === true,
        spectra: false,
        searches: searchesFolder(),
        onOpened: (opened) => {
          host.notify('utilizationOpened', { job, ...opened, backend: facts });
        },
        onStage: (stage) => {
          host.notify('utilizationStage', { job, stage });
        },
        onProbe: (layer, probe) => {
          host.notify('utilizationProbe', { job, layer, probe });
        },
        onLayer: (layer, index) => {
          host.notify('utilizationLayer', { job, index, layer });
        },
        onProgress: throttled((progress) => {
          host.notify('progress', { job, progress });
        }),
      });
      const { passes } = document.summary;
      this.log(
        'info',
        `utilization ${job}: ${document.layers.length} layers, ${passes} passes, ${document.seconds} s`,
      );
      return document;
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      this.log(signal.aborted ? 'info' : 'warn', `utilization ${job}: ${printable(reason)}`);
      throw error;
    } finally {
      release();
    }
  }
}
