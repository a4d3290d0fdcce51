/** Texts, and texts with a class each. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { CheckpointError } from '../../src/checkpoint/errors';
import { readLabelledLines, readText } from '../../src/network/data/text';
import { temporaryFolder } from '../fixtures/handmade';

const { write, folder } = temporaryFolder();
const signal = new AbortController().signal;

async function refuses(run: Promise<unknown>, reason: RegExp): Promise<void> {
  await assert.rejects(run, (error: unknown) => {
    assert.ok(error instanceof CheckpointError, String(error));
    assert.match(error.message, reason);
    assert.ok(!error.message.includes('\n') && error.message.includes(folder), error.message);
    return true;
  });
}

const lines = (name: string, content: string | Uint8Array): ReturnType<typeof readLabelledLines> =>
  readLabelledLines(write(name, content), signal);

describe('plain text', () => {
  test('is UTF-8, without a mark, with one end of a line', async () => {
    const { text } = await readText(write('a.txt', '\ufeffÄ\r\nb\n😀'), signal);
    assert.equal(text, 'Ä\nb\n😀');
  });

  test('is whole where pieces are cut inside a character', async () => {
    const text = `${'x'.repeat(2 ** 20 - 1)}é${'y'.repeat(10)}`;
    assert.equal((await readText(write('long.txt', text), signal)).text, text);
  });

  test('is refused when it is none', async () => {
    await refuses(readText(write('bytes.bin', Buffer.from([0x61, 0xff, 0xfe])), signal), /no text in UTF-8/);
    await refuses(readText(write('cut.txt', Buffer.from([0x61, 0xe2, 0x82])), signal), /no text in UTF-8/);
    await refuses(readText(write('empty.txt', ''), signal), /an empty text/);
    await refuses(readText(folder, signal), /is a folder/);
  });
});

describe('texts with classes', () => {
  test('are lines with a tab, under a heading or not', async () => {
    const found = await lines('a.tsv', 'label\ttext\n\nham\thello\tyou\n spam \t\n');
    assert.deepEqual(found.labels, ['ham', 'spam']);
    assert.deepEqual(found.texts, ['hello\tyou', '']);
    const label = await lines('b.tsv', 'ham\ta\nlabel\tb\n');
    assert.deepEqual(label.labels, ['ham', 'label']);
  });

  test('or records with commas and quotes', async () => {
    const found = await lines(
      'a.csv',
      'label,text\r\n1,plain\n"0","a ""quoted"" one,\nof two lines"\n\n1,"last"',
    );
    assert.deepEqual(found.labels, ['1', '0', '1']);
    assert.deepEqual(found.texts, ['plain', 'a "quoted" one,\nof two lines', 'last']);
  });

  test('are refused with the line that is wrong', async () => {
    await refuses(
      lines('none.tsv', 'ham\ta\nno tab here\n'),
      /line 2: a line is label<TAB>text, and this has no tab/,
    );
    await refuses(lines('label.tsv', 'ham\ta\n\n\tb\n'), /line 3: a text without a label/);
    await refuses(lines('heading.tsv', 'label\ttext\n'), /no lines with a label and a text/);
    await refuses(lines('one.csv', '1,a\n\n1\n'), /line 3: a record is label,text, and this has no comma/);
    await refuses(lines('three.csv', '1,"a\nb"\n1,a,b\n'), /line 3: a record of more than label,text/);
    await refuses(lines('open.csv', '1,"a\nb\n'), /line 1: quotes that are not closed/);
  });
});
