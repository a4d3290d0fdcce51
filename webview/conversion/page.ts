/** The conversion page: what the host told and what a person chose, in; views, out, a frame at a time. */
import { Frames, Throttle } from '../frames';
import { sharedPrefix } from '../model/names';
import { counted } from '../model/numbers';
import { onThemeChange, readTheme } from '../theme';
import { element } from '../view/element';
import { HoverCard } from '../view/hoverCard';
import { Announcer, Messages } from '../view/messages';
import { setSharedPrefix } from '../view/nameText';
import { call, type ConversionConnection } from './calls';
import { Explorer } from './explorer';
import { COLUMN_IDS, rankOf } from './model/columns';
import { choicesOf, type FormState } from './model/form';
import { firstDirection } from './model/rows';
import { isBusy, NOTHING_YET, receive, withoutNotice, type ConversionState } from './model/state';
import { restoredView, storedView, type ViewState } from './model/viewState';
import { Outlook, shownRow } from './outlook';
import type { ToConversion } from './protocol';
import { Requests } from './requests';
import { ConversionHeader } from './view/conversionHeader';
import { ErrorsView } from './view/errorsView';
import { ExplorerView } from './view/explorerView';
import { FormView } from './view/formView';
import { LayerTable } from './view/layerTable';
import { ResultView } from './view/resultView';
import { LayerSpectra } from './view/layerSpectra';

/** How long after the last change the view is stored, in milliseconds. */
const STORE_DELAY = 250;

type Told = Exclude<ToConversion, { type: 'reply' }>;

export class ConversionPage {
  private state: ConversionState = NOTHING_YET;
  private view: ViewState;
  private theme = readTheme();
  private urgent = true;
  private storing: number | undefined;
  private readonly outlook = new Outlook();
  private readonly frames = new Frames(() => {
    this.paint();
  });
  private readonly throttle = new Throttle(() => {
    this.frames.request();
  });
  private readonly page = element('main', { class: 'page conversion' });
  private readonly announcer = new Announcer();
  private readonly hover = new HoverCard();
  private readonly header: ConversionHeader;
  private readonly messages: Messages;
  private readonly form: FormView;
  private readonly result: ResultView;
  private readonly errors: ErrorsView;
  private readonly spectra: LayerSpectra;
  private readonly explorerView: ExplorerView;
  private readonly table: LayerTable;
  private readonly plots: HTMLElement;
  private readonly content: HTMLElement;
  private readonly explorer: Explorer;
  private readonly requests: Requests;

  constructor(private readonly connection: ConversionConnection) {
    this.view = restoredView(connection.storedState);
    this.requests = new Requests(connection, this.announcer);
    this.explorer = new Explorer(
      ({ layer, rank, omega, gain }) => call(connection, 'sineSpectrum', { layer, rank, omega, gain }),
      () => {
        this.paintSoon();
      },
    );
    this.header = new ConversionHeader(document.body.dataset.resource ?? '', () => {
      connection.send({ type: 'cancel' });
    });
    this.messages = this.makeMessages();
    this.form = this.makeForm();
    const { requests } = this;
    this.result = new ResultView({
      reveal: (file) => {
        requests.reveal(file);
      },
      open: (file) => {
        requests.open(file);
      },
      copyPython: () => {
        requests.copyPython();
      },
    });
    const select = (name: string): void => {
      this.select(name);
    };
    this.errors = new ErrorsView({ select, toggleTable: this.toggler('errorsAs') }, this.hover);
    const setScale = (scale: ViewState['scale']): void => {
      this.change({ scale });
    };
    this.spectra = new LayerSpectra({ setScale, toggleTable: this.toggler('spectraAs') }, this.hover);
    this.explorerView = this.makeExplorer(setScale);
    this.table = new LayerTable({
      select,
      sort: (column) => {
        this.sortBy(column);
      },
    });
    this.plots = element('div', { class: 'plots' }, this.errors.element, this.spectra.element);
    this.content = element(
      'div',
      { class: 'results' },
      ...[this.form.element, this.result.element, this.plots],
      ...[this.table.element, this.explorerView.element],
    );
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
    const before = this.state.phase.kind;
    this.state = receive(this.state, message);
    const { phase } = this.state;
    if (phase.kind === 'done' && before !== 'done')
      this.announcer.tell(`Conversion finished: ${counted(phase.document.summary.converted, 'layer')}.`);
    if (message.type === 'show') this.show(message.layer);
    if (message.type === 'preview') {
      setSharedPrefix(sharedPrefix(message.preview.layers.map(({ name }) => name)));
      if (this.view.exploring) this.explore();
    }
    // Results stream; everything else is worth a frame of its own.
    if (message.type !== 'layers' && message.type !== 'progress') this.urgent = true;
    this.frames.request();
  }

  private change(changed: Partial<ViewState>): void {
    this.view = { ...this.view, ...changed };
    this.storeSoon();
    this.paintSoon();
  }

