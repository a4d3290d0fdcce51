import type { CheckpointFacts, LayerAudit } from '../../engine/document';

type SnippetLayer = Pick<LayerAudit, 'name' | 'shape' | 'groups'>;

/**
 * A Python script that loads one layer with the library its format is at home in, computes its singular values with
 * NumPy and plots them. Names are hostile text: every one of them stands in a string literal of plain ASCII.
 */
export function pythonSnippet(checkpoint: CheckpointFacts, layer: SnippetLayer): string {
  const { tensorName, index } = splitStackIndex(layer.name);
  const loader = loaderOf(checkpoint.format);
  const [m, n] = layer.shape;
  const lines = [
    ...loader.imports,
    'import matplotlib.pyplot as plt',
    'import numpy as np',
    '',
    `path = ${pythonString(checkpoint.path)}`,
    `name = ${pythonString(tensorName)}`,
    `m, n, groups = ${m}, ${n}, ${layer.groups ?? 1}  # one group's matrix is m out × n in`,
    '',
    ...loader.load,
    ...(index === undefined ? [] : [`tensor = tensor[${index}]`]),
    'tensor = np.asarray(tensor, dtype=np.float64)',
    '# Stored out × in if the leading axes make m rows, else in × out: the singular values are the same.',
    'rows = m if groups * m in np.cumprod(tensor.shape) else n',
    'matrices = tensor.reshape(groups, rows, -1)',
    'sigma = np.linalg.svd(matrices, compute_uv=False).mean(axis=0)',
    '',
    'plt.semilogy(np.arange(1, len(sigma) + 1), sigma / sigma[0])',
    'plt.title(name, parse_math=False)',
    'plt.xlabel("index")',
    'plt.ylabel("singular value / largest")',
    'plt.show()',
  ];
  return `${lines.join('\n')}\n`;
}

interface Loader {
  readonly imports: readonly string[];
  /** Statements that leave the tensor called `name` of the file `path` in `tensor`. */
  readonly load: readonly string[];
}

function loaderOf(format: string): Loader {
  const sharded = /\(\d+ shards?\)$/.test(format);
  if (format.startsWith('safetensors')) return sharded ? SHARDED_SAFETENSORS : SAFETENSORS;
  if (format === 'NumPy (.npz)') return NPZ;
  if (format.startsWith('NumPy')) return NPY;
  if (format === 'PyTorch (TorchScript)') return TORCHSCRIPT;
  if (format === 'Python pickle') return PICKLE;
  return sharded ? SHARDED_PYTORCH : PYTORCH;
}

/** Finds a tensor by its path; keys hold dots themselves. */
const FIND = [
  'def find(node, name):',
  '    """The tensor at a path of keys joined with dots (keys may hold dots themselves)."""',
  '    if name == "":',
  '        return node if hasattr(node, "shape") else None',
  '    if hasattr(node, "state_dict"):',
  '        node = node.state_dict()',
  '    if isinstance(node, (list, tuple)):',
  '        node = dict(enumerate(node))',
  '    for key, value in (node.items() if isinstance(node, dict) else ()):',
  '        if name == str(key) or name.startswith(f"{key}."):',
  '            found = find(value, name[len(str(key)) + 1 :])',
  '            if found is not None:',
  '                return found',
  '    return node if hasattr(node, "shape") else None',
  '',
  '',
];

const SAFETENSORS: Loader = {
  imports: ['from safetensors import safe_open'],
  load: ['with safe_open(path, framework="pt") as file:', '    tensor = file.get_tensor(name).double()'],
};

const SHARDED_SAFETENSORS: Loader = {
  imports: ['from pathlib import Path', '', 'from safetensors import safe_open'],
  load: [
    'folder = Path(path) if Path(path).is_dir() else Path(path).parent',
    'for shard in sorted(folder.glob("*.safetensors")):',
    '    with safe_open(shard, framework="pt") as file:',
    '        if name in file.keys():',
    '            tensor = file.get_tensor(name).double()',
  ],
};

const PYTORCH: Loader = {
  imports: ['import torch'],
  load: [
    ...FIND,
    '# weights_only refuses files that would run code; leave it out only for files you trust.',
    'tensor = find(torch.load(path, map_location="cpu", weights_only=True), name).detach().double()',
  ],
};

const SHARDED_PYTORCH: Loader = {
  imports: ['from pathlib import Path', '', 'import torch'],
  load: [
    'folder = Path(path) if Path(path).is_dir() else Path(path).parent',
    'for shard in sorted(p for p in folder.iterdir() if p.suffix in {".bin", ".pt", ".pth"}):',
    '    state = torch.load(shard, map_location="cpu", weights_only=True)',
    '    if name in state:',
    '        tensor = state[name].detach().double()',
  ],
};

const TORCHSCRIPT: Loader = {
  imports: ['import torch'],
  load: ['tensor = torch.jit.load(path, map_location="cpu").state_dict()[name].detach().double()'],
};

const PICKLE: Loader = {
  imports: ['import pickle', ''],
  load: [
    ...FIND,
    '# pickle.load runs whatever the file says: only for files you trust.',
    'with open(path, "rb") as file:',
    '    tensor = find(pickle.load(file), name)',
  ],
};

const NPZ: Loader = {
  imports: [],
  load: ['with np.load(path, allow_pickle=False) as arrays:', '    tensor = arrays[name]'],
};

const NPY: Loader = {
  imports: [],
  load: ['tensor = np.load(path, allow_pickle=False)'],
};

/** Experts of a stack are layers of their own, called `tensor[i]`. */
function splitStackIndex(name: string): { tensorName: string; index?: number } {
  const match = /^(.*)\[(\d{1,9})\]$/s.exec(name);
  const [, tensorName, index] = match ?? [];
  return tensorName === undefined || tensorName === ''
    ? { tensorName: name }
    : { tensorName, index: Number(index) };
}

/** A Python string literal of plain ASCII: JSON's escapes are Python's, and everything else is escaped as well. */
export function pythonString(text: string): string {
  return JSON.stringify(text).replace(/[\u007f-\uffff]/g, (unit, offset: number, whole: string) =>
    escapeUnit(unit, offset, whole),
  );
}

/** Python reads \ud83d\ude00 as two lone surrogates, unlike JSON: characters beyond the first plane need \U. */
function escapeUnit(unit: string, offset: number, whole: string): string {
  const code = whole.codePointAt(offset) ?? 0;
  if (code > 0xffff) return `\\U${code.toString(16).padStart(8, '0')}`;
  const previous = offset > 0 ? (whole.codePointAt(offset - 1) ?? 0) : 0;
  return previous > 0xffff ? '' : `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`;
}
