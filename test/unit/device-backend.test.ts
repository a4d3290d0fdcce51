/**
 * A backend with a device beside the processor: what it computes, what it leaves, and what happens when the device is not
 * there, wrong, slow, hung, out of memory or gone. The device is a process like any other, whose Gram matrices are summed
 * in plain loops, and which fails as it is told.
 */
import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import path from 'node:path';
import { after, describe, it } from 'node:test';
import type { Tensor } from '../../src/checkpoint/checkpoint';
import { createWasmBackend, openBackend, reportBackends, type BackendOptions } from '../../src/compute';
import type { SpectrumRequest } from '../../src/compute/backend';
import type { Device, DeviceMatrix, DeviceSpectrum } from '../../src/compute/device/device';
import { serveDevice } from '../../src/compute/device/serve';
import { audit } from '../../src/engine/audit';
import { temporaryFolder } from '../fixtures/handmade';

/** How the device behaves: told in place of a folder. */
type Behaviour =
  | 'well'
  | 'refuses'
  | 'noDriver'
  | 'wrong'
  | 'hangsOpening'
  | 'hangs'
  | 'dies'
  | 'outOfMemory'
  | 'software'
  | 'slow'
  | 'wrongCuda';

const AS_DEVICE = 'as-device';

if (process.argv.includes(AS_DEVICE)) serveDevice((_, { tensorflow }) => openDouble(tensorflow as Behaviour));
else runTests();

async function openDouble(behaviour: Behaviour): Promise<Device> {
  if (behaviour === 'noDriver') throw new Error('libcuda.so.1 is not there: install the driver');
  if (behaviour === 'hangsOpening') await new Promise(() => setInterval(() => undefined, 1000));
  const facts = { kind: 'webgpu', adapter: 'Plain Loops', runtime: 'Node', build: 'webgpu loops 1' } as const;
  const withoutCuda = {
    adapter: 'CPU',
    runtime: 'TensorFlow 2.9.1 without CUDA: libcudart.so.11.0 is missing',
  };
  return {
    facts: {
      ...facts,
      isSoftware: behaviour === 'software' || behaviour === 'wrongCuda',
      ...(behaviour === 'wrongCuda' && withoutCuda),
    },
    takesFloat64: false,
    spectrum: async (matrix): Promise<DeviceSpectrum> => {
      // What it is asked for when it is looked at is small; real layers are larger.
      const isLayer = !PROBED.has(matrix.rows);
      if (behaviour === 'slow') await new Promise((resolve) => setTimeout(resolve, 400));
      if (behaviour === 'hangs' && isLayer) await new Promise(() => setInterval(() => undefined, 1000));
      if (behaviour === 'dies' && isLayer) process.kill(process.pid, 'SIGKILL');
      if (behaviour === 'refuses' && isLayer) return { kind: 'refused', reason: 'its memory is full' };
      if (behaviour === 'outOfMemory' && isLayer) throw new Error('out of memory: 2.1 GB asked for');
      const gram = gramOf(matrix);
      if (behaviour === 'wrong') gram[0] = 1.001 * (gram[0] ?? 0);
      return gram.every(Number.isFinite) ? { kind: 'gram', gram } : { kind: 'nonFinite' };
    },
    product32: () => Promise.reject(new Error('not asked for')),
    descend: () => Promise.reject(new Error('device lost')),
    dispose: () => Promise.resolve(),
  };
}

/** Lower triangle of the Gram matrix of the smaller side. */
function gramOf({ rows, columns, values }: DeviceMatrix): Float64Array {
  const isTall = rows > columns;
  const [small, long] = isTall ? [columns, rows] : [rows, columns];
  const at = (i: number, k: number): number => values[isTall ? k * columns + i : i * columns + k] ?? NaN;
  const gram = new Float64Array((small * (small + 1)) / 2);
  for (let i = 0, to = 0; i < small; i++)
    for (let j = 0; j <= i; j++, to++) {
      let sum = 0;
      for (let k = 0; k < long; k++) sum += at(i, k) * at(j, k);
      gram[to] = sum;
    }
  return gram;
}

/** Rows of the matrices by which a device is looked at before it is used. */
const PROBED = new Set([96, 768]);

const LAYER = { rows: 72, columns: 90 };

