/** What networks are trained on: one task for each kind of data. */
import type { TrainingData } from './recipe';
import { classesOf, openBoth, openClassification } from './classification';
import { openLanguage } from './language';
import { openLanguageData } from './languageData';
import { openLineClassification, openLineData } from './lineClassification';
import { openOccupancy } from './occupancy';
import { openRadiance } from './radiance';
import type { TaskOptions } from './settings';
import type { Task } from './task';

export type { TaskOptions } from './settings';
export type * from './recipe';
export type * from './task';

/**
 * Data of a recipe, ready to train one network on.
 *
 * @throws CheckpointError with one line that names file and place
 * @throws the signal's reason when it is aborted
 */
export async function openTask(data: TrainingData, options: TaskOptions): Promise<Task> {
  options.signal.throwIfAborted();
  switch (data.kind) {
    case 'classification':
      return openClassification(data, options);
    case 'occupancy':
      return openOccupancy(data, options);
    case 'views':
      return openRadiance(data, options);
    case 'text':
      return data.task === 'classes' ? openLineClassification(data, options) : openLanguage(data, options);
  }
}

/** What a network has to be for its data: known before it is built. */
export interface NetworkFit {
  /** Of one sample; absent: pictures and vectors are laid out as the network takes them. */
  readonly input?: readonly number[];
  /** Of one sample's output. */
  readonly output: readonly number[];
  /** Text: tokens there are, with the special ones. */
  readonly vocabulary?: number;
  /** Text: tokens seen at once. */
  readonly context?: number;
  readonly classes?: number;
}

/**
 * Text is read, and labels; meshes and views are not.
 *
 * @throws CheckpointError, the signal's reason
 */
export async function networkFit(data: TrainingData, signal: AbortSignal): Promise<NetworkFit> {
  signal.throwIfAborted();
  switch (data.kind) {
    case 'classification': {
      const { train, validation } = await openBoth(data, undefined, signal);
      await Promise.all([train.dispose(), validation.dispose()]);
      const classes = classesOf(train, validation);
      return { output: [classes], classes };
    }
    case 'occupancy':
      return { input: [3], output: [1] };
    case 'views':
      return { input: [6], output: [4] };
    case 'text': {
      if (data.task === 'classes') {
        const { vocabulary, classes, context } = await openLineData(data, signal);
        return {
          input: [context],
          output: [classes.length],
          vocabulary: vocabulary.size,
          context,
          classes: classes.length,
        };
      }
      const { vocabulary, context } = await openLanguageData(data, signal);
      return { input: [context], output: [context, vocabulary.size], vocabulary: vocabulary.size, context };
    }
  }
}
