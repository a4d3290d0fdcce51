import type { OpenTensorLibrary } from '../device/library';
import { factsOf } from './device';
import { loadTensorflow } from './load';
import { locateTensorflow } from './locate';

/** TensorFlow's native library, with CUDA where it finds it. */
export const openTensorflowLibrary: OpenTensorLibrary = (settings) =>
  new Promise((resolve) => {
    const located = locateTensorflow(settings);
    if (located.kind === 'missing') throw new Error(located.reason);
    const { tf, binding } = loadTensorflow(located);
    const { runtime, adapter } = factsOf(binding, located);
    // On the processor it is native code still: slower than a card, and no stand-in for one.
    resolve({ tf, name: 'tensorflow', about: `${runtime}, ${adapter}`, isSoftware: false });
  });
