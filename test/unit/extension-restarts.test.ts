import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { RestartPolicy } from '../../src/extension/restartPolicy';

const MINUTE = 60_000;

describe('restarts of the engine', () => {
  test('the first start and the first restart are immediate, later ones ever later', () => {
    const policy = new RestartPolicy();
    const delays = [policy.delay(0)];
    for (let crash = 1; crash <= 4; crash++) {
      policy.crashed(crash);
      delays.push(policy.delay(crash));
    }
    const [start, first, ...later] = delays;
    assert.deepEqual([start, first], [0, 0]);
    assert.ok(later.every((delay, i) => delay !== undefined && delay > (later[i - 1] ?? 0)));
  });

  test('the fifth within a minute waits until the minute is over', () => {
    const policy = new RestartPolicy();
    for (let crash = 0; crash < 5; crash++) policy.crashed(crash * 1000);
    assert.equal(policy.delay(5000), undefined);
    assert.equal(policy.blockedFor(5000), MINUTE - 5000);
    assert.notEqual(policy.delay(MINUTE + 1), undefined);
    assert.equal(policy.blockedFor(MINUTE + 1), 0);
  });

  test('one a minute is bad luck, for ever', () => {
    const policy = new RestartPolicy();
    for (let minute = 0; minute < 100; minute++) {
      policy.crashed(minute * (MINUTE + 1));
      assert.equal(policy.delay(minute * (MINUTE + 1)), 0);
    }
  });
});
