/** The page: what the host told and what a person chose, in; views, out, a frame at a time. */
import type { Connection } from './connection';
import { Exporter } from './exporter';
import { Frames, Throttle } from './frames';
import {
  NOTHING_YET,
  receive,
  restarting,
  withoutNotice,
  type AuditState,
  type PanelLayer,
} from './model/audit';
import { sharedPrefix } from './model/names';
import { counted } from './model/numbers';
import { select, type SelectMode } from './model/selection';
import { MAX_CURVES } from './model/spectrum';
import { cards, defaultLayer, type CardAction } from './model/summary';
import { restoredView, storedView, type ViewState } from './model/viewState';
import type { FromPanel, ToPanel } from './protocol';
import { onThemeChange, readTheme } from './theme';
import { Cards } from './view/cards';
import { element } from './view/element';
import { ExportMenu } from './view/exportMenu';
import { Header } from './view/header';
import { HoverCard } from './view/hoverCard';
import { Announcer, Messages } from './view/messages';
import { setSharedPrefix } from './view/nameText';
import { SnapshotView } from './view/snapshotView';
import { curveStyle } from './view/spectrumChart';
import { SpectrumView, type Chosen } from './view/spectrumView';
import { TableSection } from './view/tableSection';
import { VerdictView } from './view/verdictView';

/** How long after the last change the view is stored, in milliseconds: scrolling changes it sixty times a second. */
const STORE_DELAY = 250;

export class Panel {
  private state: AuditState = NOTHING_YET;
  private view: ViewState;
  private theme = readTheme();
  private urgent = true;
  /** Summary and table have been painted once. */
  private isReadable = false;
  private storing: number | undefined;
  private styledNames: readonly string[] = [];
  private readonly frames = new Frames(() => {
    this.paint();
  });
  private readonly throttle = new Throttle(() => {
    this.frames.request();
  });
  private readonly page = element('main', { class: 'page' });
  private readonly announcer = new Announcer();
  private readonly hover = new HoverCard();
  private readonly exportMenu: ExportMenu;
  private readonly header: Header;
  private readonly messages: Messages;
  private readonly verdict = new VerdictView();
  private readonly cards: Cards;
  private readonly snapshot: SnapshotView;
  private readonly spectrum: SpectrumView;
  private readonly tables: TableSection;
  private readonly content: HTMLElement;

  constructor(private readonly connection: Connection<FromPanel, ToPanel>) {
    this.view = restoredView(connection.storedState);
    const exporter = new Exporter(connection, this.announcer);
    this.exportMenu = new ExportMenu((choice) => {
      void exporter.run(choice, this.exportSource());
    });
    const change = (changed: Partial<ViewState>) => {
      this.change(changed);
    };
    const retry = () => {
      this.retry();
    };
    const copySnippet = (name: string) => {
      void exporter.copySnippet(name);
    };
    const choose = (name: string, mode: SelectMode) => {
      this.select(name, mode);
    };
    this.header = new Header(
      { ...this.headerActions(), retry },
      this.exportMenu.element,
      document.body.dataset.resource ?? '',
    );
    this.messages = new Messages('The audit failed.', { ...this.messageActions(), retry });
    this.cards = new Cards((action) => {
      this.act(action);
    });
    this.snapshot = new SnapshotView({ select: this.selectAndReveal, change }, this.hover);
    this.spectrum = new SpectrumView(
      {
        change,
        copySnippet,
        exploreOmega: (layer) => {
          connection.send({ type: 'convert', layer });
        },
        deselect: (name) => {
          this.select(name, 'toggle');
        },
      },
      this.hover,
    );
    this.tables = new TableSection(this.view, { change, copySnippet }, choose);
    const plots = element('div', { class: 'plots' }, this.snapshot.element, this.spectrum.element);
    this.content = element('div', { class: 'results' }, this.cards.element, plots, this.tables.element);
    this.page.append(this.header.element, this.verdict.element, this.messages.element, this.content);
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
    document.addEventListener('visibilitychange', () => {
      if (document.visibilityState === 'hidden') this.store();
    });
    this.connection.listen((message) => {
      this.receive(message);
    });
    this.paintSoon();
  }

  private receive(message: ToPanel): void {
    const before = this.state.phase.kind;
    this.state = receive(this.state, message);
    const { phase } = this.state;
    if (phase.kind === 'done' && before !== 'done') {
      this.announcer.tell(`Audit finished: ${counted(this.state.finished, 'layer')}.`);
    }
    // Results stream; everything else is worth a frame of its own.
    if (message.type !== 'layers' && message.type !== 'progress') this.urgent = true;
    this.frames.request();
  }

