/** Runs the cases of a reader in worker processes, and ends those that hang or grow. */
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { type ChildProcess, fork } from 'node:child_process';
import os from 'node:os';
import path from 'node:path';
import {
  type Limits,
  EXIT_TOO_LARGE,
  NO_PROGRESS,
  type Progress,
  type WorkerMessage,
  readProgress,
} from './protocol';

/** Cases given to a worker at once. */
const BATCH_CASES = 500;
/** How often the parent looks at its workers. */
const LOOK_MILLISECONDS = 50;
/** Kinds of findings that are told of one reader; more of them would say nothing more. */
const MAX_KINDS = 40;

/** Of what a dying process writes: V8 tells of its heap before it lists frames. */
const MAX_WORDS = 20_000;

export const DEFAULT_LIMITS: Limits = { milliseconds: 5000, bytes: 2 ** 30 };

export interface Finding {
  readonly case: number;
  readonly reason: string;
  /** Cases that end in the same way. */
  count: number;
}

export interface ReaderReport {
  readonly reader: string;
  readonly cases: number;
  readonly opened: number;
  readonly refused: number;
  readonly seconds: number;
  readonly slowest: { readonly milliseconds: number; readonly case: number };
  /** Growth of a worker process. */
  readonly peak: { readonly bytes: number; readonly case: number };
  readonly findings: readonly Finding[];
  /** Cases that ended a worker once and not when run again alone. */
  readonly unrepeated: readonly Finding[];
}

export interface FuzzRequest {
  readonly reader: string;
  readonly seed: number;
  readonly from: number;
  readonly to: number;
  readonly jobs: number;
  /** Most time for all cases. */
  readonly milliseconds: number;
  readonly limits?: Limits;
  readonly workerPath: string;
  readonly onProgress?: (casesDone: number) => void;
  readonly signal?: AbortSignal;
}

/** Fuzzes one reader. Stops early, with what there is, when the time is over or the signal says so. */
export async function fuzzReader(request: FuzzRequest): Promise<ReaderReport> {
  const run = new ReaderRun(request);
  try {
    return await run.report();
  } finally {
    run.end();
  }
}

/** A RAM-backed folder where there is one. */
function scratchFolder(): string {
  const parent =
    statSync('/dev/shm', { throwIfNoEntry: false })?.isDirectory() === true ? '/dev/shm' : os.tmpdir();
  return mkdtempSync(path.join(parent, `rankscope-fuzz-${process.pid}-`));
}

/** Why a worker is no more, and at which case. */
interface WorkerEnd {
  readonly case: number;
  readonly reason: string;
}

class ReaderRun {
  private readonly folder = scratchFolder();
  private readonly limits: Limits;
  private readonly begun = Date.now();
  private readonly until: number;
  private readonly workers = new Set<Worker>();
  private readonly findings = new Map<string, Finding>();
  private readonly unrepeated: Finding[] = [];
  private next: number;
  private done = 0;
  private made = 0;
  private total = NO_PROGRESS;

  constructor(private readonly request: FuzzRequest) {
    this.limits = request.limits ?? DEFAULT_LIMITS;
    this.until = this.begun + request.milliseconds;
    this.next = request.from;
    request.signal?.addEventListener('abort', this.killAll);
  }

  async report(): Promise<ReaderReport> {
    await Promise.all(Array.from({ length: this.request.jobs }, () => this.work()));
    const { opened, refused, slowestMilliseconds, slowestCase, peakBytes, peakCase } = this.total;
    return {
      reader: this.request.reader,
      cases: this.done,
      opened,
      refused,
      seconds: (Date.now() - this.begun) / 1000,
      slowest: { milliseconds: slowestMilliseconds, case: slowestCase },
      peak: { bytes: peakBytes, case: peakCase },
      findings: [...this.findings.values()],
      unrepeated: this.unrepeated,
    };
  }

  private readonly killAll = (): void => {
    for (const worker of this.workers) worker.kill();
  };

  end(): void {
    this.killAll();
    this.request.signal?.removeEventListener('abort', this.killAll);
    rmSync(this.folder, { recursive: true, force: true, maxRetries: 3 });
  }

  private isOver(): boolean {
    return this.request.signal?.aborted === true || Date.now() >= this.until;
  }

  private async work(): Promise<void> {
    let worker: Worker | undefined;
    while (!this.isOver() && this.next < this.request.to) {
      let from = this.next;
      const to = Math.min(this.request.to, from + BATCH_CASES);
      this.next = to;
      while (from < to && !this.isOver()) {
        worker ??= this.start();
        const result = await this.batch(worker, from, to);
        if (result.end === undefined) {
          this.done += result.next - from;
          from = result.next;
          continue;
        }
        this.retire(worker);
        worker = undefined;
        if (this.request.signal?.aborted === true) return;
        this.done += result.end.case + 1 - from;
        from = result.end.case + 1;
        await this.confirm(result.end);
      }
    }
    if (worker !== undefined) this.retire(worker);
  }

  private start(): Worker {
    const worker = new Worker(
      this.request.workerPath,
      path.join(this.folder, String(this.made++)),
      this.limits,
    );
    this.workers.add(worker);
    return worker;
  }

  private retire(worker: Worker): void {
    const { total } = this;
    const last = worker.progress();
    const isSlower = last.slowestMilliseconds > total.slowestMilliseconds;
    const isLarger = last.peakBytes > total.peakBytes;
    this.total = {
      ...total,
      opened: total.opened + last.opened,
      refused: total.refused + last.refused,
      ...(isSlower && { slowestMilliseconds: last.slowestMilliseconds, slowestCase: last.slowestCase }),
      ...(isLarger && { peakBytes: last.peakBytes, peakCase: last.peakCase }),
    };
    this.workers.delete(worker);
    worker.kill();
  }

