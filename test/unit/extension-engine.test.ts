/** The window's engine: a real process that answers, is cancelled, is killed, and comes back. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, afterEach, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { createWasmBackend } from '../../src/compute';
import { audit } from '../../src/engine/audit';
import { EngineError } from '../../src/engine/connection';
import type { AuditDocument, LayerAudit } from '../../src/engine/document';
import { renderReport } from '../../src/engine/report';
import { EngineClient, type AuditListener } from '../../src/extension/engineClient';
import { engineProgram, type EngineProgram } from '../../src/extension/engineProcess';
import { ROOT } from '../reference/references';
import { safetensorsBytes } from '../reference/generated';
import { uniform } from './matrices';

const ENGINE = path.join(ROOT, 'dist/engine.js');
const SAMPLE = path.join(ROOT, 'media/sample/sample.safetensors');
const folder = mkdtempSync(path.join(tmpdir(), 'rankscope-client-'));
const clients: EngineClient[] = [];

afterEach(() => {
  for (const client of clients.splice(0)) client.dispose();
});
after(() => {
  rmSync(folder, { recursive: true });
});

interface Told {
  readonly stopped: { readonly reason: string; readonly restarts: boolean }[];
  readonly log: string[];
}

function clientOf(program: EngineProgram): { client: EngineClient; told: Told } {
  const told: Told = { stopped: [], log: [] };
  const client = new EngineClient(program, {
    log: (level, message) => told.log.push(`${level}: ${message}`),
    backendNotice: () => undefined,
    devices: () => ({}),
    stopped: (reason, restarts) => told.stopped.push({ reason, restarts }),
  });
  clients.push(client);
  return { client, told };
}

/** The built engine with a cache of its own. */
function realEngine(): { client: EngineClient; told: Told } {
  const program = engineProgram(ENGINE);
  const cache = path.join(mkdtempSync(path.join(folder, 'run-')), 'cache');
  return clientOf({ ...program, env: { ...program.env, RANKSCOPE_CACHE: cache } });
}

interface Heard {
  readonly listener: AuditListener;
  readonly layers: Map<number, LayerAudit>;
  readonly opened: string[][];
  readonly restarts: string[];
  readonly fractions: number[];
  /** Resolves when the first layer has come. */
  readonly firstLayer: Promise<void>;
}

function hearing(): Heard {
  const layers = new Map<number, LayerAudit>();
  const opened: string[][] = [];
  const restarts: string[] = [];
  const fractions: number[] = [];
  let onFirst: () => void = () => undefined;
  const firstLayer = new Promise<void>((resolve) => {
    onFirst = resolve;
  });
  return {
    layers,
    opened,
    restarts,
    fractions,
    firstLayer,
    listener: {
      opened: ({ layerNames }) => opened.push([...layerNames]),
      layer: ({ index, layer }) => {
        layers.set(index, layer);
        onFirst();
      },
      progress: ({ progress }) => fractions.push(progress.fraction),
      restarted: (reason) => restarts.push(reason),
    },
  };
}

/** Layers that take the engine about a second together, one core. */
function heavyModel(): string {
  const file = path.join(folder, 'heavy.safetensors');
  if (existsSync(file)) return file;
  const random = uniform(7);
  const tensors = Array.from({ length: 16 }, (_, i) => ({
    name: `layers.${i}.weight`,
    shape: [640, 640] as const,
    values: Float32Array.from({ length: 640 * 640 }, random),
  }));
  writeFileSync(file, safetensorsBytes(tensors));
  return file;
}

const never = (): AbortSignal => new AbortController().signal;

function withoutTimes({ startedAt: _, seconds: __, ...rest }: AuditDocument): unknown {
  return rest;
}

async function inProcess(file: string, spectra: boolean): Promise<AuditDocument> {
  const backend = createWasmBackend(2);
  try {
    return await audit({ path: file, backend, signal: never(), spectra, cache: null });
  } finally {
    await backend.dispose();
  }
}

/** Resolves when the process is gone. */
async function gone(pid: number): Promise<void> {
  for (const end = Date.now() + 5000; Date.now() < end;) {
    try {
      process.kill(pid, 0);
    } catch {
      return;
    }
    await sleep(20);
  }
  throw new Error(`process ${pid} is still there`);
}