  private changeForm(changed: Partial<FormState>): void {
    this.change({ form: { ...this.view.form, ...changed } });
  }

  private paintSoon(): void {
    this.urgent = true;
    this.frames.request();
  }

  private paint(): void {
    const { state } = this;
    this.header.render(state);
    this.messages.render(said(state));
    this.content.hidden = state.preview === undefined;
    if (state.preview === undefined) return;
    const { urgent } = this;
    this.urgent = false;
    this.throttle.run(urgent, () => {
      this.paintContent();
    });
  }

  private paintContent(): void {
    const { state, view, theme } = this;
    const planned = this.outlook.of(state, view);
    if (planned === undefined) return;
    const { plan, rows } = planned;
    const layer = shownRow(rows, view.layer)?.name;
    this.form.render(state, plan, view);
    this.result.render(state.phase.kind === 'done' ? state.phase.document : undefined);
    this.plots.hidden = state.layers.size === 0;
    if (!this.plots.hidden) {
      this.errors.render(rows, layer, view.errorsAs, theme);
      this.spectra.render(state.layers.get(layer ?? ''), layer, view, theme);
    }
    this.explorerView.render(layer, view.exploring ? this.explorer.state : undefined, view, theme);
    this.table.render(rows, view.sort, layer);
    this.restoreScroll();
  }

  /** Once the page is long enough to be scrolled to where it was. */
  private restoreScroll = (): void => {
    if (this.view.pageScroll > 0) this.page.scrollTop = this.view.pageScroll;
    this.restoreScroll = () => undefined;
  };

  private select(layer: string): void {
    this.change({ layer });
    if (this.view.exploring) this.explore();
  }

  /** The host sends somebody to a layer. */
  private show(layer: string): void {
    this.change({ layer, exploring: true });
    this.explore();
    this.explorerView.focus();
    // Once the table has its rows.
    requestAnimationFrame(() => {
      this.table.reveal(layer);
    });
  }

  /** Looks at the selected layer in the explorer. */
  private explore(): void {
    const row = shownRow(this.outlook.of(this.state, this.view)?.rows ?? [], this.view.layer);
    if (row === undefined) return;
    const { layer } = row.planned;
    const gain = row.result?.outcome === 'converted' ? row.result.gain : undefined;
    const most = Math.min(...layer.shape);
    this.explorer.show(layer, Math.max(1, Math.min(most, rankOf(row) ?? Math.round(0.15 * most))), gain);
  }

  private sortBy(id: string): void {
    const column = COLUMN_IDS.find((candidate) => candidate === id);
    if (column === undefined) return;
    const { sort } = this.view;
    const opposite = sort.direction === 'ascending' ? 'descending' : 'ascending';
    this.change({ sort: { column, direction: sort.column === column ? opposite : firstDirection(column) } });
  }

  private convert(): void {
    const choices = choicesOf(this.view.form);
    if (choices === undefined || isBusy(this.state)) return;
    this.connection.send({ type: 'convert', choices });
    this.receive({ type: 'started', choices });
  }

  private toggler(which: 'errorsAs' | 'spectraAs' | 'explorerAs'): () => void {
    return () => {
      this.change({ [which]: this.view[which] === 'chart' ? 'table' : 'chart' });
    };
  }

  private makeMessages(): Messages {
    return new Messages('', {
      retry: () => {
        if (this.state.previewFailure === undefined) this.convert();
        else this.connection.send({ type: 'retry' });
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

  private makeForm(): FormView {
    return new FormView({
      change: (form) => {
        this.changeForm(form);
      },
      openOptions: (optionsOpen) => {
        if (optionsOpen !== this.view.optionsOpen) this.change({ optionsOpen });
      },
      chooseFolder: () => {
        this.requests.chooseFolder((out) => {
          this.changeForm({ out });
        });
      },
      convert: () => {
        this.convert();
      },
    });
  }

  private makeExplorer(setScale: (scale: ViewState['scale']) => void): ExplorerView {
    const { explorer } = this;
    return new ExplorerView(
      {
        setScale,
        toggleTable: this.toggler('explorerAs'),
        start: () => {
          this.change({ exploring: true });
          this.explore();
        },
        change: (change) => {
          explorer.change(change);
        },
        fitGain: () => {
          if (!explorer.fitGain()) this.announcer.say('At this ω, no g brings the sine closer to the layer.');
        },
        reset: () => {
          explorer.reset();
        },
        retry: () => {
          explorer.retry();
        },
      },
      this.hover,
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

function said({ phase, notices, preview, previewFailure }: ConversionState) {
  const failure =
    previewFailure !== undefined
      ? `The checkpoint cannot be converted. ${previewFailure}`
      : phase.kind === 'failed'
        ? `The conversion failed. ${phase.message}`
        : undefined;
  return {
    notices,
    notes: [
      ...(preview?.checkpoint.notes ?? []),
      ...(phase.kind === 'done' ? (phase.document.notes ?? []) : []),
    ],
    ...(failure !== undefined && { failure }),
  };
}
