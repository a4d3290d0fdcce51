import { CheckpointError, printable } from '../checkpoint/errors';
import { listCheckpointFiles, nothingFound } from '../checkpoint/open';
import { audit } from './audit';
import { backendFacts, BackendPool } from './backendPool';
import { reportBackends, useDeviceSettings } from './backends';
import { clearCache, openCache } from './cache';
import type { EngineEnd } from './connection';
import { ConversionService } from './conversionService';
import type { AuditDocument, LayerAudit } from './document';
import { inspectModel } from './inspect';
import { throttled } from './progress';
import type { AuditParams, JobId, ReportParams } from './protocol';
import { writeReport } from './report';
import { TensorflowService } from './tensorflowService';
import { TrainingService } from './trainingService';
import { UtilizationService } from './utilizationService';

/**
 * The engine's side of the protocol: jobs run at the same time and share one backend. Keeps the document of each
 * finished audit, with its singular values, until the host forgets the job.
 */
export class EngineService {
  private readonly backends = new BackendPool((notice) => {
    this.log('warn', notice);
    this.host.notify('backendNotice', { notice });
  });
  private readonly documents = new Map<JobId, AuditDocument>();

  constructor(private readonly host: EngineEnd) {
    new ConversionService(host, this.backends, this.log.bind(this));
    new TensorflowService(host, this.log.bind(this));
    new TrainingService(host, this.log.bind(this));
    new UtilizationService(host, this.backends, this.log.bind(this));
    host.serve('audit', async (params, signal) => withoutSpectra(await this.audit(params, signal)));
    host.serve('report', async (params, signal) => {
      await this.report(params, signal);
      return null;
    });
    host.serve('inspect', ({ path }, signal) => inspectModel(path, signal));
    host.serve('checkpoints', ({ folder }, signal) => this.checkpoints(folder, signal));
    host.serve('clearCache', async () => {
      await clearCache();
      return null;
    });
    host.serve('backends', (_, signal) => reportBackends(signal, false));
    host.on('devices', (settings) => {
      useDeviceSettings(settings);
      this.backends.chooseAnew();
    });
    host.on('forget', ({ job }) => {
      this.documents.delete(job);
    });
  }

  private async audit(params: AuditParams, signal: AbortSignal): Promise<AuditDocument> {
    const { job, path } = params;
    const { host } = this;
    this.documents.delete(job);
    const { backend, why, release } = await this.backends.use(params.backend, params.threads, signal);
    const facts = backendFacts(backend, why);
    this.log('info', `audit ${job}: ${path} on ${backend.build}, ${backend.concurrency} threads`);
    try {
      const document = await audit({
        path,
        backend,
        signal,
        layers: params.layers === undefined ? undefined : new RegExp(params.layers),
        spectra: true,
        cache: params.cache === false ? null : openCache(),
        onOpened: (checkpoint, layerNames) => {
          host.notify('opened', { job, checkpoint, layerNames, backend: facts });
        },
        onLayer: (layer: LayerAudit, index: number) => {
          host.notify('layer', { job, index, layer });
        },
        onProgress: throttled((progress) => {
          host.notify('progress', { job, progress });
        }),
      });
      this.documents.set(job, document);
      this.log('info', `audit ${job}: ${document.summary.layers} layers in ${document.seconds} s`);
      return document;
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      this.log(signal.aborted ? 'info' : 'warn', `audit ${job}: ${reason}`);
      throw error;
    } finally {
      release();
    }
  }

  private async report({ audit: params, format, target }: ReportParams, signal: AbortSignal): Promise<void> {
    const document = this.documents.get(params.job) ?? (await this.audit(params, signal));
    signal.throwIfAborted();
    writeReport(document, format, target);
  }

  /** @throws CheckpointError when there are none, but something else that explains it. */
  private async checkpoints(folder: string, signal: AbortSignal): Promise<readonly string[]> {
    const listing = await listCheckpointFiles(folder, signal);
    const { files, notRead, incomplete } = listing;
    if (incomplete !== undefined) this.log('warn', `${folder}: ${incomplete}`);
    if (files.length > 0 || (notRead.length === 0 && incomplete === undefined)) return files;
    throw new CheckpointError('unsupported', incomplete ?? nothingFound(listing), { file: folder });
  }

  private log(level: 'info' | 'warn' | 'error', message: string): void {
    this.host.notify('log', { level, message: printable(message) });
  }
}

function withoutSpectra(document: AuditDocument): AuditDocument {
  const layers = document.layers.map(({ singularValues: _, ...layer }) => layer);
  return { ...document, layers };
}
