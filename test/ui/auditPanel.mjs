import { eventually } from './harness.mjs';
import { rowsInSight } from './layerGrid.mjs';

/** The audit panel on show, by the roles and labels that people and screen readers have. */
export class AuditPanel {
  /** @param frame the panel's document, see Workbench.panel */
  constructor(frame) {
    this.frame = frame;
    this.title = frame.getByRole('heading', { level: 1 });
    this.failure = frame.getByRole('alert');
    this.cancel = frame.getByRole('button', { name: 'Cancel', exact: true });
    this.auditAgain = frame.getByRole('button', { name: 'Audit Again' });
    this.status = frame.locator('.progress-text');
    this.layers = frame.getByRole('treegrid', { name: 'Layers' });
    this.filter = frame.locator('vscode-text-field input');
    this.toast = frame.locator('.toast');
  }

  /** The panel of a file, once its page has come up; other panels may be open. */
  static async of(workbench, file, timeout = undefined) {
    const frame = workbench.panel();
    const name = encodeURIComponent(file).replaceAll('%2F', '/');
    await frame.locator(`body[data-resource$="/${name}"]`).waitFor({ timeout });
    return new AuditPanel(frame);
  }

  /** 'done', 'failed' or 'cancelled', when it is so. */
  async outcome(milliseconds) {
    return eventually('the end of the audit', () => this.#phase(), milliseconds);
  }

  #phase() {
    // In one look: the page may go from one phase to the next between two.
    return this.frame.locator('body').evaluate((body) => {
      const text = (selector) => body.querySelector(selector)?.textContent ?? '';
      if (body.querySelector('[role=alert]') !== null) return 'failed';
      if (text('.progress-text').startsWith('Cancelled')) return 'cancelled';
      // How many tensors were skipped is known when all is done.
      return /\(\d/.test(text('#tab-skipped')) && 'done';
    });
  }

  /** Rows in sight, from the top, each a record of column to text. */
  async rows() {
    const rows = await rowsInSight(this.layers);
    return rows.map(({ cells, selected }) => ({ ...cells, selected }));
  }

  row(name) {
    return this.layers.getByRole('row').filter({ has: this.frame.getByTitle(name, { exact: true }) });
  }

  /** A click on a column's head; the direction the table is sorted in then. */
  async sortBy(column) {
    const head = this.layers.locator(`[role=columnheader][data-column="${column}"]`);
    await head.getByRole('button').click();
    return eventually(`sorted by ${column}`, async () => {
      const direction = await head.getAttribute('aria-sort');
      return direction !== 'none' && direction;
    });
  }

  async chooseExport(item) {
    await this.frame.getByRole('button', { name: 'Export' }).click();
    await this.frame.getByRole('menuitem', { name: item }).click();
  }
}
