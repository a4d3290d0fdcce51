/** The measurement page: what the host told and what a person chose, in; views, out, a frame at a time. */
import type { Connection } from '../connection';
import { Frames, Throttle } from '../frames';
import { printable, sharedPrefix } from '../model/names';
import { counted, percent } from '../model/numbers';
import type { CardAction } from '../model/summary';
import { onThemeChange, readTheme } from '../theme';
import { Cards } from '../view/cards';
import { element } from '../view/element';
import { HoverCard } from '../view/hoverCard';
import { Announcer, Messages } from '../view/messages';
import { setSharedPrefix } from '../view/nameText';
import { COLUMN_IDS, firstDirection, type Row } from './model/columns';
import { NOTHING_YET, receive, restarting, withoutNotice, type MeasurementState } from './model/state';
import { cards } from './model/summary';
import { restoredView, storedView, type ViewState } from './model/viewState';
import type { FromUtilization, ToUtilization } from './protocol';
import { LayerPlot } from './view/layerPlot';
import { LayerTable } from './view/layerTable';
import { MeasurementHeader } from './view/measurementHeader';
import { RanksView } from './view/ranksView';

/** How long after the last change the view is stored, in milliseconds. */
const STORE_DELAY = 250;

type Told = Exclude<ToUtilization, { type: 'reply' }>;

export class MeasurementPage {
  private state: MeasurementState = NOTHING_YET;
  private view: ViewState;
  private theme = readTheme();
  private urgent = true;
  private storing: number | undefined;
  private rows: { readonly from: readonly unknown[]; readonly rows: readonly Row[] } = { from: [], rows: [] };
  private readonly frames = new Frames(() => {
    this.paint();
  });
  private readonly throttle = new Throttle(() => {
    this.frames.request();
  });
  private readonly page = element('main', { class: 'page measurement' });
  private readonly announcer = new Announcer();
  private readonly hover = new HoverCard();
  private readonly header: MeasurementHeader;
  private readonly messages: Messages;
  private readonly cards: Cards;
  private readonly ranks: RanksView;
  private readonly layer: LayerPlot;
  private readonly table: LayerTable;
  private readonly content: HTMLElement;

  constructor(private readonly connection: Connection<FromUtilization, ToUtilization>) {
    this.view = restoredView(connection.storedState);
    const change = (changed: Partial<ViewState>): void => {
      this.change(changed);
    };
    const select = (name: string): void => {
      this.select(name);
    };
    this.header = this.makeHeader();
    this.messages = this.makeMessages();
    this.cards = new Cards((action) => {
      this.act(action);
    });
    this.ranks = new RanksView({ select, change }, this.hover);
    this.layer = new LayerPlot(change, this.hover);
    this.table = new LayerTable({
      select,
      sort: (column) => {
        this.sortBy(column);
      },
    });
    const plots = element('div', { class: 'plots' }, this.ranks.element, this.layer.element);
    this.content = element('div', { class: 'results' }, this.cards.element, plots, this.table.element);
    this.page.append(this.header.element, this.messages.element, this.content);
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
    const { phase } = this.state;
    this.state = receive(this.state, message);
    if (message.type === 'opened') setSharedPrefix(sharedPrefix(message.layers.map(({ name }) => name)));
    // A checkpoint that was written from a result tells the result once more.
    if (message.type === 'done' && phase.kind !== 'done') {
      const { layers, mlu } = message.document.summary;
      const mean = mlu === null ? '' : `, mean utilization ${percent(mlu)}`;
      this.announcer.tell(`Measurement finished: ${counted(layers, 'layer')}${mean}.`);
    }
    // Results stream; everything else is worth a frame of its own.
    const streams: readonly Told['type'][] = ['layers', 'probes', 'stage', 'progress'];
    if (!streams.includes(message.type)) this.urgent = true;
    this.frames.request();
  }

  private change(changed: Partial<ViewState>): void {
    this.view = { ...this.view, ...changed };
    this.storeSoon();
    this.paintSoon();
  }

  private select(name: string): void {
    this.change({ layer: name });
    this.table.reveal(name);
  }

  private sortBy(column: string): void {
    const id = COLUMN_IDS.find((known) => known === column);
    if (id === undefined) return;
    const { sort } = this.view;
    const flipped = sort.direction === 'ascending' ? 'descending' : 'ascending';
    this.change({ sort: { column: id, direction: sort.column === id ? flipped : firstDirection(id) } });
  }

  private act(action: CardAction): void {
    if (action.kind === 'select') this.select(action.name);
    else {
      const column = COLUMN_IDS.find((id) => id === action.sort.column);
      if (column !== undefined) this.change({ sort: { column, direction: action.sort.direction } });
    }
  }

