import path from 'node:path';
import * as vscode from 'vscode';
import { fractionOf } from '../../../webview/training/model/words';
import type { ActivityListener } from '../panel/auditRunner';
import type { PanelServices } from '../panel/page';
import { countRuns } from './recipeFile';
import type { RecipeRuns } from './recipeRuns';
import { RecipeRunsHub } from './recipeRunsHub';
import { RunRequests } from './runRequests';
import { RunTasks } from './runTasks';
import { TrainingCommands } from './trainingCommands';
import { Trainings } from './trainings';

/** More recipes than this in a workspace are not looked at for runs that go on. */
const MAX_RECIPES = 200;

/** Everything of training in the window. */
export interface Training {
  readonly hub: RecipeRunsHub;
  readonly panels: Trainings;
  readonly commands: TrainingCommands;
  readonly dispose: () => void;
}

/** @param memory where recipes that were trained are remembered. */
export function startTraining(
  given: PanelServices & { readonly openAudit: (uri: vscode.Uri) => Promise<void> },
  memory: vscode.Memento,
): Training {
  const hub = new RecipeRunsHub(given.engine, memory, (reason) =>
    vscode.l10n.t('The engine stopped ({0}) and was started again; the runs went on without it.', reason),
  );
  const requests = new RunRequests(given.engine, hub);
  const services = { ...given, hub, requests };
  const panels = new Trainings(services);
  const commands = new TrainingCommands(panels, services);
  const tasks = new RunTasks(hub, requests, services);
  const activities = new Activities(given);
  hub.onChange((runs) => {
    activities.update(runs);
  });
  void findLive(hub, given);
  return {
    ...{ hub, panels, commands },
    dispose: () => {
      for (const part of [tasks, panels, hub]) part.dispose();
    },
  };
}

/** Runs that go on although the window was loaded again, or closed. */
async function findLive(hub: RecipeRunsHub, { log }: PanelServices): Promise<void> {
  try {
    const recipes = await vscode.workspace.findFiles(
      '**/*.rankscope.json',
      '**/node_modules/**',
      MAX_RECIPES,
    );
    const counts = await Promise.all(recipes.map(countRuns));
    await hub.findLive(recipes.flatMap(({ fsPath }, i) => ((counts[i] ?? 0) > 0 ? [fsPath] : [])));
  } catch (error) {
    log.warn(error instanceof Error ? error.message : String(error));
  }
}

/** The status bar's word on runs that go on, one a recipe. */
class Activities {
  private readonly listeners = new Map<string, ActivityListener>();

  constructor(private readonly services: Pick<PanelServices, 'status'>) {}

  update({ path: file, live }: RecipeRuns): void {
    let listener = this.listeners.get(file);
    if (live.length === 0) {
      listener?.ended();
      this.listeners.delete(file);
      return;
    }
    if (listener === undefined) {
      listener = this.services.status.listener(path.basename(file));
      this.listeners.set(file, listener);
      listener.started(() => undefined);
    }
    const fractions = live.map((run) => fractionOf(run) ?? 0);
    listener.progress(fractions.reduce((sum, fraction) => sum + fraction, 0) / live.length);
  }
}
