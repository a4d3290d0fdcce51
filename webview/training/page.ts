/** The page of a recipe's runs: what the host told and what a person chose, in; views, out, a frame at a time. */
import type { Connection } from '../connection';
import { Frames, Throttle } from '../frames';
import { sharedPrefix } from '../model/names';
import { onThemeChange, readTheme } from '../theme';
import { element } from '../view/element';
import { HoverCard } from '../view/hoverCard';
import { Announcer, Messages } from '../view/messages';
import { setSharedPrefix } from '../view/nameText';
import { sortAfter } from './model/columns';
import { comparisonOf } from './model/comparison';
import { quantitiesOf, shownQuantity } from './model/plot';
import { layersRun, selectedAfter, shownOf, type ShownRuns } from './model/shown';
import { NOTHING_YET, receive, withoutFailure, withoutNotice, type TrainingState } from './model/state';
import { restoredView, storedView, type ViewState } from './model/viewState';
import { noteTexts } from './model/words';
import type { FromTraining, RunSummary, ToTraining } from './protocol';
import { Requests } from './requests';
import { SweepPanel } from './sweepPanel';
import { ComparisonView } from './view/comparisonView';
import { EmptyView } from './view/emptyView';
import { LayersPlot } from './view/layersPlot';
import { RunActions } from './view/runActions';
import { RunsPlot } from './view/runsPlot';
import { RunTable } from './view/runTable';
import { TrainingHeader } from './view/trainingHeader';

/** How long after the last change the view is stored, in milliseconds. */
const STORE_DELAY = 250;

type Told = Exclude<ToTraining, { type: 'reply' }>;

/** Messages that stream while runs go on: worth a frame only when there is time for it. */
const STREAMS: readonly Told['type'][] = ['runs', 'curves', 'layers', 'notes'];

export class TrainingPage {
  private state: TrainingState = NOTHING_YET;
  private view: ViewState;
  private theme = readTheme();
  private urgent = true;
  private storing: number | undefined;
  /** Made of the runs, and made again only when they are others. */
  private made: ShownRuns | undefined;
  private wanted: string | undefined;
  private readonly frames = new Frames(() => {
    this.paint();
  });
  private readonly throttle = new Throttle(() => {
    this.frames.request();
  });
  private readonly page = element('main', { class: 'page training' });
  private readonly announcer = new Announcer();
  private readonly hover = new HoverCard();
  private readonly requests: Requests;
  private readonly header: TrainingHeader;
  private readonly messages: Messages;
  private readonly sweep: SweepPanel;
  private readonly empty: EmptyView;
  private readonly plot: RunsPlot;
  private readonly layers: LayersPlot;
  private readonly comparison: ComparisonView;
  private readonly actions: RunActions;
  private readonly table: RunTable;
  private readonly content: HTMLElement;

  constructor(private readonly connection: Connection<FromTraining, ToTraining>) {
    this.view = restoredView(connection.storedState);
    const change = (changed: Partial<ViewState>): void => {
      this.change(changed);
    };
    const requests = new Requests(connection, this.announcer, () => {
      this.change({ selected: [], scope: 'last', comparing: false });
    });
    this.requests = requests;
    this.header = this.makeHeader();
    this.messages = this.makeMessages();
    this.sweep = this.makeSweep();
    this.empty = new EmptyView(this.startActions());
    this.plot = new RunsPlot(change, this.hover);
    this.layers = new LayersPlot(change, this.hover);
    this.comparison = new ComparisonView((statistic) => {
      change({ statistic });
    });
    this.actions = new RunActions((action, folders) => {
      requests.act(action, folders);
    });
    this.table = this.makeTable();
    const plots = element(
      'div',
      { class: 'plots' },
      this.plot.element,
      this.comparison.element,
      this.layers.element,
    );
    this.content = element('div', { class: 'results' }, plots, this.table.element);
    const parts = [this.messages.element, this.sweep.element, this.empty.element, this.content];
    this.page.append(this.header.element, ...parts);
  }

  mount(body: HTMLElement): void {
    body.append(this.page, this.hover.element, this.announcer.element);
    onThemeChange(() => {
      this.theme = readTheme();
      this.paintSoon();
    });
    this.page.addEventListener(
      'scroll',
      () => {
        this.hover.hide();
        this.view = { ...this.view, pageScroll: this.page.scrollTop };
        this.storeSoon();
      },
      { passive: true },
    );
    window.addEventListener('pagehide', () => {
      this.store();
    });
    this.connection.listen((message) => {
      this.receive(message);
    });
    this.paintSoon();
  }

  private receive(message: Told): void {
    if (message.type === 'runs') this.requests.announceEnds(message.runs, this.state.runs);
    if (message.type === 'layers') setSharedPrefix(sharedPrefix(message.layers.names));
    const isNews = !STREAMS.includes(message.type) || this.isTurn(message);
    this.state = receive(this.state, message);
    if (isNews) this.urgent = true;
    this.frames.request();
  }

  /** A run came, or is in another state than before: what can be done with it is other. */
  private isTurn(message: Told): boolean {
    if (message.type !== 'runs') return false;
    const { runs } = this.state;
    return message.runs.some(({ folder, status }) => runs.get(folder)?.status.state !== status.state);
  }

  private change(changed: Partial<ViewState>): void {
    this.view = { ...this.view, ...changed };
    this.storeSoon();
    this.paintSoon();
  }

