import type { DeviceSettings } from '../compute';
import { EngineError } from '../engine/connection';
import type { AuditDocument } from '../engine/document';
import type {
  AuditParams,
  EngineNotifications,
  EngineRequests,
  JobId,
  ReportParams,
} from '../engine/protocol';
import { EngineProcess, type EngineProgram } from './engineProcess';
import { RestartPolicy } from './restartPolicy';

/** Requests that are jobs: long, told of while they run, and begun again when the engine stops. */
export type JobMethod = {
  [K in keyof EngineRequests]: EngineRequests[K]['params'] extends { readonly job: JobId } ? K : never;
}[keyof EngineRequests];

/** Notifications that belong to a job. */
const JOB_EVENTS = [
  'opened',
  'layer',
  'progress',
  'conversionOpened',
  'conversionLayer',
  'utilizationOpened',
  'utilizationStage',
  'utilizationProbe',
  'utilizationLayer',
  'installStage',
  'run',
  'runGone',
  'runEvents',
  'runLog',
] as const satisfies readonly (keyof EngineNotifications)[];

type JobHandlers = {
  readonly [K in (typeof JOB_EVENTS)[number]]?: (params: EngineNotifications[K]) => void;
};

/** What a job hears while it runs. */
export interface JobListener extends JobHandlers {
  /** The engine stopped and this job begins again in a new one. */
  readonly restarted: (reason: string) => void;
}

/** What one audit hears while it runs. */
export type AuditListener = Required<Pick<JobListener, 'opened' | 'layer' | 'progress' | 'restarted'>>;

/** What the window hears of its engine. */
export interface EngineEvents {
  readonly log: (level: 'info' | 'warn' | 'error', message: string) => void;
  /** A backend that was asked for cannot be used, or stopped working; jobs go on. */
  readonly backendNotice: (notice: string) => void;
  /** Where libraries of graphics cards are looked for. */
  readonly devices: () => DeviceSettings;
  /** The process ended by itself. `restarts`: a new one is started; otherwise it stopped too often. */
  readonly stopped: (reason: string, restarts: boolean) => void;
}

/**
 * A job begins again by itself once. A file whose job brings the engine down twice is likely the cause, and would take
 * every other job of the window with it a third time.
 */
const MAX_RERUNS = 1;

/**
 * The window's engine: started when first needed, again after it stopped by itself, but not more than a few times a
 * minute. Jobs under way then begin again; what they had finished comes from the cache.
 */
export class EngineClient {
  private readonly listeners = new Map<JobId, JobListener>();
  private readonly policy = new RestartPolicy();
  private starting: Promise<EngineProcess> | undefined;
  private running: EngineProcess | undefined;
  private lastJob: JobId = 0;
  private lastReason = '';
  private disposed = false;

  constructor(
    private readonly program: EngineProgram,
    private readonly events: EngineEvents,
  ) {}

  /** Process id of the running engine. */
  get pid(): number | undefined {
    return this.running?.pid;
  }

  newJob(): JobId {
    return ++this.lastJob;
  }

  /** Starts the engine, so that the first audit finds it warm. Failures are told when it is used. */
  warm(): void {
    this.engine().catch(() => undefined);
  }

  /** @throws {EngineError} with a one-line message; `cancelled` after the signal was aborted. */
  audit(params: AuditParams, listener: AuditListener, signal: AbortSignal): Promise<AuditDocument> {
    return this.run('audit', params, listener, signal);
  }

  /**
   * A job, begun again once when the engine stops under it.
   *
   * @throws {EngineError} with a one-line message; `cancelled` after the signal was aborted.
   */
  async run<K extends JobMethod>(
    method: K,
    params: EngineRequests[K]['params'],
    listener: JobListener,
    signal: AbortSignal,
  ): Promise<EngineRequests[K]['result']> {
    this.listeners.set(params.job, listener);
    try {
      for (let losses = 0; ; losses++) {
        const engine = await this.engine();
        throwIfCancelled(signal);
        try {
          return await engine.request(method, params, signal);
        } catch (error) {
          if (engine.lost === undefined) throw error;
          throwIfCancelled(signal);
          if (losses >= MAX_RERUNS || this.disposed) throw this.stoppedDuring(engine.lost, losses + 1);
          listener.restarted(engine.lost);
        }
      }
    } finally {
      this.listeners.delete(params.job);
    }
  }

