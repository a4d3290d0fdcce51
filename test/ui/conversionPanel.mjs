import { eventually } from './harness.mjs';
import { rowsInSight } from './layerGrid.mjs';

/** The conversion panel on show, by the roles and labels that people and screen readers have. */
export class ConversionPanel {
  /** @param frame the panel's document, see Workbench.panel */
  constructor(frame) {
    this.frame = frame;
    this.form = frame.getByRole('region', { name: 'What to convert' });
    this.amount = this.form.getByRole('textbox', { name: 'How much is kept, as a number' });
    this.preview = this.form.getByRole('status');
    this.convert = this.form.getByRole('button', { name: 'Convert' });
    this.cancel = frame.getByRole('button', { name: 'Cancel', exact: true });
    this.status = frame.locator('.progress-text');
    this.result = frame.getByRole('region', { name: 'Result' });
    this.files = frame.getByRole('region', { name: 'Files' });
    this.layers = frame.getByRole('grid', { name: 'Layers', exact: true });
    this.explorer = frame.getByRole('region', { name: 'ω explorer' });
    this.toast = frame.locator('.toast');
  }

  /** The panel of a file, once its form is there; an audit panel may be open beside it. */
  static async of(workbench, file) {
    const resource = `[data-resource$="/${encodeURIComponent(file)}"]`;
    const panel = new ConversionPanel(await workbench.panelWith(`body[data-page="conversion"]${resource}`));
    await panel.form.waitFor();
    return panel;
  }

  /** 'done', 'failed' or 'cancelled', when it is so. */
  async outcome(milliseconds) {
    return eventually(
      'the end of the conversion',
      () =>
        this.frame.locator('body').evaluate((body) => {
          const text = (selector) => body.querySelector(selector)?.textContent ?? '';
          if (body.querySelector('.message.failure') !== null) return 'failed';
          if (text('.progress-text').startsWith('Cancelled')) return 'cancelled';
          return body.querySelector('.progress').hidden && !body.querySelector('.outcome').hidden && 'done';
        }),
      milliseconds,
    );
  }

  /** Rows in sight, from the top, each a record of column to text. */
  async rows() {
    const rows = await rowsInSight(this.layers);
    return rows.map(({ cells }) => cells);
  }

  row(name) {
    return this.layers.getByRole('row').filter({ has: this.frame.getByTitle(name, { exact: true }) });
  }
}
