export { commandOf } from './command';
export { choiceVariable } from './environment';
export { pythonOf } from './python';
export { runScript, type ScriptEnd, type ScriptOptions } from './runScript';
