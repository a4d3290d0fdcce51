/** What the page asks of the host, and how its answers are said. */
import type { Connection } from '../connection';
import { printable } from '../model/names';
import type { Announcer } from '../view/messages';
import { isLive } from './model/state';
import { metricText, stateTitle } from './model/words';
import type { FromTraining, RunAction, RunSummary, SweepRecipe, ToTraining } from './protocol';

export class Requests {
  /** @param onStarted runs were started: a person wants to see them */
  constructor(
    private readonly connection: Connection<FromTraining, ToTraining>,
    private readonly announcer: Announcer,
    private readonly onStarted: () => void,
  ) {}

  /** What the recipe says, or what a sweep says in its place. */
  train(sweep?: SweepRecipe): void {
    void this.started(this.connection.ask({ type: 'train', ...(sweep !== undefined && { sweep }) }));
  }

  compare(): void {
    void this.started(this.connection.ask({ type: 'compare' }));
  }

  act(action: RunAction, folders: readonly string[]): void {
    void this.connection.ask({ type: 'act', action, folders }).then((reply) => {
      this.say(reply);
    });
  }

  copy(text: string): void {
    void this.connection.ask({ type: 'copy', text }).then(() => {
      this.announcer.say('Copied');
    });
  }

  send(type: 'openRecipe' | 'manageTrust' | 'retry' | 'openLog'): void {
    this.connection.send({ type });
  }

  /** Ends are said, for those who do not watch. @param before the same runs as they were */
  announceEnds(runs: readonly RunSummary[], before: ReadonlyMap<string, RunSummary>): void {
    for (const { folder, record, status } of runs) {
      const known = before.get(folder);
      if (known === undefined || !isLive(known.status.state) || isLive(status.state)) continue;
      const value = status.value === undefined ? '' : `, ${metricText(status.metric, status.value)}`;
      this.announcer.tell(`${printable(record.label)}: ${stateTitle(status.state).toLowerCase()}${value}.`);
    }
  }

  private async started(asked: Promise<{ readonly ok: boolean; readonly message?: string }>): Promise<void> {
    const reply = await asked;
    this.say(reply);
    if (reply.ok) this.onStarted();
  }

  private say({ message }: { readonly message?: string }): void {
    if (message !== undefined) this.announcer.say(printable(message));
  }
}