function runTests(): void {
  const scratch = temporaryFolder();
  const wasm = createWasmBackend(2);
  after(() => wasm.dispose());
  const { signal } = new AbortController();

  /** Noise, or what `entry` says. */
  function request(
    { rows, columns }: { rows: number; columns: number },
    entry?: (at: number) => number,
  ): SpectrumRequest {
    let state = 3;
    const values = Float32Array.from({ length: rows * columns }, (_, at) => {
      state = (state * 48_271) % 2_147_483_647;
      return entry?.(at) ?? state / 2_147_483_647 - 0.5;
    });
    const bytes = new Uint8Array(values.buffer);
    const tensor: Tensor = {
      name: 'layer.weight',
      shape: [rows, columns],
      dtype: 'float32',
      storage: { encoding: 'memory', path: '', bytes, byteLength: bytes.length },
      role: 'model',
    };
    return { tensor, matrices: [{ offset: 0, rows, columns, rowStride: columns }] };
  }

  const optionsFor = (behaviour: Behaviour, more: Partial<BackendOptions> = {}): BackendOptions => ({
    name: 'webgpu',
    threads: 2,
    settings: { tensorflow: behaviour },
    program: { file: __filename, args: [AS_DEVICE] },
    version: '1',
    signal,
    onNotice: () => undefined,
    ...more,
  });

  async function opened(behaviour: Behaviour, more: Partial<BackendOptions> = {}) {
    const notices: string[] = [];
    const options = optionsFor(behaviour, { onNotice: (notice) => notices.push(notice), ...more });
    return { ...(await openBackend(options)), notices };
  }

  async function spectrumWith(behaviour: Behaviour, asked = request(LAYER)) {
    const { backend, notices, why } = await opened(behaviour);
    try {
      const [found, reference] = [
        await backend.singularValues(asked, signal),
        await wasm.singularValues(asked, signal),
      ];
      return { found, reference, notices, why, name: backend.name, build: backend.build };
    } finally {
      await backend.dispose();
    }
  }

  describe('a backend with a device', () => {
    it('has the device’s Gram matrices and the processor’s eigenvalues', async () => {
      const { found, reference, notices, name, build } = await spectrumWith('well');
      assert.deepEqual([name, build, notices], ['webgpu', `webgpu loops 1 + ${wasm.build}`, []]);
      assert.ok(found.kind === 'spectra' && reference.kind === 'spectra');
      const [values = [], expected = []] = [found.singularValues[0], reference.singularValues[0]];
      assert.equal(values.length, LAYER.rows);
      const largest = expected[0] ?? NaN;
      expected.forEach((value, i) => {
        assert.ok(Math.abs(value - (values[i] ?? NaN)) <= 1e-12 * largest);
      });
    });

    it('leaves to the processor what squaring would lose, and what is no number', async () => {
      const lowRank = request(LAYER, (at) => Math.floor(at / LAYER.columns) * (1 + (at % LAYER.columns)));
      const nan = request(LAYER, (at) => (at === 7 ? NaN : at));
      for (const asked of [lowRank, nan]) {
        const { found, reference, notices } = await spectrumWith('well', asked);
        assert.deepEqual(found, reference);
        assert.deepEqual(notices, []);
      }
    });

    for (const [behaviour, message] of [
      ['dies', /^webgpu on Plain Loops failed at layer\.weight: its process ended by SIGKILL; the processor/],
      ['outOfMemory', /failed at layer\.weight: out of memory: 2\.1 GB asked for; the processor goes on$/],
    ] as const)
      it(`${behaviour} in the middle of a job: the processor goes on, and says so once`, async () => {
        const { backend, notices } = await opened(behaviour);
        const asked = request(LAYER);
        const all = await Promise.all([1, 2, 3].map(() => backend.singularValues(asked, signal)));
        const reference = await wasm.singularValues(asked, signal);
        for (const one of all) assert.deepEqual(one, reference);
        assert.equal(notices.length, 1);
        assert.match(notices[0] ?? '', message);
        await backend.dispose();
      });

    it('leaves what the device has no room for to the processor, says so once, and keeps the device', async () => {
      const { backend, notices } = await opened('refuses');
      const asked = request(LAYER);
      const reference = await wasm.singularValues(asked, signal);
      for (let time = 0; time < 2; time++)
        assert.deepEqual(await backend.singularValues(asked, signal), reference);
      assert.deepEqual(notices, [
        'webgpu on Plain Loops leaves layer.weight, and any like it, to the processor: its memory is full',
      ]);
      const other = await backend.singularValues(request({ rows: 96, columns: 40 }), signal);
      assert.equal(other.kind, 'spectra');
      await backend.dispose();
    });

    it('cancels what a device hangs at, at once', async () => {
      const { backend } = await opened('hangs');
      const stop = new AbortController();
      const running = backend.singularValues(request(LAYER), stop.signal);
      setTimeout(() => {
        stop.abort(new Error('enough'));
      }, 100);
      const start = performance.now();
      await assert.rejects(running, /^Error: enough$/);
      assert.ok(performance.now() - start < 1000);
      await backend.dispose();
    });

    it('fits on the processor when the device fails at a descent', async () => {
      const { backend, notices } = await opened('well');
      const { tensor, matrices } = request(LAYER);
      const [matrix] = matrices;
      assert.ok(matrix);
      const target = { tensor, matrix, transposed: false };
      const options = { rank: 4, omega: 1, steps: 20, seed: 1 };
      const fit = await backend.sineFit(target, options, signal);
      assert.deepEqual(fit, await wasm.sineFit(target, options, signal));
      assert.match(notices.join(), /device lost; the processor goes on/);
      await backend.dispose();
    });

    it('finishes the audit of a whole file without its device', async () => {
      const sample = path.join(__dirname, '../../../media/sample/sample.safetensors');
      const run = async (behaviour: Behaviour) => {
        const { backend, notices } = await opened(behaviour);
        const document = await audit({ path: sample, backend, signal, cache: null });
        await backend.dispose();
        const layers = document.layers.map(({ name, rank, energyRanks }) => ({ name, rank, energyRanks }));
        return { layers, notices };
      };
      const expected = await run('well');
      for (const behaviour of ['dies', 'outOfMemory', 'refuses', 'noDriver', 'wrongCuda'] as const) {
        const { layers, notices } = await run(behaviour);
        assert.deepEqual(layers, expected.layers, behaviour);
        assert.equal(notices.length, 1, `${behaviour}: ${notices.join('; ')}`);
      }
    });
  });

  describe('the choice of a backend', () => {
    for (const [behaviour, reason] of [
      ['noDriver', /libcuda\.so\.1 is not there: install the driver/],
      ['wrong', /it computes wrongly/],
    ] as const)
      it(`a device that ${behaviour}: the processor computes, and the reason is told`, async () => {
        const { backend, notices, why } = await opened(behaviour);
        assert.equal(backend.name, 'wasm');
        assert.match(why, reason);
        assert.match(notices.join(), /^webgpu cannot be used: .*; the processor computes instead$/);
        await backend.dispose();
      });

    it('a device that was asked for and is no graphics card computes, and its reason is told', async () => {
      const { backend, notices } = await opened('wrongCuda');
      assert.equal(backend.name, 'webgpu');
      assert.deepEqual(notices, [
        'webgpu computes on CPU (TensorFlow 2.9.1 without CUDA: libcudart.so.11.0 is missing), which is no graphics card',
      ]);
      await backend.dispose();
    });

    for (const [behaviour, reason] of [
      ['software', /Plain Loops is no graphics card/],
      ['slow', /Plain Loops is slower than the processor/],
      ['hangsOpening', /it did not open within 3 s/],
    ] as const)
      it(`auto does not take one that is ${behaviour}, without a notice`, async () => {
        const { backend, notices, why } = await opened(behaviour, { name: 'auto' });
        assert.equal(backend.name, 'wasm');
        assert.match(why, reason);
        assert.deepEqual(notices, []);
        await backend.dispose();
      });

    it('is remembered; who asks for a device by name looks again', async () => {
      const folder = path.join(scratch.folder, 'devices');
      const first = await opened('noDriver', { name: 'auto', folder });
      await first.backend.dispose();
      assert.equal(readdirSync(folder).length, 2);
      // Nothing is started: there is nothing to start.
      const gone = { file: path.join(scratch.folder, 'gone.js'), args: [] };
      const again = await opened('noDriver', { name: 'auto', folder, program: gone });
      await again.backend.dispose();
      assert.equal(again.why, first.why);
      const { name: _, onNotice: _on, ...options } = optionsFor('noDriver', { folder, program: gone });
      const reports = await reportBackends(options);
      assert.deepEqual(
        reports.map(({ name, usable }) => [name, usable]),
        [
          ['wasm', true],
          ['tensorflow', false],
          ['webgpu', false],
        ],
      );
      assert.match(reports[2]?.about ?? '', /its process ended/);
      // What was found to work is believed.
      const well = await opened('well', { folder });
      await well.backend.dispose();
      const known = await reportBackends({ ...options, settings: { tensorflow: 'well' } });
      assert.equal(known[2]?.usable, true);
    });

    it('is told in one line for a name that is not known', async () => {
      await assert.rejects(opened('well', { name: 'abacus' }), /unknown backend "abacus": choose wasm/);
    });
  });
}
