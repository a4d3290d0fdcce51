"""Writes networks.json and the small files it describes, ../fixtures/data and ../fixtures/networks.

    OPENBLAS_CORETYPE=SkylakeX python3 make_networks.py [path of the shared data]

Needs numpy, PIL and PyTorch: pictures are PIL's, resizing is torch.nn.functional.interpolate, networks are PyTorch's
own layers in float64. Kernels are stored as Keras keeps them, kh x kw x in x out.
"""

import gzip
import io
import json
import struct
import sys
import zipfile
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image

HERE = Path(__file__).parent
DATA = HERE.parent / "fixtures" / "data"
NETWORKS = HERE.parent / "fixtures" / "networks"
rng = np.random.default_rng(20240)


def pictures():
    """Pictures of every kind PIL writes, with the pixels PIL reads back."""
    smooth = np.add.outer(np.arange(11) * 9.0, np.arange(13) * 7.0)[..., None] * [1.0, 0.7, 0.4]
    rgb = np.clip(smooth + rng.normal(0, 20, (11, 13, 3)) + 30, 0, 255).astype(np.uint8)
    image = Image.fromarray(rgb)
    alpha = image.convert("RGBA")
    alpha.putalpha(Image.fromarray(rng.integers(0, 256, (11, 13)).astype(np.uint8)))
    grey16 = Image.fromarray(rng.integers(0, 65536, (11, 13)).astype(np.uint16))
    saved = {
        "rgb.png": (image, {}),
        "rgba.png": (alpha, {}),
        "grey.png": (image.convert("L"), {}),
        "grey_alpha.png": (image.convert("LA"), {}),
        "one_bit.png": (image.convert("1"), {}),
        "palette16.png": (image.quantize(16), {"bits": 4}),
        "palette4.png": (image.quantize(4), {"bits": 2}),
        "palette200.png": (image.quantize(200), {}),
        "grey16.png": (grey16, {}),
        "colour420.jpg": (image, {"quality": 85, "subsampling": 2}),
        "colour444.jpg": (image, {"quality": 95, "subsampling": 0}),
        "progressive.jpg": (image, {"quality": 85, "progressive": True}),
        "grey.jpg": (image.convert("L"), {"quality": 90}),
        "cmyk.jpg": (image.convert("CMYK"), {}),
    }
    described = {}
    for name, (picture, options) in saved.items():
        buffer = io.BytesIO()
        picture.save(buffer, "PNG" if name.endswith("png") else "JPEG", **options)
        (DATA / name).write_bytes(buffer.getvalue())
        if name == "cmyk.jpg":
            continue
        read = Image.open(io.BytesIO(buffer.getvalue()))
        is_grey = read.mode in ("L", "LA", "1", "I;16", "I")
        if name == "grey16.png":
            values = np.asarray(read).astype(np.float64) / 257
        else:
            values = np.asarray(read.convert("L" if is_grey else "RGB")).astype(np.float64)
        described[name] = {"channels": 1 if is_grey else 3, "values": values.reshape(-1).tolist()}
    (DATA / "interlaced.png").write_bytes(interlaced(rgb))
    described["interlaced.png"] = described["rgb.png"]
    luma = np.asarray(image.convert("L")).reshape(-1).tolist()
    sizes = {}
    for height, width in ((7, 5), (22, 20), (11, 30)):
        tensor = torch.from_numpy(rgb.astype(np.float64)).permute(2, 0, 1)[None]
        resized = F.interpolate(tensor, size=(height, width), mode="bilinear", align_corners=False)
        sizes[f"{height}x{width}"] = resized[0].permute(1, 2, 0).reshape(-1).tolist()
    return {"height": 11, "width": 13, "pictures": described, "luma": luma, "resized": sizes}


def interlaced(rgb):
    """An RGB PNG in the seven passes of Adam7, lines unfiltered: PIL does not write these (it reads them)."""
    import zlib

    height, width, _ = rgb.shape
    lines = b""
    for x, y, dx, dy in ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)):
        for row in rgb[y::dy, x::dx]:
            if row.size > 0:
                lines += b"\0" + row.tobytes()
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 1)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(lines)), (b"IEND", b"")]
    body = b"".join(struct.pack(">I", len(d)) + t + d + struct.pack(">I", zlib.crc32(t + d)) for t, d in chunks)
    png = b"\x89PNG\r\n\x1a\n" + body
    assert (np.asarray(Image.open(io.BytesIO(png))) == rgb).all()
    return png