  private paintSoon(): void {
    this.urgent = true;
    this.frames.request();
  }

  private paint(): void {
    const { state, view } = this;
    const { all, shown } = this.runs();
    this.header.render(state, shown, all);
    this.messages.render({
      ...(state.failure !== undefined && { failure: state.failure }),
      notices: state.notices,
      notes: notesOf(state, shown),
    });
    this.sweep.element.hidden = !view.comparing;
    if (view.comparing) this.sweep.render(view.form, state.look);
    this.empty.element.hidden = all.length > 0 || !state.complete;
    this.empty.render(state);
    this.content.hidden = all.length === 0;
    if (this.content.hidden) return;
    const { urgent } = this;
    this.urgent = false;
    this.throttle.run(urgent, () => {
      this.paintResults();
    });
  }

  private paintResults(): void {
    const { state, view, theme } = this;
    const { all, shown, variants } = this.runs();
    const quantities = quantitiesOf(state, shown);
    const quantity = shownQuantity(view.quantity, quantities);
    this.plot.render({ state, variants, quantities, quantity }, view, theme);
    this.comparison.render(comparisonOf(variants, view.statistic), view.statistic, theme);
    const run = layersRun(state, shown, view.layersOf);
    this.want(run?.folder);
    const told = state.layers?.folder === run?.folder ? state.layers : undefined;
    const telling = shown.filter(({ folder }) => state.curves.get(folder)?.has('utilized') === true);
    this.layers.element.hidden = run === undefined;
    this.layers.render({ run, told, runs: telling }, view, theme);
    const selected = all.filter(({ folder }) => view.selected.includes(folder));
    this.actions.render(selected.length === 0 && all.length === 1 ? all : selected, all.length);
    this.table.render(all, view.sort, view.selected, view.scope);
    this.restoreScroll();
  }

  private runs(): ShownRuns {
    const { state, view } = this;
    this.made = shownOf(state, view.scope, view.selected, this.made);
    return this.made;
  }

  /** Layers are many numbers: only those on show are told. */
  private want(folder: string | undefined): void {
    if (folder === this.wanted) return;
    this.wanted = folder;
    this.connection.send({ type: 'wantLayers', folder });
  }

  /** Once the page is long enough to be scrolled to where it was. */
  private restoreScroll = (): void => {
    if (this.view.pageScroll > 0) this.page.scrollTop = this.view.pageScroll;
    this.restoreScroll = () => undefined;
  };

  private makeHeader(): TrainingHeader {
    const { requests } = this;
    return new TrainingHeader(document.body.dataset.resource ?? '', {
      ...this.startActions(),
      openForm: () => {
        this.change({ comparing: !this.view.comparing });
        if (!this.view.comparing) return;
        requestAnimationFrame(() => {
          this.sweep.focus();
        });
      },
      stop: (folders) => {
        requests.act('stop', folders);
      },
      copyCommand: (text) => {
        requests.copy(text);
      },
    });
  }

  /** What the head of the page and the page without runs both offer. */
  private startActions() {
    const { requests } = this;
    return {
      train: () => {
        requests.train();
      },
      compare: () => {
        requests.compare();
      },
      openRecipe: () => {
        requests.send('openRecipe');
      },
      manageTrust: () => {
        requests.send('manageTrust');
      },
    };
  }

  private makeMessages(): Messages {
    return new Messages('The runs cannot be followed.', {
      retry: () => {
        this.state = withoutFailure(this.state);
        this.requests.send('retry');
        this.paintSoon();
      },
      openLog: () => {
        this.requests.send('openLog');
      },
      dismiss: (notice) => {
        this.state = withoutNotice(this.state, notice);
        this.paintSoon();
      },
    });
  }

  private makeSweep(): SweepPanel {
    return new SweepPanel(this.connection, {
      keep: (form) => {
        this.change({ form });
      },
      start: (sweep) => {
        this.requests.train(sweep);
      },
      close: () => {
        this.change({ comparing: false });
      },
      repaint: () => {
        this.paintSoon();
      },
    });
  }

  private makeTable(): RunTable {
    return new RunTable(
      {
        select: (folder, mode, visible) => {
          const selected = this.view.selected.filter((known) => this.state.runs.has(known));
          this.change({ selected: selectedAfter(selected, folder, mode, visible) });
        },
        selectAll: (visible) => {
          this.change({ selected: visible });
        },
        clear: () => {
          this.change({ selected: [] });
        },
        sort: (column) => {
          this.change({ sort: sortAfter(this.view.sort, column) });
        },
        scope: (scope) => {
          this.change({ scope, selected: [] });
        },
      },
      this.actions.element,
    );
  }

  private storeSoon(): void {
    this.storing ??= window.setTimeout(() => {
      this.store();
    }, STORE_DELAY);
  }

  private store(): void {
    window.clearTimeout(this.storing);
    this.storing = undefined;
    this.connection.store(storedView(this.view));
  }
}

/** What the run on show had to say; of several, each has its own, and the table its reasons. */
function notesOf(state: TrainingState, shown: readonly RunSummary[]): readonly string[] {
  const [only] = shown;
  if (only === undefined || shown.length > 1) return NO_NOTES;
  return noteTexts(state.notes.get(only.folder) ?? []);
}

const NO_NOTES: readonly string[] = [];
