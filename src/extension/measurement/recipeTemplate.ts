/**
 * A recipe for a PyTorch model and the file with its function, to be filled in.
 *
 * @param program name of the Python file, beside the recipe
 * @param checkpoint path of the weights relative to the recipe, where they are known
 */
export function recipeTemplate(
  program: string,
  checkpoint: string | undefined,
): { readonly recipe: string; readonly python: string } {
  const weights = checkpoint ?? 'model.pt';
  const recipe = {
    schema: 'rankscope/recipe@1',
    network: {
      kind: 'python',
      file: program,
      function: 'load',
      ...(checkpoint !== undefined && { checkpoint }),
    },
    utilization: { mode: 'cumulative', delta: 0.1 },
  };
  return { recipe: `${JSON.stringify(recipe, null, 2)}\n`, python: pythonProgram(weights) };
}

function pythonProgram(weights: string): string {
  return `"""The network that Rankscope measures, and the data it is measured on."""
from pathlib import Path

import torch
from torch import nn

HERE = Path(__file__).parent


def load():
    # Build your network here, as your own code does: from my_project import Network; model = Network()
    model: nn.Module = ...
    state = torch.load(HERE / ${JSON.stringify(weights)}, map_location="cpu", weights_only=True)
    model.load_state_dict(state.get("state_dict", state))

    # Batches of (inputs, labels). Validation guides the search: every dimension kept is kept for its accuracy.
    validation = torch.utils.data.DataLoader(..., batch_size=64)
    # Inputs of every layer are summed over these; a few thousand samples of the training data are plenty.
    gram = torch.utils.data.DataLoader(..., batch_size=64)
    return {"model": model, "validation": validation, "gram": gram}
`;
}
