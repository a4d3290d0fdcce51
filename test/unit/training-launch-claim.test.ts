import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { claimRun, isStillOurs } from '../../src/training/launchers/claim';
import { readLaunch, updateLaunch } from '../../src/training/launchers/launchFile';
import { processTime, processTimes } from '../../src/training/launchers/processTimes';
import { writeLaunch } from '../../src/training/run/runFolder';
import type { LaunchRecord } from '../../src/training/run/run';
import { scriptRun, temporaryFolder } from './scriptRuns';

function runFolder(t: TestContext, launch?: Partial<LaunchRecord>): string {
  const { folder } = scriptRun(temporaryFolder(t), { script: { file: 'x.py' } });
  if (launch !== undefined) writeLaunch(folder, { ...LAUNCH, ...launch });
  return folder;
}

const LAUNCH: LaunchRecord = {
  launcher: 'here',
  command: ['node', 'trainer.js'],
  attempt: 3,
  startedAt: '2026-01-01T00:00:00.000Z',
  host: os.hostname(),
  launchId: 'mine',
};

describe('claiming a run', () => {
  it('enters this process, and keeps the rest', async (t) => {
    const folder = runFolder(t, {});
    assert.equal(isStillOurs(folder), false);
    const claimed = await claimRun(folder, { RANKSCOPE_LAUNCH: 'mine' });
    const time = await processTime(process.pid);
    assert.deepEqual(claimed, {
      ...LAUNCH,
      pid: process.pid,
      ...(time !== undefined && { pidStartedAt: time }),
    });
    assert.deepEqual(readLaunch(folder), claimed);
    assert.equal(isStillOurs(folder), true);
    writeLaunch(folder, { ...LAUNCH, pid: process.pid + 1 });
    assert.equal(isStillOurs(folder), false);
    writeLaunch(folder, { ...LAUNCH, pid: process.pid, host: 'another' });
    assert.equal(isStillOurs(folder), false);
  });

  it('makes a launch of a run that somebody starts by hand', async (t) => {
    const folder = runFolder(t);
    const claimed = await claimRun(folder, {});
    assert.deepEqual([claimed?.attempt, claimed?.launcher, claimed?.pid], [1, 'here', process.pid]);
    const resumed = runFolder(t, { launcher: 'slurm', jobId: '7', host: 'a-node', pid: 4_000_000 });
    const again = await claimRun(resumed, {});
    assert.equal(again?.attempt, 4, 'a node that cannot be asked: its process sees that it was replaced');
    const over = runFolder(t, { launcher: 'slurm', jobId: '7', pid: 4_000_000 });
    const byHand = await claimRun(over, {});
    assert.deepEqual([byHand?.attempt, byHand?.launcher, byHand?.jobId], [4, 'here', undefined]);
    assert.equal(
      await claimRun(over, { RANKSCOPE_LAUNCH: 'mine' }),
      undefined,
      'the older launch comes too late',
    );
  });

  it('lets the queue hand the run on, and nobody else', async (t) => {
    const parent = process.ppid;
    const pidStartedAt = (await processTime(parent)) ?? '';
    const queued = runFolder(t, { pid: parent, queuePid: parent, pidStartedAt });
    assert.equal((await claimRun(queued, { RANKSCOPE_LAUNCH: 'mine' }))?.pid, process.pid);
    const taken = runFolder(t, { pid: parent, pidStartedAt });
    assert.equal(await claimRun(taken, { RANKSCOPE_LAUNCH: 'mine' }), undefined);
    assert.equal(await claimRun(taken, {}), undefined);
    assert.equal(readLaunch(taken)?.pid, parent);
  });

  it('takes over what a cluster starts again, and knows its job', async (t) => {
    const pidStartedAt = (await processTime(process.ppid)) ?? '';
    const folder = runFolder(t, { launcher: 'slurm', pid: process.ppid, pidStartedAt, host: 'lost-node' });
    const env = {
      RANKSCOPE_LAUNCH: 'mine',
      SLURM_JOB_ID: '9',
      SLURM_ARRAY_JOB_ID: '7',
      SLURM_ARRAY_TASK_ID: '2',
    };
    const claimed = await claimRun(folder, env);
    assert.deepEqual(
      [claimed?.jobId, claimed?.pid, claimed?.host, claimed?.attempt],
      ['7_2', process.pid, os.hostname(), 3],
    );
    const one = runFolder(t, { launcher: 'slurm' });
    assert.equal((await claimRun(one, { RANKSCOPE_LAUNCH: 'mine', SLURM_JOB_ID: '9' }))?.jobId, '9');
  });
});

describe('the launch file', () => {
  it('loses no change of many at a time', async (t) => {
    const folder = runFolder(t, { attempt: 0 });
    const add = (): Promise<unknown> =>
      updateLaunch(folder, async (launch) => {
        await processTime(process.pid);
        return { ...LAUNCH, attempt: (launch?.attempt ?? 0) + 1 };
      });
    await Promise.all(Array.from({ length: 50 }, add));
    assert.equal(readLaunch(folder)?.attempt, 50);
    assert.ok(!existsSync(path.join(folder, '.launch.lock')));
  });

  it('outlives one who died over it', async (t) => {
    const folder = runFolder(t, {});
    writeFileSync(path.join(folder, '.launch.lock'), '');
    const changed = await updateLaunch(folder, () => ({ ...LAUNCH, attempt: 9 }));
    assert.equal(changed?.attempt, 9);
  });

  it('may be anything', async (t) => {
    const folder = runFolder(t);
    for (const text of ['', '{', 'null', '3']) {
      writeFileSync(path.join(folder, 'launch.json'), text);
      assert.equal(readLaunch(folder), undefined);
      assert.equal(isStillOurs(folder), false);
    }
    await assert.rejects(
      updateLaunch('/no/such/folder', () => LAUNCH),
      /ENOENT/,
    );
  });
});

describe('when a process was started', () => {
  it('stays the same, differs between processes, and is not told of those that have ended', async () => {
    const ended = spawnSync(process.execPath, ['-e', '']).pid;
    const times = await processTimes([process.pid, process.ppid, ended]);
    assert.ok(times !== undefined);
    assert.equal(times.get(process.pid), await processTime(process.pid));
    assert.notEqual(times.get(process.pid), times.get(process.ppid));
    assert.equal(times.get(ended), undefined);
  });
});
