"""The built-in networks in PyTorch, small, from its own modules: torch.nn.TransformerEncoderLayer stands for every
transformer. A network is a function of its parameters, by the names that Rankscope gives them; pictures are N x H x W x C
and leave that order at the door."""

import math

import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils.stateless import functional_call


def channels_first(x):
    return x.permute(0, 3, 1, 2)


class Perceptron(nn.Module):
    def __init__(self, widths, activation):
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in zip(widths, widths[1:]))
        self.activation = activation

    def forward(self, x):
        for layer in self.layers[:-1]:
            x = self.activation(layer(x))
        return self.layers[-1](x)


def fourier(x, frequencies, scale):
    angles = [scale * 2.0**j * x for j in range(frequencies)]
    return torch.cat([x] + [f(angle) for angle in angles for f in (torch.sin, torch.cos)], -1)


class Coordinates(Perceptron):
    def __init__(self, recipe):
        a = recipe.get("scale", 0.1)
        self.frequencies = recipe.get("frequencies", 0)
        activations = {
            "gaussian": lambda x: torch.exp(-(x**2) / (2 * a**2)),
            "relu": torch.relu,
            "sine": lambda x: torch.sin(x / a),
        }
        inputs = recipe.get("inputs", 3) * (1 + 2 * self.frequencies)
        widths = [inputs] + [recipe["width"]] * (recipe.get("hidden", 2) + 1) + [recipe.get("outputs", 1)]
        super().__init__(widths, activations[recipe.get("activation", "gaussian")])

    def forward(self, x):
        return super().forward(fourier(x, self.frequencies, math.pi))