function pidOf(client: EngineClient): number {
  assert.ok(client.pid !== undefined, 'the engine runs');
  return client.pid;
}

describe('an audit by the engine process', () => {
  test('gives the document that the job gives in this process, spectra in the layers that came before', async () => {
    const { client } = realEngine();
    const heard = hearing();
    const params = { job: client.newJob(), path: SAMPLE };
    const document = await client.audit(params, heard.listener, never());
    assert.deepEqual(withoutTimes(document), withoutTimes(await inProcess(SAMPLE, false)));
    const whole = await inProcess(SAMPLE, true);
    assert.deepEqual(
      [...heard.layers].sort(([a], [b]) => a - b).map(([, layer]) => layer),
      whole.layers,
    );
    assert.deepEqual(heard.opened, [whole.layers.map(({ name }) => name)]);
    assert.equal(heard.fractions.at(-1), 1);
  });

  test('a file that is no checkpoint is refused in one line that names it, and the engine lives', async () => {
    const { client, told } = realEngine();
    const file = path.join(folder, 'not.safetensors');
    writeFileSync(file, 'TFL3 is not what this is');
    const audited = client.audit({ job: client.newJob(), path: file }, hearing().listener, never());
    await assert.rejects(audited, (error: unknown) => {
      assert.ok(error instanceof EngineError && !error.cancelled);
      assert.match(error.message, /^[^\n]*not\.safetensors[^\n]*: [^\n]+$/);
      return true;
    });
    assert.deepEqual(told.stopped, []);
    const again = client.audit({ job: client.newJob(), path: SAMPLE }, hearing().listener, never());
    assert.equal((await again).summary.layers, 10);
  });

  test('two at once do not mix', async () => {
    const { client } = realEngine();
    const [first, second] = [hearing(), hearing()];
    const [heavy, sample] = await Promise.all([
      client.audit({ job: client.newJob(), path: heavyModel() }, first.listener, never()),
      client.audit({ job: client.newJob(), path: SAMPLE }, second.listener, never()),
    ]);
    assert.deepEqual([first.layers.size, second.layers.size], [16, 10]);
    assert.deepEqual([heavy.checkpoint.path, sample.checkpoint.path], [heavyModel(), SAMPLE]);
  });

  test('is cancelled within a second, and the engine goes on', async () => {
    const { client, told } = realEngine();
    const heard = hearing();
    const controller = new AbortController();
    const audited = client.audit(
      { job: client.newJob(), path: heavyModel(), cache: false },
      heard.listener,
      controller.signal,
    );
    await heard.firstLayer;
    const start = performance.now();
    controller.abort();
    await assert.rejects(audited, { name: 'EngineError', cancelled: true });
    assert.ok(performance.now() - start < 1000);
    assert.ok(heard.layers.size < 16, 'it was cancelled on the way');
    assert.deepEqual(told.stopped, []);
  });
});

describe('an engine that is killed', () => {
  test('comes back, and the audit under way ends as if nothing had been', async () => {
    const { client, told } = realEngine();
    const heard = hearing();
    const audited = client.audit({ job: client.newJob(), path: heavyModel() }, heard.listener, never());
    await heard.firstLayer;
    const pid = pidOf(client);
    process.kill(pid, 'SIGKILL');
    const document = await audited;
    assert.deepEqual(withoutTimes(document), withoutTimes(await inProcess(heavyModel(), false)));
    assert.deepEqual(told.stopped, [{ reason: 'signal SIGKILL', restarts: true }]);
    assert.deepEqual(heard.restarts, ['signal SIGKILL']);
    assert.notEqual(pidOf(client), pid);
  });

  test('comes back by itself when it had nothing to do', async () => {
    const { client } = realEngine();
    await client.request('backends', {});
    const pid = pidOf(client);
    process.kill(pid, 'SIGKILL');
    await gone(pid);
    assert.deepEqual(
      (await client.request('backends', {})).map(({ name }) => name),
      ['wasm', 'tensorflow', 'webgpu'],
    );
    assert.notEqual(pidOf(client), pid);
  });

  test('twice by the same audit ends that audit with the reason', async () => {
    const { client, told } = realEngine();
    const heard = hearing();
    const kill = (): void => {
      process.kill(pidOf(client), 'SIGKILL');
    };
    const listener: AuditListener = { ...heard.listener, opened: kill };
    const audited = client.audit({ job: client.newJob(), path: heavyModel() }, listener, never());
    await assert.rejects(audited, /the engine stopped 2 times .*SIGKILL/);
    assert.equal(told.stopped.length, 2);
  });
});

