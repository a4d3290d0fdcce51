/** TensorFlow.js layers models as networks that can be measured. */
export { openModel, openTfjsNetwork, type BuiltModel, type OpenTfjs } from './open';
export { loadTensorFlow, type Layer, type LayersModel, type TensorFlow } from './load';
