/** Python that loads a tensor with the library its format is at home in. */

export interface Loader {
  readonly imports: readonly string[];
  /** Statements that leave the tensor called `name` of the file `path` in `tensor`. */
  readonly load: readonly string[];
  /** Outputs are the last axis of a convolution's kernel. */
  readonly channelsLast?: true;
}

/** How a tensor of a checkpoint is loaded, by the format that its audit tells. */
export function loaderOf(format: string): Loader {
  const sharded = /\b\d+ shards?\)$/.test(format);
  if (format.startsWith('safetensors')) return sharded ? SHARDED_SAFETENSORS : SAFETENSORS;
  if (format === 'NumPy (.npz)') return NPZ;
  if (format.startsWith('NumPy')) return NPY;
  if (format === 'PyTorch (TorchScript)') return TORCHSCRIPT;
  if (format === 'Python pickle') return PICKLE;
  if (format.startsWith('GGUF')) return sharded ? SHARDED_GGUF : GGUF;
  if (format === 'ONNX') return ONNX;
  if (format === 'Keras (.keras)') return KERAS;
  if (format.startsWith('Keras') || format === 'HDF5') return HDF5;
  if (format.startsWith('TensorFlow.js')) return TENSORFLOW_JS;
  if (format === 'TensorFlow Lite') return TFLITE;
  if (format.startsWith('TensorFlow')) return TENSORFLOW;
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

const GGUF: Loader = {
  imports: ['from gguf import GGUFReader', 'from gguf.quants import dequantize'],
  load: [
    'stored = next(t for t in GGUFReader(path).tensors if t.name == name)',
    'tensor = dequantize(stored.data, stored.tensor_type).reshape([int(n) for n in reversed(stored.shape)])',
  ],
};

const SHARDED_GGUF: Loader = {
  imports: ['from pathlib import Path', '', ...GGUF.imports],
  load: [
    'folder = Path(path) if Path(path).is_dir() else Path(path).parent',
    'tensors = (t for shard in sorted(folder.glob("*.gguf")) for t in GGUFReader(shard).tensors)',
    'stored = next(t for t in tensors if t.name == name)',
    ...GGUF.load.slice(1),
  ],
};

const ONNX: Loader = {
  imports: ['import onnx', 'from onnx import numpy_helper'],
  load: [
    'def graphs(graph):',
    '    yield graph',
    '    for node in graph.node:',
    '        for attribute in node.attribute:',
    '            for inner in [attribute.g, *attribute.graphs]:',
    '                if inner.node:',
    '                    yield from graphs(inner)',
    '',
    '',
    '# Integers are given as they are stored, without their scale.',
    'initializers = (t for graph in graphs(onnx.load(path).graph) for t in graph.initializer)',
    'tensor = numpy_helper.to_array(next(t for t in initializers if t.name == name))',
  ],
};

/** Weights of older files go by their own names, which end the paths of their datasets. */
const IN_HDF5 = [
  '    found = []',
  '    file.visititems(lambda key, item: found.append(item) if hasattr(item, "shape") and f"/{key}".endswith(f"/{name}") else None)',
  '    tensor = found[0][()]',
];

const HDF5: Loader = {
  channelsLast: true,
  imports: ['import h5py'],
  load: ['with h5py.File(path) as file:', ...IN_HDF5],
};

const KERAS: Loader = {
  channelsLast: true,
  imports: ['import io', 'import zipfile', '', 'import h5py'],
  load: [
    'weights = io.BytesIO(zipfile.ZipFile(path).read("model.weights.h5"))',
    'with h5py.File(weights) as file:',
    ...IN_HDF5,
  ],
};

const TENSORFLOW: Loader = {
  channelsLast: true,
  imports: ['from pathlib import Path', '', 'import tensorflow as tf'],
  load: [
    'given = Path(path)',
    'if given.name == "saved_model.pb":',
    '    given = given.parent',
    'if (given / "saved_model.pb").exists():',
    '    prefix = str(given / "variables" / "variables")',
    'elif given.is_dir():',
    '    prefix = tf.train.latest_checkpoint(str(given))',
    'else:',
    '    prefix = str(given).removesuffix(".index")',
    'reader = tf.train.load_checkpoint(prefix)',
    'keys = reader.get_variable_to_shape_map()',
    'tensor = reader.get_tensor(name if name in keys else f"{name}/.ATTRIBUTES/VARIABLE_VALUE")',
  ],
};

const TENSORFLOW_JS: Loader = {
  channelsLast: true,
  imports: [
    'import json',
    'from pathlib import Path',
    '',
    'from tensorflowjs.read_weights import read_weights',
  ],
  load: [
    'manifest = json.loads(Path(path).read_text())["weightsManifest"]',
    'groups = read_weights(manifest, str(Path(path).parent))',
    'tensor = next(weight["data"] for group in groups for weight in group if weight["name"] == name)',
  ],
};

const TFLITE: Loader = {
  channelsLast: true,
  imports: ['import tensorflow as tf'],
  load: [
    'interpreter = tf.lite.Interpreter(path)',
    'detail = next(d for d in interpreter.get_tensor_details() if d["name"] == name)',
    'tensor = interpreter.tensor(detail["index"])()',
    'quantization = detail["quantization_parameters"]',
    'if quantization["scales"].size:',
    '    along = [1] * tensor.ndim',
    '    along[quantization["quantized_dimension"]] = -1 if quantization["scales"].size > 1 else 1',
    '    zero_points, scales = (quantization[key].reshape(along) for key in ("zero_points", "scales"))',
    '    tensor = (tensor.astype(np.float64) - zero_points) * scales',
  ],
};
