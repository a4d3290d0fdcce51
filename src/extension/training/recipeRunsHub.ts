import type { Memento } from 'vscode';
import { isLive, RecipeRuns, type WatchingEngine } from './recipeRuns';
import type { RunSummary } from '../../../webview/training/protocol';

/** Recipes that were trained lately are looked at when a window opens; as many as anybody has in mind. */
const MAX_REMEMBERED = 50;

const MEMORY = 'training.recipes';

/** The runs of every recipe that this window has to do with: of open panels, and those that go on. */
export class RecipeRunsHub {
  private readonly known = new Map<string, { readonly runs: RecipeRuns; holders: number }>();
  private readonly listeners = new Set<(runs: RecipeRuns) => void>();

  /** @param memory outlives the window, as runs do */
  constructor(
    private readonly engine: WatchingEngine,
    private readonly memory: Memento,
    private readonly restartNotice: (reason: string) => string,
  ) {}

  /** Those of a recipe, if they are followed. @param path of the recipe */
  of(path: string): RecipeRuns | undefined {
    return this.known.get(path)?.runs;
  }

  get all(): readonly RecipeRuns[] {
    return Array.from(this.known.values(), ({ runs }) => runs);
  }

  /** Called whenever runs of any recipe came, went or changed. */
  onChange(listener: (runs: RecipeRuns) => void): void {
    this.listeners.add(listener);
  }

  /** Follows a recipe's runs until whoever asked lets go and none of them goes on. */
  hold(path: string): { readonly runs: RecipeRuns; readonly letGo: () => void } {
    const entry = this.entry(path);
    entry.holders++;
    entry.runs.watch();
    let held = true;
    return {
      runs: entry.runs,
      letGo: () => {
        if (!held) return;
        held = false;
        entry.holders--;
        this.tidy(path);
      },
    };
  }

  /** Runs were started or resumed: they are followed until they are over, in this window and in the next. */
  started(path: string, runs: readonly RunSummary[]): void {
    const kept = this.remembered.filter((known) => known !== path);
    void this.memory.update(MEMORY, [path, ...kept].slice(0, MAX_REMEMBERED));
    this.entry(path).runs.started(runs);
  }

  /**
   * Looks at recipes whose runs may go on, after the window was loaded again.
   *
   * @param found recipes of the workspace beside which there are runs
   */
  async findLive(found: readonly string[]): Promise<void> {
    for (const path of new Set([...this.remembered, ...found])) {
      if (this.known.has(path)) continue;
      try {
        const runs = await this.engine.request('runs', { path });
        if (runs.some(({ status }) => isLive(status.state))) this.entry(path).runs.started(runs);
      } catch {
        // A recipe that is gone, or a folder that cannot be read: whoever opens it is told.
      }
    }
  }

  dispose(): void {
    for (const { runs } of this.known.values()) runs.dispose();
    this.known.clear();
    this.listeners.clear();
  }

  private get remembered(): readonly string[] {
    const kept = this.memory.get<unknown>(MEMORY);
    return Array.isArray(kept) ? kept.filter((path): path is string => typeof path === 'string') : [];
  }

  private entry(path: string) {
    let entry = this.known.get(path);
    if (entry === undefined) {
      const runs = new RecipeRuns(path, this.engine, this.restartNotice);
      entry = { runs, holders: 0 };
      this.known.set(path, entry);
      runs.onChange(() => {
        for (const listener of this.listeners) listener(runs);
        this.tidy(path);
      });
    }
    return entry;
  }

  /** Nobody looks, and nothing goes on: there is nothing to follow. */
  private tidy(path: string): void {
    const entry = this.known.get(path);
    if (entry === undefined || entry.holders > 0 || entry.runs.live.length > 0) return;
    this.known.delete(path);
    entry.runs.dispose();
  }
}
