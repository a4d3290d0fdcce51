// The engine process behind the panel: cancelled, killed, and never in the way.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { after, afterEach, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { AuditPanel } from './auditPanel.mjs';
import { eventually, Workbench } from './harness.mjs';
import { writeLayeredCheckpoint } from './layeredCheckpoint.mjs';
import { engineProcesses } from './processes.mjs';

/** Tens of seconds of work on any machine of today, in a file of 67 MB. */
const SLOW = { name: 'slow.safetensors', layers: 8, width: 2048 };
/** Seconds of work, in layers that finish one after the other. */
const STEADY = { name: 'steady.safetensors', layers: 24, width: 1024 };
/** A worker may be between two looks at the cancellation when it comes. */
const IDLE_WITHIN_MS = 5_000;
/** The engine sees the end of its input. */
const ENDS_WITHIN_MS = 5_000;

describe('the engine behind the panel', { timeout: 300_000 }, () => {
  /** @type {Workbench} */
  let workbench;

  before(async () => {
    workbench = await Workbench.open({
      files: [],
      fill: (folder) => {
        for (const file of [SLOW, STEADY]) writeLayeredCheckpoint(path.join(folder, file.name), file);
      },
    });
  });
  after(async () => {
    await workbench?.screenshot('last-engine');
    await workbench?.close();
  });
  afterEach(() => {
    assert.deepEqual(workbench.console.take(), [], 'nothing on the console');
  });

  it('runs once, started by the first file that is opened', async () => {
    assert.deepEqual(engineProcesses(workbench.server.pid), []);
    await open(workbench, SLOW.name);
    await eventually('an engine', () => engineProcesses(workbench.server.pid).length === 1);
  });

  it('stops working when the audit is cancelled, and stays', async () => {
    const panel = await AuditPanel.of(workbench, SLOW.name);
    const engine = onlyEngine(workbench);
    await eventually('work', async () => (await busyMilliseconds(engine.pid, 500)) > 200);
    await panel.cancel.click();
    assert.equal(await panel.outcome(), 'cancelled');
    assert.match(await panel.status.textContent(), /^Cancelled after \d of 8\slayers$/);
    await eventually('idleness', async () => (await busyMilliseconds(engine.pid, 500)) < 50, IDLE_WITHIN_MS);
    assert.equal(onlyEngine(workbench).pid, engine.pid);
    await workbench.screenshot('cancelled');
  });

  it('audits again when asked to', async () => {
    const panel = await AuditPanel.of(workbench, SLOW.name);
    await panel.auditAgain.click();
    await panel.cancel.waitFor();
    await eventually('work', async () => (await busyMilliseconds(onlyEngine(workbench).pid, 500)) > 200);
    await panel.cancel.click();
    assert.equal(await panel.outcome(), 'cancelled');
  });

  it('comes back after a SIGKILL, says so, and finishes the audit', async () => {
    await open(workbench, STEADY.name);
    const panel = await AuditPanel.of(workbench, STEADY.name);
    const { pid } = onlyEngine(workbench);
    await eventually('the first layer', async () => /^[1-9]/.test(await panel.status.textContent()));
    process.kill(pid, 'SIGKILL');
    await workbench.notification('engine stopped').waitFor();
    await workbench.screenshot('engine-killed');
    assert.equal(await panel.outcome(120_000), 'done');
    assert.notEqual(onlyEngine(workbench).pid, pid);
    const rows = await panel.rows();
    assert.ok(rows.length > 0);
    for (const { name, rank } of rows) assert.match(rank, /^\d/, `${name} has its rank`);
  });

  it('ends when its extension host is killed', async () => {
    const { pid, parent } = onlyEngine(workbench);
    process.kill(parent, 'SIGKILL');
    await eventually('the end of the engine', () => !isAlive(pid), ENDS_WITHIN_MS);
    // The workbench has much to say about its dead extension host.
    workbench.console.take();
  });
});

function isAlive(pid) {
  try {
    return !/\) Z /.test(readFileSync(`/proc/${pid}/stat`, 'utf8'));
  } catch {
    return false;
  }
}

async function open(workbench, name) {
  await workbench.explorerRow(name).dblclick();
  await workbench.tab(name).waitFor();
}

function onlyEngine(workbench) {
  const engines = engineProcesses(workbench.server.pid);
  assert.equal(engines.length, 1, 'one engine');
  return engines[0];
}

/** Processor time, of all threads, that a process takes in a span of time. */
async function busyMilliseconds(pid, span) {
  const before = processorMilliseconds(pid);
  await sleep(span);
  return processorMilliseconds(pid) - before;
}

/** Linux counts in hundredths of a second. */
const TICK_MS = 10;

function processorMilliseconds(pid) {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  // Fields from the third on; utime and stime are the 14th and 15th.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return TICK_MS * (Number(fields[11]) + Number(fields[12]));
}
