import { eventually } from './harness.mjs';
import { rowsInSight } from './layerGrid.mjs';

/** The panel of a recipe's runs on show, by the roles and labels that people and screen readers have. */
export class TrainingPanel {
  /** @param frame the panel's document, see Workbench.panel */
  constructor(frame) {
    this.frame = frame;
    this.status = frame.locator('.page-header .progress-text');
    this.facts = frame.locator('.facts');
    this.command = frame.locator('.command code');
    this.chart = frame.getByRole('slider', { name: 'Moments of the runs on show' });
    this.legend = frame.getByRole('group', { name: 'Lines on the chart' });
    this.comparison = frame.getByRole('region', { name: 'Comparison', exact: true });
    this.layers = frame.getByRole('slider', { name: 'Moments at which layers were looked at' });
    this.runs = frame.getByRole('grid', { name: 'Runs', exact: true });
    this.actions = frame.getByRole('toolbar', { name: 'Selected runs' });
    this.form = frame.getByRole('region', { name: 'New comparison' });
    this.empty = frame.getByRole('region', { name: 'No runs yet' });
  }

  /** The panel of a recipe, once its page has come up. */
  static async of(workbench, file) {
    const resource = `[data-resource$="/${encodeURIComponent(file)}"]`;
    return new TrainingPanel(await workbench.panelWith(`body[data-page="training"]${resource}`));
  }

  /** A button of the page's head. */
  button(name) {
    return this.frame.locator('.page-header').getByRole('button', { name, exact: true });
  }

  /** A button for the runs that are selected. */
  action(name) {
    return this.actions.getByRole('button', { name, exact: true });
  }

  /** Rows in sight, from the top, each a record of column to text. */
  async rows() {
    const rows = await rowsInSight(this.runs);
    const plain = ([column, text]) => [column, text.replaceAll('\u00a0', ' ')];
    return rows.map(({ cells }) => Object.fromEntries(Object.entries(cells).map(plain)));
  }

  row(text) {
    return this.runs.getByRole('row').filter({ hasText: text });
  }

  /** Rows in sight, once they are as wanted. */
  rowsWhen(what, is, milliseconds) {
    return eventually(
      what,
      async () => {
        const rows = await this.rows();
        return rows.length > 0 && is(rows) && rows;
      },
      milliseconds,
    );
  }

  /** Steps of the only run on show. */
  async step() {
    const [, step] = /^step ([\d,]+)/.exec(await this.status.textContent()) ?? [];
    return step === undefined ? 0 : Number(step.replaceAll(',', ''));
  }
}
