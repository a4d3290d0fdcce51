/** What both plots share: title, controls, the canvas with its keys and pointer, and the table behind it. */
import { element, setAttribute } from './element';
import { icon } from './icons';

export interface PlotEvents {
  /** A pointer is at a place of the canvas (CSS pixels from its left), and in the window. */
  readonly onPoint: (x: number, clientX: number, clientY: number) => void;
  readonly onLeave: () => void;
  readonly onClick: (x: number, event: MouseEvent) => void;
  /** A step along the x axis: ±1, ±10, or to an end. */
  readonly onMove: (move: PlotMove) => void;
  /** Enter or space at the place that keys have reached. */
  readonly onChoose: (event: KeyboardEvent) => void;
  readonly onToggleTable: () => void;
}

export type PlotMove = { readonly by: number } | { readonly to: 'start' | 'end' };

const MOVES: Readonly<Record<string, PlotMove>> = {
  ArrowRight: { by: 1 },
  ArrowLeft: { by: -1 },
  ArrowUp: { by: 1 },
  ArrowDown: { by: -1 },
  PageUp: { by: 10 },
  PageDown: { by: -10 },
  Home: { to: 'start' },
  End: { to: 'end' },
};

export class PlotFrame {
  readonly element: HTMLElement;
  readonly canvas = element('canvas', { attributes: { 'aria-hidden': 'true' } });
  /** The canvas's place; a slider to assistive technology: keys move along the x axis and its value is read out. */
  readonly stage: HTMLElement;
  readonly tablePlace = element('div', { class: 'plot-table' });
  readonly legend = element('div', { class: 'legend' });
  private readonly tableButton: HTMLButtonElement;

  constructor(title: string, keysLabel: string, controls: readonly HTMLElement[], events: PlotEvents) {
    this.stage = element(
      'div',
      {
        class: 'plot-stage',
        attributes: { role: 'slider', tabindex: '0', 'aria-label': keysLabel, 'aria-valuemin': '1' },
      },
      this.canvas,
    );
    this.tableButton = element('button', { class: 'icon-button', attributes: { type: 'button' } });
    this.tableButton.addEventListener('click', events.onToggleTable);
    const heading = element('h2', { text: title });
    const tools = element('div', { class: 'plot-tools' }, ...controls, this.tableButton);
    this.element = element(
      'section',
      { class: 'plot', attributes: { 'aria-label': title } },
      element('div', { class: 'plot-head' }, heading, tools),
      element('div', { class: 'plot-body' }, this.stage, this.tablePlace),
      this.legend,
    );
    this.listen(events);
  }

  showAs(mode: 'chart' | 'table'): void {
    this.stage.hidden = mode === 'table';
    this.tablePlace.hidden = mode === 'chart';
    const says = mode === 'chart' ? 'Show as table' : 'Show as chart';
    if (this.tableButton.title === says) return;
    this.tableButton.title = says;
    this.tableButton.setAttribute('aria-label', says);
    this.tableButton.replaceChildren(icon(mode === 'chart' ? 'table' : 'chart'));
  }

  /** What keys have reached: position from 1, how many there are, and the words for it. */
  setPosition(position: number, count: number, text: string): void {
    setAttribute(this.stage, 'aria-valuemax', String(Math.max(1, count)));
    setAttribute(this.stage, 'aria-valuenow', String(Math.max(1, position)));
    setAttribute(this.stage, 'aria-valuetext', text);
  }

  /** Where a data point is in the window: for a box beside it when keys moved there. */
  toWindow(x: number): readonly [x: number, y: number] {
    const box = this.canvas.getBoundingClientRect();
    return [box.left + x, box.top + box.height * 0.3];
  }

  private listen(events: PlotEvents): void {
    this.canvas.addEventListener('pointermove', (event) => {
      events.onPoint(event.offsetX, event.clientX, event.clientY);
    });
    this.canvas.addEventListener('pointerleave', events.onLeave);
    this.canvas.addEventListener('click', (event) => {
      events.onClick(event.offsetX, event);
    });
    this.stage.addEventListener('blur', events.onLeave);
    this.stage.addEventListener('keydown', (event) => {
      const move = MOVES[event.key];
      if (move !== undefined) events.onMove(move);
      else if (event.key === 'Enter' || event.key === ' ') events.onChoose(event);
      else if (event.key === 'Escape') events.onLeave();
      else return;
      event.preventDefault();
    });
  }
}

/** A position moved, kept between 0 and count − 1. */
export function moved(position: number, move: PlotMove, count: number): number {
  const target = 'by' in move ? position + move.by : move.to === 'start' ? 0 : count - 1;
  return Math.max(0, Math.min(count - 1, target));
}
