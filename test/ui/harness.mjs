// A real VS Code workbench in a real Chromium, driven as a person would drive it.
import { cpSync, mkdirSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';
import { requireChromium } from '../../scripts/vscode/chromium.mjs';
import {
  installExtension,
  makeProfile,
  removeProfile,
  startServer,
  workbenchUrl,
} from '../../scripts/vscode/server.mjs';
import { ConsoleWatch } from './consoleWatch.mjs';

export const ROOT = fileURLToPath(new URL('../..', import.meta.url));
export const VSIX = path.join(ROOT, 'dist/rankscope.vsix');
export const SAMPLE = path.join(ROOT, 'media/sample/sample.safetensors');
const ARTIFACTS = path.join(ROOT, 'test/ui/artifacts');

const KNOWN_COMMAND = 'Rankscope: Audit Ranks';

/** A webview opened late in a session takes seconds on a small machine. */
const PATIENCE_MS = 30_000;
/** How long one try of the command palette may take. */
const PALETTE_TRY_MS = 1_500;
/** A chart's or a control's transition takes a quarter of a second, a toast of the panel four. */
const SETTLES_MS = 4_500;
/** The file dialog looks up every path that is typed, and may rewrite it. */
const DIALOG_SETTLES_MS = 400;

/** Hermetic: no name but this machine's resolves, so that a test passes here exactly when it passes on a train. */
const CHROMIUM_ARGUMENTS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  '--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost',
];

export function launchChromium() {
  return chromium.launch({ executablePath: requireChromium(), headless: true, args: CHROMIUM_ARGUMENTS });
}

/** Where a screenshot or a result of the run is kept; names are stable, so that runs can be compared. */
export function artifact(name) {
  mkdirSync(ARTIFACTS, { recursive: true });
  return path.join(ARTIFACTS, name);
}

/** Tries until the answer is neither undefined nor false; says what never came. */
export async function eventually(what, probe, milliseconds = PATIENCE_MS) {
  const end = performance.now() + milliseconds;
  for (;;) {
    const answer = await probe();
    if (answer !== undefined && answer !== false) return answer;
    if (performance.now() > end) throw new Error(`${what}: not within ${milliseconds / 1000} s`);
    await sleep(50);
  }
}

function escaped(text) {
  return text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
}

export class Workbench {
  /**
   * @param options.vsix packaged extension to install
   * @param options.command title of a command of it: until the palette has it, a file would open as text
   * @param options.files files and folders copied into the workspace; ignored with `folder`
   * @param options.fill makes more files in the folder it is given
   * @param options.prepare is given the browser's context before a page is opened
   * @param options.folder opens this folder in place
   * @param options.settings user settings
   * @param options.viewport { width, height } in CSS pixels
   * @param options.edition see scripts/vscode/install.mjs
   * @param options.trust, options.env see scripts/vscode/server.mjs
   */
  static async open(options = {}) {
    const { vsix = VSIX, command = KNOWN_COMMAND } = options;
    const { files = [], settings = {}, edition, trust, env, viewport } = options;
    const workbench = new Workbench();
    try {
      workbench.profile = makeProfile(settings);
      workbench.folder = options.folder ?? path.join(workbench.profile.folder, 'workspace');
      if (options.folder === undefined) {
        mkdirSync(workbench.folder);
        for (const file of files) {
          cpSync(file, path.join(workbench.folder, path.basename(file)), { recursive: true });
        }
        options.fill?.(workbench.folder);
      }
      await installExtension(workbench.profile, vsix, edition);
      workbench.server = await startServer(workbench.profile, { edition, trust, env });
      workbench.browser = await launchChromium();
      await workbench.#openPage(viewport ?? { width: 1280, height: 800 }, options.prepare);
      await workbench.#findInPalette('F1', `>${command}`, command);
      await workbench.page.keyboard.press('Escape');
      return workbench;
    } catch (error) {
      await workbench.close();
      throw error;
    }
  }

