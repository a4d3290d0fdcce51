import * as vscode from 'vscode';
import type { RunSummary } from '../../../webview/training/protocol';
import type { EngineClient } from '../engineClient';
import { isLive, type RecipeRuns } from './recipeRuns';
import { labelOf, LogLines, RunNarrator } from './runNarrator';
import type { RunRequests } from './runRequests';

/** Time between two writes to the terminal, in milliseconds. */
const WRITE_MS = 100;

/** Logs that are followed at the same time; of more runs, only how they are. */
const MAX_LOGS = 8;

/**
 * How long after its terminal was closed a run is asked to stop, in milliseconds. When the whole window goes, terminals
 * are closed too, and this extension with them: then nobody asks, and the run goes on.
 */
const STOP_AFTER_MS = 2000;

const CTRL_C = '\u0003';

export interface TerminalServices {
  readonly engine: Pick<EngineClient, 'run' | 'newJob'>;
  readonly requests: Pick<RunRequests, 'stop'>;
}

/** What a terminal follows. */
export interface Followed {
  readonly runs: RecipeRuns;
  readonly letGo: () => void;
  readonly group: string;
}

/** The terminal of runs that were started together: what they print, how far they are. Closing it asks them to stop. */
export class GroupTerminal implements vscode.Pseudoterminal {
  private readonly written = new vscode.EventEmitter<string>();
  private readonly closed = new vscode.EventEmitter<number>();
  readonly onDidWrite = this.written.event;
  readonly onDidClose = this.closed.event;

  private readonly narrator = new RunNarrator();
  private readonly logs = new Map<string, { readonly lines: LogLines; readonly ended: Promise<void> }>();
  private readonly aborting = new AbortController();
  private followed: Followed | undefined;
  private unsubscribe: (() => void) | undefined;
  private writing: NodeJS.Timeout | undefined;
  private stopping: NodeJS.Timeout | undefined;
  private isOver = false;

  /** @param begin finds or starts the runs; rejects with one line for the person */
  constructor(
    private readonly begin: () => Promise<Followed>,
    private readonly services: TerminalServices,
  ) {}

  open(): void {
    void this.follow();
  }

  /** The terminal was closed, or the task ended, by a person; or everything is. */
  close(): void {
    if (this.isOver) return;
    this.stopping = setTimeout(() => {
      void this.stop();
      this.dispose();
    }, STOP_AFTER_MS);
  }

  handleInput(data: string): void {
    if (data !== CTRL_C || this.isOver) return;
    this.say([vscode.l10n.t('Asked to stop; a checkpoint is kept.')]);
    void this.stop();
  }

  /** Follows no more, and asks nobody to stop. */
  dispose(): void {
    clearTimeout(this.stopping);
    clearTimeout(this.writing);
    this.isOver = true;
    this.aborting.abort();
    this.unsubscribe?.();
    this.followed?.letGo();
    this.followed = undefined;
  }

  private async follow(): Promise<void> {
    try {
      const followed = await this.begin();
      if (this.isOver) {
        followed.letGo();
        return;
      }
      this.followed = followed;
      this.unsubscribe = followed.runs.onChange(() => {
        this.changed();
      });
      this.changed();
    } catch (error) {
      this.say([error instanceof Error ? error.message : String(error)]);
      this.end(1);
    }
  }

  private get runs(): readonly RunSummary[] {
    const { followed } = this;
    return followed?.runs.runs.filter(({ record }) => record.group === followed.group) ?? [];
  }

  private changed(): void {
    const { runs } = this;
    // What was over before this terminal was there is known once the runs are listed.
    if (runs.length === 0 && this.followed?.runs.feed.isKnown === false) return;
    this.say(this.narrator.tell(runs, Date.now(), (folder) => this.logs.has(folder)));
    for (const run of runs) if (run.status.state !== 'queued') this.followLog(run, runs.length > 1);
    if (runs.every(({ status }) => !isLive(status.state))) void this.finish(runs);
  }

  private followLog(run: RunSummary, several: boolean): void {
    if (this.logs.has(run.folder) || this.logs.size >= MAX_LOGS) return;
    const lines = new LogLines(several ? labelOf(run) : '');
    const { engine } = this.services;
    const params = { job: engine.newJob(), folder: run.folder };
    const listener = {
      runLog: ({ text }: { readonly text: string }) => {
        lines.add(text);
        this.writeSoon();
      },
      restarted: () => undefined,
    };
    const ended = engine.run('watchLog', params, listener, this.aborting.signal).then(
      () => undefined,
      // The run goes on; its log is in its folder.
      () => undefined,
    );
    this.logs.set(run.folder, { lines, ended });
  }

  private async finish(runs: readonly RunSummary[]): Promise<void> {
    this.unsubscribe?.();
    await Promise.all(Array.from(this.logs.values(), ({ ended }) => ended));
    if (this.isOver) return;
    this.writeLogs(true);
    const isFine = runs.every(({ status: { state } }) => state === 'done' || state === 'stopped');
    this.end(isFine ? 0 : 1);
  }

  private end(code: number): void {
    if (this.isOver) return;
    this.dispose();
    this.closed.fire(code);
  }

  private async stop(): Promise<void> {
    const live = this.runs.filter(({ status }) => isLive(status.state)).map(({ folder }) => folder);
    try {
      await this.services.requests.stop(live);
    } catch (error) {
      this.say([error instanceof Error ? error.message : String(error)]);
    }
  }

  private writeSoon(): void {
    this.writing ??= setTimeout(() => {
      this.writing = undefined;
      this.writeLogs(false);
    }, WRITE_MS);
  }

  private writeLogs(atEnd: boolean): void {
    for (const { lines } of this.logs.values()) this.say(lines.take(atEnd));
  }

  private say(lines: readonly string[]): void {
    if (lines.length > 0) this.written.fire(lines.map((line) => `${line}\r\n`).join(''));
  }
}
