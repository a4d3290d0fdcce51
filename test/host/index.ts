/**
 * What the extension host runs as `extensionTestsPath`: every `*.test.js` beside this file, with mocha. The same under
 * @vscode/test-electron and under the server of scripts/vscode.
 */
import { readdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import Mocha from 'mocha';

/** A first webview on a small machine takes seconds; an audit runs behind it. */
const TEST_TIMEOUT_MS = 60_000;

interface TestResult {
  readonly title: string;
  readonly state: 'passed' | 'failed' | 'skipped';
  readonly milliseconds: number;
  readonly error?: string;
}

/** @throws {Error} when a test failed: that is how the host tells its runner. */
export async function run(): Promise<void> {
  const filter = process.env.RANKSCOPE_HOST_FILTER;
  const mocha = new Mocha({
    ui: 'bdd',
    timeout: TEST_TIMEOUT_MS,
    color: false,
    ...(filter !== undefined && { grep: filter }),
  });
  for (const name of readdirSync(__dirname).sort()) {
    if (name.endsWith('.test.js')) mocha.addFile(path.join(__dirname, name));
  }
  const results: TestResult[] = [];
  const failures = await new Promise<number>((resolve) => {
    const runner = mocha.run(resolve);
    const keep = (test: Mocha.Test, state: TestResult['state'], error?: Error): void => {
      results.push({
        title: test.fullTitle(),
        state,
        milliseconds: test.duration ?? 0,
        ...(error !== undefined && { error: error.stack ?? error.message }),
      });
      // After every test: a host that dies on the way leaves what was known.
      writeResults(results);
    };
    runner.on('pass', (test) => {
      keep(test, 'passed');
    });
    // A failing hook is reported here too, with a title that says which.
    runner.on('fail', (test, error: Error) => {
      keep(test, 'failed', error);
    });
    runner.on('pending', (test) => {
      keep(test, 'skipped');
    });
  });
  writeResults(results);
  if (failures > 0) throw new Error(`${failures} failed`);
}

function writeResults(results: readonly TestResult[]): void {
  const file = process.env.RANKSCOPE_HOST_RESULTS;
  if (file !== undefined) writeFileSync(file, JSON.stringify(results, null, 2));
}