describe('an engine that cannot run', () => {
  test('is not started over and over', async () => {
    const { client, told } = clientOf({
      command: process.execPath,
      args: ['-e', 'process.stderr.write("no such library\\n"); process.exit(3)'],
      env: process.env,
    });
    const audited = client.audit({ job: client.newJob(), path: SAMPLE }, hearing().listener, never());
    await assert.rejects(audited, /stopped/);
    // The restarts are 0, 0.5, 2 and 5 seconds apart; nobody waits for the last here.
    await sleep(1500);
    assert.ok(told.stopped.length >= 2 && told.stopped.length <= 3, `${told.stopped.length} starts`);
    assert.equal(told.stopped[0]?.reason, 'code 3');
    assert.ok(told.log.includes('warn: engine: no such library'));
  });

  test('is refused with the reason when there is no such program', async () => {
    const { client } = clientOf({ command: path.join(folder, 'missing'), args: [], env: {} });
    await assert.rejects(client.request('backends', {}), /ENOENT/);
  });
});

describe('reports', () => {
  test('are what the terminal prints, with spectra in JSON, complete or not there', async () => {
    const { client } = realEngine();
    const params = { job: client.newJob(), path: SAMPLE };
    await client.audit(params, hearing().listener, never());
    const out = mkdtempSync(path.join(folder, 'out-'));
    const target = path.join(out, 'audit.json');
    await client.report({ audit: params, format: 'json', target });
    // The document's shape is checked against its schema elsewhere.
    const written = JSON.parse(readFileSync(target, 'utf8')) as AuditDocument;
    assert.deepEqual(withoutTimes(written), withoutTimes(await inProcess(SAMPLE, true)));
    for (const format of ['csv', 'markdown'] as const) {
      await client.report({ audit: params, format, target: path.join(out, format) });
      assert.equal(readFileSync(path.join(out, format), 'utf8'), renderReport(written, format));
    }
    await assert.rejects(
      client.report({ audit: params, format: 'csv', target: path.join(out, 'no such folder', 'x.csv') }),
      /ENOENT/,
    );
    assert.deepEqual(readdirSync(out).sort(), ['audit.json', 'csv', 'markdown']);
  });

  test('of an audit that an earlier engine made are made again', async () => {
    const { client } = realEngine();
    const params = { job: client.newJob(), path: SAMPLE };
    await client.audit(params, hearing().listener, never());
    const pid = pidOf(client);
    process.kill(pid, 'SIGKILL');
    await gone(pid);
    const target = path.join(folder, 'after.csv');
    // The kill may not have been noticed yet: then the request itself is lost, once.
    const report = (): Promise<void> => client.report({ audit: params, format: 'csv', target });
    await report().catch(report);
    assert.equal(readFileSync(target, 'utf8').split('\n').length, 1 + 10 + 3 + 1); // header, layers, q k v, end
  });
});

describe('the engine process', () => {
  test('ends when its standard input does', async () => {
    const child = spawn(process.execPath, [ENGINE], { stdio: ['pipe', 'ignore', 'ignore'] });
    child.stdin.end();
    assert.deepEqual(await once(child, 'exit'), [0, null]);
  });

  test('does not outlive a killed host, even in the middle of an audit', async () => {
    const host = spawn(
      process.execPath,
      [
        '-e',
        `const engine = require('node:child_process').spawn(process.execPath, [${JSON.stringify(ENGINE)}], { stdio: ['pipe', 'pipe', 'ignore'] });
         const body = JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'audit', params: { job: 1, path: ${JSON.stringify(heavyModel())}, cache: false } });
         engine.stdin.write('Content-Length: ' + Buffer.byteLength(body) + '\\r\\n\\r\\n' + body);
         engine.stdout.once('data', () => console.log(engine.pid));`,
      ],
      { stdio: ['ignore', 'pipe', 'inherit'] },
    );
    const [text] = (await once(host.stdout, 'data')) as [Buffer]; // a stream without an encoding gives Buffers
    host.kill('SIGKILL');
    await gone(Number(text.toString()));
  });
});