def arrays():
    """NumPy archives: bytes with labels, one-hot labels, Fortran order, floats, and one that names nothing usual."""
    x = rng.integers(0, 256, (6, 2, 3, 3)).astype(np.uint8)
    y = np.array([0, 2, 1, 2, 0, 1])
    f = rng.normal(size=(6, 5))
    np.savez(DATA / "stored.npz", x_test=x, y_test=y)
    np.savez_compressed(DATA / "compressed.npz", images=x, labels=y.astype(np.uint8))
    np.savez(DATA / "one_hot.npz", x=f.astype(np.float32), y=np.eye(3, dtype=np.float32)[y])
    np.savez(DATA / "fortran.npz", x=np.asfortranarray(f), y=y)
    np.savez(DATA / "half.npz", inputs=f.astype(np.float16))
    np.savez(DATA / "unnamed.npz", first=f, second=f * 2, third=y)
    np.savez(DATA / "words.npz", x=f, y=np.array(["cat", "dog", "cat", "dog", "cat", "dog"]))
    np.save(DATA / "inputs.npy", f.astype(">f4"))
    np.save(DATA / "targets.npy", y.astype(np.int32))
    return {
        "bytes": x.reshape(-1).tolist(),
        "floats": f.reshape(-1).tolist(),
        "halves": f.astype(np.float16).astype(np.float64).reshape(-1).tolist(),
        "labels": y.tolist(),
    }


def residual():
    """A functional model with a branch, uneven `same` padding, a dilated convolution, a batch norm and a nested model."""
    weights = {}

    def weight(name, *shape, scale=0.5):
        weights[name] = (rng.normal(size=shape) * scale).astype(np.float32)
        return torch.from_numpy(weights[name]).double()

    x = rng.normal(size=(24, 8, 8, 2)).astype(np.float32)
    grams, rows = {}, {}

    def conv(name, value, kernel, bias, stride, pad, dilation=1):
        """value N x C x H x W, kernel kh x kw x in x out, pad (left, right, top, bottom)."""
        padded = F.pad(value, pad)
        w = kernel.permute(3, 2, 0, 1)
        patches = F.unfold(padded, kernel.shape[:2], dilation=dilation, stride=stride)
        flat = patches.permute(0, 2, 1).reshape(-1, patches.shape[1])
        remember(name, flat, w.reshape(w.shape[0], -1))
        return F.conv2d(padded, w, bias, stride=stride, dilation=dilation)

    def remember(name, flat, matrix):
        grams[name] = {"vectors": len(flat), "gram": (flat.T @ flat).reshape(-1).tolist()}
        rows[name] = matrix.reshape(-1).tolist()

    def dense(name, value, kernel, bias):
        remember(name, value, kernel.T)
        return value @ kernel + bias

    v = torch.from_numpy(x).double().permute(0, 3, 1, 2)
    v = F.relu(conv("stem/kernel", v, weight("stem/kernel", 3, 3, 2, 4), weight("stem/bias", 4), 1, (1, 1, 1, 1)))
    # 8 -> 4 with windows of 3: Keras pads one line at the end, none at the beginning.
    v = conv("down/kernel", v, weight("down/kernel", 3, 3, 4, 6), weight("down/bias", 6), 2, (0, 1, 0, 1))
    gamma, beta = weight("norm/gamma", 6), weight("norm/beta", 6)
    mean = weight("norm/moving_mean", 6)
    weights["norm/moving_variance"] = rng.uniform(0.5, 2, 6).astype(np.float32)
    variance = torch.from_numpy(weights["norm/moving_variance"]).double()
    v = F.relu(F.batch_norm(v, mean, variance, gamma, beta, eps=1e-3))
    branch = conv("branch/kernel", v, weight("branch/kernel", 3, 3, 6, 6, scale=0.2), weight("branch/bias", 6), 1, (1, 1, 1, 1))
    v = F.relu(v + branch)
    wide = weight("wide/kernel", 2, 2, 6, 3)
    v = conv("wide/kernel", v, wide, weight("wide/bias", 3), 1, (0, 0, 0, 0), dilation=2)
    # Keras flattens with the channels last.
    v = v.permute(0, 2, 3, 1).reshape(len(x), -1)
    v = torch.tanh(dense("hidden/kernel", v, weight("hidden/kernel", 12, 5), weight("hidden/bias", 5)))
    logits = dense("out/kernel", v, weight("out/kernel", 5, 3), weight("out/bias", 3))
    labels = logits.argmax(1).numpy()
    # A third of the labels are wrong on purpose, so that accuracy is no round number.
    labels[::3] = (labels[::3] + 1) % 3
    (NETWORKS / "residual").mkdir(exist_ok=True)
    write_model(NETWORKS / "residual", residual_topology(), weights)
    np.savez(NETWORKS / "residual" / "data.npz", x=x, y=labels)
    accuracy = 100 * float((logits.argmax(1).numpy() == labels).mean())
    probabilities = F.softmax(logits, 1).reshape(-1).tolist()
    return {"grams": grams, "weights": rows, "accuracy": accuracy, "outputs": probabilities}


