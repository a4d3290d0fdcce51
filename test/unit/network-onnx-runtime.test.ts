/** Which build of ONNX Runtime runs, and what is said when the faster one does not. */
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, describe, test } from 'node:test';
import { type OnnxRuntime, loadOnnxRuntime } from '../../src/network/onnx/runtime';
import { floats, model, value } from '../fixtures/onnxModel';

const folder = mkdtempSync(path.join(tmpdir(), 'rankscope-runtime-'));
after(() => {
  rmSync(folder, { recursive: true, force: true });
});

/** A package in the place of onnxruntime-node that does this when it is loaded. */
function impostor(name: string, script: string): string {
  const target = path.join(folder, name);
  mkdirSync(target);
  writeFileSync(path.join(target, 'index.js'), script);
  return target;
}

/** (1, 2)·[[5], [6]] computed by a runtime. */
async function product(runtime: OnnxRuntime): Promise<unknown> {
  const session = await runtime.load(
    model({
      nodes: [{ op: 'MatMul', in: ['x', 'w'], out: ['y'] }],
      initializers: [floats('w', [2, 1], [5, 6])],
      inputs: [value('x', [1, 2])],
      outputs: [value('y', [1, 1])],
    }),
  );
  const { y } = await session.run({ x: new runtime.Tensor('float32', Float32Array.of(1, 2), [1, 2]) });
  await session.release();
  return y?.data[0];
}

const native = ((): string | undefined => {
  try {
    return path.dirname(createRequire(__filename).resolve('onnxruntime-node/package.json'));
  } catch {
    return undefined;
  }
})();

describe('ONNX Runtime', () => {
  test(
    'is the native build where it is installed',
    { skip: native === undefined && 'not installed here' },
    async () => {
      for (const asked of ['', native ?? '']) {
        const runtime = await loadOnnxRuntime(2, asked);
        assert.deepEqual([runtime.kind, runtime.notes], ['native', []]);
        assert.match(runtime.title, /^ONNX Runtime \d+\.\d+\.\d+ \(native, 2 threads\)$/);
        assert.equal(await product(runtime), 17);
      }
    },
  );

  test('is the embedded build when it is asked for, without a word', async () => {
    const runtime = await loadOnnxRuntime(1, 'wasm');
    assert.deepEqual([runtime.kind, runtime.notes], ['wasm', []]);
    assert.match(runtime.title, /^ONNX Runtime \d+\.\d+\.\d+ \(WebAssembly, 1 thread\)$/);
    assert.equal(await product(runtime), 17);
  });

  const failures: Readonly<Record<string, readonly [script: string, reason: RegExp]>> = {
    'crashes while it is loaded': ['process.abort()', /it ended by SIGABRT/],
    'throws while it is loaded': ['throw new Error("GLIBC_9.9 not found")', /Error: GLIBC_9\.9 not found/],
    'computes wrongly': [
      `exports.Tensor = class {};
       exports.InferenceSession = { create: async () => ({ run: async () => ({ y: { data: [12] } }) }) };`,
      /it computed a wrong product/,
    ],
  };
  for (const [what, [script, reason]] of Object.entries(failures))
    test(`is the embedded build, and says why, when the native one ${what}`, async () => {
      const runtime = await loadOnnxRuntime(1, impostor(what.replaceAll(' ', '-'), script));
      assert.equal(runtime.kind, 'wasm');
      assert.match(runtime.notes.join('\n'), reason);
      assert.match(runtime.notes.join('\n'), /onnxruntime-node does not work here .*WebAssembly/);
      assert.equal(await product(runtime), 17);
    });

  test('is the embedded build, and says so, when the native one is not there', async () => {
    const runtime = await loadOnnxRuntime(1, path.join(folder, 'nothing'));
    assert.equal(runtime.kind, 'wasm');
    assert.match(runtime.notes.join('\n'), /there is no onnxruntime-node in .*nothing/);
  });

  test('tells why it refuses a model, in one line', async () => {
    const runtime = await loadOnnxRuntime(1, 'wasm');
    await assert.rejects(runtime.load(Buffer.from('no model')), (error: unknown) => {
      assert.ok(error instanceof Error);
      assert.doesNotMatch(error.message, /\n/);
      return true;
    });
  });
});