  async #openPage(viewport, prepare) {
    this.context = await this.browser.newContext({ viewport });
    await prepare?.(this.context);
    this.console = new ConsoleWatch(this.context);
    this.page = await this.context.newPage();
    this.page.setDefaultTimeout(PATIENCE_MS);
    await this.#load();
  }

  async #load() {
    await this.page.goto(workbenchUrl(this.server, this.folder));
    await this.#usable();
  }

  /** Waits until the workbench has drawn itself. */
  async #usable() {
    await this.page.locator('.monaco-workbench').waitFor();
    await this.page.locator('.explorer-folders-view .monaco-list-row').first().waitFor();
  }

  /** As from the palette: the workbench stores what it keeps, then loads again. */
  async reloadWindow() {
    const loaded = this.page.waitForEvent('load');
    await this.runCommand('Developer: Reload Window');
    await loaded;
    await this.#usable();
  }

  explorerRow(name) {
    return this.page
      .locator('.explorer-folders-view .monaco-list-row')
      .filter({ has: this.page.getByText(name, { exact: true }) });
  }

  /** A click on an item of an Explorer entry's context menu. */
  async chooseInContextMenu(entry, title) {
    const item = this.page.locator('.context-view .action-menu-item', { hasText: title });
    // The menu is not live: opened before the workbench has read the extensions, it lacks their items for good.
    await eventually(`${title} in the context menu of ${entry}`, async () => {
      await this.openContextMenu(entry);
      if ((await item.count()) > 0) return true;
      await this.page.keyboard.press('Escape');
      return false;
    });
    await item.click();
  }

  /** Opens the context menu of an Explorer entry; its items' texts. */
  async openContextMenu(entry) {
    const menu = this.page.locator('.context-view .monaco-menu');
    await this.explorerRow(entry).click({ button: 'right' });
    await menu.waitFor();
    return menu.locator('.action-menu-item').allInnerTexts();
  }

  /** Runs a command from the palette. */
  async runCommand(title) {
    const row = await this.#findInPalette('F1', `>${title}`, title);
    await row.click();
  }

  /** Opens a file of the workspace by Quick Open, in its default editor. */
  async quickOpen(file) {
    const { base, dir } = path.parse(file);
    // A file of the same name in another folder, or one opened lately, may come first in the list.
    const exactly = new RegExp(
      `^\\s*${escaped(base)}\\s*${escaped(dir)}\\s*(recently opened|file results)?\\s*$`,
    );
    const row = await this.#findInPalette('Control+P', file, exactly);
    await row.click();
  }

  /**
   * Opens the palette and finds a row in it. Its list is not live: a command contributed after it opened never shows up
   * in it, and a key pressed before the workbench has its keybindings is lost; so each try starts anew.
   */
  async #findInPalette(key, text, rowText) {
    const input = this.page.locator('.quick-input-widget input.input');
    const row = this.page.locator('.quick-input-list .monaco-list-row', { hasText: rowText }).first();
    await eventually(`${rowText} in the palette`, async () => {
      try {
        await this.page.keyboard.press(key);
        await input.fill(text, { timeout: PALETTE_TRY_MS });
        await row.waitFor({ timeout: PALETTE_TRY_MS });
        return true;
      } catch {
        await this.page.keyboard.press('Escape');
        return false;
      }
    });
    return row;
  }

  /**
   * Answers the simple file dialog, which a web workbench has in the place of the system's, with a path. The dialog
   * fills in its own suggestion once it has looked at the folder, over anything typed before.
   */
  async saveAs(file) {
    const input = this.page.locator('.quick-input-widget input.input');
    await eventually('a save dialog with a suggestion', async () =>
      (await input.inputValue()).startsWith('/'),
    );
    await eventually(`${file} in the save dialog`, async () => {
      await input.fill(file);
      await sleep(DIALOG_SETTLES_MS);
      return (await input.inputValue()) === file;
    });
    await this.page.keyboard.press('Enter');
    await input.waitFor({ state: 'hidden' });
  }

  tab(title) {
    return this.page.locator('.tab', { hasText: title });
  }

  /** Messages in the lower right corner. */
  notification(text) {
    return this.page.locator('.notification-toast', { hasText: text });
  }

  statusBarItem(text) {
    return this.page.locator('.statusbar-item', { hasText: text });
  }

  /** The extension's own document in the webview on show: an outer frame of the workbench, in it the inner one. */
  panel() {
    return this.page
      .locator('iframe.webview.ready')
      .filter({ visible: true })
      .last()
      .contentFrame()
      .locator('iframe#active-frame')
      .contentFrame();
  }

  /** The same among several that are on show, by an element that it has; its frame, once it is there. */
  panelWith(selector) {
    return eventually(`a panel with ${selector}`, async () => {
      for (const frame of this.page.frames()) {
        const found = frame.locator(selector);
        // A frame may go while it is looked at.
        if (await found.isVisible().catch(() => false)) return frame;
      }
      return undefined;
    });
  }

  /** @param label as the list of themes has it, such as Dark Modern */
  async chooseTheme(label) {
    await this.runCommand('Preferences: Color Theme');
    const input = this.page.locator('.quick-input-widget input.input');
    await input.fill(label);
    // The first of a kind also carries the kind's heading, behind the label.
    const start = new RegExp(`^\\s*${escaped(label)}`);
    await this.page.locator('.quick-input-list .monaco-list-row', { hasText: start }).first().click();
    await input.waitFor({ state: 'hidden' });
  }

  /** Until nothing moves: the pointer is out of the way, hovers and transitions have ended. */
  async settled() {
    await this.page.mouse.move(0, 0);
    await sleep(SETTLES_MS);
  }

  async screenshot(name) {
    const file = artifact(`${name}.png`);
    await this.page.screenshot({ path: file });
    return file;
  }

  async close() {
    await this.browser?.close();
    await this.server?.stop();
    if (this.profile !== undefined) removeProfile(this.profile);
  }
}
