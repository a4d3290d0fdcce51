/** What every plot here does with its pointer and its keys: a cursor, a box beside it, words for those without one. */
import type { ChartType, DefaultDataPoint } from 'chart.js';
import type { Chart } from './charts';
import type { HoverCard, HoverContent } from './hoverCard';
import { moved, PlotFrame, type PlotMove } from './plotFrame';

export interface PlotWords {
  readonly title: string;
  /** What the keys move along, for assistive technology. */
  readonly keys: string;
}

/** How far beside the plot a pointer still counts as being at its edge, in CSS pixels. */
const EDGE = 4;

export abstract class PlotView<Type extends ChartType, Data = DefaultDataPoint<Type>> {
  readonly element: HTMLElement;
  protected readonly frame: PlotFrame;
  protected chart: Chart<Type, Data> | undefined;
  /** What keys have reached, from 0. */
  private position = 0;
  private cursor: number | undefined;

  constructor(
    words: PlotWords,
    controls: readonly HTMLElement[],
    private readonly hover: HoverCard,
  ) {
    this.frame = new PlotFrame(words.title, words.keys, controls, {
      onPoint: (x, clientX, clientY) => {
        const index = this.indexAt(x);
        if (index === undefined) this.leave();
        else this.point(index, clientX, clientY);
      },
      onLeave: () => {
        this.leave();
      },
      onClick: (x, event) => {
        this.chooseAt(this.indexAt(x), event);
      },
      onMove: (move) => {
        this.move(move);
      },
      onChoose: (event) => {
        this.chooseAt(this.position, event);
      },
      onToggleTable: () => {
        this.toggleTable();
      },
    });
    this.element = this.frame.element;
  }

  /** Places along the x axis. */
  protected abstract count(): number;
  /** Where place `index` (from 0) stands on the x axis. */
  protected abstract coordinate(index: number): number;
  /** Draws the cursor at a place, or no more; the chart is drawn again afterwards. */
  protected abstract showCursor(index: number | undefined): void;
  /** What the box beside the pointer says of a place. */
  protected abstract content(index: number): HoverContent | undefined;
  /** The same in words, read out; says so where there is nothing. */
  protected abstract spoken(index: number): string;
  protected abstract toggleTable(): void;
  /** The place nearest to a value of the x axis; as it stands here, of places one apart. */
  protected placeNear(value: number): number {
    return Math.round(value - this.coordinate(0));
  }
  /** A click, Enter or space at a place. */
  protected choose(_index: number, _event: MouseEvent | KeyboardEvent): void {
    // Most plots have nothing to choose.
  }

  /** To be called when the data changed: what is read out belongs to them. */
  protected describe(): void {
    const count = this.count();
    this.position = Math.min(this.position, Math.max(0, count - 1));
    this.frame.setPosition(this.position + 1, count, this.spoken(this.position));
  }

  private indexAt(x: number): number | undefined {
    const area = this.chart?.chartArea;
    const value = this.chart?.scales.x?.getValueForPixel(x);
    if (area === undefined || value === undefined || x < area.left - EDGE || x > area.right + EDGE)
      return undefined;
    const last = this.count() - 1;
    return last < 0 ? undefined : Math.max(0, Math.min(last, this.placeNear(value)));
  }

  private point(index: number, clientX: number, clientY: number): void {
    const content = this.content(index);
    if (content === undefined) return;
    if (this.cursor !== index) {
      this.cursor = index;
      this.showCursor(index);
      this.chart?.draw();
    }
    this.hover.show(content, clientX, clientY);
  }

  private leave(): void {
    this.hover.hide();
    if (this.cursor === undefined) return;
    this.cursor = undefined;
    this.showCursor(undefined);
    this.chart?.draw();
  }

  private move(move: PlotMove): void {
    if (this.count() === 0) return;
    this.position = moved(this.position, move, this.count());
    this.describe();
    const x = this.chart?.scales.x?.getPixelForValue(this.coordinate(this.position)) ?? 0;
    this.point(this.position, ...this.frame.toWindow(x));
  }

  private chooseAt(index: number | undefined, event: MouseEvent | KeyboardEvent): void {
    if (index === undefined || index >= this.count()) return;
    this.position = index;
    this.describe();
    this.choose(index, event);
  }
}
