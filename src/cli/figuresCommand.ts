import { mkdirSync } from 'node:fs';
import path from 'node:path';
import { printable } from '../checkpoint/errors';
import { cannotWrite, writeFileAtomically } from '../checkpoint/write/atomicFile';
import { figures } from '../engine/figures';
import { renderCsv } from '../engine/figures/csv';
import { renderSvg } from '../engine/figures/panels';
import type { FigureDocument } from '../engine/figuresDocument';
import { renderJson } from '../engine/report/json';
import { openJobBackend } from './backend';
import type { CliCommand, Streams } from './command';
import { parseFigures, type FigureFormat, type FiguresArguments } from './figuresArguments';
import { UsageError } from './flags';
import { FIGURES_HELP } from './help';

/** `rankscope figures`. */
export const figuresCommand: CliCommand = {
  name: 'figures',
  usage: [['figures', 'the sine-low-rank paper’s figures']],
  help: FIGURES_HELP,
  parse(argv) {
    const options = parseFigures(argv);
    if (options === 'help') return 'help';
    return (terminal) => terminal.job(true, (streams, signal) => runFigures(options, streams, signal));
  },
};

/** @returns the exit code. @throws UsageError when the folder cannot be written to */
async function runFigures(options: FiguresArguments, streams: Streams, signal: AbortSignal): Promise<number> {
  prepareFolder(options.out);
  const { out } = streams;
  const backend = await openJobBackend(options, streams, signal);
  try {
    const documents = await figures({ figures: options.figures, seed: options.seed, backend, signal });
    for (const document of documents) {
      for (const [name, text] of options.formats.flatMap((format) => render(document, format))) {
        const file = path.join(options.out, name);
        writeFileAtomically(file, text);
        out(`${printable(file)}\n`);
      }
    }
  } finally {
    await backend.dispose();
  }
  return 0;
}

/** Fails before the work rather than after it. */
function prepareFolder(folder: string): void {
  try {
    mkdirSync(folder, { recursive: true });
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? ` (${String(error.code)})` : '';
    throw new UsageError(`--out ${printable(folder)}: it is no folder and cannot be made${code}`);
  }
  const reason = cannotWrite(path.join(folder, 'figure1.svg'));
  if (reason !== undefined) throw new UsageError(`--out ${printable(folder)}: ${reason}`);
}

/** Files of one figure: names and texts. */
function render(document: FigureDocument, format: FigureFormat): (readonly [name: string, text: string])[] {
  const stem = `figure${document.figure}`;
  switch (format) {
    case 'svg':
      return [[`${stem}.svg`, renderSvg(document)]];
    case 'json':
      return [[`${stem}.json`, renderJson(document)]];
    case 'csv':
      return renderCsv(document).map(({ name, text }) => [`${stem}-${name}.csv`, text] as const);
  }
}