class Nerf(nn.Module):
    def __init__(self, width, hidden, positions, directions):
        super().__init__()
        p, d = 3 * (1 + 2 * positions), 3 * (1 + 2 * directions)
        self.frequencies = positions, directions
        sizes = [p] + [width] * (hidden - 1)
        self.pts_linears = nn.ModuleList(nn.Linear(n + (p if i == 5 else 0), width) for i, n in enumerate(sizes))
        self.alpha_linear = nn.Linear(width, 1)
        self.feature_linear = nn.Linear(width, width)
        self.views_linears = nn.ModuleList([nn.Linear(width + d, width // 2)])
        self.rgb_linear = nn.Linear(width // 2, 3)

    def forward(self, x):
        position = fourier(x[:, :3], self.frequencies[0], 1.0)
        direction = fourier(x[:, 3:], self.frequencies[1], 1.0)
        h = position
        for i, layer in enumerate(self.pts_linears):
            h = torch.relu(layer(torch.cat([position, h], -1) if i == 5 else h))
        seen = torch.cat([self.feature_linear(h), direction], -1)
        colour = self.rgb_linear(torch.relu(self.views_linears[0](seen)))
        return torch.cat([colour, self.alpha_linear(h)], -1)


class Vgg(nn.Module):
    CONFIGURATION = {11: [64, "M", 128, "M", 256, 256, "M", 512, 512, "M", 512, 512, "M"]}

    def __init__(self, depth, classes, factor):
        super().__init__()
        layers, inputs = [], 3
        for item in self.CONFIGURATION[depth]:
            if item == "M":
                layers.append(nn.MaxPool2d(2))
                continue
            width = max(1, round(item * factor))
            layers += [nn.Conv2d(inputs, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU()]
            inputs = width
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Linear(inputs, classes)

    def forward(self, x):
        return self.classifier(self.features(channels_first(x)).flatten(1))


class Residual(nn.Module):
    """A basic block (kernels 3, 3) or a bottleneck (1, 3, 1), after which there are `outputs` channels."""

    def __init__(self, inputs, width, outputs, stride, kernels, is_cifar):
        super().__init__()
        channels = [inputs] + [width] * (len(kernels) - 1) + [outputs]
        self.count = len(kernels)
        for i, kernel in enumerate(kernels):
            # The stride is that of the first 3 x 3.
            step = stride if i == kernels.index(3) else 1
            conv = nn.Conv2d(channels[i], channels[i + 1], kernel, step, kernel // 2, bias=False)
            setattr(self, f"conv{i + 1}", conv)
            setattr(self, f"bn{i + 1}", nn.BatchNorm2d(channels[i + 1]))
        self.stride, self.added, self.is_cifar = stride, outputs - inputs, is_cifar
        if not is_cifar and (stride != 1 or inputs != outputs):
            self.downsample = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)
            )

    def shortcut(self, x):
        if not self.is_cifar:
            return self.downsample(x) if hasattr(self, "downsample") else x
        before = self.added // 2
        return F.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, before, self.added - before))

    def forward(self, x):
        y = x
        for i in range(1, self.count + 1):
            y = getattr(self, f"bn{i}")(getattr(self, f"conv{i}")(y))
            if i < self.count:
                y = F.relu(y)
        return F.relu(y + self.shortcut(x))


class ResNet(nn.Module):
    def __init__(self, depth, classes, factor):
        super().__init__()
        is_cifar = depth not in (18, 50)
        plan = [(depth - 2) // 6] * 3 if is_cifar else {18: [2, 2, 2, 2], 50: [3, 4, 6, 3]}[depth]
        widths = [max(1, round(w * factor)) for w in ([16, 32, 64] if is_cifar else [64, 128, 256, 512])]
        kernels, expansion = ([1, 3, 1], 4) if depth == 50 else ([3, 3], 1)
        self.conv1 = nn.Conv2d(3, widths[0], 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(widths[0])
        inputs = widths[0]
        for stage, (count, width) in enumerate(zip(plan, widths)):
            blocks = []
            for i in range(count):
                stride = 2 if stage > 0 and i == 0 else 1
                blocks.append(Residual(inputs, width, expansion * width, stride, kernels, is_cifar))
                inputs = expansion * width
            setattr(self, f"layer{stage + 1}", nn.Sequential(*blocks))
        self.stages = len(plan)
        self.head = "linear" if is_cifar else "fc"
        setattr(self, self.head, nn.Linear(inputs, classes))

    def forward(self, x):
        y = F.relu(self.bn1(self.conv1(channels_first(x))))
        for stage in range(self.stages):
            y = getattr(self, f"layer{stage + 1}")(y)
        return getattr(self, self.head)(y.mean(dim=(2, 3)))


def transformer_layer(values, x, names, heads, norm_first, epsilon, is_causal=False):
    """torch.nn.TransformerEncoderLayer with the parameters called `names` in `values`."""
    width, hidden = x.shape[-1], values[names["linear1"] + ".weight"].shape[0]
    layer = nn.TransformerEncoderLayer(
        width, heads, hidden, 0.0, F.gelu, epsilon, batch_first=True, norm_first=norm_first, dtype=x.dtype
    ).train()
    given = {}
    for own, theirs in names.items():
        if own == "qkv":
            continue
        for kind in ("weight", "bias"):
            given[f"{own}.{kind}"] = values[f"{theirs}.{kind}"]
    for kind in ("weight", "bias"):
        given[f"self_attn.in_proj_{kind}"] = torch.cat([values[f"{name}.{kind}"] for name in names["qkv"]])
    tokens = x.shape[1]
    mask = torch.full((tokens, tokens), -math.inf, dtype=x.dtype).triu(1) if is_causal else None
    return functional_call(layer, given, (x,), {"src_mask": mask})


def norm(values, name, x, epsilon):
    return F.layer_norm(x, x.shape[-1:], values[f"{name}.weight"], values[f"{name}.bias"], epsilon)


def linear(values, name, x):
    return F.linear(x, values[f"{name}.weight"], values.get(f"{name}.bias"))


def vit(recipe):
    def forward(values, x):
        embedded = F.conv2d(
            channels_first(x), values["patch_embed.proj.weight"], values["patch_embed.proj.bias"], stride=recipe["patch"]
        )
        tokens = embedded.flatten(2).transpose(1, 2)
        h = torch.cat([values["cls_token"].expand(len(x), -1, -1), tokens], 1) + values["pos_embed"]
        for i in range(recipe["blocks"]):
            b = f"blocks.{i}"
            names = {
                "qkv": [f"{b}.attn.qkv"],
                "self_attn.out_proj": f"{b}.attn.proj",
                "norm1": f"{b}.norm1",
                "norm2": f"{b}.norm2",
                "linear1": f"{b}.mlp.fc1",
                "linear2": f"{b}.mlp.fc2",
            }
            h = transformer_layer(values, h, names, recipe["heads"], True, 1e-6)
        return linear(values, "head", norm(values, "norm", h, 1e-6)[:, 0])

    return forward


def gpt(recipe):
    def forward(values, ids):
        h = values["transformer.wte.weight"][ids] + values["transformer.wpe.weight"][: ids.shape[1]]
        for i in range(recipe["blocks"]):
            b = f"transformer.h.{i}"
            names = {
                "qkv": [f"{b}.attn.c_attn"],
                "self_attn.out_proj": f"{b}.attn.c_proj",
                "norm1": f"{b}.ln_1",
                "norm2": f"{b}.ln_2",
                "linear1": f"{b}.mlp.c_fc",
                "linear2": f"{b}.mlp.c_proj",
            }
            h = transformer_layer(values, h, names, recipe["heads"], True, 1e-5, is_causal=True)
        return linear(values, "lm_head", norm(values, "transformer.ln_f", h, 1e-5))

    return forward


def encoder(recipe):
    def forward(values, ids):
        e = "roberta.embeddings"
        places = values[f"{e}.position_embeddings.weight"][2 : 2 + ids.shape[1]]
        table = values[f"{e}.word_embeddings.weight"]
        h = norm(values, f"{e}.LayerNorm", table[ids] + places + values[f"{e}.token_type_embeddings.weight"][0], 1e-5)
        for i in range(recipe["blocks"]):
            b = f"roberta.encoder.layer.{i}"
            names = {
                "qkv": [f"{b}.attention.self.{part}" for part in ("query", "key", "value")],
                "self_attn.out_proj": f"{b}.attention.output.dense",
                "norm1": f"{b}.attention.output.LayerNorm",
                "norm2": f"{b}.output.LayerNorm",
                "linear1": f"{b}.intermediate.dense",
                "linear2": f"{b}.output.dense",
            }
            h = transformer_layer(values, h, names, recipe["heads"], False, 1e-5)
        if recipe.get("head") == "classes":
            return linear(values, "classifier.out_proj", torch.tanh(linear(values, "classifier.dense", h[:, 0])))
        h = norm(values, "lm_head.layer_norm", F.gelu(linear(values, "lm_head.dense", h)), 1e-5)
        return F.linear(h, table, values["lm_head.bias"])

    return forward


def module_of(recipe):
    kind, classes = recipe["kind"], recipe.get("classes", 10)
    if kind == "perceptron":
        activations = {"relu": torch.relu, "tanh": torch.tanh, "sigmoid": torch.sigmoid, "gelu": F.gelu}
        return Perceptron(recipe["widths"], activations[recipe.get("activation", "relu")])
    if kind == "coordinates":
        return Coordinates(recipe)
    if kind == "nerf":
        return Nerf(recipe["width"], recipe["hidden"], recipe["positionFrequencies"], recipe["directionFrequencies"])
    if kind == "vgg":
        return Vgg(recipe["depth"], classes, recipe["widthFactor"])
    return ResNet(recipe["depth"], classes, recipe["widthFactor"])


def network(recipe, training):
    """A function of parameters (weights whole) and a batch, to the outputs and the next running statistics."""
    functions = {"vit": vit, "gpt": gpt, "encoder": encoder}
    if recipe["kind"] in functions:
        forward = functions[recipe["kind"]](recipe)
        return lambda values, x: (forward(values, x), {})
    module = module_of(recipe).train(training)

    def run(values, x):
        given = dict(values)
        buffers = {name: given[name].clone() for name in given if "running_" in name}
        given.update(buffers)
        for name, _ in module.named_buffers():
            if name.endswith("num_batches_tracked"):
                given[name] = torch.tensor(0)
        output = functional_call(module, given, (x,))
        return output, buffers if training else {}

    return run


def transformer_block(prefix, modules):
    """Shapes of one block of modules with outputs and inputs; normalisations have none of these."""
    shapes = {}
    for name, outputs, inputs in modules:
        shapes[f"{prefix}.{name}.weight"] = [outputs] if inputs is None else [outputs, inputs]
        shapes[f"{prefix}.{name}.bias"] = [outputs]
    return shapes


def shapes_of(recipe):
    """Every parameter and running statistic of the network with dense layers."""
    kind = recipe["kind"]
    if kind not in ("vit", "gpt", "encoder"):
        state = module_of(recipe).state_dict()
        return {name: list(v.shape) for name, v in state.items() if not name.endswith("num_batches_tracked")}
    w = recipe["width"]
    hidden = recipe.get("mlpWidth", 4 * w)
    shapes = {}
    if kind == "vit":
        patches = (recipe["image"] // recipe["patch"]) ** 2
        shapes["cls_token"] = [1, 1, w]
        shapes["pos_embed"] = [1, patches + 1, w]
        shapes["patch_embed.proj.weight"] = [w, 3, recipe["patch"], recipe["patch"]]
        shapes["patch_embed.proj.bias"] = [w]
        layers = [("norm1", w, None), ("attn.qkv", 3 * w, w), ("attn.proj", w, w), ("norm2", w, None)]
        layers += [("mlp.fc1", hidden, w), ("mlp.fc2", w, hidden)]
        for i in range(recipe["blocks"]):
            shapes.update(transformer_block(f"blocks.{i}", layers))
        shapes.update({"norm.weight": [w], "norm.bias": [w]})
        shapes.update({"head.weight": [recipe["classes"], w], "head.bias": [recipe["classes"]]})
    if kind == "gpt":
        shapes["transformer.wte.weight"] = [recipe["vocabulary"], w]
        shapes["transformer.wpe.weight"] = [recipe["context"], w]
        layers = [("ln_1", w, None), ("attn.c_attn", 3 * w, w), ("attn.c_proj", w, w), ("ln_2", w, None)]
        layers += [("mlp.c_fc", hidden, w), ("mlp.c_proj", w, hidden)]
        for i in range(recipe["blocks"]):
            shapes.update(transformer_block(f"transformer.h.{i}", layers))
        shapes.update({"transformer.ln_f.weight": [w], "transformer.ln_f.bias": [w]})
        shapes["lm_head.weight"] = [recipe["vocabulary"], w]
    if kind == "encoder":
        e = "roberta.embeddings"
        shapes[f"{e}.word_embeddings.weight"] = [recipe["vocabulary"], w]
        shapes[f"{e}.position_embeddings.weight"] = [recipe["context"] + 2, w]
        shapes[f"{e}.token_type_embeddings.weight"] = [1, w]
        shapes.update({f"{e}.LayerNorm.weight": [w], f"{e}.LayerNorm.bias": [w]})
        layers = [(f"attention.self.{part}", w, w) for part in ("query", "key", "value")]
        layers += [("attention.output.dense", w, w), ("attention.output.LayerNorm", w, None)]
        layers += [("intermediate.dense", hidden, w), ("output.dense", w, hidden), ("output.LayerNorm", w, None)]
        for i in range(recipe["blocks"]):
            shapes.update(transformer_block(f"roberta.encoder.layer.{i}", layers))
        if recipe.get("head") == "classes":
            classes = recipe.get("classes", 2)
            shapes.update({"classifier.dense.weight": [w, w], "classifier.dense.bias": [w]})
            shapes.update({"classifier.out_proj.weight": [classes, w], "classifier.out_proj.bias": [classes]})
        else:
            shapes.update({"lm_head.dense.weight": [w, w], "lm_head.dense.bias": [w]})
            shapes.update({"lm_head.layer_norm.weight": [w], "lm_head.layer_norm.bias": [w]})
            shapes["lm_head.bias"] = [recipe["vocabulary"]]
    return shapes


def inner_layers(recipe, shapes):
    """The layers that take a form where none is asked for by name."""
    kind = recipe["kind"]
    weights = [name for name, shape in shapes.items() if len(shape) >= 2 and name.endswith(".weight")]
    if kind == "perceptron":
        return weights[:-1]
    if kind == "coordinates":
        return weights[1:-1]
    if kind == "nerf":
        return [name for name in weights if not name.startswith(("alpha", "rgb"))]
    if kind in ("vgg", "resnet"):
        return [name for name in weights if len(shapes[name]) == 4][1:]
    ends = {"vit": ("fc1.weight", "fc2.weight"), "gpt": ("c_fc.weight", "mlp.c_proj.weight")}
    return [name for name in weights if name.endswith(ends.get(kind, ("query.weight", "value.weight")))]
