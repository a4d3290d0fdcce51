/** Asks the host to write files and to fill the clipboard, and says how it went. */
import type { Connection, ReplyOf } from './connection';
import { baseName, printable } from './model/names';
import { MAX_CURVES } from './model/spectrum';
import type { ExportFormat, FromPanel, ToPanel } from './protocol';
import type { Theme } from './theme';
import type { ExportChoice } from './view/exportMenu';
import type { Announcer } from './view/messages';
import { plotPicture } from './view/png';
import type { snapshotConfig } from './view/snapshotChart';
import { curveStyle, type spectrumConfig } from './view/spectrumChart';
import { rankWords, type Chosen } from './view/spectrumView';

export interface ExportSource {
  readonly path: string;
  readonly theme: Theme;
  readonly chosen: Chosen;
  /** The spectrum shows energy, not values. */
  readonly energy: boolean;
  readonly snapshot: () => ReturnType<typeof snapshotConfig>;
  readonly spectrum: () => ReturnType<typeof spectrumConfig>;
}

const WRITTEN: Readonly<Record<ExportFormat, string>> = {
  csv: 'audit.csv',
  json: 'audit.json',
  markdown: 'audit.md',
  png: 'png',
};

export class Exporter {
  constructor(
    private readonly connection: Connection<FromPanel, ToPanel>,
    private readonly announcer: Announcer,
  ) {}

  async run(choice: ExportChoice, source: ExportSource): Promise<void> {
    const stem = baseName(source.path);
    try {
      if (choice === 'snapshotPng') await this.picture(`${stem}.snapshot`, await snapshotPicture(source));
      else if (choice === 'spectrumPng')
        await this.picture(`${stem}.spectrum`, await spectrumPicture(source));
      else await this.file(choice, stem);
    } catch (error) {
      this.announcer.say(error instanceof Error ? error.message : String(error));
    }
  }

  async copySnippet(layer: string): Promise<void> {
    const reply = await this.connection.ask({ type: 'copySnippet', layer });
    this.report(reply, 'Copied as Python', 'Could not be copied');
  }

  private async file(format: Exclude<ExportFormat, 'png'>, stem: string): Promise<void> {
    const suggestedName = `${stem}.${WRITTEN[format]}`;
    this.report(await this.connection.ask({ type: 'export', format, suggestedName }), 'Saved', 'Not saved');
  }

  private async picture(stem: string, png: Uint8Array): Promise<void> {
    const suggestedName = `${stem}.${WRITTEN.png}`;
    const asked = { type: 'export', format: 'png', suggestedName, png } as const;
    this.report(await this.connection.ask(asked), 'Saved', 'Not saved');
  }

  /** The host's own words where it has some: where it saved, why it did not. */
  private report({ ok, message }: ReplyOf<ToPanel>, done: string, failed: string): void {
    this.announcer.say(message === undefined ? (ok ? done : failed) : printable(message));
  }
}

function snapshotPicture({ snapshot, theme, path }: ExportSource): Promise<Uint8Array> {
  const legend = [
    { text: 'rank (99.99 % of the energy)', colour: theme.rank },
    { text: 'most possible', colour: theme.possible },
  ];
  return plotPicture(snapshot(), { title: 'Utilization snapshot', subtitle: subtitle(path), legend }, theme);
}

function spectrumPicture({ spectrum, theme, chosen, path, energy }: ExportSource): Promise<Uint8Array> {
  const legend = chosen.layers.slice(0, MAX_CURVES).map((layer, i) => ({
    text: `${printable(layer.facts.name)}: ${rankWords(layer)}`,
    colour: curveStyle(theme, i).colour,
  }));
  const words = energy ? 'dotted: 0.9, 0.99 and 0.9999 of the energy' : 'dashed: random-matrix edge';
  return plotPicture(
    spectrum(),
    { title: 'Spectrum', subtitle: `${subtitle(path)} · ${words}`, legend },
    theme,
  );
}

function subtitle(path: string): string {
  return printable(baseName(path));
}
