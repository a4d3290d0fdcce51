import { Worker } from 'node:worker_threads';
import { abortReason } from '../abort';
import { bundledFile } from './kernels';
import type { CallName, WorkerCalls, WorkerReply, WorkerSetup } from './workerProtocol';

/** Memory that a request's worker will hold while it runs, for admission. */
export interface Footprint {
  /** Bytes of the kernel memory the request needs. */
  readonly bytes: number;
  /** Bytes of the tensor as stored in its file; the largest one sets how much all workers may hold together. */
  readonly storedBytes: number;
}

interface Job {
  readonly call: CallName;
  readonly argument: WorkerCalls[CallName]['argument'];
  readonly footprint: Footprint;
  readonly signal: AbortSignal;
  readonly onFraction: ((fraction: number) => void) | undefined;
  readonly transfer: readonly ArrayBuffer[];
  readonly resolve: (result: WorkerCalls[CallName]['result']) => void;
  readonly reject: (error: Error) => void;
  readonly onAbort: () => void;
}

/**
 * All workers together may hold this much beside four times the largest tensor: what remains of the promised
 * 300 MB after Node itself and the workers' own heaps.
 */
const SHARED_BYTES = 96 << 20;

/** An idle worker that has held more than this is ended, because WebAssembly memory never shrinks. */
const KEEP_BYTES = 64 << 20;

class PoolWorker {
  readonly thread: Worker;
  job: Job | undefined;
  /** Most memory this worker's instance has been let grow to. */
  reserved = 0;

  constructor(setup: WorkerSetup, onReply: (worker: PoolWorker, reply: WorkerReply) => void) {
    this.thread = new Worker(bundledFile('worker.js'), { workerData: setup });
    this.thread.on('message', (reply: WorkerReply) => {
      onReply(this, reply);
    });
  }
}

/**
 * A fixed number of worker threads, one request each at a time, started when first needed. Requests run in the order
 * given, except that one whose memory does not fit yet lets smaller ones pass.
 */
export class WorkerPool {
  private readonly workers: PoolWorker[] = [];
  private readonly queue: Job[] = [];
  private disposed = false;

  constructor(
    readonly size: number,
    private readonly module: WebAssembly.Module,
  ) {}

  /**
   * Runs one request; rejects with the signal's reason when aborted, which ends the worker at once.
   *
   * @param transfer buffers of the argument that are handed over to the worker instead of copied
   */
  run<K extends CallName>(
    call: K,
    argument: WorkerCalls[K]['argument'],
    footprint: Footprint,
    signal: AbortSignal,
    onFraction?: (fraction: number) => void,
    transfer: readonly ArrayBuffer[] = [],
  ): Promise<WorkerCalls[K]['result']> {
    return new Promise((resolve, reject) => {
      if (signal.aborted) {
        reject(abortReason(signal));
        return;
      }
      const job: Job = {
        call,
        argument,
        footprint,
        signal,
        onFraction,
        transfer,
        // The reply to a call holds that call's result: the worker's dispatch is typed by the same table.
        resolve: resolve,
        reject,
        onAbort: () => {
          this.abort(job);
        },
      };
      signal.addEventListener('abort', job.onAbort, { once: true });
      this.queue.push(job);
      this.dispatch();
    });
  }

  async dispose(): Promise<void> {
    this.disposed = true;
    for (const job of this.queue.splice(0))
      this.settle(job, () => {
        job.reject(new Error('the backend was closed'));
      });
    await Promise.all(this.workers.splice(0).map((worker) => this.end(worker, 'the backend was closed')));
  }

  private dispatch(): void {
    for (;;) {
      const index = this.queue.findIndex((job) => this.workerFor(job) !== undefined);
      const job = this.queue[index];
      if (job === undefined) break;
      const worker = this.workerFor(job);
      if (worker === undefined) break;
      this.queue.splice(index, 1);
      this.hand(job, worker);
    }
    if (this.queue.length === 0)
      for (const worker of [...this.workers])
        if (worker.job === undefined && worker.reserved > KEEP_BYTES) void this.end(worker, 'idle');
  }

