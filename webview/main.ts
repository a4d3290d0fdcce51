/** The page's entry: loaded at the end of the body, so that everything it needs is there. */
import { Connection } from './connection';
import { ConversionPage } from './conversion/page';
import type { FromConversion, ToConversion } from './conversion/protocol';
import { MeasurementPage } from './measurement/page';
import type { FromUtilization, ToUtilization } from './measurement/protocol';
import { Panel } from './panel';
import type { FromPanel, PageKind, ToPanel } from './protocol';
import { registerControls } from './toolkit';
import { TrainingPage } from './training/page';
import type { FromTraining, ToTraining } from './training/protocol';

/** One script for all kinds of page: what they share (controls, charts) is most of it. */
const PAGES: Readonly<Record<PageKind, () => void>> = {
  audit: () => {
    const connection = new Connection<FromPanel, ToPanel>();
    // Answers cannot come before this script has ended: the host works while the page is being made.
    connection.send({ type: 'ready' });
    registerControls();
    new Panel(connection).mount(document.body);
  },
  conversion: () => {
    const connection = new Connection<FromConversion, ToConversion>();
    connection.send({ type: 'ready' });
    registerControls();
    new ConversionPage(connection).mount(document.body);
  },
  utilization: () => {
    const connection = new Connection<FromUtilization, ToUtilization>();
    connection.send({ type: 'ready' });
    registerControls();
    new MeasurementPage(connection).mount(document.body);
  },
  training: () => {
    const connection = new Connection<FromTraining, ToTraining>();
    connection.send({ type: 'ready' });
    registerControls();
    new TrainingPage(connection).mount(document.body);
  },
};

const { page } = document.body.dataset;
PAGES[page === 'conversion' || page === 'utilization' || page === 'training' ? page : 'audit']();