  private paintSoon(): void {
    this.urgent = true;
    this.frames.request();
  }

  private paint(): void {
    const { state } = this;
    const { phase } = state;
    this.header.render(state);
    this.messages.render({
      ...(phase.kind === 'failed' && { failure: phase.message }),
      notices: state.notices,
      notes: notesOf(state),
    });
    this.content.hidden = state.opened === undefined;
    if (this.content.hidden) return;
    const { urgent } = this;
    this.urgent = false;
    this.throttle.run(urgent, () => {
      this.paintResults();
    });
  }

  private paintResults(): void {
    const { state, view, theme } = this;
    const shown = this.shownLayer();
    const layer = state.layers.find(({ name }) => name === shown);
    this.cards.render(cards(state));
    this.table.render(this.rowsOf(state), view.sort, view.layer);
    this.ranks.render(state.layers, shown, view, theme);
    const probes = state.probes.get(shown ?? '') ?? NO_PROBES;
    this.layer.render(layer, probes, this.viewOf(shown), state.opened?.network.metric, theme);
    this.restoreScroll();
  }

  /** What a person chose, otherwise what is being searched, otherwise the least used. */
  private shownLayer(): string | undefined {
    const { layers, phase, stage } = this.state;
    const { layer } = this.view;
    if (layer !== undefined && layers.some(({ name }) => name === layer)) return layer;
    if (phase.kind === 'running' && stage?.kind === 'search') return stage.layer;
    let least = layers[0];
    for (const candidate of layers)
      if ((candidate.result?.utilization ?? 2) < (least?.result?.utilization ?? 2)) least = candidate;
    return least?.name;
  }

  /** While the plot follows the search it shows the side that is searched; without a search there is only the spectrum. */
  private viewOf(shown: string | undefined): ViewState {
    const { view, state } = this;
    const { stage } = state;
    const document = state.phase.kind === 'done' ? state.phase.document : undefined;
    const follows =
      document === undefined && view.layer === undefined && stage?.kind === 'search' && stage.layer === shown;
    return {
      ...view,
      ...(follows && { side: stage.side }),
      ...(document?.mode === 'label-free' && { layerView: 'spectrum' as const }),
    };
  }

  private rowsOf({ layers, phase, stage, opened }: MeasurementState): readonly Row[] {
    const active = phase.kind === 'running' && stage?.kind === 'search' ? stage.layer : undefined;
    const from = [layers, active];
    if (from.some((part, i) => part !== this.rows.from[i])) {
      const metric = opened?.network.metric;
      const rows = layers.map((layer, order) => ({ ...layer, order, active: layer.name === active, metric }));
      this.rows = { from, rows };
    }
    return this.rows.rows;
  }

  /** Once the page is long enough to be scrolled to where it was. */
  private restoreScroll = (): void => {
    if (this.view.pageScroll > 0) this.page.scrollTop = this.view.pageScroll;
    this.restoreScroll = () => undefined;
  };

  private resume(): void {
    this.state = restarting(this.state);
    this.connection.send({ type: 'resume' });
    this.paintSoon();
  }

  private makeHeader(): MeasurementHeader {
    const { connection } = this;
    const ask = (type: 'export' | 'decompose'): void => {
      void connection.ask({ type }).then(({ message }) => {
        if (message !== undefined) this.announcer.say(printable(message));
      });
    };
    return new MeasurementHeader(document.body.dataset.resource ?? '', {
      cancel: () => {
        connection.send({ type: 'cancel' });
      },
      resume: () => {
        this.resume();
      },
      openRecipe: () => {
        connection.send({ type: 'openRecipe' });
      },
      openAudit: () => {
        connection.send({ type: 'openAudit' });
      },
      save: () => {
        ask('export');
      },
      decompose: () => {
        ask('decompose');
      },
    });
  }

  private makeMessages(): Messages {
    return new Messages('The measurement failed.', {
      retry: () => {
        this.resume();
      },
      openLog: () => {
        this.connection.send({ type: 'openLog' });
      },
      dismiss: (notice) => {
        this.state = withoutNotice(this.state, notice);
        this.paintSoon();
      },
    });
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

const NO_PROBES: readonly never[] = [];

function notesOf({ phase, opened }: MeasurementState): readonly string[] {
  const ofNetwork = opened?.network.notes ?? [];
  const more = phase.kind === 'done' ? phase.document.notes : [];
  return [...ofNetwork, ...more.filter((note) => !ofNetwork.includes(note))];
}
