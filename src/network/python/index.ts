/**
 * The Python host: models of any PyTorch code, run by `media/python/rankscope_host.py`.
 *
 * - `findPython`: which interpreter.
 * - `PythonProcess`: starts it, exchanges lines of JSON (`protocol`), ends it.
 * - `ExchangeFolder`: weights and Grams, in files.
 * - `openPythonNetwork`: a `RunnableNetwork` over them.
 */
export { findPython } from './findPython';
export { openPythonNetwork, type PythonNetworkOptions } from './pythonNetwork';
