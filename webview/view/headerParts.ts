/** What the heads of all pages are made of: title, facts, progress. */
import type { CheckpointFacts } from '../../src/engine/document';
import type { Progress } from '../../src/engine/progress';
import { bytes, count, counted, percent, remaining } from '../model/numbers';
import { element, setAttribute } from './element';
import { nameTitle } from './nameText';

/** The bar at the page's upper edge. */
export class ProgressBar {
  readonly element: HTMLElement;
  private readonly bar = element('div', { class: 'progress-bar' });

  /** @param label what makes progress. */
  constructor(label: string) {
    this.element = element(
      'div',
      {
        class: 'progress',
        attributes: {
          ...{ role: 'progressbar', 'aria-label': label },
          ...{ 'aria-valuemin': '0', 'aria-valuemax': '100' },
        },
      },
      this.bar,
    );
  }

  /** @param fraction 0 … 1; undefined while it is not known. */
  render(busy: boolean, fraction: number | undefined): void {
    this.element.hidden = !busy;
    this.element.classList.toggle('indeterminate', fraction === undefined);
    const share = fraction === undefined ? undefined : String(Math.floor(fraction * 100));
    setAttribute(this.element, 'aria-valuenow', share);
    this.bar.style.transform = fraction === undefined ? '' : `scaleX(${fraction})`;
  }
}

interface BackendWords {
  readonly name: string;
  readonly build: string;
  readonly threads?: number;
  /** Why this one computed. */
  readonly why?: string;
}

/** A URI's path, readable; '' for none. */
export function pathOf(resource: string): string {
  try {
    return decodeURIComponent(new URL(resource).pathname);
  } catch {
    return '';
  }
}

/** ` · 8 s left`, or how much is done while that cannot be told. */
export function timeLeft(progress: Progress | undefined): string {
  if (progress?.secondsLeft !== undefined) return ` · ${remaining(progress.secondsLeft)} left`;
  return progress === undefined ? '' : ` · ${percent(progress.fraction)}`;
}

export function checkpointFacts(
  { format, bytes: size, parameters }: CheckpointFacts,
  matrices: number,
): (string | Node)[] {
  return [
    element('bdi', { text: nameTitle(format) }),
    bytes(size),
    counted(parameters, 'parameter'),
    matrices === 1 ? '1\u00a0matrix' : `${count(matrices)}\u00a0matrices`,
  ];
}

/** What computes; why, when the pointer rests on it. */
export function backendFacts(backend: BackendWords | undefined): Node[] {
  if (backend === undefined) return [];
  const name = nameTitle(backend.name);
  // A build's name may begin with the backend's.
  const build = nameTitle(backend.build).replace(name, '').trim();
  const threads = backend.threads === undefined ? '' : `, ${counted(backend.threads, 'thread')}`;
  const text = `${name}${build === '' ? '' : ` (${build})`}${threads}`;
  return [element('span', { text, ...(backend.why !== undefined && { title: backend.why }) })];
}
