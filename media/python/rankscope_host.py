"""Runs a PyTorch model for Rankscope: `python -u rankscope_host.py`, one file, needs nothing but torch (1.10 or newer;
the input projection of nn.MultiheadAttention with batch_first is measured from 1.12 on).

Rankscope starts it and talks to it in lines of JSON on standard input and output; weights and Gram matrices travel in
files (little-endian float64) in a folder that Rankscope gives. What the user's code prints goes to standard error.

The user's function (by default `load`) returns `(model, validation)`, `(model, validation, evaluate)`, or a dict:

    model        an nn.Module
    validation   batches: anything that gives (inputs, labels) or inputs alone each time it is iterated over
    gram         batches for the input Grams; by default the validation batches
    evaluate     evaluate(model) -> accuracy in percent, or {"accuracy": percent}, or {"loss": value}

Inputs are a tensor, or a tuple or a dict, which the model then takes as arguments. Without `evaluate`, labels are
integers, and the largest output is the answer.

Requests, in the order of a session (`{"id": 1, "method": "open", "params": {…}}`):
    open       loads the model and tells its layers
    gramPass   runs the Gram batches for some layers; then `gram` gives one layer's matrix at a time
    weight     one layer's weight
    evaluate   accuracy or loss with the committed weights and, if a layer is named, its weight from `change.f64`
    commit     keeps a layer's weight from `change.f64`; `reset` puts the original weights back
The end of standard input ends the process at once, whatever it is doing.
"""

import contextlib
import copy
import ctypes
import hashlib
import importlib.util
import inspect
import json
import os
import queue
import shutil
import sys
import threading
import traceback

# Changes with the lines that are exchanged; Rankscope refuses a file of another number.
PROTOCOL = 1

# Batches are kept in memory up to here, so that each pass sees the same samples and decodes nothing again.
KEPT_BATCHES_BYTES = 1 << 30
# Outputs of modules before the changed layer are kept up to here, on the model's device.
KEPT_OUTPUTS_BYTES = 2 << 30
# On an accelerator, at most this share of what is free.
KEPT_OUTPUTS_SHARE = 0.25
# Gram matrices summed in one pass over the data; more layers take more passes.
GRAM_BYTES = 2 << 30
# Input vectors in float64 at once; a convolution's patches are many times its input.
VECTORS_BYTES = 64 << 20
# Names listed in a note; more are counted.
LISTED_NAMES = 3
# Longest message of an error, in characters: one line on a screen or two.
MESSAGE_LENGTH = 500
# Blocks a Gram matrix is made of along one side: with four, the half below the diagonal saves 3/8 of the work.
GRAM_BLOCKS = 4
GRAM_BLOCK_WIDTH = 32  # narrower blocks cost more than they save

torch = None  # imported when a model is opened: a missing torch is told like any other mistake


class HostError(Exception):
    """Its message is one line that says what to do."""


def one_line(text):
    line = " ".join(str(text).split())
    return line if len(line) <= MESSAGE_LENGTH else line[: MESSAGE_LENGTH - 1] + "…"


def listed(names):
    rest = len(names) - LISTED_NAMES
    return ", ".join(names[:LISTED_NAMES]) + (" and %d more" % rest if rest > 0 else "")


# --- talking to Rankscope ---------------------------------------------------------------------------------------------


class Channel:
    """Lines of JSON over the descriptors that were standard input and output.

    They are taken away from everybody else first: whatever prints, prints to standard error."""

    def __init__(self):
        self._input = os.fdopen(os.dup(0), "rb")
        self._output = os.fdopen(os.dup(1), "wb")
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, 0)
        os.close(nothing)
        os.dup2(2, 1)
        sys.stdout = sys.stderr
        self.requests = queue.Queue()
        self.folder = None

    def listen(self):
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self):
        for line in self._input:
            self.requests.put(json.loads(line))
        # Rankscope is gone: nobody waits for what is being computed.
        if self.folder is not None:
            shutil.rmtree(self.folder, ignore_errors=True)
        os._exit(0)

    def send(self, **message):
        self._output.write(json.dumps(message, allow_nan=False).encode("ascii") + b"\n")
        self._output.flush()

    def stage(self, text):
        """What is being done: told when the process dies of it."""
        self.send(event="stage", text=text)

    def fraction(self, value):
        self.send(event="fraction", value=value)


# --- the user's code --------------------------------------------------------------------------------------------------


def place(error, home):
    """Where an exception comes from, as file:line: the last line of the user's own code, or else the very last."""
    frames = traceback.extract_tb(error.__traceback__)
    frames = [frame for frame in frames if os.path.abspath(frame.filename) != os.path.abspath(__file__)]
    if isinstance(error, SyntaxError) and error.filename:
        return "%s:%s" % (os.path.basename(error.filename), error.lineno)
    own = [frame for frame in frames if os.path.abspath(frame.filename).startswith(home + os.sep)]
    if not own and not frames:
        return ""
    frame = own[-1] if own else frames[-1]
    return "%s:%s" % (os.path.basename(frame.filename), frame.lineno)


@contextlib.contextmanager
def user_code(home, doing):
    """Exceptions of the user's code (or of torch, run by it) become one line; the whole story goes to the log."""
    try:
        yield
    except (HostError, ReuseFailed):
        raise
    except ModuleNotFoundError as error:
        traceback.print_exc()
        raise HostError(
            "%s needs the Python module %s, which %s does not have: install it there, or choose another interpreter"
            % (place(error, home), error.name, sys.executable)
        )
    except (Exception, SystemExit) as error:
        traceback.print_exc()
        text = one_line(error) or "no message"
        hint = ": smaller batches need less memory" if "out of memory" in text.lower() else ""
        where = place(error, home)
        raise HostError(
            one_line("%s%s: %s, while %s%s" % (where + ": " if where else "", type(error).__name__, text, doing, hint))
        )


def import_torch():
    global torch
    try:
        import torch as found
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise HostError("torch does not start in %s: %s" % (sys.executable, one_line(error)))
        raise HostError(
            "torch is not installed in %s: choose another interpreter, or install it with: %s -m pip install torch"
            % (sys.executable, sys.executable)
        )
    except Exception as error:
        traceback.print_exc()
        raise HostError("torch does not start in %s: %s" % (sys.executable, one_line(error)))
    torch = found
    # The same result each time is worth more here than the fastest kernel.
    torch.backends.cudnn.benchmark = False
    torch.backends.cudnn.deterministic = True


