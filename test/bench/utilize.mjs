/** The δ-search on ResNet-20: `rankscope utilize` against the same search in plain PyTorch, whole processes. */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { measure, median } from './measure.mjs';
import { findPython } from './peers.mjs';

const here = path.dirname(fileURLToPath(import.meta.url));
const root = path.join(here, '../..');
const cli = path.join(root, 'dist/cli.js');
/** What the search is to take of the peer's time. */
const WANTED_RATIO = 0.6;
/** Both use as many threads as a small laptop has cores. */
const THREADS = 2;
const GRAM_IMAGES = 2000;

const HOSTS = {
  python: {
    label: 'rankscope utilize, Python host',
    network: ({ facts }) => ({
      network: {
        kind: 'python',
        file: path.join(root, 'test/reference/utilization_networks.py'),
        arguments: { network: 'resnet20' },
        python: facts.executable,
      },
    }),
  },
  onnx: {
    label: 'rankscope utilize, ONNX',
    network: (python, folder, shared) => {
      const model = path.join(folder, 'resnet20.onnx');
      execFileSync(python.facts.executable, [path.join(here, 'export_resnet.py'), model], {
        env: { ...process.env, ...python.env, RANKSCOPE_SHARED: shared },
        stdio: ['ignore', 'ignore', 'inherit'],
      });
      const file = path.join(shared, 'data/cifar10_lossless_subset/cifar10_lossless_subset.npz');
      const normal = { path: file, mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225] };
      return {
        network: { kind: 'onnx', model },
        data: {
          gram: { ...normal, inputs: 'x_train', to: GRAM_IMAGES },
          validation: { ...normal, inputs: 'x_test', labels: 'y_test' },
        },
      };
    },
  },
};

function rankscope(name, python, folder, shared, delta) {
  const recipe = path.join(folder, `${name}.rankscope.json`);
  const content = { schema: 'rankscope/recipe@1', ...HOSTS[name].network(python, folder, shared) };
  writeFileSync(recipe, JSON.stringify(content));
  const out = path.join(folder, `${name}.json`);
  return {
    label: HOSTS[name].label,
    command: process.execPath,
    args: [cli, 'utilize', recipe, '--delta', String(delta), '--threads', String(THREADS), '--json', out],
    outcome: () => {
      const { seconds, summary, layers } = JSON.parse(readFileSync(out, 'utf8'));
      return {
        seconds,
        before: summary.before,
        after: summary.afterProjection,
        mlu: 100 * summary.mlu,
        passes: summary.passes,
        bound: layers.reduce(
          (sum, { shape: [m, n] }) => sum + Math.ceil(Math.log2(m)) + Math.ceil(Math.log2(n)),
          0,
        ),
      };
    },
  };
}

function peer(python, delta) {
  return {
    label: 'plain PyTorch, whole network for each probe',
    command: python.facts.executable,
    args: [path.join(here, 'peer_torch_utilize.py'), String(delta)],
    outcome: ({ stdout }) => JSON.parse(/^\{"seconds".*$/m.exec(stdout)[0]),
  };
}

async function once(subject, env, folder, run) {
  // What an earlier run kept must not be found again.
  const RANKSCOPE_CACHE = mkdtempSync(path.join(folder, 'cache-'));
  const result = await measure(subject.command, subject.args, { ...env, RANKSCOPE_CACHE });
  if (result.code !== 0) throw new Error(`${subject.label} failed (${result.code}): ${result.stderr.trim()}`);
  const outcome = subject.outcome(result);
  console.log(
    `run ${run + 1}: ${subject.label}  ${result.seconds.toFixed(1)} s` +
      ` (CPU ${result.cpuSeconds?.toFixed(1) ?? '?'} s)  accuracy ${outcome.before.toFixed(2)} → ` +
      `${outcome.after.toFixed(2)} %, MLU ${outcome.mlu.toFixed(2)} %, ${outcome.passes} passes`,
  );
  return { ...result, outcome };
}

/** Everything once, then again: a noisy minute on a shared machine falls on all of them. */
async function interleaved(subjects, env, folder, runs) {
  const results = subjects.map(() => []);
  for (let run = 0; run < runs; run++)
    for (const [i, subject] of subjects.entries()) results[i].push(await once(subject, env, folder, run));
  return results;
}

function report(subjects, results) {
  const seconds = results.map((all) => median(all.map((result) => result.seconds)));
  const theirs = seconds.at(-1);
  console.log('');
  for (const [i, { label }] of subjects.slice(0, -1).entries()) {
    const { passes, bound } = results[i].at(-1).outcome;
    const ratio = seconds[i] / theirs;
    const verdict = ratio <= WANTED_RATIO ? 'as wanted' : 'MISSED';
    console.log(`${label}: ${seconds[i].toFixed(1)} s against ${theirs.toFixed(1)} s of plain PyTorch`);
    console.log(`  ratio ${ratio.toFixed(2)}, at most ${WANTED_RATIO} wanted: ${verdict}`);
    console.log(
      `  ${passes} passes, at most Σ(⌈log₂ n⌉ + ⌈log₂ m⌉) = ${bound}: ${passes <= bound ? 'holds' : 'BROKEN'}`,
    );
  }
}

function parse(args) {
  const { values } = parseArgs({
    args,
    options: {
      runs: { type: 'string', default: '1' },
      hosts: { type: 'string', default: 'python,onnx' },
      delta: { type: 'string', default: '0.1' },
    },
  });
  const [runs, delta] = [Number(values.runs), Number(values.delta)];
  if (!Number.isInteger(runs) || runs < 1) throw new Error(`--runs ${values.runs}: not a number of runs`);
  if (!(delta > 0)) throw new Error(`--delta ${values.delta}: not a number of percentage points`);
  const hosts = values.hosts.split(',').filter(Boolean);
  const unknown = hosts.find((name) => !Object.hasOwn(HOSTS, name));
  if (unknown !== undefined)
    throw new Error(`--hosts ${unknown}: not one of ${Object.keys(HOSTS).join(', ')}`);
  return { runs, hosts, delta };
}

function prerequisites() {
  const shared = process.env.RANKSCOPE_SHARED ?? path.join(root, '..', 'shared');
  if (!existsSync(cli)) throw new Error('dist/cli.js is not built: npm run build');
  if (!existsSync(path.join(shared, 'data/resnet_cifar10')))
    throw new Error(`the trained ResNet-20 and its data are not here: ${shared}`);
  const python = findPython(['torch', 'numpy']);
  if (python === undefined) throw new Error('no Python here has torch and numpy');
  return { shared, python };
}

/** @returns {Promise<number>} exit code */
export async function run(args) {
  let options;
  try {
    options = parse(args);
  } catch (error) {
    console.error(error.message);
    return 2;
  }
  const { shared, python } = prerequisites();
  const folder = mkdtempSync(path.join(os.tmpdir(), 'rankscope-bench-'));
  const env = { ...python.env, RANKSCOPE_SHARED: shared };
  console.log(
    `${os.cpus()[0]?.model ?? 'unknown processor'}, ${os.cpus().length} cores; node ${process.version}; ` +
      `python ${python.facts.python}, torch ${python.facts.torch}`,
  );
  try {
    const ours = options.hosts.map((name) => rankscope(name, python, folder, shared, options.delta));
    const subjects = [...ours, peer(python, options.delta)];
    report(subjects, await interleaved(subjects, env, folder, options.runs));
  } finally {
    rmSync(folder, { recursive: true });
  }
  return 0;
}
