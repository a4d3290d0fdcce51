import { eventually } from './harness.mjs';
import { rowsInSight } from './layerGrid.mjs';

/** The measurement panel on show, by the roles and labels that people and screen readers have. */
export class MeasurementPanel {
  /** @param frame the panel's document, see Workbench.panel */
  constructor(frame) {
    this.frame = frame;
    this.cards = frame.getByRole('region', { name: 'Summary' });
    this.stage = frame.locator('.stage');
    this.status = frame.locator('.progress-text');
    this.layers = frame.getByRole('grid', { name: 'Layers', exact: true });
    this.ranks = frame.getByRole('region', { name: 'Utilization snapshot', exact: true });
    this.layer = frame.getByRole('region', { name: 'Layer', exact: true });
    this.toast = frame.locator('.toast');
  }

  /** The panel of a recipe, once its page has come up. */
  static async of(workbench, file) {
    const resource = `[data-resource$="/${encodeURIComponent(file)}"]`;
    return new MeasurementPanel(await workbench.panelWith(`body[data-page="utilization"]${resource}`));
  }

  button(name) {
    return this.frame.getByRole('button', { name, exact: true });
  }

  /** 'done', 'failed' or 'cancelled', when it is so. */
  async outcome(milliseconds) {
    return eventually(
      'the end of the measurement',
      () =>
        this.frame.locator('body').evaluate((body) => {
          const text = (selector) => body.querySelector(selector)?.textContent ?? '';
          if (body.querySelector('.message.failure') !== null) return 'failed';
          if (text('.progress-text').startsWith('Stopped')) return 'cancelled';
          return body.querySelector('.progress').hidden && !body.querySelector('.results').hidden && 'done';
        }),
      milliseconds,
    );
  }

  /** Rows in sight, from the top, each a record of column to text. */
  async rows() {
    const rows = await rowsInSight(this.layers);
    const plain = ([column, text]) => [column, text.replaceAll('\u00a0', ' ')];
    return rows.map(({ cells }) => Object.fromEntries(Object.entries(cells).map(plain)));
  }

  row(name) {
    return this.layers.getByRole('row').filter({ has: this.frame.getByTitle(name, { exact: true }) });
  }
}
