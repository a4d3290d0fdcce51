import { countOf, inARow } from '../wording';

/** Names listed in a note; a whole module may name hundreds. */
const NAMED_GLOBALS = 8;

/** The files of torch.nn.modules: a class in one of them is PyTorch's own, whoever saved it. */
const TORCH_MODULES =
  'activation|adaptive|batchnorm|channelshuffle|container|conv|distance|dropout|flatten|fold|instancenorm|lazy|linear|' +
  'loss|module|normalization|padding|pixelshuffle|pooling|rnn|sparse|transformer|upsampling|utils';
const TORCH_CLASS = new RegExp(`^torch\\.nn\\.(?:modules\\.(?:${TORCH_MODULES})\\.)?[A-Z]\\w*$`);
const TORCH_FUNCTION = /^torch\.nn\.functional\.[a-z]\w*$/;

/** The note on classes and functions that Python would import, if there are any. */
export function importNotes(notFollowed: readonly string[]): string[] {
  // Classes of TorchScript are part of the archive: nothing is ever imported for them.
  const imports = notFollowed.filter((name) => !name.startsWith('__torch__.'));
  return imports.length === 0 ? [] : [`Names ${listGlobals(imports)} (not imported)`];
}

/** Names in the order of the file; what torch.nn provides is only counted, so that the others are seen. */
export function listGlobals(names: readonly string[]): string {
  const classes = names.filter((name) => TORCH_CLASS.test(name)).length;
  const functions = names.filter((name) => TORCH_FUNCTION.test(name)).length;
  const others = names.filter((name) => !TORCH_CLASS.test(name) && !TORCH_FUNCTION.test(name));
  const parts = others.slice(0, NAMED_GLOBALS);
  if (others.length > NAMED_GLOBALS) parts.push(`${others.length - NAMED_GLOBALS} more`);
  if (classes > 0) parts.push(`${countOf(classes, 'class', 'classes')} of torch.nn`);
  if (functions > 0) parts.push(`${countOf(functions, 'function')} of torch.nn`);
  return inARow(parts);
}