def residual_topology():
    def layer(kind, name, inputs, **config):
        nodes = [[[n, 0, 0, {}] for n in inputs]] if inputs else []
        return {"class_name": kind, "name": name, "config": {"name": name, **config}, "inbound_nodes": nodes}

    def conv(name, source, filters, size, **config):
        return layer("Conv2D", name, [source], filters=filters, kernel_size=[size, size], **config)

    head = {
        "class_name": "Sequential",
        "name": "head",
        "config": {
            "name": "head",
            "layers": [
                {"class_name": "Flatten", "config": {"name": "flat", "batch_input_shape": [None, 2, 2, 3]}},
                {"class_name": "Dropout", "config": {"name": "drop", "rate": 0.5}},
                {"class_name": "Dense", "config": {"name": "hidden", "units": 5, "activation": "tanh"}},
                {"class_name": "Dense", "config": {"name": "out", "units": 3, "activation": "softmax"}},
            ],
        },
        "inbound_nodes": [[["wide", 0, 0, {}]]],
    }
    layers = [
        layer("InputLayer", "pixels", [], batch_input_shape=[None, 8, 8, 2], dtype="float32"),
        conv("stem", "pixels", 4, 3, padding="same", activation="relu"),
        conv("down", "stem", 6, 3, padding="same", strides=[2, 2]),
        layer("BatchNormalization", "norm", ["down"], axis=-1, epsilon=1e-3),
        layer("Activation", "relu1", ["norm"], activation="relu"),
        conv("branch", "relu1", 6, 3, padding="same"),
        layer("Add", "sum", ["relu1", "branch"]),
        layer("ReLU", "relu2", ["sum"]),
        conv("wide", "relu2", 3, 2, padding="valid", dilation_rate=[2, 2]),
        head,
    ]
    config = {"name": "residual", "layers": layers, "input_layers": [["pixels", 0, 0]], "output_layers": [["head", 1, 0]]}
    return {"keras_version": "2.4.0", "backend": "tensorflow", "model_config": {"class_name": "Functional", "config": config}}


def write_model(folder, topology, weights):
    """model.json with the weights in two files, as the converter cuts them: anywhere."""
    blob = b"".join(value.tobytes() for value in weights.values())
    cut = len(blob) // 2 + 1
    (folder / "weights1.bin").write_bytes(blob[:cut])
    (folder / "weights2.bin").write_bytes(blob[cut:])
    specs = [{"name": name, "shape": list(value.shape), "dtype": "float32"} for name, value in weights.items()]
    manifest = [{"paths": ["weights1.bin", "weights2.bin"], "weights": specs}]
    model = {"format": "layers-model", "modelTopology": topology, "weightsManifest": manifest}
    (folder / "model.json").write_text(json.dumps(model, indent=1) + "\n")