  private async batch(worker: Worker, from: number, to: number): Promise<{ next: number; end?: WorkerEnd }> {
    const { reader, seed, onProgress } = this.request;
    const looking = setInterval(() => onProgress?.(this.done + worker.progress().case - from), 250);
    try {
      return await worker.run({ reader, seed, from, to, until: this.until }, (message) => {
        this.note(message.case, message.signature, message.reason);
      });
    } finally {
      clearInterval(looking);
    }
  }

  /** A busy machine makes any case slow, and many cases make a process grow: what ends a worker is run again alone. */
  private async confirm(end: WorkerEnd): Promise<void> {
    const worker = this.start();
    const again = await this.batch(worker, end.case, end.case + 1);
    this.retire(worker);
    if (this.request.signal?.aborted === true) return;
    if (again.end === undefined) this.unrepeated.push({ ...end, count: 1 });
    else this.note(end.case, end.reason.replace(/\d+/g, 'n'), again.end.reason);
  }

  private note(number: number, signature: string, reason: string): void {
    const known = this.findings.get(signature);
    if (known !== undefined) known.count++;
    else if (this.findings.size < MAX_KINDS) this.findings.set(signature, { case: number, reason, count: 1 });
  }
}

/** One process, from its start to its end. */
class Worker {
  private readonly child: ChildProcess;
  private readonly progressFile: number;
  private last = NO_PROGRESS;
  private isOpen = true;
  private closed: { readonly code: number | null; readonly signal: NodeJS.Signals | null } | undefined;
  /** What it wrote on its way out. */
  private words = '';
  /** Why the parent ended it. */
  private sentence: string | undefined;

  constructor(
    workerPath: string,
    private readonly folder: string,
    private readonly limits: Limits,
  ) {
    const progressPath = `${folder}.progress`;
    writeFileSync(progressPath, '');
    this.progressFile = openSync(progressPath, 'r');
    this.child = fork(workerPath, [path.join(folder, 'case'), progressPath, JSON.stringify(limits)], {
      execArgv: ['--enable-source-maps', `--max-old-space-size=${Math.ceil(limits.bytes / 2 ** 20) + 64}`],
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
      // One case at a time waits for one read at a time: more threads would only hand it around among them.
      env: { ...process.env, UV_THREADPOOL_SIZE: '1' },
    });
    this.child.stderr?.on(
      'data',
      (text: Buffer) => (this.words = (this.words + text.toString()).slice(0, MAX_WORDS)),
    );
  }

  progress(): Progress {
    if (this.isOpen) this.last = readProgress(this.progressFile);
    return this.last;
  }

  kill(): void {
    this.child.kill('SIGKILL');
    if (!this.isOpen) return;
    this.progress();
    this.isOpen = false;
    closeSync(this.progressFile);
    rmSync(this.folder, { recursive: true, force: true, maxRetries: 3 });
  }

  run(
    batch: object,
    onFinding: (finding: Extract<WorkerMessage, { kind: 'finding' }>) => void,
  ): Promise<{ next: number; end?: WorkerEnd }> {
    return new Promise((resolve) => {
      const watch = setInterval(() => {
        this.look();
      }, LOOK_MILLISECONDS);
      const finish = (result: { next: number; end?: WorkerEnd }): void => {
        clearInterval(watch);
        this.child.off('message', onMessage).off('close', onExit);
        resolve(result);
      };
      const onMessage = (message: WorkerMessage): void => {
        if (message.kind === 'finding') onFinding(message);
        else finish({ next: message.next });
      };
      const onExit = (code: number | null, signal: string | null): void => {
        const { case: number } = this.progress();
        finish({ next: number, end: { case: number, reason: this.reasonOf(code, signal) } });
      };
      this.child.on('message', onMessage).on('close', onExit);
      if (this.closed !== undefined) onExit(this.closed.code, this.closed.signal);
      else if (this.child.connected) this.child.send(batch);
    });
  }

  private look(): void {
    const { begun } = this.progress();
    if (this.sentence !== undefined || begun === 0) return;
    if (Date.now() - begun > this.limits.milliseconds)
      this.sentence = `takes more than ${this.limits.milliseconds} ms`;
    // Once more than the limit, as what the process had before its first case is not known here.
    else if (residentBytes(this.child.pid) > 1.5 * this.limits.bytes + 2 ** 28)
      this.sentence = this.tooLarge();
    if (this.sentence !== undefined) this.child.kill('SIGKILL');
  }

  private tooLarge(): string {
    return `takes more than ${Math.round(this.limits.bytes / 2 ** 20)} MB of memory`;
  }

  private reasonOf(code: number | null, signal: string | null): string {
    if (this.sentence !== undefined) return this.sentence;
    if (code === EXIT_TOO_LARGE || /heap out of memory/i.test(this.words)) return this.tooLarge();
    return `the process ended: ${signal ?? `code ${code ?? 'unknown'}`} ${JSON.stringify(this.words.slice(0, 300))}`;
  }
}

/** Memory of a process, where the system tells; 0 elsewhere, where the worker looks after itself. */
function residentBytes(pid: number | undefined): number {
  try {
    const [, pages = '0'] = readFileSync(`/proc/${pid ?? 'self'}/statm`, 'latin1').split(' ');
    return Number(pages) * 4096;
  } catch {
    return 0;
  }
}
