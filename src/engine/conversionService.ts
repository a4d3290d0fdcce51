import { openCheckpoint } from '../checkpoint/open';
import { factorization } from '../lowrank';
import { checkpointFacts } from './audit';
import { backendFacts, type BackendPool } from './backendPool';
import { openCache } from './cache';
import type { EngineEnd } from './connection';
import { SineExplorer } from './conversion/sineExplorer';
import type { ConversionDocument } from './conversionDocument';
import type { ConversionPreview, ConvertParams } from './conversionProtocol';
import { convert, selectForConversion } from './convert';
import { throttled } from './progress';

type Log = (level: 'info' | 'warn' | 'error', message: string) => void;

/** The previewed ledger is that of sine and SVD alike: both keep k·(m + n) numbers. */
const PREVIEWED = 'sine';

/** Conversions, the engine's side of the protocol. */
export class ConversionService {
  private readonly explorer = new SineExplorer(openCache());

  constructor(
    private readonly host: EngineEnd,
    private readonly backends: BackendPool,
    private readonly log: Log,
  ) {
    host.serve('convert', async (params, signal) => withoutSpectra(await this.convert(params, signal)));
    host.serve('conversionPreview', ({ path }, signal) => preview(path, signal));
    host.serve('sineSpectrum', async (params, signal) => {
      const { backend, release } = await this.backends.use(params.backend, undefined, signal);
      try {
        return await this.explorer.spectrum(params, backend, signal);
      } finally {
        release();
      }
    });
  }

  private async convert(params: ConvertParams, signal: AbortSignal): Promise<ConversionDocument> {
    const { job, path, to, ranks, layers, omega, gain, seed, materialize, out } = params;
    const { host } = this;
    const { backend, why, release } = await this.backends.use(params.backend, params.threads, signal);
    const facts = backendFacts(backend, why);
    this.log(
      'info',
      `conversion ${job}: ${path} to ${to} on ${backend.build}, ${backend.concurrency} threads`,
    );
    try {
      const { document, reusedLayers } = await convert({
        ...{ path, to, ranks, omega, gain, seed, materialize, out, backend, signal },
        layers: layers === undefined ? undefined : new RegExp(layers),
        cache: params.cache === false ? null : openCache(),
        onOpened: (checkpoint, layerNames) => {
          host.notify('conversionOpened', { job, checkpoint, layerNames, backend: facts });
        },
        onLayer: (layer, index) => {
          host.notify('conversionLayer', { job, index, layer });
        },
        onProgress: throttled((progress) => {
          host.notify('progress', { job, progress });
        }),
      });
      const { converted } = document.summary;
      this.log(
        'info',
        `conversion ${job}: ${converted} layers (${reusedLayers} fitted before) in ${document.seconds} s`,
      );
      return document;
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      this.log(signal.aborted ? 'info' : 'warn', `conversion ${job}: ${reason}`);
      throw error;
    } finally {
      release();
    }
  }
}

/** What a conversion of a checkpoint could take, before any number is computed. @throws CheckpointError */
export async function preview(path: string, signal: AbortSignal): Promise<ConversionPreview> {
  const checkpoint = await openCheckpoint(path, signal);
  const method = factorization(PREVIEWED);
  const ranks = { kind: 'share', share: 1 } as const;
  const byDefault = selectForConversion(checkpoint, { ranks }, method);
  return {
    checkpoint: checkpointFacts(checkpoint),
    layers: byDefault.map(({ layer, reason }) => ({
      name: layer.name,
      kind: layer.kind,
      shape: layer.shape,
      groups: layer.matrices.length,
      parameters: layer.parameters,
      byDefault: reason === undefined,
      ...(reason !== undefined && { reason }),
    })),
  };
}

function withoutSpectra(document: ConversionDocument): ConversionDocument {
  const layers = document.layers.map((layer) => {
    if (layer.outcome === 'dense') return layer;
    const { spectra: _, ...rest } = layer;
    return rest;
  });
  return { ...document, layers };
}
