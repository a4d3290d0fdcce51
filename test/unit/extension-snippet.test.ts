/** The Python script of a layer: run by a real Python where there is one. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import path from 'node:path';
import { describe, test } from 'node:test';
import { createWasmBackend } from '../../src/compute';
import { audit } from '../../src/engine/audit';
import type { AuditDocument, CheckpointFacts } from '../../src/engine/document';
import { pythonSnippet, pythonString } from '../../src/extension/panel/snippet';
import { ROOT } from '../reference/references';
import { layer } from './auditDocument';

interface Output {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

function runBy(program: string, script: string, stdin = ''): Output {
  const env = { ...process.env, OPENBLAS_NUM_THREADS: '1' };
  return spawnSync(program, ['-c', script], { input: stdin, encoding: 'utf8', env });
}

/** The first Python that has these modules: the system's often has what the one on the path lacks. */
function pythonWith(modules: string): string | undefined {
  const { RANKSCOPE_PYTHON: own } = process.env;
  const candidates = [...(own === undefined ? [] : [own]), 'python3', '/usr/bin/python3'];
  return candidates.find((program) => runBy(program, `import ${modules}`).status === 0);
}

if (process.env.RANKSCOPE_REQUIRE_PYTHON === '1' && pythonWith('torch, numpy') === undefined) {
  throw new Error('no Python with torch and numpy here');
}

const plain = pythonWith('ast');
const hasPython = plain !== undefined;
const python = (script: string, stdin?: string): Output => runBy(plain ?? '', script, stdin);

const HOSTILE_NAMES = [
  'layer.0.weight',
  `"; import os; os.system("true") #`,
  `'''\n"""\\`,
  'line\nbreak\r\t\0\u2028\u2029',
  'right\u202eleft \ud83d\ude00 é \u007f',
  'lone \ud800 surrogate',
  '{name} %s \\N{BULLET} \\x41',
];

describe('names in Python', () => {
  test('are literals of plain ASCII', () => {
    for (const name of HOSTILE_NAMES) assert.match(pythonString(name), /^"[ -~]*"$/);
  });

  test('are read by Python as they are', { skip: !hasPython && 'no Python here' }, () => {
    for (const name of HOSTILE_NAMES) {
      const { status, stdout } = python(
        `name = ${pythonString(name)}\nprint(list(name.encode("utf-16-le", "surrogatepass")))`,
      );
      assert.equal(status, 0);
      assert.deepEqual(JSON.parse(stdout), [...Buffer.from(name, 'utf16le')], JSON.stringify(name));
    }
  });

  test('change nothing else in the script', { skip: !hasPython && 'no Python here' }, () => {
    const parsed = (name: string): string => {
      const script = pythonSnippet(facts('PyTorch (zip)', `/models/${name}.pt`), layer(name, [4, 4], 2));
      const { status, stdout, stderr } = python(
        'import ast, sys\nprint(ast.dump(ast.parse(sys.stdin.read())).count("Call("))',
        script,
      );
      assert.equal(status, 0, stderr);
      return stdout;
    };
    const calls = parsed('weight');
    for (const name of HOSTILE_NAMES) assert.equal(parsed(name), calls);
  });
});

function facts(format: string, file: string): CheckpointFacts {
  return { path: file, format, bytes: 1, tensors: 1, parameters: 16 };
}

async function auditOf(file: string): Promise<AuditDocument> {
  const backend = createWasmBackend(1);
  try {
    return await audit({
      path: path.join(ROOT, 'test/fixtures', file),
      backend,
      signal: new AbortController().signal,
      spectra: true,
      cache: null,
    });
  } finally {
    await backend.dispose();
  }
}

/** What the script computes, without the plot: a window would open, or matplotlib be missing. */
function sigmaOf(program: string, script: string): number[] {
  const computing = script
    .split('\n')
    .filter((line) => !/^plt\.|matplotlib/.test(line))
    .join('\n');
  const { status, stdout, stderr } = runBy(
    program,
    `${computing}\nimport json\nprint(json.dumps(sigma.tolist()))`,
  );
  assert.equal(status, 0, stderr);
  return JSON.parse(stdout) as number[]; // what the line above printed
}

describe('the script run by Python', () => {
  const cases = [
    { file: 'stored.npz', modules: 'numpy' },
    { file: 'fortran.npy', modules: 'numpy' },
    { file: 'arrays_protocol4.pkl', modules: 'numpy' },
    { file: 'zip_state_dict.pt', modules: 'torch, numpy' },
    { file: 'zip_views.pt', modules: 'torch, numpy' },
    { file: 'legacy_state_dict.pt', modules: 'torch, numpy' },
    { file: 'gguf_types.gguf', modules: 'gguf, numpy' },
    { file: 'onnx_weights.onnx', modules: 'onnx, numpy' },
    { file: 'tflite_float32.tflite', modules: 'tensorflow, numpy' },
    { file: 'tflite_int8.tflite', modules: 'tensorflow, numpy' },
    { file: 'tensorflow/slim/model.ckpt-7.index', modules: 'tensorflow, numpy' },
  ];
  for (const { file, modules } of cases) {
    const program = pythonWith(modules);
    const missing = program === undefined && `no Python with ${modules} here`;
    test(`finds the same singular values in ${file}`, { skip: missing }, async () => {
      const document = await auditOf(file);
      assert.ok(document.layers.length > 0);
      for (const audited of document.layers.slice(0, 2)) {
        const expected = sigmaOf(program ?? '', pythonSnippet(document.checkpoint, audited));
        const found = audited.singularValues ?? [];
        assert.equal(found.length, expected.length, audited.name);
        const largest = expected[0] ?? 0;
        expected.forEach((sigma, i) => {
          assert.ok(Math.abs(sigma - (found[i] ?? NaN)) <= 2e-8 * largest, `${audited.name} ${i}`);
        });
      }
    });
  }

  test('loads experts, shards and scripts by what holds them', () => {
    const script = (format: string, name = 'experts.up[3]'): string =>
      pythonSnippet(facts(format, '/m'), layer(name, [4, 4], 2));
    assert.match(script('safetensors'), /safe_open[\s\S]*name = "experts\.up"[\s\S]*tensor = tensor\[3\]/);
    assert.match(script('safetensors (3 shards)'), /glob\("\*\.safetensors"\)/);
    assert.match(script('PyTorch (zip) (2 shards)'), /iterdir\(\)[\s\S]*weights_only=True/);
    assert.match(script('PyTorch (TorchScript)'), /torch\.jit\.load/);
    assert.match(script('PyTorch (tar)'), /torch\.load/);
    assert.match(script('GGUF (llama)'), /dequantize/);
    assert.match(script('GGUF (llama, 3 shards)'), /glob\("\*\.gguf"\)/);
    assert.match(script('Keras (.weights.h5)'), /h5py\.File\(path\)/);
    assert.match(script('Keras (.keras)'), /zipfile\.ZipFile/);
    assert.match(script('TensorFlow checkpoint (2 shards)'), /load_checkpoint/);
    assert.match(script('TensorFlow.js graph model'), /read_weights/);
  });
});