  private change(changed: Partial<ViewState>): void {
    this.view = { ...this.view, ...changed };
    this.storeSoon();
    // The tables draw their own scrolling.
    if ('tableScroll' in changed) return;
    this.paintSoon();
  }

  private paintSoon(): void {
    this.urgent = true;
    this.frames.request();
  }

  private paint(): void {
    this.header.render(this.state);
    this.verdict.render(this.state.verdict);
    this.messages.render(said(this.state));
    this.content.hidden = this.state.checkpoint === undefined;
    if (this.content.hidden) return;
    const { urgent } = this;
    this.urgent = false;
    this.throttle.run(urgent, () => {
      this.paintResults();
    });
  }

  private paintResults(): void {
    const { state, view, theme } = this;
    this.styleNames(state.names);
    const chosen = this.chosen();
    const drawn = chosen.layers.slice(0, MAX_CURVES);
    const colours = new Map(drawn.map(({ facts }, i) => [facts.name, curveStyle(theme, i).colour]));
    this.exportMenu.enable(state.phase.kind === 'done', state.finished > 0);
    this.cards.render(cards(state));
    this.tables.render(state, view, colours);
    // Charts take longer to make than all the rest: on a fresh page, what can be read comes a frame before them.
    if (!this.isReadable) {
      this.isReadable = true;
      this.paintSoon();
      return;
    }
    this.snapshot.render(state, view, theme, colours);
    this.spectrum.render(chosen, view, theme);
    this.restoreScroll();
  }

  /** Once the page is long enough to be scrolled to where it was. */
  private restoreScroll = (): void => {
    if (this.view.pageScroll > 0) this.page.scrollTop = this.view.pageScroll;
    this.restoreScroll = () => undefined;
  };

  private styleNames(names: readonly string[]): void {
    if (names === this.styledNames) return;
    this.styledNames = names;
    setSharedPrefix(sharedPrefix(names));
  }

  private chosen(): Chosen {
    const layers = new Map<string, PanelLayer>();
    for (const { name, layer } of this.state.slots) if (layer !== undefined) layers.set(name, layer);
    const byHand = this.view.selection.names.flatMap((name) => layers.get(name) ?? []);
    if (byHand.length > 0) return { layers: byHand, byHand: true };
    const example = layers.get(defaultLayer(this.state) ?? '');
    return { layers: example === undefined ? [] : [example], byHand: false };
  }

  private select(name: string, mode: SelectMode): void {
    this.change({ selection: select(this.view.selection, name, mode, this.tables.visibleNames) });
  }

  private readonly selectAndReveal = (name: string, mode: SelectMode): void => {
    this.select(name, mode);
    this.change({ tab: 'layers' });
    this.tables.reveal(name);
  };

  private act(action: CardAction): void {
    if (action.kind === 'select') this.selectAndReveal(action.name, 'only');
    else this.change({ sort: action.sort, tab: 'layers' });
  }

  private retry(): void {
    this.state = restarting(this.state);
    this.connection.send({ type: 'retry' });
    this.paintSoon();
  }

  private headerActions() {
    return {
      cancel: () => {
        this.connection.send({ type: 'cancel' });
      },
      convert: () => {
        this.connection.send({ type: 'convert' });
      },
      measure: () => {
        this.connection.send({ type: 'measure' });
      },
      showSkipped: () => {
        this.change({ tab: 'skipped' });
        this.tables.element.scrollIntoView({ block: 'nearest' });
      },
    };
  }

  private messageActions() {
    return {
      openLog: () => {
        this.connection.send({ type: 'openLog' });
      },
      dismiss: (notice: string) => {
        this.state = withoutNotice(this.state, notice);
        this.paintSoon();
      },
    };
  }

  private exportSource() {
    const { state, view, theme } = this;
    const chosen = this.chosen();
    return {
      ...{
        path: state.checkpoint?.path ?? 'checkpoint',
        theme,
        chosen,
        energy: view.spectrumView === 'energy',
      },
      snapshot: () => this.snapshot.configuration(state, view, theme),
      spectrum: () => this.spectrum.configuration(chosen, view, theme),
    };
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

function said({ phase, notices, checkpoint }: AuditState) {
  return {
    ...{ notices, notes: checkpoint?.notes ?? [] },
    ...(phase.kind === 'failed' && { failure: phase.message }),
  };
}
