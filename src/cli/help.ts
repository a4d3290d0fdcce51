/** Texts of `--help`; each fits 80 columns. */

export const AUDIT_HELP = `rankscope audit <file|folder>...

Reads checkpoints (safetensors, PyTorch, NumPy), takes the singular values of
every layer's matrix and reports its ranks. Nothing in a file is executed.
A folder is a sharded model, or stands for the checkpoints inside it.

Output
  --format <table|json|csv|markdown>
                       what goes to stdout (default: table)
  --json <file>        write the whole document to a file, in one piece or not
                       at all; - for stdout, and then nothing else goes there.
                       One checkpoint gives the document, several give an array
  --spectra            put the singular values into the document
  --sha256             put the file's SHA-256 into the document
  --sort <order|name|utilization|rank|parameters>
                       rows of tables and CSV (default: order in the file);
                       utilization and rank begin with the lowest, parameters
                       with the most

Work
  --layers <regex>     only layers whose name matches; may be repeated
  --groups <regex=n>   convolutions whose name matches have n groups (files of
                       plain weights do not tell); may be repeated
  --backend <name>     what computes (default: the best there is)
  --threads <n>        layers worked on at once
  --no-cache           neither use nor keep earlier results

Gate
  --fail-under <u>     exit 3 when a mean layer utilization is below u, 0 to 1

Examples
  rankscope audit model.safetensors
  rankscope audit model.pt --layers 'attn|mlp' --sort utilization
  rankscope audit runs/ --format csv > ranks.csv
`;

export const INSPECT_HELP = `rankscope inspect <file|folder>...

Says what a file can do to whoever loads it. It looks and never runs: nothing in
the file is executed, imported or unpacked to disk. A folder stands for the
files in it that a program may load, whatever they are called.

  safe         no code can come of it: it holds values, or a pickle that names
               only what is known to be harmless
  unknown      it names or holds something that nobody here can vouch for, such
               as your own classes, or could not be looked at as a whole
  suspicious   no tool makes such files: entries that are hidden, doubled or
               disagree, pickles under other names, paths that lead elsewhere
  dangerous    loading or running it can run commands, or reach files or the
               network

A pickle runs what it names as it is read, up to where it breaks. Names are
judged by a table: what is in no table is unknown, never safe. What compiled
programs do with a damaged file is not judged.

Output
  --format <table|json>
                       what goes to stdout (default: table)
  --json <file>        write the whole document to a file, in one piece or not
                       at all; - for stdout, and then nothing else goes there.
                       One file gives the document, several give an array
  --all                list harmless names too; of several files all there is

Gate
  --fail-on <dangerous|suspicious|unknown>
                       exit 3 when a file is that, or worse

Examples
  rankscope inspect pytorch_model.bin
  rankscope inspect downloads/ --fail-on unknown
  rankscope inspect model.pt --json - | jq .verdict
`;

export const CACHE_HELP = `rankscope cache path|clear

Results are kept by the content of each layer, so that a second audit of the
same weights is instant.
  path    print the folder they are kept in
  clear   forget them
`;

export const FIGURES_HELP = `rankscope figures

Redraws the figures of Ji et al., "Sine activated low-rank matrices for
parameter efficient learning", that show matrices before training:
  1   spectra of a full-rank, a low-rank and a sine-activated low-rank matrix
      of ViT-Base's size (the left half)
  2   their entries, 128 x 128, as heat maps
  3   spectra under sine, sigmoid and ReLU, and under sine as omega grows;
      with a panel of ranks over omega

  --figure <1|2|3|all>          which (default: all)
  --out <folder>                where files are written (default: here); made
                                where it does not exist
  --format <svg|json|csv|all>   pictures, documents, tables (default: all)
  --seed <n>                    another draw of the matrices (default: 0)
  --backend <name>              what computes (default: the best there is)
  --threads <n>                 matrices worked on at once

Prints the names of the files written. The same seed gives the same numbers.
`;

export const CONVERT_HELP = `rankscope convert <file> --to <sine|svd|dense>

Keeps layers as two thin factors: W = sin(omega U V')/g (sine, the default) or
W = U V' (truncated SVD). The error of truncated SVD at the same rank is shown
beside every layer; no layer ends worse. Sine saves storage, not FLOPs.
A file of factors can be audited, converted again, or made dense (--to dense).

Ranks: one of these (default: --share 15%)
  --rank <k>           the same rank for every layer
  --rank <regex=k>     a rank for layers whose name matches, the others stay
                       dense; may be repeated, the first match counts
  --share <s>          a share of each layer's smaller side: 15% or 0.15
  --compression <r>    parameters of the whole model after, of those before:
                       30% or 0.3; ranks go where they buy most
  --error <e>          the smallest rank of each layer with at most this
                       relative error: 0.2 or 20%
A layer whose factors would not be fewer numbers stays dense.

What
  --layers <regex>     only layers whose name matches; may be repeated. Without
                       it: linear, attention and convolution layers.
                       Embeddings only when a name asks for them
  --groups <regex=n>   convolutions whose name matches have n groups
  --omega <w>          frequency (default: 3 sqrt(k)); for training on, it does
                       not change the error
  --gain <g>           fix g instead of searching for it
  --seed <n>           decides every random choice (default: 0)
  --inputs <recipe>    measure errors on the layers' outputs instead of on their
                       weights: the recipe's network runs on its data first, and
                       a recipe with Python runs the code that it names
  --python <path>      interpreter for that

Output
  --out <folder>       where files go (default: beside the checkpoint):
                         <name>.sine-k9.safetensors  factors, and the rest as is
                         <name>.sine-k9.json         what was done, spectra
                         sine_lowrank.py             loads them into PyTorch
                       called k9 after --rank, s0.15 after --share, 30pct after
                       --compression, e0.2 after --error, mixed for regex=k
  --materialize        also a dense checkpoint in the file's own format, called
                       <name>.sine-k9.dense; of a file of factors and without a
                       choice of ranks: only that
  --json <file>        the document once more; - for stdout, and then nothing
                       else goes there
  --spectra            put the singular values into it

Work
  --backend <name>     what computes (default: the best there is)
  --threads <n>        layers worked on at once
  --no-cache           neither use nor keep earlier results. With them, a run
                       that was stopped goes on where it was

Examples
  rankscope convert model.safetensors --rank 16
  rankscope convert model.pt --compression 30% --materialize --out small/
  rankscope convert model.pt --to svd --rank 'attn=8' --rank 'mlp=32'
  rankscope convert model.safetensors --rank 16 --inputs model.rankscope.json
  rankscope convert model.sine-k16.safetensors --to dense
`;