def load_function(file, name):
    """The function of the user's file; its folder becomes importable, as if the file had been run."""
    home, stem = os.path.dirname(file), os.path.splitext(os.path.basename(file))[0]
    if not os.path.isfile(file):
        raise HostError("%s does not exist: correct the recipe's network.file" % file)
    if home not in sys.path:
        sys.path.insert(0, home)
    with user_code(home, "importing it"):
        spec = importlib.util.spec_from_file_location(stem, file)
        if spec is None or spec.loader is None:
            raise HostError("%s is not a Python file: its name must end in .py" % file)
        module = importlib.util.module_from_spec(spec)
        # Data loaders' worker processes find the classes of the file by its name.
        sys.modules[stem] = module
        spec.loader.exec_module(module)
    function = getattr(module, name, None)
    if not callable(function):
        own = [key for key, value in vars(module).items() if inspect.isfunction(value) and value.__module__ == stem]
        there = "functions there: " + listed(sorted(own)) if own else "it has no functions"
        raise HostError("%s has no function %s (%s)" % (os.path.basename(file), name, there))
    return function


def call_function(function, arguments, file, name):
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        signature = None
    if signature is not None:
        try:
            signature.bind(**arguments)
        except TypeError as error:
            raise HostError(
                "%s%s in %s: %s; correct the recipe's network.arguments"
                % (name, signature, os.path.basename(file), one_line(error))
            )
    with user_code(os.path.dirname(file), "running %s()" % name):
        return function(**arguments)


class Recipe:
    """What the user's function returned, checked."""

    KEYS = ("model", "validation", "gram", "evaluate")

    def __init__(self, result, name):
        wanted = "return (model, validation batches) or (model, validation batches, evaluate)"
        if isinstance(result, dict):
            unknown = sorted(str(key) for key in result if key not in self.KEYS)
            if unknown:
                allowed = ", ".join(self.KEYS)
                raise HostError("%s() returned a dict with %s; it may have: %s" % (name, listed(unknown), allowed))
            parts = dict(result)
        elif isinstance(result, (tuple, list)) and 2 <= len(result) <= 3:
            parts = dict(zip(("model", "validation", "evaluate"), result))
        else:
            what = "a tuple of %d" % len(result) if isinstance(result, (tuple, list)) else type(result).__name__
            raise HostError("%s() returned %s: %s" % (name, what, wanted))
        self.model = parts.get("model")
        self.evaluate = parts.get("evaluate")
        self.validation = parts.get("validation")
        gram = parts.get("gram")
        self.gram = self.validation if gram is None else gram
        if not isinstance(self.model, torch.nn.Module):
            given = type(self.model).__name__
            raise HostError("%s() returned %s as the model, not an nn.Module: %s" % (name, given, wanted))
        if self.evaluate is not None and not callable(self.evaluate):
            raise HostError("%s() returned %s as evaluate, not a function" % (name, type(self.evaluate).__name__))
        if self.gram is None:
            raise HostError("%s() returned no batches: %s" % (name, wanted))


# --- tensors in memory and in files -----------------------------------------------------------------------------------


def raw(tensor):
    """The bytes of a contiguous CPU tensor, not copied. torch alone does this too: NumPy may not be there."""
    size = tensor.numel() * tensor.element_size()
    return (ctypes.c_char * size).from_address(tensor.data_ptr()) if size > 0 else b""


def write_float64(path, tensor):
    values = tensor.detach().to("cpu").to(torch.float64).contiguous()
    with open(path, "wb") as file:
        file.write(raw(values))


def read_float64(path, shape):
    values = torch.empty(shape, dtype=torch.float64)
    with open(path, "rb") as file:
        got = file.readinto(raw(values))
    if got != values.numel() * 8 or os.path.getsize(path) != got:
        raise HostError("the weight in the exchange folder has another size than the layer's")
    return values


def digest_tensors(digest, value):
    """Adds a nest of tensors to a hash: kinds, shapes and bytes."""
    if isinstance(value, torch.Tensor):
        digest.update(("%s %s" % (value.dtype, tuple(value.shape))).encode())
        if value.layout == torch.strided and not value.is_quantized and value.device.type != "meta":
            digest.update(raw(value.detach().to("cpu").contiguous()))
        return
    if isinstance(value, dict):
        for key in value:
            digest.update(repr(key).encode())
            digest_tensors(digest, value[key])
    elif isinstance(value, (tuple, list)):
        for item in value:
            digest_tensors(digest, item)
    else:
        digest.update(repr(value).encode())


def kind(value):
    """A tensor's type of numbers, or anything else's type."""
    return str(value.dtype).replace("torch.", "") if isinstance(value, torch.Tensor) else type(value).__name__


def tensors_of(value):
    if isinstance(value, torch.Tensor):
        return [value]
    if isinstance(value, dict):
        return [tensor for item in value.values() for tensor in tensors_of(item)]
    if isinstance(value, (tuple, list)):
        return [tensor for item in value for tensor in tensors_of(item)]
    return []


def map_tensors(function, value):
    """The same nest with each tensor replaced."""
    if isinstance(value, torch.Tensor):
        return function(value)
    if isinstance(value, dict):
        result = copy.copy(value)  # models' outputs are dicts with attributes of their own
        for key, item in value.items():
            result[key] = map_tensors(function, item)
        return result
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*(map_tensors(function, item) for item in value))
    if isinstance(value, (tuple, list)):
        return type(value)(map_tensors(function, item) for item in value)
    return value


def bytes_of(value):
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors_of(value))


# --- batches ----------------------------------------------------------------------------------------------------------


class Batch:
    """Inputs as the model takes them, and labels or None."""

    def __init__(self, inputs, labels):
        self.inputs = inputs
        self.labels = labels
        found = tensors_of(inputs)
        if not found:
            raise HostError("a batch has no tensors in its inputs (%s)" % type(inputs).__name__)
        self.samples = len(found[0]) if found[0].dim() > 0 else 1

    def run(self, model, device):
        # Copies: a model may change its input in place.
        inputs = map_tensors(lambda tensor: tensor.to(device, copy=True), self.inputs)
        if isinstance(inputs, dict):
            return model(**inputs)
        return model(*inputs) if isinstance(inputs, (tuple, list)) else model(inputs)

    def describe(self):
        inputs = tensors_of(self.inputs)
        return "inputs: " + ", ".join("%s %s" % (kind(tensor), list(tensor.shape)) for tensor in inputs)


def as_tensors(value):
    """NumPy arrays become tensors, wherever they are."""
    if isinstance(value, dict):
        return {key: as_tensors(item) for key, item in value.items()}
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*(as_tensors(item) for item in value))
    if isinstance(value, (tuple, list)):
        return type(value)(as_tensors(item) for item in value)
    if not isinstance(value, torch.Tensor) and hasattr(value, "__array__"):
        return torch.as_tensor(value)
    return value


