import type { ScriptRecipe } from '../recipe';

/**
 * What is run, word by word, as people are shown it. Several processes go through torchrun, called as the module that it
 * is: its program need not be on the path.
 */
export function commandOf(script: ScriptRecipe, python: string): readonly string[] {
  const { file, module, torchrun, arguments: words = [] } = script;
  const launcher =
    torchrun === undefined
      ? []
      : ['-m', 'torch.distributed.run', '--standalone', '--nproc_per_node', String(torchrun)];
  const target = module === undefined ? [file ?? ''] : ['-m', module];
  return [python, ...launcher, ...target, ...words];
}
