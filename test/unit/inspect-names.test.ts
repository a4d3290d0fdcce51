/** Names in pickles that were made to be misread. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { inspect } from '../../src/checkpoint/inspect';
import { bytes, pickle, temporaryFolder } from '../fixtures/handmade';

const { write } = temporaryFolder();

/** Protocol 4: module and name from the stack, the name with dots. */
function stackGlobal(module: string, name: string): Buffer {
  return bytes(pickle.text(module), pickle.text(name), 0x93);
}

function file(...globals: readonly Buffer[]): string {
  return write('names.pkl', bytes(0x80, 4, ...globals.flatMap((global) => [global, '0']), 'N.'));
}

describe('names of globals', () => {
  it('are dangerous when they lead in circles before they lead to harm', async () => {
    const circles = 'torch.nn.modules.linear.'.repeat(20);
    const { verdict } = await inspect(
      file(stackGlobal('torch.nn.modules', `linear.${circles}torch.os.system`)),
    );
    assert.equal(verdict, 'dangerous');
  });

  it('are judged one by one, though they are shown alike', async () => {
    // 300 characters are shown, in fewer parts than are looked up.
    const long = `torch.${'a'.repeat(300)}`;
    const { verdict, globals } = await inspect(
      file(stackGlobal(long, 'Linear'), stackGlobal(long, 'b.os.system')),
    );
    assert.equal(verdict, 'dangerous');
    assert.deepEqual(
      globals.map(({ level, count }) => [level, count]),
      [['dangerous', 2]],
    );
  });

  it('leave no control character in what is told of them', async () => {
    const { globals } = await inspect(file(stackGlobal('random', '_os.system("\u001b[2J")\r\u009b1m\u202e')));
    const [told] = globals;
    assert.ok(told !== undefined);
    assert.equal(told.level, 'dangerous');
    // eslint-disable-next-line no-control-regex -- these are what must not be there
    assert.doesNotMatch(`${told.name}${told.reason}`, /[\u0000-\u001f\u007f-\u009f\u202a-\u202e]/);
  });
});
