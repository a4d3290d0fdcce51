import * as vscode from 'vscode';
import type { ActivityListener } from './panel/auditRunner';

/** Often enough for a percentage; each update is a message to the workbench. */
const UPDATE_EVERY_MS = 250;

interface Activity {
  readonly label: string;
  fraction: number;
}

/** The backend and what it is doing, at the foot of the window; shown once there is something to say. */
export class StatusBar implements vscode.Disposable {
  private readonly item = vscode.window.createStatusBarItem(
    'rankscope.status',
    vscode.StatusBarAlignment.Right,
    50,
  );
  private readonly activities = new Set<Activity>();
  private backend: string | undefined;
  private why: string | undefined;
  private timer: NodeJS.Timeout | undefined;

  constructor() {
    this.item.name = 'Rankscope';
    this.item.command = 'rankscope.selectBackend';
  }

  /** @param label what the audit is of. */
  listener(label: string): ActivityListener {
    let activity: Activity | undefined;
    return {
      started: () => {
        if (activity !== undefined) this.activities.delete(activity);
        activity = { label, fraction: 0 };
        this.activities.add(activity);
        this.update();
      },
      backend: ({ name, threads, why }) => {
        this.backend = vscode.l10n.t('{0}, {1} threads', name, threads);
        this.why = vscode.l10n.t('{0} computes: {1}', name, why);
        this.update();
      },
      progress: (fraction) => {
        if (activity !== undefined) activity.fraction = fraction;
        this.update();
      },
      ended: () => {
        if (activity !== undefined) this.activities.delete(activity);
        activity = undefined;
        this.update();
      },
    };
  }

  dispose(): void {
    clearTimeout(this.timer);
    this.item.dispose();
  }

  private update(): void {
    this.timer ??= setTimeout(() => {
      this.timer = undefined;
      this.render();
    }, UPDATE_EVERY_MS);
  }

  private render(): void {
    const running = [...this.activities];
    const backend = this.backend ?? vscode.l10n.t('compute backend');
    const percent = (fraction: number): string => `${Math.floor(fraction * 100)} %`;
    if (running.length === 0) this.item.text = `$(pulse) ${backend}`;
    else {
      const mean = running.reduce((sum, { fraction }) => sum + fraction, 0) / running.length;
      this.item.text = `$(sync~spin) ${backend} · ${percent(mean)}`;
    }
    const lines = running.map(({ label, fraction }) => `${label}: ${percent(fraction)}`);
    this.item.tooltip = [
      lines.length === 0 ? vscode.l10n.t('Rankscope: no audit is running') : lines.join('\n'),
      ...(this.why === undefined ? [] : [this.why]),
      vscode.l10n.t('Click to choose the compute backend or to see the log'),
    ].join('\n');
    this.item.show();
  }
}
