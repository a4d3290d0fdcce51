/** The form of a new comparison with what the host says to it: asks what would be started, a moment after each change. */
import type { Connection } from '../connection';
import { formFor, readForm, type SweepForm } from './model/sweep';
import type { FromTraining, RecipeLook, SweepRecipe, ToTraining } from './protocol';
import { SweepFormView, type Outlook } from './view/sweepFormView';

/** How long after the last key it is asked what would be started, in milliseconds. */
const ASK_DELAY = 250;

export interface SweepPanelActions {
  /** What is typed is kept with the rest of the view. */
  readonly keep: (form: SweepForm) => void;
  readonly start: (sweep: SweepRecipe) => void;
  readonly close: () => void;
  readonly repaint: () => void;
}

export class SweepPanel {
  private readonly view: SweepFormView;
  private outlook: Outlook = { kind: 'asking' };
  private form: SweepForm = formFor(undefined);
  private asked: string | undefined;
  private timer: number | undefined;

  constructor(
    private readonly connection: Connection<FromTraining, ToTraining>,
    private readonly actions: SweepPanelActions,
  ) {
    this.view = new SweepFormView({
      change: actions.keep,
      start: () => {
        const { sweep } = readForm(this.form);
        if (sweep !== undefined) actions.start(sweep);
      },
      close: actions.close,
    });
  }

  get element(): HTMLElement {
    return this.view.element;
  }

  /** @param form what was typed; undefined: what the recipe suggests */
  render(form: SweepForm | undefined, look: RecipeLook | undefined): void {
    this.form = form ?? formFor(look);
    this.askSoon(JSON.stringify([this.form, look]));
    this.view.render(this.form, this.outlook);
  }

  focus(): void {
    this.view.focus();
  }

  /** Another form, or another recipe: what is known of the last does not hold for it. */
  private askSoon(question: string): void {
    if (question === this.asked) return;
    this.asked = question;
    this.outlook = { kind: 'asking' };
    window.clearTimeout(this.timer);
    const { sweep } = readForm(this.form);
    if (sweep === undefined) return;
    this.timer = window.setTimeout(() => {
      void this.ask(sweep, question);
    }, ASK_DELAY);
  }

  private async ask(sweep: SweepRecipe, question: string): Promise<void> {
    const { ok, message, outline } = await this.connection.ask({ type: 'outline', sweep });
    if (question !== this.asked) return;
    this.outlook =
      ok && outline !== undefined
        ? { kind: 'known', outline }
        : { kind: 'wrong', message: message ?? 'What would be started cannot be told' };
    this.actions.repaint();
  }
}