def split(item, what):
    """A batch as the user gives it: inputs, (inputs,), (inputs, labels), or a dict that may hold `labels`."""
    if isinstance(item, dict) or hasattr(item, "keys") and hasattr(item, "__getitem__"):
        inputs = {key: item[key] for key in item.keys()}
        labels = inputs.pop("labels", inputs.pop("label", None))
        return Batch(as_tensors(inputs), as_tensors(labels))
    if isinstance(item, (tuple, list)):
        if not 1 <= len(item) <= 2:
            raise HostError(
                "a batch of %s is a tuple of %d: give (inputs, labels), or ((input, input, …), labels) "
                "where the model takes several inputs" % (what, len(item))
            )
        labels = as_tensors(item[1]) if len(item) == 2 else None
        if isinstance(labels, (list, tuple)) and labels and all(isinstance(label, int) for label in labels):
            labels = torch.tensor(labels)
        inputs = item[0]
        if isinstance(inputs, dict) or hasattr(inputs, "keys") and hasattr(inputs, "__getitem__"):
            inputs = {key: inputs[key] for key in inputs.keys()}
        return Batch(as_tensors(inputs), labels)
    return Batch(as_tensors(item), None)


class Batches:
    """Batches that can be gone through again and again; kept in memory where they fit."""

    def __init__(self, source, what, home, notes):
        self._source = source
        self._what = what
        self._home = home
        self._kept = []
        self.samples = 0
        self.count = 0
        self.first = None
        digest = hashlib.sha256()
        last = None
        iterator = self._iterate()
        once = iterator is source
        size = 0
        for batch in self._read(iterator):
            if self.first is None:
                self.first = batch
                digest_tensors(digest, (batch.inputs, batch.labels))
            last = batch
            self.count += 1
            self.samples += batch.samples
            if self._kept is not None:
                self._kept.append(batch)
                size += bytes_of((batch.inputs, batch.labels))
                if size > KEPT_BATCHES_BYTES and not once:
                    self._kept = None
        if last is None:
            raise HostError("%s are empty: give at least one batch" % what)
        digest_tensors(digest, (last.inputs, last.labels))
        digest.update(str(self.samples).encode())
        self.digest = digest.hexdigest()
        if once:
            notes.append(
                "%s can be gone through once only: kept in memory (%d MB)" % (what.capitalize(), size // 1000000)
            )
        elif self._kept is None:
            notes.append(
                "%s are larger than %d MB and are read again in each pass: they must come in the same order each time"
                % (what.capitalize(), KEPT_BATCHES_BYTES >> 20)
            )

    def _iterate(self):
        try:
            return iter(self._source)
        except TypeError:
            raise HostError("%s cannot be iterated over: %s" % (self._what, type(self._source).__name__))

    def _read(self, iterator):
        number = 0
        while True:
            with user_code(self._home, "reading %s, batch %d" % (self._what, number)):
                try:
                    item = next(iterator)
                except StopIteration:
                    return
                batch = split(item, self._what)
            yield batch
            number += 1

    def __iter__(self):
        return iter(self._kept) if self._kept is not None else self._read(self._iterate())


# --- forward calls, watched -------------------------------------------------------------------------------------------


@contextlib.contextmanager
def forwards(replacements):
    """Puts functions in the place of modules' `forward` for a while: replacements maps a module to a function that
    takes the original and gives the new one. Unlike hooks, they see keyword arguments in every version of torch."""
    before = []
    try:
        for module, replacement in replacements.items():
            own = module.__dict__.get("forward")
            before.append((module, own))
            module.forward = replacement(module.forward)
        yield
    finally:
        for module, own in before:
            if own is None:
                del module.forward
            else:
                module.forward = own


@contextlib.contextmanager
def watched_linear(watch):
    """Calls watch(weight, input) for each call of torch.nn.functional.linear: attention multiplies by its projections
    without calling a module."""
    original = torch.nn.functional.linear

    def linear(input, weight, bias=None):
        watch(weight, input)
        return original(input, weight, bias)

    torch.nn.functional.linear = linear
    try:
        yield
    finally:
        torch.nn.functional.linear = original


def without_fast_path(model):
    """Fused inference kernels of attention skip modules and their inputs. They are off while a module trains, and
    nothing else in these two classes depends on that once their dropout is zero (their parts keep evaluating)."""
    mha = getattr(torch.backends, "mha", None)
    if mha is not None and hasattr(mha, "set_fastpath_enabled"):
        mha.set_fastpath_enabled(False)
        return
    for module in model.modules():
        if isinstance(module, torch.nn.MultiheadAttention):
            module.training = True
            module.dropout = 0.0
        elif isinstance(module, torch.nn.TransformerEncoderLayer):
            module.training = True


def prepare(model):
    model.eval()
    without_fast_path(model)


def first_tensor(args, kwargs):
    return next((value for value in (*args, *kwargs.values()) if isinstance(value, torch.Tensor)), None)


class Call:
    """How a module was called in the trial run: how often, and when (a running number) it began and ended."""

    def __init__(self):
        self.count = 0
        self.begin = None
        self.end = None
        self.inputs = []  # shapes
        self.outputs = []
        self.keepable = False


class Trace:
    """One forward pass over one batch, watched: which modules run, in which order."""

    def __init__(self, model, batch, device):
        self.calls = {}
        self.linear = {}  # id of a weight: (when it was first multiplied by, shapes of inputs)
        self._now = 0
        wrappable = {
            module: (lambda original, module=module: self._wrap(original, module))
            for module in model.modules()
            if not isinstance(module, torch.jit.ScriptModule)
        }
        with forwards(wrappable), watched_linear(self._watch):
            batch.run(model, device)

    def _tick(self):
        self._now += 1
        return self._now

    def _watch(self, weight, input):
        self.linear.setdefault(id(weight), (self._tick(), []))[1].append(tuple(input.shape))

    def _wrap(self, original, module):
        def forward(*args, **kwargs):
            call = self.calls.setdefault(module, Call())
            call.count += 1
            begin = self._tick()
            call.begin = begin if call.begin is None else call.begin
            given = first_tensor(args, kwargs)
            call.inputs.append(None if given is None else tuple(given.shape))
            output = original(*args, **kwargs)
            call.outputs.append(tuple(output.shape) if isinstance(output, torch.Tensor) else None)
            call.keepable = keepable(output)
            call.end = self._tick()
            return output

        return forward


# --- layers -----------------------------------------------------------------------------------------------------------


class Layer:
    """A weight that multiplies the input vectors of one place (or several: shared weights) of the network."""

    def __init__(self, name, kind, parameter, modules, begin, groups=1, transposed=False, bias=0):
        self.name = name
        self.kind = kind
        self.parameter = parameter
        # Modules whose inputs are the layer's; none for attention's projections, which are watched by their weight.
        self.modules = modules
        # When the weight is first needed in a pass: what ended before does not depend on it.
        self.begin = begin
        self.groups = groups
        self.transposed = transposed
        self.bias = bias
        self.positions = 1
        rows, elements = parameter.shape[-1 if transposed else 0], parameter.numel()
        self.shape = (rows // groups, elements // rows)
        self.original = None

    def matrices(self):
        """The original weight, whatever was committed since: groups x m x n, float64, on the CPU."""
        weight = self.parameter.detach() if self.original is None else self.original
        weight = weight.to("cpu").to(torch.float64)
        weight = weight.t() if self.transposed else weight
        return weight.reshape(self.groups, *self.shape).contiguous()

    def put(self, matrices):
        weight = matrices.reshape(-1, self.shape[1])
        weight = weight.t() if self.transposed else weight
        self.parameter.detach().copy_(weight.reshape(self.parameter.shape).to(self.parameter.dtype))

    def describe(self):
        return {
            "name": self.name,
            "kind": self.kind,
            "shape": list(self.shape),
            "groups": self.groups,
            "parameters": self.parameter.numel(),
            "bias": self.bias,
            "positions": self.positions,
        }


def is_input_major(module):
    """The linear layer of GPT-2 in transformers, whose weight is in x out."""
    weight = module._parameters.get("weight")
    return type(module).__name__ == "Conv1D" and hasattr(module, "nf") and weight is not None and weight.dim() == 2


def is_convolution(module):
    return isinstance(module, (torch.nn.Conv1d, torch.nn.Conv2d, torch.nn.Conv3d))


def input_width(module):
    """Length of a linear module's input vectors; undefined for a convolution."""
    weight = module.weight
    return weight.shape[0] if is_input_major(module) else weight.shape[1]


class Layers:
    """Finds the layers of a model that a trial run went through, in the order in which it did."""

    def __init__(self, model, trace, notes):
        self._trace = trace
        self._owners = {}  # id of a parameter: modules that hold it
        self._refused = {}  # reason: names
        for module in model.modules():
            for parameter in module._parameters.values():
                if parameter is not None:
                    self._owners.setdefault(id(parameter), []).append(module)
        self._found = {}  # id of a parameter: layer
        attention = set()
        for name, module in model.named_modules():
            if isinstance(module, torch.nn.MultiheadAttention):
                attention.add(module.out_proj)
                self._attention(name, module)
            elif module in attention:
                continue
            elif isinstance(module, torch.nn.Linear) or is_convolution(module) or is_input_major(module):
                self._module(name, module)
            else:
                self._other(name, module)
        self.all = sorted(self._found.values(), key=lambda layer: layer.begin)
        for reason, names in self._refused.items():
            notes.append("Not measured, %s: %s" % (reason, listed(names)))

    def _refuse(self, reason, name):
        self._refused.setdefault(reason, []).append(name)

    def _begin(self, parameter):
        """When a pass first needs the parameter, whichever module uses it."""
        calls = (self._trace.calls.get(owner) for owner in self._owners[id(parameter)])
        times = [call.begin for call in calls if call is not None]
        if id(parameter) in self._trace.linear:
            times.append(self._trace.linear[id(parameter)][0])
        return min(times)

    def _module(self, name, module):
        name = name + ".weight" if name else "weight"
        parameter = module._parameters.get("weight")
        call = self._trace.calls.get(module)
        if parameter is None:
            return self._refuse("the weight is computed from other parameters", name)
        if parameter.device.type == "meta":
            return self._refuse("the weight is not in memory", name)
        if not parameter.is_floating_point():
            return self._refuse("the weight is quantized", name)
        if call is None:
            return self._refuse("the layer did not run (or its weight is used without calling it)", name)
        shared = self._found.get(id(parameter))
        if shared is not None:
            shared.modules.append(module)
            shared.positions += self._positions(module, call)
            return None
        convolution = is_convolution(module)
        if not convolution and any(shape is None or shape[-1] != input_width(module) for shape in call.inputs):
            return self._refuse("its input does not fit its weight", name)
        if convolution and any(shape is None for shape in call.inputs + call.outputs):
            return self._refuse("its input and output are not tensors", name)
        bias = module._parameters.get("bias")
        layer = Layer(
            name,
            "conv" if convolution else "linear",
            parameter,
            [module],
            self._begin(parameter),
            groups=module.groups if convolution else 1,
            transposed=is_input_major(module),
            bias=0 if bias is None else bias.numel(),
        )
        layer.positions = self._positions(module, call)
        self._found[id(parameter)] = layer
        return None

    @staticmethod
    def _positions(module, call):
        """Input vectors in the trial run."""
        if not is_convolution(module):
            return sum(product(shape[:-1]) for shape in call.inputs)
        channels = module.out_channels
        return sum(product(shape) // channels for shape in call.outputs)

    def _attention(self, name, module):
        prefix = name + "." if name else ""
        packed = module._parameters.get("in_proj_weight")
        if packed is None:
            self._refuse("attention with separate projections", prefix + "q_proj_weight")
        else:
            bias = module._parameters.get("in_proj_bias")
            self._projection(prefix + "in_proj_weight", packed, 0 if bias is None else bias.numel())
        out = module.out_proj
        if out._parameters.get("weight") is not None:
            bias = out._parameters.get("bias")
            self._projection(prefix + "out_proj.weight", out.weight, 0 if bias is None else bias.numel())

    def _projection(self, name, parameter, bias):
        shapes = self._trace.linear.get(id(parameter), (None, None))[1]
        if shapes is None:
            return self._refuse("attention whose queries, keys and values differ, or that did not run", name)
        if id(parameter) in self._found:
            return None
        layer = Layer(name, "linear", parameter, [], self._begin(parameter), bias=bias)
        layer.positions = sum(product(shape[:-1]) for shape in shapes)
        self._found[id(parameter)] = layer
        return None

    def _other(self, name, module):
        for key, parameter in module._parameters.items():
            if parameter is not None and parameter.dim() >= 2 and min(parameter.shape) > 1:
                self._refuse("no linear or convolution layer (%s)" % type(module).__name__, "%s.%s" % (name, key))


def product(numbers):
    result = 1
    for number in numbers:
        result *= number
    return result


# --- Grams ------------------------------------------------------------------------------------------------------------


class Gram:
    """G = sum of x xT over input vectors, in float64; one matrix a group. Only blocks on and above the diagonal are
    summed; the rest is mirrored at the end."""

    def __init__(self, layer, device):
        self._groups, self._width = layer.groups, layer.shape[1]
        self._device = device
        self._sum = torch.zeros(self._groups, self._width, self._width, dtype=torch.float64, device=device)
        self._blocks = max(1, min(GRAM_BLOCKS, self._width // GRAM_BLOCK_WIDTH))
        self.vectors = 0

    def add_linear(self, input):
        rows = input.detach().reshape(-1, self._width)
        step = max(1, VECTORS_BYTES // (8 * self._width))
        for part in rows.split(step):
            self._add(part.to(self._device).to(torch.float64).unsqueeze(0))

    def add_convolution(self, input, module):
        spatial = len(module.kernel_size)
        input = input.detach()
        input = input.unsqueeze(0) if input.dim() == spatial + 1 else input
        input = padded(input, module)
        per_sample = 8 * self._width * self._groups
        for size, kernel, stride, dilation in zip(input.shape[2:], module.kernel_size, module.stride, module.dilation):
            per_sample *= (size - dilation * (kernel - 1) - 1) // stride + 1
        step = max(1, VECTORS_BYTES // max(1, per_sample))
        for part in input.split(step):
            self._add(patches(part.to(self._device).to(torch.float64), module, self._groups))

    def _add(self, vectors):
        """groups x vectors x n."""
        self.vectors += vectors.shape[1]
        edges = [self._width * i // self._blocks for i in range(self._blocks + 1)]
        ranges = [slice(low, high) for low, high in zip(edges, edges[1:])]
        for i, rows in enumerate(ranges):
            left = vectors[:, :, rows].transpose(1, 2)
            for columns in ranges[i:]:
                target = self._sum[:, rows, columns]
                if self._groups == 1:
                    target[0].addmm_(left[0], vectors[0, :, columns])
                else:
                    target.baddbmm_(left, vectors[:, :, columns])

    def finite(self):
        """An input that is not finite makes its own square on the diagonal not finite."""
        return bool(torch.isfinite(self._sum.diagonal(dim1=1, dim2=2)).all())

    def matrices(self):
        upper = self._sum.triu()
        return upper + upper.triu(1).transpose(1, 2)


def padded(input, module):
    """A convolution's input with its border, as the module itself would make it."""
    border = tuple(module._reversed_padding_repeated_twice)
    if not any(border):
        return input
    if module.padding_mode == "zeros":
        return torch.nn.functional.pad(input, border)
    return torch.nn.functional.pad(input, border, mode=module.padding_mode)


def patches(input, module, groups):
    """All patches under a convolution's kernel: groups x (samples * positions) x (channels a group * kernel size)."""
    spatial = len(module.kernel_size)
    for axis, (kernel, stride, dilation) in enumerate(zip(module.kernel_size, module.stride, module.dilation)):
        input = input.unfold(2 + axis, dilation * (kernel - 1) + 1, stride)[..., ::dilation]
    # samples x channels x positions … x kernel …
    positions = tuple(range(2, 2 + spatial))
    kernels = tuple(range(2 + spatial, 2 + 2 * spatial))
    samples, channels = input.shape[:2]
    width = channels // groups * product(module.kernel_size)
    input = input.reshape(samples, groups, channels // groups, *input.shape[2:])
    order = (1, 0, *(axis + 1 for axis in positions), 2, *(axis + 1 for axis in kernels))
    return input.permute(order).reshape(groups, -1, width)


def has_float64(device):
    try:
        torch.zeros(1, dtype=torch.float64, device=device)
        return True
    except (TypeError, RuntimeError):
        return False  # Apple's GPUs


# --- outputs kept from pass to pass -----------------------------------------------------------------------------------


class ReuseFailed(BaseException):
    """Predictions with kept outputs are not those without. Not an Exception: the user's code must not swallow it."""


class Memory:
    """What is kept of one call of the model: the n-th in an evaluation."""

    def __init__(self, inputs):
        self.inputs = inputs
        self.outputs = {}  # module: its output, or its shape alone (a tensor on the `meta` device)
        self.limit = None  # the layer for which the outputs are complete, by its `begin`
        self.versions = []

    def size(self):
        return bytes_of(self.inputs) + sum(
            tensor.numel() * tensor.element_size()
            for output in self.outputs.values()
            for tensor in tensors_of(output)
            if tensor.device.type != "meta"
        )


class Reuse:
    """Runs again only what comes after a changed layer.

    What does not depend on the layer are the modules that ended before its weight was first needed. The largest of
    them, called once in a pass, have their output kept for each batch and return it without running. Most of those
    outputs are never looked at again (the input of a kept module does not matter): a trial with tensors that have a
    shape and no values (`meta`) tells which, and only the rest takes memory. The same trial compares the predictions,
    bit for bit, with those of the whole network: for every layer with one batch, the first time with all."""

    def __init__(self, model, trace, device):
        self._model = model
        self._calls = trace.calls
        self._room = KEPT_OUTPUTS_BYTES
        if device.type == "cuda" and hasattr(torch.cuda, "mem_get_info"):
            self._room = min(self._room, int(KEPT_OUTPUTS_SHARE * torch.cuda.mem_get_info(device)[0]))
        self._proven = False
        self._mutating = set()  # modules whose output is changed in place by what follows: they return copies
        self.clear()

    def clear(self):
        self._memories = []
        self._limit = 0
        self._settled = None  # the limit for which it is known whose outputs matter
        self._dead = set()
        self._full = None  # number of the call for which there was no room
        self._current = None

    def committed(self, layer):
        """A layer's weight has changed for good."""
        if layer.begin < self._limit:
            self.clear()

    @contextlib.contextmanager
    def during(self, layer):
        """An evaluation with one layer changed, or none."""
        if layer is not None:
            if layer.begin < self._limit:
                self.clear()  # what is known of dead outputs holds for later layers only
            if layer.begin != self._limit:
                self._limit, self._full = layer.begin, None
        self._changed = layer is not None
        self._wanted = set(self._frontier(self._model)) if self._changed else set()
        self._number = 0
        watched = set(self._wanted)
        for memory in self._memories:
            watched.update(memory.outputs)
        replacements = {
            module: (lambda original, module=module: self._replacement(original, module)) for module in watched
        }
        replacements[self._model] = self._root
        with forwards(replacements):
            yield
        if self._changed and self._memories and self._settled is not None:
            self._proven = True

    def _frontier(self, module):
        """The largest modules below `module` that are done before the layer, in no order."""
        found = []
        for child in module.children():
            call = self._calls.get(child)
            if call is not None and call.count == 1 and call.end < self._limit and call.keepable:
                found.append(child)
            else:
                found.extend(self._frontier(child))
        return found

    def _replacement(self, original, module):
        def forward(*args, **kwargs):
            memory = self._current
            if memory is None:
                return original(*args, **kwargs)
            if module in memory.outputs:
                output = memory.outputs[module]
                if module in self._stand_ins:
                    return shape_of(output)
                if self._copying or module in self._mutating:
                    return map_tensors(torch.clone, output)
                memory.versions.extend((module, tensor, version(tensor)) for tensor in tensors_of(output))
                return output
            output = original(*args, **kwargs)
            if self._recording and module in self._wanted:
                keep = shape_of if module in self._dead else copy_of
                memory.outputs[module] = keep(output)
            return output

        return forward

    def _root(self, original):
        def forward(*args, **kwargs):
            if self._current is not None:  # the model calls itself
                return original(*args, **kwargs)
            number = self._number
            self._number += 1
            memory = self._memory(number, (args, kwargs))
            if memory is None:
                return original(*args, **kwargs)
            if not self._changed or memory.limit == self._limit:
                return self._replay(memory, original, args, kwargs)
            return self._record(number, memory, original, args, kwargs)

        return forward

    def _memory(self, number, inputs):
        """The memory of a call with these inputs; none where there is nothing to gain, or no room."""
        if number < len(self._memories):
            memory = self._memories[number]
            return memory if same(memory.inputs, inputs) else None
        full = self._full is not None and number >= self._full
        if full or not self._wanted or number > len(self._memories):
            return None
        self._memories.append(Memory(copy_of(inputs)))
        return self._memories[number]

    def _run(self, memory, original, args, kwargs, recording=False, copying=False, stand_ins=frozenset()):
        self._current, self._recording, self._copying, self._stand_ins = memory, recording, copying, stand_ins
        memory.versions = []
        try:
            return original(*args, **kwargs)
        finally:
            self._current = None

    def _replay(self, memory, original, args, kwargs):
        try:
            output = self._run(memory, original, args, kwargs, copying=torch.is_inference_mode_enabled())
        except Exception:
            # If it is not the fault of a kept output, it will come again without.
            raise ReuseFailed()
        self._notice_changes(memory)
        return output

    def _notice_changes(self, memory):
        """Kept outputs that were changed in place are lost; the next time they are copied first."""
        for module, tensor, before in memory.versions:
            if version(tensor) != before:
                self._mutating.add(module)
                memory.outputs, memory.limit = {}, None
        memory.versions = []

    def _record(self, number, memory, original, args, kwargs):
        if self._full is not None and number >= self._full:
            memory.outputs, memory.limit = {}, None
            return original(*args, **kwargs)
        output = self._run(memory, original, args, kwargs, recording=True, copying=True)
        memory.outputs = {module: kept for module, kept in memory.outputs.items() if module in self._wanted}
        if not memory.outputs:
            return output
        memory.limit = self._limit
        expected = copy_of(predictions(output))
        if self._settled != self._limit:
            self._settle(memory, original, expected)
        elif not self._proven and not self._agrees(memory, original, expected, frozenset()):
            raise ReuseFailed()
        for module in self._dead.intersection(memory.outputs):
            memory.outputs[module] = shape_of(memory.outputs[module])
        if sum(memory.size() for memory in self._memories) > self._room:
            memory.outputs, memory.limit = {}, None
            self._full = number
        return output

    def _settle(self, memory, original, expected):
        """Finds how few of the last outputs are enough, and lets go of the others."""
        alive = [module for module in memory.outputs if module not in self._dead]
        alive.sort(key=lambda module: self._calls[module].end)
        count = 1
        while True:
            stand_ins = set(alive[:-count])
            if self._agrees(memory, original, expected, stand_ins):
                break
            if count >= len(alive):
                raise ReuseFailed()
            count = min(2 * count, len(alive))
        self._dead |= stand_ins
        self._settled = self._limit

    def _agrees(self, memory, original, expected, stand_ins):
        args, kwargs = copy_of(memory.inputs)
        try:
            output = self._run(memory, original, args, kwargs, copying=True, stand_ins=stand_ins)
        except Exception:
            return False
        return bool(expected) and same(expected, predictions(output))


def copy_of(value):
    return map_tensors(lambda tensor: tensor.detach().clone(), value)


def shape_of(value):
    return map_tensors(lambda tensor: torch.empty_like(tensor, device="meta"), value)


def version(tensor):
    """Counts changes in place; a tensor made in inference mode counts none (its users are given copies)."""
    return None if torch.is_inference(tensor) else tensor._version


def keepable(output):
    """A nest of plain containers and tensors, with a tensor in it."""
    if isinstance(output, torch.Tensor):
        return type(output) in (torch.Tensor, torch.nn.Parameter) and output.layout == torch.strided
    if type(output) is dict:
        return any(keepable(item) for item in output.values()) and all(plain(item) for item in output.values())
    if type(output) in (tuple, list):
        return any(keepable(item) for item in output) and all(plain(item) for item in output)
    return False


def plain(item):
    return item is None or type(item) in (bool, int, float, str) or keepable(item)


def predictions(output):
    """The tensors that a model gives, in whatever it gives them."""
    found = tensors_of(output)
    return found if found or not hasattr(output, "__dict__") else tensors_of(dict(vars(output)))


def same(a, b):
    """Two nests hold the same values, bit for bit (NaN equals NaN)."""
    if isinstance(a, torch.Tensor) or isinstance(b, torch.Tensor):
        if not isinstance(a, torch.Tensor) or not isinstance(b, torch.Tensor):
            return False
        if a.shape != b.shape or a.dtype != b.dtype or a.device != b.device or a.device.type == "meta":
            return False
        return torch.equal(a, b) or bool(((a == b) | ((a != a) & (b != b))).all())
    if type(a) is not type(b):
        return False
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, (tuple, list)):
        return len(a) == len(b) and all(map(same, a, b))
    try:
        return a is b or bool(a == b)
    except Exception:  # what the user's own classes compare to
        return False


# --- accuracy ---------------------------------------------------------------------------------------------------------


NO_LABELS = (
    "the validation batches have no labels: give batches of (inputs, labels), or an evaluate function, "
    "or measure with fixed energies (label-free)"
)


def scores_of(output):
    """A model's class scores: its output, or the part called logits, or the first part."""
    if isinstance(output, torch.Tensor):
        return output
    if isinstance(output, dict) and isinstance(output.get("logits"), torch.Tensor):
        return output["logits"]
    if isinstance(getattr(output, "logits", None), torch.Tensor):
        return output.logits
    if isinstance(output, (tuple, list)) and output and isinstance(output[0], torch.Tensor):
        return output[0]
    raise HostError("the model gives %s, not class scores: return an evaluate function" % type(output).__name__)


def integer_labels(batches):
    """Whether accuracy can be told without the user's help, judging by the first batch."""
    labels = batches.first.labels
    return isinstance(labels, torch.Tensor) and not labels.is_floating_point() and not labels.is_complex()


def grade(output, labels):
    """(right, counted, whether a score is NaN) of one batch. Labels below zero are left out, as losses do."""
    if labels is None:
        raise HostError(NO_LABELS)
    scores = scores_of(output)
    shapes = "outputs %s, labels %s" % (list(scores.shape), list(getattr(labels, "shape", [])))
    advice = "give one integer class a sample, or return an evaluate function"
    if not isinstance(labels, torch.Tensor) or labels.is_floating_point() or labels.is_complex():
        raise HostError("labels are %s, not integers (%s): %s" % (kind(labels), shapes, advice))
    labels = labels.to(scores.device).long()
    if labels.dim() == scores.dim() and labels.dim() > 1 and labels.shape[-1] == 1:
        labels = labels.squeeze(-1)
    if scores.shape[:-1] == labels.shape:
        axis = -1
    elif scores.dim() > 1 and scores.shape[:1] + scores.shape[2:] == labels.shape:
        axis = 1
    else:
        raise HostError("labels do not fit the outputs (%s): %s" % (shapes, advice))
    classes = scores.shape[axis]
    if classes < 2:
        raise HostError("the model has one output, so the largest says nothing (%s): %s" % (shapes, advice))
    if labels.numel() and int(labels.max()) >= classes:
        raise HostError("label %d, but the model has %d outputs: classes count from 0" % (int(labels.max()), classes))
    counted = labels >= 0
    missing = torch.isnan(scores).any(dim=axis)
    right = (scores.argmax(dim=axis) == labels) & counted & ~missing
    return int(right.sum()), int(counted.sum()), bool(missing.any())


# --- the session ------------------------------------------------------------------------------------------------------


class Session:
    """One model, from `open` to the end of the process."""

    def __init__(self, channel):
        self._channel = channel
        self._answered = None  # the last evaluation of unchanged weights

    def answer(self, method, params):
        requests = {
            "open": self.open,
            "weight": self.weight,
            "gramPass": self.gram_pass,
            "gram": self.gram,
            "evaluate": self.evaluate,
            "commit": self.commit,
            "reset": self.reset,
        }
        with torch.no_grad() if torch is not None else contextlib.nullcontext():
            return requests[method](**params)

    # -- opening

    def open(self, file, function, arguments, folder):
        if sys.byteorder != "little":
            raise HostError("this computer keeps numbers big-endian, which is not supported")
        self._folder = self._channel.folder = folder
        self._home = os.path.dirname(file)
        self._notes = []
        self._channel.stage("importing torch")
        import_torch()
        self._channel.stage("running %s() of %s" % (function, os.path.basename(file)))
        sys.argv = [file]
        result = call_function(load_function(file, function), arguments, file, function)
        with torch.no_grad():
            recipe = Recipe(result, function)
            self._evaluate = recipe.evaluate
            self._take_model(recipe.model)
            self._take_batches(recipe)
            self._find_layers()
            self._metric = self._find_metric()
            return self._facts(file, function, arguments)

    def _take_model(self, model):
        if hasattr(model, "_orig_mod"):
            self._notes.append("The model runs as it was before torch.compile.")
            model = model._orig_mod
        if isinstance(model, torch.jit.ScriptModule):
            raise HostError(
                "the model is TorchScript, whose layers cannot be reached: return the nn.Module it was made from"
            )
        for module in model.modules():
            if isinstance(module, torch.nn.DataParallel) and len(module.device_ids) > 1:
                self._notes.append("nn.DataParallel runs on its first device only.")
                module.device_ids = module.device_ids[:1]
        self._model = model
        parameter = next(iter(model.parameters()), None)
        self._device = torch.device("cpu") if parameter is None else parameter.device

    def _take_batches(self, recipe):
        self._channel.stage("reading the batches")
        same_source = recipe.gram is recipe.validation
        self._validation = None
        if recipe.validation is not None:
            what = "the validation batches" if not same_source else "the batches"
            self._validation = Batches(recipe.validation, what, self._home, self._notes)
        self._gram_batches = (
            self._validation if same_source else Batches(recipe.gram, "the Gram batches", self._home, self._notes)
        )

    def _find_layers(self):
        self._channel.stage("running the first batch")
        prepare(self._model)
        batch = self._gram_batches.first
        with user_code(self._home, "running the first batch (%s)" % batch.describe()):
            trace = Trace(self._model, batch, self._device)
        self._layers = Layers(self._model, trace, self._notes).all
        if not self._layers:
            raise HostError("the model has no nn.Linear or nn.Conv layers that ran: nothing can be measured")
        for layer in self._layers:
            layer.positions = max(1, round(layer.positions / batch.samples))
        self._reuse = Reuse(self._model, trace, self._device)

    def _find_metric(self):
        if self._evaluate is not None:
            return self.evaluate()["metric"]
        return "accuracy" if self._validation is not None and integer_labels(self._validation) else None

    def _facts(self, file, function, arguments):
        validation = self._validation
        return {
            "runtime": "PyTorch %s, %s" % (str(torch.__version__).split("+")[0], self._device),
            "metric": self._metric,
            "gramSamples": self._gram_batches.samples,
            "validationSamples": 0 if validation is None else validation.samples,
            "parameters": sum(parameter.numel() for parameter in self._model.parameters()),
            "identity": self._identity(file, function, arguments),
            "notes": self._notes,
            "layers": [layer.describe() for layer in self._layers],
        }

    def _identity(self, file, function, arguments):
        digest = hashlib.sha256()
        with open(file, "rb") as source:
            digest.update(source.read())
        digest.update(json.dumps([function, arguments], sort_keys=True).encode())
        digest_tensors(digest, dict(self._model.state_dict()))
        for batches in (self._gram_batches, self._validation):
            digest.update(b"none" if batches is None else batches.digest.encode())
        return digest.hexdigest()

    # -- weights

    def _path(self, name):
        return os.path.join(self._folder, name)

    def weight(self, layer):
        write_float64(self._path("weight.f64"), self._layers[layer].matrices())
        return {"file": "weight.f64"}

    def _change(self, layer):
        return read_float64(self._path("change.f64"), (layer.groups, *layer.shape))

    def commit(self, layer):
        layer = self._layers[layer]
        if layer.original is None:
            layer.original = layer.parameter.detach().clone()
        layer.put(self._change(layer))
        self._reuse.committed(layer)
        self._answered = None
        return {}

    def reset(self):
        for layer in self._layers:
            if layer.original is not None:
                layer.parameter.detach().copy_(layer.original)
                layer.original = None
        self._reuse.clear()
        self._answered = None
        return {}

    # -- Grams

    def gram_pass(self, layers, done, total):
        """Sums the Grams of as many of the layers as memory allows, over all Gram batches. `done` of `total` layers
        were summed in earlier passes: the fraction told is that of all."""
        device = self._device if has_float64(self._device) else torch.device("cpu")
        taken, size = [], 0
        for index in layers:
            layer = self._layers[index]
            size += 8 * layer.groups * layer.shape[1] ** 2
            if taken and size > GRAM_BYTES:
                break
            taken.append(index)
        with user_code(self._home, "making room for the Gram matrices"):
            self._grams = {index: Gram(self._layers[index], device) for index in taken}
        changed = [layer for layer in self._layers if layer.original is not None]
        committed = [layer.parameter.detach().clone() for layer in changed]
        for layer in changed:
            layer.parameter.detach().copy_(layer.original)
        try:
            self._sum_grams(lambda part: self._channel.fraction((done + part * len(taken)) / total))
        finally:
            for layer, weight in zip(changed, committed):
                layer.parameter.detach().copy_(weight)
        return {"layers": taken}

    def _sum_grams(self, tell):
        replacements, projections = {}, {}
        for index, gram in self._grams.items():
            layer = self._layers[index]
            if not layer.modules:
                projections[id(layer.parameter)] = gram
            for module in layer.modules:
                replacements[module] = lambda original, module=module, gram=gram: summing(original, module, gram)

        def watch(weight, input):
            if id(weight) in projections:
                projections[id(weight)].add_linear(input)

        prepare(self._model)
        torch.manual_seed(0)
        samples = 0
        with forwards(replacements), watched_linear(watch):
            for number, batch in enumerate(self._gram_batches):
                with user_code(self._home, "running Gram batch %d (%s)" % (number, batch.describe())):
                    batch.run(self._model, self._device)
                for index, gram in self._grams.items():
                    if not gram.finite():
                        raise HostError(
                            "activations that reach %s are not numbers (NaN or infinite) in Gram batch %d: check the "
                            "data, its normalisation, and the weights before this layer"
                            % (self._layers[index].name, number)
                        )
                samples += batch.samples
                tell(min(1.0, samples / self._gram_batches.samples))

    def gram(self, layer):
        gram = self._grams.pop(layer)
        write_float64(self._path("gram.f64"), gram.matrices())
        return {"file": "gram.f64", "vectors": gram.vectors}

    # -- evaluation

    def evaluate(self, layer=None):
        if layer is None:
            if self._answered is None:
                self._answered = self._measure(None)
            return self._answered
        layer = self._layers[layer]
        matrices = self._change(layer)
        before = layer.parameter.detach().clone()
        try:
            layer.put(matrices)
            return self._measure(layer)
        finally:
            layer.parameter.detach().copy_(before)

    def _measure(self, layer):
        if self._reuse is not NOTHING_KEPT:
            try:
                with self._reuse.during(layer):
                    return self._score(layer)
            except ReuseFailed:
                self._reuse = NOTHING_KEPT
                text = "The whole network is evaluated each time: with outputs kept, its predictions were not the same."
                self._channel.send(event="note", text=text)
        return self._score(layer)

    def _score(self, layer):
        prepare(self._model)
        torch.manual_seed(0)
        original = layer is None and all(layer.original is None for layer in self._layers)
        return self._score_by_user(original) if self._evaluate is not None else self._score_by_labels(original)

    def _score_by_labels(self, original):
        if self._validation is None:
            raise HostError(NO_LABELS)
        right = counted = 0
        for number, batch in enumerate(self._validation):
            with user_code(self._home, "running validation batch %d (%s)" % (number, batch.describe())):
                output = batch.run(self._model, self._device)
                more, labelled, missing = grade(output, batch.labels)
            if original and missing:
                raise HostError(
                    "the model's outputs are NaN in validation batch %d: check the data, its normalisation, "
                    "and the weights" % number
                )
            right += more
            counted += labelled
        if counted == 0:
            raise HostError(NO_LABELS)
        return {"metric": "accuracy", "value": 100 * right / counted, "samples": counted}

    def _score_by_user(self, original):
        with user_code(self._home, "running evaluate"):
            result = self._evaluate(self._model)
        metric = "accuracy"
        if isinstance(result, dict):
            metric = next((key for key in ("accuracy", "loss") if key in result), None)
            if metric is None:
                raise HostError('evaluate returned a dict without "accuracy" (percent) or "loss"')
            result = result[metric]
        try:
            value = float(result)
        except (TypeError, ValueError, RuntimeError):
            raise HostError("evaluate returned %s: it must return accuracy in percent, or a dict" % kind(result))
        known = getattr(self, "_metric", metric)
        if metric != known:
            raise HostError("evaluate returned %s now and %s before: one of them, always" % (metric, known))
        if value != value or abs(value) == float("inf"):
            if original:
                raise HostError("evaluate returned %s for the original model: check the data and the weights" % value)
            value = 0.0 if metric == "accuracy" else sys.float_info.max
        if metric == "accuracy" and not 0 <= value <= 100:
            raise HostError("evaluate returned an accuracy of %g: give percent, 0 to 100" % value)
        if original and metric == "accuracy" and 0 < value <= 1:
            self._channel.send(
                event="note", text="evaluate returned %g: taken as percent; for a share of 1, multiply by 100." % value
            )
        samples = 0 if self._validation is None else self._validation.samples
        return {"metric": metric, "value": value, "samples": samples}


class NothingKept:
    """In the place of Reuse where it is switched off."""

    def clear(self):
        pass

    def committed(self, layer):
        pass


NOTHING_KEPT = NothingKept()


def summing(original, module, gram):
    def forward(*args, **kwargs):
        input = first_tensor(args, kwargs)
        if is_convolution(module):
            gram.add_convolution(input, module)
        else:
            gram.add_linear(input)
        return original(*args, **kwargs)

    return forward


def main():
    channel = Channel()
    channel.listen()
    channel.send(event="hello", protocol=PROTOCOL, python=sys.version.split()[0], executable=sys.executable)
    session = Session(channel)
    while True:
        request = channel.requests.get()
        try:
            result = session.answer(request["method"], request["params"])
        except HostError as error:
            channel.send(id=request["id"], error=one_line(error))
        except Exception as error:
            traceback.print_exc()
            text = "rankscope_host.py failed: %s: %s" % (type(error).__name__, error)
            channel.send(id=request["id"], error=one_line(text))
        else:
            channel.send(id=request["id"], result=result)


if __name__ == "__main__":
    main()