export const UTILIZE_HELP = `rankscope utilize <recipe.rankscope.json>
rankscope utilize <model.onnx|model.json> --data <file|folder>

Measures how much of each linear and convolution layer a network uses on data:
the smallest input and output subspaces that keep its accuracy, and the rank of
the weights between them. A recipe names the network (ONNX, TF.js, linear layers
of a checkpoint, or a Python function) and the data; a recipe with Python runs
the code that it names.

How dimensions are chosen (what a recipe says holds, unless given here)
  --mode <cumulative|independent|label-free>
                       cumulative (default): layer after layer, what was
                       projected stays; costs at most 2 x layers x delta.
                       independent: each projection alone, a diagnosis.
                       label-free: fixed energies, nothing is searched
  --delta <d>          what each projection may cost: percentage points of
                       accuracy, or percent of the loss (default: 0.1)
  --energy <e>         label-free: share of spectral energy that is kept
                       (default: 0.99)
  --max-passes <n>     evaluations of the network at most; layers that are not
                       reached stay whole
  --layers <regex>     only layers whose name matches; may be repeated

Work
  --resume             go on with an earlier search of the same network, data
                       and settings: no evaluation is made twice
  --data <file>        data for a model given without a recipe
  --python <path>      interpreter for a recipe with Python
  --backend <name>     what computes (default: the best there is)
  --threads <n>        layers worked on at once

Output
  --json <file>        write the whole document to a file, in one piece or not
                       at all; - for stdout, and then nothing else goes there
  --spectra            put the spectra of inputs and outputs into the document
                       ERROR and AT MOST are shares of the outputs' energy,
                       |Y - Y'|^2 / |Y|^2, and the bound of the first
  --decompose <file>   write a safetensors checkpoint with layers as two where
                       that saves parameters, and <file>.rank_pattern.json with
                       the ranks for a LoRA configuration

Gate
  --fail-under <u>     exit 3 when the mean layer utilization is below u, 0 to 1

Examples
  rankscope utilize resnet.rankscope.json
  rankscope utilize resnet.rankscope.json --resume --decompose small.safetensors
  rankscope utilize model.onnx --data mnist.npz --energy 0.99 --json -
`;

export const BACKENDS_HELP = `rankscope backends [--again]

Shows what can compute on this machine and which one 'auto' uses:

  wasm         WebAssembly on the processor; built in, always there
  tensorflow   TensorFlow with CUDA, where @tensorflow/tfjs-node-gpu is
               installed; RANKSCOPE_TENSORFLOW names its folder
  webgpu       graphics cards of any maker, through the package webgpu

Each is opened in a process of its own, held against wasm on a small matrix,
and timed; what is found is remembered. Layers that a graphics card would not
be faster at stay with the processor, and so does whatever it fails at.

  --again              look anew

RANKSCOPE_BACKEND names the backend for commands that are not given --backend.
`;

export const TRAIN_HELP = `rankscope train <recipe|run>

Trains the network of a recipe (*.rankscope.json with a "training" section):
dense, low-rank, sine-low-rank, LoRA or sine-LoRA; or runs the recipe's own
script. Each run is a folder in <recipe>.runs: it goes on when this command,
the editor or the window ends, and can be stopped and resumed.

Runs
  --compare            dense, low-rank and sine, at the recipe's rank
  --sweep <axis=a,b>   values to try, one run for each combination: form, rank,
                       omega, gain, seed, learningRate; may be repeated
  --launcher <here|slurm>
                       in place of the recipe's own
  --jobs <n>           runs at once on this machine (default: its cores)
  --detach             start them, and do not wait
  --list               the runs there are
  --follow             those that are running, until they are over
  --stop               ask them to keep a checkpoint and stop
  --resume             go on with those that stopped, failed or were lost

Output
  --json <file>        write the document to a file; - for stdout
  --figure <file.svg>  draw the metric of all runs over their steps

Work
  --backend <name>     tensorflow, webgpu or wasm (default: the first of them
                       that there is)
  --python <program>   interpreter for scripts

Ctrl-C asks the runs to keep a checkpoint and stop.

Examples
  rankscope train occupancy.rankscope.json --compare
  rankscope train vit.rankscope.json --sweep form=low-rank,sine --sweep rank=1,5
  rankscope train vit.rankscope.json --resume
`;