  /** Writes an audit's report to a file. @throws {EngineError} */
  async report(params: ReportParams): Promise<void> {
    await this.request('report', params);
  }

  /** Any other request. @throws {EngineError}, also when the engine stops before it answers. */
  async request<K extends Exclude<keyof EngineRequests, JobMethod>>(
    method: K,
    params: EngineRequests[K]['params'],
    signal?: AbortSignal,
  ): Promise<EngineRequests[K]['result']> {
    const engine = await this.engine();
    try {
      return await engine.request(method, params, signal);
    } catch (error) {
      throw engine.lost === undefined ? error : this.stoppedDuring(engine.lost, 1);
    }
  }

  /** Libraries of graphics cards are elsewhere now. */
  devicesChanged(): void {
    if (this.running?.lost === undefined) this.running?.host.notify('devices', this.events.devices());
  }

  /** Nobody will ask for reports of this job any more. */
  forget(job: JobId): void {
    // A new engine has no documents of old jobs.
    if (this.running?.lost === undefined) this.running?.host.notify('forget', { job });
  }

  dispose(): void {
    this.disposed = true;
    this.running?.stop();
    this.running = undefined;
    this.starting = undefined;
  }

  private stoppedDuring(reason: string, times: number): EngineError {
    const often = times === 1 ? '' : ` ${times} times`;
    return new EngineError(`the engine stopped${often} during this (${reason}); the log says more`, false);
  }

  private engine(): Promise<EngineProcess> {
    if (this.starting === undefined) {
      const starting = this.start();
      this.starting = starting;
      starting.catch(() => {
        if (this.starting === starting) this.starting = undefined;
      });
    }
    return this.starting;
  }

  private async start(): Promise<EngineProcess> {
    const now = Date.now();
    const delay = this.policy.delay(now);
    if (delay === undefined) {
      const seconds = Math.ceil(this.policy.blockedFor(now) / 1000);
      throw new EngineError(
        `the engine stopped too often (${this.lastReason}); try again in ${seconds} s, the log says more`,
        false,
      );
    }
    if (delay > 0) await new Promise((resolve) => setTimeout(resolve, delay));
    if (this.disposed) throw new EngineError('the window is closing', true);
    const engine = new EngineProcess(
      this.program,
      (reason) => {
        this.lost(reason);
      },
      (line) => {
        this.events.log('warn', `engine: ${line}`);
      },
    );
    this.running = engine;
    this.listen(engine);
    this.events.log('info', `engine started, process ${engine.pid ?? 'none'}`);
    return engine;
  }

  private listen({ host }: EngineProcess): void {
    for (const name of JOB_EVENTS) this.passOn(host, name);
    host.on('log', ({ level, message }) => {
      this.events.log(level, message);
    });
    host.on('backendNotice', ({ notice }) => {
      this.events.backendNotice(notice);
    });
    host.listen();
    host.notify('devices', this.events.devices());
  }

  // eslint-disable-next-line @typescript-eslint/no-unnecessary-type-parameters -- K ties a name to its own parameters
  private passOn<K extends (typeof JOB_EVENTS)[number]>(host: EngineProcess['host'], name: K): void {
    host.on(name, (params) => {
      const handlers: JobHandlers = this.listeners.get(params.job) ?? {};
      handlers[name]?.(params);
    });
  }

  private lost(reason: string): void {
    this.lastReason = reason;
    this.running = undefined;
    this.starting = undefined;
    const now = Date.now();
    this.policy.crashed(now);
    const restarts = !this.disposed && this.policy.delay(now) !== undefined;
    this.events.log('error', `the engine stopped: ${reason}`);
    this.events.stopped(reason, restarts);
    if (restarts) this.warm();
  }
}

function throwIfCancelled(signal: AbortSignal): void {
  if (signal.aborted) throw new EngineError('cancelled', true);
}