  private hand(job: Job, worker: PoolWorker): void {
    try {
      worker.thread.postMessage({ call: job.call, argument: job.argument }, job.transfer);
    } catch (error) {
      // A buffer that was handed over before.
      this.settle(job, () => {
        job.reject(error instanceof Error ? error : new Error(String(error)));
      });
      return;
    }
    worker.job = job;
    worker.reserved = Math.max(worker.reserved, job.footprint.bytes);
    worker.thread.ref();
  }

  /** An idle worker on which the job's memory fits: the one that has already grown most, or a new one. */
  private workerFor(job: Job): PoolWorker | undefined {
    const idle = this.workers
      .filter((worker) => worker.job === undefined)
      .sort((a, b) => b.reserved - a.reserved)[0];
    const busy = this.workers.filter((worker) => worker.job !== undefined);
    const held = this.workers.reduce((sum, worker) => sum + (worker === idle ? 0 : worker.reserved), 0);
    const largest = Math.max(
      job.footprint.storedBytes,
      ...busy.map((worker) => worker.job?.footprint.storedBytes ?? 0),
    );
    const fits = held + Math.max(job.footprint.bytes, idle?.reserved ?? 0) <= SHARED_BYTES + 4 * largest;
    // One request always runs, however large: the promise about memory is about the largest layer.
    if (!fits && busy.length > 0) return undefined;
    if (idle !== undefined) return idle;
    return this.workers.length < this.size && !this.disposed ? this.start() : undefined;
  }

  private start(): PoolWorker {
    const worker = new PoolWorker({ module: this.module }, (from, reply) => {
      this.onReply(from, reply);
    });
    worker.thread.on('error', (error) => {
      this.lose(worker, `a worker failed: ${error.message}`);
    });
    worker.thread.on('exit', (code) => {
      this.lose(worker, `a worker ended with code ${code}`);
    });
    worker.thread.unref();
    this.workers.push(worker);
    return worker;
  }

  private onReply(worker: PoolWorker, reply: WorkerReply): void {
    const { job } = worker;
    if (job === undefined) return;
    if (reply.kind === 'fraction') {
      job.onFraction?.(reply.fraction);
      return;
    }
    worker.job = undefined;
    worker.thread.unref();
    this.settle(job, () => {
      if (reply.kind === 'result') job.resolve(reply.result);
      else job.reject(new Error(reply.message));
    });
    this.dispatch();
  }

  private abort(job: Job): void {
    const waiting = this.queue.indexOf(job);
    if (waiting >= 0) this.queue.splice(waiting, 1);
    // A thread that is computing cannot hear; ending it is immediate, and a new one starts in milliseconds.
    const worker = this.workers.find((candidate) => candidate.job === job);
    if (worker !== undefined) {
      worker.job = undefined;
      void this.end(worker, 'cancelled');
    }
    this.settle(job, () => {
      job.reject(abortReason(job.signal));
    });
    this.dispatch();
  }

  /** A worker ended by itself: its job fails, the others go on. */
  private lose(worker: PoolWorker, message: string): void {
    this.release(worker, message);
    if (!this.disposed) this.dispatch();
  }

  private async end(worker: PoolWorker, message: string): Promise<void> {
    this.release(worker, message);
    await worker.thread.terminate();
  }

  /** Takes a worker out of the pool; a job it still has is rejected. */
  private release(worker: PoolWorker, message: string): void {
    const index = this.workers.indexOf(worker);
    if (index >= 0) this.workers.splice(index, 1);
    const { job } = worker;
    worker.job = undefined;
    if (job !== undefined)
      this.settle(job, () => {
        job.reject(new Error(message));
      });
  }

  private settle(job: Job, outcome: () => void): void {
    job.signal.removeEventListener('abort', job.onAbort);
    outcome();
  }
}