def shared(folder):
    """Real networks on the first images of MNIST."""
    images, labels = mnist(folder / "mnist")
    cnn = tfjs_weights(folder / "tfjs_mnist_modeljson")
    count = 300
    v = torch.from_numpy(images[:count].astype(np.float32) / 255)[:, None].double()
    traces = {}

    def conv(name, value, padding):
        w = torch.from_numpy(cnn[name + "/kernel"]).double().permute(3, 2, 0, 1)
        patches = F.unfold(value, 3, padding=padding)
        flat = patches.permute(0, 2, 1).reshape(-1, patches.shape[1])
        traces[name + "/kernel"] = gram_facts(flat)
        return F.relu(F.conv2d(value, w, torch.from_numpy(cnn[name + "/bias"]).double(), padding=padding))

    def dense(name, value):
        traces[name + "/kernel"] = gram_facts(value)
        return value @ torch.from_numpy(cnn[name + "/kernel"]).double() + torch.from_numpy(cnn[name + "/bias"]).double()

    v = F.max_pool2d(conv("conv2d", v, 0), 2)
    v = F.max_pool2d(conv("conv2d_1", v, 1), 2)
    v = F.max_pool2d(conv("conv2d_2", v, 1), 2)
    v = conv("conv2d_3", v, 1)
    v = F.relu(dense("dense", v.permute(0, 2, 3, 1).reshape(count, -1)))
    right = int((dense("dense_1", v).argmax(1).numpy() == labels[:count]).sum())
    state = torch.load(folder / "ggml_mnist" / "mnist_model.state_dict", map_location="cpu")
    w = [state[key].double() for key in ("fc1.weight", "fc1.bias", "fc2.weight", "fc2.bias")]
    hidden = F.relu(torch.from_numpy(images.reshape(-1, 784).astype(np.float32) / 255).double() @ w[0].T + w[1])
    mlp_right = int(((hidden @ w[2].T + w[3]).argmax(1).numpy() == labels).sum())
    return {
        "tfjs": {"images": count, "right": right, "grams": traces},
        "mlp": {"images": len(images), "right": mlp_right, "grams": {"fc2.weight": gram_facts(hidden)}},
        "mnist": {"labels": labels[:20].tolist(), "sum": int(images[:100].astype(np.int64).sum())},
    }


def sample(folder):
    """The project's own small network on its own images."""
    model = json.loads((folder / "network" / "model.json").read_text())
    blob = (folder / "network" / "weights.bin").read_bytes()
    w = {k: torch.from_numpy(v).double() for k, v in weights_of(model, blob).items()}
    data = np.load(folder / "glyphs.npz")
    v = torch.from_numpy(data["images"].astype(np.float64) * 0.01 - 1)[:, None]
    for name in ("conv1", "conv2"):
        kernel = w[name + "/kernel"].permute(3, 2, 0, 1)
        # Keras pads even sizes at stride 2 at the end only.
        v = F.relu(F.conv2d(F.pad(v, (0, 1, 0, 1)), kernel, w[name + "/bias"], stride=2))
    v = v.permute(0, 2, 3, 1).reshape(len(v), -1)
    v = F.relu(v @ w["hidden/kernel"] + w["hidden/bias"])
    logits = v @ w["classifier/kernel"] + w["classifier/bias"]
    return {"images": len(v), "right": int((logits.argmax(1).numpy() == data["labels"]).sum())}


def gram_facts(flat):
    g = flat.T @ flat
    ones = torch.arange(1, g.shape[0] + 1).double()
    return {"vectors": len(flat), "trace": float(torch.trace(g)), "weighted": float(ones @ g @ ones)}


def mnist(folder):
    with gzip.open(folder / "t10k-images-idx3-ubyte.gz") as file:
        images = np.frombuffer(file.read(), np.uint8, offset=16).reshape(-1, 28, 28)
    with gzip.open(folder / "t10k-labels-idx1-ubyte.gz") as file:
        labels = np.frombuffer(file.read(), np.uint8, offset=8)
    return images, labels


def tfjs_weights(folder):
    model = json.loads((folder / "model.json").read_text())
    return weights_of(model, (folder / "group1-shard1of1.bin").read_bytes())


def weights_of(model, blob):
    weights, at = {}, 0
    for spec in model["weightsManifest"][0]["weights"]:
        count = int(np.prod(spec["shape"]))
        weights[spec["name"]] = np.frombuffer(blob, np.float32, count, at).reshape(spec["shape"]).copy()
        at += 4 * count
    return weights


def main():
    for folder in (DATA, NETWORKS):
        folder.mkdir(exist_ok=True)
    reference = {
        "about": "Pictures, arrays and networks as PIL, numpy and PyTorch (float64) see them; see make_networks.py.",
        "pictures": pictures(),
        "arrays": arrays(),
        "residual": residual(),
        "sample": sample(HERE.parent.parent / "media" / "sample"),
    }
    if len(sys.argv) > 1:
        reference["shared"] = shared(Path(sys.argv[1]))
    (HERE / "networks.json").write_text(json.dumps(reference) + "\n")


main()
