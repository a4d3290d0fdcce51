/** The built-in networks on TensorFlow's native library and on a graphics card that the processor plays. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { describe, test } from 'node:test';
// Its gradients are registered for every copy of TensorFlow.js in the process.
import '@tensorflow/tfjs';
import { openTensorflowLibrary } from '../../src/compute/tensorflow/library';
import { openAdapter } from '../../src/compute/webgpu/dawn';
import { requestDevice } from '../../src/compute/webgpu/device';
import type { Tf } from '../../src/network/builtin';
import { supplyKernels } from '../../src/network/builtin/kernels';
import { builtinReferences } from '../reference/builtinReferences';
import { assertAsPytorch } from './builtinCases';
import { softwareGpu } from './softwareGpu';
import { tensorflowFolder, WITHOUT_TENSORFLOW } from './tensorflowCpu';

/** WebGPU leaves sines and exponentials to the driver: WGSL asks for no more of them. */
const WEBGPU_TOLERANCE = 2e-3;

/** One of each network and form: an emulated card takes seconds for each. */
const ON_WEBGPU: ReadonlySet<string> = new Set([
  'perceptron, tanh, sine',
  'NeRF, sine',
  'VGG-11, training, low-rank',
  'ResNet-20, training',
  'ViT, LoRA on attention',
  'GPT, sine',
  'encoder, classes, sine-LoRA',
]);

/** A driver is named in the environment of a process from its start, and a process has one TensorFlow.js. */
switch (process.env.RANKSCOPE_TEST_BUILTIN) {
  case undefined:
    inOwnProcesses();
    break;
  case 'tensorflow':
    networksOn('tensorflow', async () => {
      const { tf } = await openTensorflowLibrary({ tensorflow: await tensorflowFolder() });
      return tf;
    });
    break;
  case 'webgpu':
    networksOn(
      'webgpu',
      async () => {
        const adapter = await openAdapter({});
        const device = await requestDevice(adapter);
        const { tensorsOn } = await import('../../src/compute/webgpu/tensors');
        const { tf } = await tensorsOn(device, adapter.info);
        return tf;
      },
      WEBGPU_TOLERANCE,
    );
}

function inOwnProcesses(): void {
  test('on TensorFlow', { skip: WITHOUT_TENSORFLOW, timeout: 600_000 }, () => {
    runAgain('tensorflow', {});
  });

  const gpu = softwareGpu();
  const skip = typeof gpu === 'string' ? gpu : false;
  test('on a software graphics card', { skip, timeout: 600_000 }, () => {
    assert.ok(typeof gpu !== 'string');
    runAgain('webgpu', gpu.env);
  });
}

function runAgain(backend: string, more: Readonly<Record<string, string>>): void {
  const { NODE_TEST_CONTEXT: _, ...env } = process.env;
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    ['--test', '--test-reporter=spec', __filename],
    { env: { ...env, ...more, RANKSCOPE_TEST_BUILTIN: backend }, encoding: 'utf8' },
  );
  assert.equal(status, 0, `${stdout}${stderr}`);
}

function networksOn(backend: string, open: () => Promise<Tf>, tolerance?: number): void {
  describe(`on ${backend}`, () => {
    const library = open().then((tf) => {
      supplyKernels(tf, backend);
      return tf;
    });
    const { cases } = builtinReferences();
    const chosen = backend === 'webgpu' ? cases.filter(({ name }) => ON_WEBGPU.has(name)) : cases;
    assert.ok(chosen.length >= ON_WEBGPU.size);
    for (const reference of chosen) {
      test(reference.name, async () => {
        await assertAsPytorch(await library, reference, tolerance);
      });
    }
  });
}
