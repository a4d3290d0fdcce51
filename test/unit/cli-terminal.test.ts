import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { ProgressBar, renderProgress } from '../../src/cli/progressBar';
import { bytes, clock, count, percent } from '../../src/engine/report/quantities';
import { bar, displayOf, wrap } from '../../src/cli/terminal';
import { shortenMiddle, textWidth, type Display } from '../../src/engine/report/display';

const utf8 = { LANG: 'de_DE.UTF-8' };

describe('what a stream can show', () => {
  it('a terminal: its width from 40 to 200, colours, Unicode by locale', () => {
    assert.deepEqual(displayOf({ isTTY: true, columns: 100 }, utf8), {
      width: 100,
      color: true,
      unicode: true,
    });
    assert.equal(displayOf({ isTTY: true, columns: 20 }, utf8).width, 40);
    assert.equal(displayOf({ isTTY: true, columns: 500 }, utf8).width, 200);
    assert.equal(displayOf({ isTTY: true, columns: 0 }, utf8).width, 80);
    assert.equal(
      displayOf({ isTTY: true, columns: 80 }, { LC_ALL: 'C', LANG: 'en_US.UTF-8' }).unicode,
      false,
    );
  });
  it('no colours where NO_COLOR is set, no Unicode or colours where TERM is dumb', () => {
    assert.equal(displayOf({ isTTY: true, columns: 80 }, { ...utf8, NO_COLOR: '1' }).color, false);
    assert.equal(displayOf({ isTTY: true, columns: 80 }, { ...utf8, NO_COLOR: '' }).color, true);
    assert.deepEqual(displayOf({ isTTY: true, columns: 80 }, { ...utf8, TERM: 'dumb' }), {
      width: 80,
      color: false,
      unicode: false,
    });
  });
  it('a pipe: no width, no colours', () => {
    assert.deepEqual(displayOf({}, utf8), { color: false, unicode: true });
  });
});

describe('text on a terminal', () => {
  const display: Display = { width: 80, color: false, unicode: true };
  it('is measured in columns', () => {
    assert.equal(textWidth('conv1'), 5);
    assert.equal(textWidth('层1'), 3);
    assert.equal(textWidth('e\u0301'), 1);
    assert.equal(textWidth('🙂'), 2);
  });
  it('is shortened in the middle, the end kept longer', () => {
    assert.equal(shortenMiddle('encoder.layers.11.attention.weight', 16, display), 'encode…on.weight');
    assert.equal(shortenMiddle('short', 16, display), 'short');
    assert.equal(textWidth(shortenMiddle('层'.repeat(40), 15, display)) <= 15, true);
  });
  it('wraps at blanks', () => {
    assert.deepEqual(wrap('one two three', 8), ['one two', 'three']);
    assert.deepEqual(wrap('one two three', undefined), ['one two three']);
  });
  it('draws bars of exact width', () => {
    assert.equal(bar(0, 4, display), '    ');
    assert.equal(bar(1, 4, display), '████');
    assert.equal(bar(0.5 + 1 / 32, 4, display), '██▏ ');
    assert.equal(bar(2, 2, display), '██');
  });
  it('tells quantities', () => {
    assert.equal(count(272474), '272,474');
    assert.equal(percent(0.714), '71.4 %');
    assert.equal(bytes(999), '999 B');
    assert.equal(bytes(1_098_765), '1.1 MB');
    assert.equal(clock(6.2), '0:07');
    assert.equal(clock(3725), '1:02:05');
  });
});

describe('the progress bar', () => {
  const progress = { done: 12, total: 50, fraction: 0.455, secondsLeft: 12, label: 'layer1.0.conv1.weight' };
  const display: Display = { width: 80, color: false, unicode: false };

  it('tells share, count, time left and the last layer', () => {
    assert.match(
      renderProgress(progress, display),
      /^\|#+\.+\| 45 % {2}12\/50 layers {2}0:12 left {2}layer1.*weight$/,
    );
  });
  it('never reaches the last column', () => {
    for (let width = 40; width <= 200; width++) {
      for (const label of ['x'.repeat(400), '\u001b[2J', '层'.repeat(80)]) {
        assert.ok(textWidth(renderProgress({ ...progress, label }, { ...display, width })) < width);
      }
    }
  });
  it('is drawn at most ten times a second and leaves an empty line and a cursor', () => {
    let now = 0;
    const written: string[] = [];
    const progressBar = new ProgressBar({ write: (text) => written.push(text) }, display, () => now);
    for (; now < 1000; now += 10) progressBar.update(progress);
    assert.equal(written.length, 10);
    progressBar.erase();
    progressBar.erase();
    assert.deepEqual(written.slice(10), ['\r\u001b[2K\u001b[?25h']);
    assert.ok(written[0]?.startsWith('\u001b[?25l'));
  });
  it('writes nothing to a pipe', () => {
    const written: string[] = [];
    const progressBar = new ProgressBar(
      { write: (text) => written.push(text) },
      { color: false, unicode: true },
    );
    progressBar.update(progress);
    progressBar.erase();
    assert.deepEqual(written, []);
  });
});
