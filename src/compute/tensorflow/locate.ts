/** Where TensorFlow is installed: only in folders that were named, never wherever Node would find something. */
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import type { DeviceSettings } from '../device/device';
import { namesIn } from './folderBytes';

/** With CUDA, or for the processor alone. */
export type TensorflowVariant = 'gpu' | 'cpu';

export interface InstalledTensorflow {
  /** Folder of the package. */
  readonly folder: string;
  readonly variant: TensorflowVariant;
  /** Version of the package, not of TensorFlow. */
  readonly version: string;
}

export type LocatedTensorflow =
  | ({ readonly kind: 'found' } & InstalledTensorflow)
  /** `reason` is one line that ends with what to do. */
  | { readonly kind: 'missing'; readonly reason: string };

/** The one with CUDA first: it runs on the processor too, where there is no CUDA. */
const PACKAGES: readonly (readonly [TensorflowVariant, string])[] = [
  ['gpu', '@tensorflow/tfjs-node-gpu'],
  ['cpu', '@tensorflow/tfjs-node'],
];

/** The npm package of a variant. */
export function packageOf(variant: TensorflowVariant): string {
  return variant === 'gpu' ? '@tensorflow/tfjs-node-gpu' : '@tensorflow/tfjs-node';
}

/**
 * The installation to use: the folder of the setting and no other where there is one; else the first complete one of
 * the named folders; else, in a checkout, the project's own.
 */
export function locateTensorflow(settings: DeviceSettings): LocatedTensorflow {
  const { tensorflow, folders = [] } = settings;
  const chosen = tensorflow === undefined || tensorflow === '' ? undefined : tensorflow;
  const places = chosen === undefined ? [...folders, ...checkouts()] : [chosen];
  const packages = places.flatMap(packagesIn);
  const complete = packages.find((found) => found.lacks === undefined);
  if (complete !== undefined) {
    const { folder, variant, version } = complete;
    return { kind: 'found', folder, variant, version };
  }
  const [partial] = packages;
  if (partial?.lacks !== undefined) return { kind: 'missing', reason: incomplete(partial, partial.lacks) };
  return {
    kind: 'missing',
    reason:
      chosen === undefined
        ? 'TensorFlow is not installed: run the command "Rankscope: Install TensorFlow GPU Backend", or install @tensorflow/tfjs-node-gpu with npm'
        : `${chosen} holds no TensorFlow: name the folder of @tensorflow/tfjs-node-gpu, or one that has it in its node_modules`,
  };
}

interface Found extends InstalledTensorflow {
  /** The native part that is not there. */
  readonly lacks: string | undefined;
}

function packagesIn(place: string): Found[] {
  return PACKAGES.flatMap(([variant, name]) =>
    [place, path.join(place, 'node_modules', name)].flatMap((folder) => {
      const version = versionOf(folder, name);
      return version === undefined ? [] : [{ folder, variant, version, lacks: missingPart(folder) }];
    }),
  );
}

/** undefined where the folder is not that package. */
function versionOf(folder: string, name: string): string | undefined {
  let manifest: unknown;
  try {
    manifest = JSON.parse(readFileSync(path.join(folder, 'package.json'), 'utf8'));
  } catch {
    return undefined;
  }
  if (typeof manifest !== 'object' || manifest === null) return undefined;
  if (!('name' in manifest) || manifest.name !== name) return undefined;
  return 'version' in manifest && typeof manifest.version === 'string' ? manifest.version : 'unknown';
}

/** Its install script downloads the library and then the binding; either may have failed, or never have run. */
function missingPart(folder: string): string | undefined {
  const lib = path.join(folder, 'lib');
  const bindings = namesIn(lib).filter((name) => existsSync(path.join(lib, name, 'tfjs_binding.node')));
  // Windows looks for the library beside the binding, the others in deps/lib.
  const libraries = [path.join(folder, 'deps', 'lib'), ...bindings.map((name) => path.join(lib, name))];
  const hasLibrary = libraries.some((at) =>
    namesIn(at).some((name) => LIBRARY.test(name) && existsSync(path.join(at, name))),
  );
  if (!hasLibrary) return 'its library, libtensorflow';
  return bindings.length === 0 ? 'its native binding, tfjs_binding.node' : undefined;
}

const LIBRARY = /^(libtensorflow\.so|libtensorflow(\.\d+)*\.dylib|tensorflow\.dll)/;

function incomplete({ folder, variant }: Found, lacks: string): string {
  const name = packageOf(variant);
  return `${folder} is installed without ${lacks}: its install script did not run, or could not download; run "npm rebuild ${name} --ignore-scripts=false" where it is installed`;
}

/** The project's own folder, when this runs from a checkout: dist/device.js, or a test in dist/test/unit. */
function checkouts(): string[] {
  return [path.join(__dirname, '..'), path.join(__dirname, '..', '..', '..')].filter(
    (folder) => existsSync(path.join(folder, 'esbuild.mjs')) && versionOf(folder, 'rankscope') !== undefined,
  );
}
