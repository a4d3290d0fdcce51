// npm run bench -- <bench> [arguments]; without a name, says which there are.
const BENCHES = {
  audit: {
    usage: 'audit [file] [--runs 5] [--peers torch32,numpy32,numpy64,weightwatcher] [--trust-file]',
    about:
      'the whole command against plain Python on a ViT-B-shaped file, or on a file of yours\n' +
      '      (--trust-file: Python may unpickle it without limits, which executes what it says)',
    load: () => import('./audit.mjs'),
  },
  convert: {
    usage: 'convert [--matrix kaiming|decaying] [--rank 64] [--runs 3]',
    about: 'sine-low-rank factors of a layer of 768 × 3072 against the same algorithm in plain PyTorch',
    load: () => import('./convert.mjs'),
  },
  utilize: {
    usage: 'utilize [--hosts python,onnx] [--delta 0.1] [--runs 1]',
    about: 'the search for utilized ranks on ResNet-20 against the same search in plain PyTorch',
    load: () => import('./utilize.mjs'),
  },
  gpu: {
    usage: 'gpu [--files vit-b,wide-4096] [--backends webgpu,tensorflow] [--runs 3] [--out folder]',
    about: 'audits on a graphics card against the processor, and PyTorch on the same card',
    load: () => import('./gpu.mjs'),
  },
};

const [name, ...rest] = process.argv.slice(2);
const bench = Object.hasOwn(BENCHES, name ?? '') ? BENCHES[name] : undefined;
if (bench === undefined) {
  console.error('usage: npm run bench -- <bench> [arguments]');
  for (const { usage, about } of Object.values(BENCHES)) console.error(`  ${usage}\n      ${about}`);
  process.exit(2);
}
const { run } = await bench.load();
process.exitCode = await run(rest);
