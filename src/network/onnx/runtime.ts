/** ONNX Runtime, whichever build of it runs here, behind the API that both share. */
import { execFile } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import type { Env, InferenceSession, InferenceSessionFactory, TensorConstructor } from 'onnxruntime-common';
import { countOf } from '../../checkpoint/wording';
import { probeModel } from './probeModel';

/** What `onnxruntime-node` and `onnxruntime-web` export alike. */
interface OnnxRuntimeModule {
  readonly env: Env;
  readonly InferenceSession: InferenceSessionFactory;
  readonly Tensor: TensorConstructor;
}

export interface OnnxRuntime {
  readonly kind: 'native' | 'wasm';
  /** For people: `ONNX Runtime 1.30.0 (native, 2 threads)`. */
  readonly title: string;
  /** Why it is not the faster one, when it is not. */
  readonly notes: readonly string[];
  readonly Tensor: TensorConstructor;
  /** @throws Error with ONNX Runtime's own reason in one line. */
  load(model: Uint8Array): Promise<InferenceSession>;
}

/** A native library that hangs while it is loaded is as good as one that crashes. */
const PROBE_MILLISECONDS = 20_000;
/** The embedded build, as the project's build puts it beside the bundles. */
const EMBEDDED = { script: 'ort-wasm-simd-threaded.mjs', binary: 'ort-wasm-simd-threaded.wasm' } as const;

const onDisk = createRequire(__filename);

interface Choice {
  readonly kind: OnnxRuntime['kind'];
  readonly notes: readonly string[];
  readonly module: OnnxRuntimeModule;
}

const choices = new Map<string, Promise<Choice>>();

/**
 * The native build of ONNX Runtime where it is installed and works, else the embedded WebAssembly one.
 *
 * @param threads of one run.
 * @param asked `wasm` for the embedded one, or the folder of an `onnxruntime-node` to use; empty: found by itself.
 */
export async function loadOnnxRuntime(
  threads: number,
  asked = process.env.RANKSCOPE_ONNX ?? '',
): Promise<OnnxRuntime> {
  const choice = choices.get(asked) ?? choose(threads, asked);
  choices.set(asked, choice);
  const { kind, notes, module } = await choice;
  // The embedded build's threads are set once, before its first use.
  const used = kind === 'wasm' ? (module.env.wasm.numThreads ?? 1) : threads;
  const options: InferenceSession.SessionOptions = {
    executionProviders: [kind === 'wasm' ? 'wasm' : 'cpu'],
    intraOpNumThreads: used,
    // Errors come as exceptions; warnings about unusual models would go to the terminal.
    logSeverityLevel: 4,
    // Threads that wait for work by turning in circles take the time of those that sum the Grams.
    extra: { session: { intra_op: { allow_spinning: '0' } } },
  };
  const build = kind === 'wasm' ? 'WebAssembly' : 'native';
  return {
    kind,
    title: `ONNX Runtime ${module.env.versions.common} (${build}, ${countOf(used, 'thread')})`,
    notes,
    Tensor: module.Tensor,
    async load(model) {
      try {
        return await module.InferenceSession.create(model, options);
      } catch (error) {
        throw new Error(oneLine(error), { cause: error });
      }
    },
  };
}

async function choose(threads: number, asked: string): Promise<Choice> {
  const native = asked === 'wasm' ? undefined : await loadNative(asked);
  if (native !== undefined && 'module' in native) return { kind: 'native', notes: [], module: native.module };
  const reason = native === undefined ? [] : [native.reason];
  return { kind: 'wasm', notes: reason, module: loadEmbedded(threads) };
}

/** The module, or why it is not used. A child process loads it first: a library that crashes takes only that. */
async function loadNative(
  asked: string,
): Promise<{ readonly module: OnnxRuntimeModule } | { readonly reason: string }> {
  const instead = 'the embedded WebAssembly build of ONNX Runtime runs, which is several times slower';
  let file: string;
  try {
    file = onDisk.resolve(asked === '' ? 'onnxruntime-node' : path.resolve(asked));
  } catch {
    const missing =
      asked === '' ? 'onnxruntime-node is not installed' : `there is no onnxruntime-node in ${asked}`;
    return { reason: `${missing}: ${instead}.` };
  }
  try {
    await probeNative(file);
    // The package's own types are not there where the optional package is not; both builds share this interface.
    return { module: onDisk(file) as OnnxRuntimeModule };
  } catch (error) {
    return { reason: `onnxruntime-node does not work here (${oneLine(error)}): ${instead}.` };
  }
}

async function probeNative(file: string): Promise<void> {
  const script = `
    const ort = require(process.argv[1]);
    const model = new Uint8Array(Buffer.from(process.argv[2], 'base64'));
    const x = new ort.Tensor('float32', Float32Array.of(1, 2), [1, 2]);
    ort.InferenceSession.create(model).then((session) => session.run({ x })).then(({ y }) => {
      process.exitCode = y.data[0] === 11 ? 0 : 1;
    });`;
  const model = Buffer.from(probeModel()).toString('base64');
  try {
    await promisify(execFile)(process.execPath, ['-e', script, file, model], {
      // Inside VS Code this process is Electron's.
      env: { ...process.env, ELECTRON_RUN_AS_NODE: '1' },
      timeout: PROBE_MILLISECONDS,
    });
  } catch (error) {
    throw new Error(probeFailure(error), { cause: error });
  }
}

/** The line that says most of what a failed child process printed. */
function probeFailure(error: unknown): string {
  // execFile's errors carry these beside the message, as far as they apply.
  const { stderr, signal, killed } = error as { stderr?: unknown; signal?: unknown; killed?: unknown };
  if (killed === true) return `no answer within ${PROBE_MILLISECONDS / 1000} seconds`;
  if (typeof signal === 'string') return `it ended by ${signal}`;
  const line = typeof stderr === 'string' ? /^.*Error:.*$/m.exec(stderr)?.[0] : undefined;
  return line ?? 'it computed a wrong product';
}

function loadEmbedded(threads: number): OnnxRuntimeModule {
  // Bundled, so that `require` here names a part of the bundle; the types are those of the shared API.
  // eslint-disable-next-line @typescript-eslint/no-require-imports -- loaded only where the native build is not
  const module = require('onnxruntime-web') as OnnxRuntimeModule;
  const { wasm } = module.env;
  wasm.numThreads = Math.max(1, threads);
  wasm.wasmBinary = readFileSync(embeddedFile(EMBEDDED.binary));
  wasm.wasmPaths = { mjs: pathToFileURL(embeddedFile(EMBEDDED.script)).href };
  return module;
}

/** A file that the build puts beside the bundles. Tests are bundled two folders further down. */
function embeddedFile(name: string): string {
  const candidates = [__dirname, path.join(__dirname, '..', '..')].map((folder) => path.join(folder, name));
  const found = candidates.find((candidate) => existsSync(candidate));
  if (found === undefined) throw new Error(`${name} is missing from the installation: run "npm run build"`);
  return found;
}

/** The first line of an error that says something, without control characters. */
export function oneLine(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error);
  const line = message.split('\n').find((text) => text.trim() !== '') ?? 'no reason given';
  // eslint-disable-next-line no-control-regex -- these are the characters to remove
  return line.replace(/[\u0000-\u001f\u007f-\u009f]/g, ' ').trim();
}
