import * as vscode from 'vscode';
import { pythonSetting } from '../settings';

/** The part of the Python extension's interface that tells the chosen interpreter (its documented `environments`). */
interface PythonExtension {
  readonly environments?: {
    readonly getActiveEnvironmentPath: (resource?: vscode.Uri) => { readonly path: string };
    readonly resolveEnvironment: (environment: { readonly path: string }) => Promise<
      | {
          readonly executable?: { readonly uri?: vscode.Uri };
        }
      | undefined
    >;
  };
}

/**
 * The Python that recipes run with: the setting, then what the Python extension has chosen for this resource; undefined
 * leaves the choice to the engine (`python3` on the PATH).
 */
export async function chosenInterpreter(resource: vscode.Uri): Promise<string | undefined> {
  const set = pythonSetting(resource);
  if (set !== undefined) return set;
  const extension = vscode.extensions.getExtension<PythonExtension>('ms-python.python');
  if (extension === undefined) return undefined;
  try {
    const api = extension.isActive ? extension.exports : await extension.activate();
    const environment = api.environments?.getActiveEnvironmentPath(resource);
    if (environment === undefined) return undefined;
    const resolved = await api.environments?.resolveEnvironment(environment);
    return resolved?.executable?.uri?.fsPath ?? environment.path;
  } catch {
    // Another extension's failure is no reason not to measure: the engine looks on the PATH.
    return undefined;
  }
}
