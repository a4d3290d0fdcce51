/** What the page asks of the host for a person, and how it went. */
import { printable } from '../model/names';
import type { Announcer } from '../view/messages';
import { call, type ConversionConnection } from './calls';
import type { WrittenFile } from './protocol';

export class Requests {
  constructor(
    private readonly connection: ConversionConnection,
    private readonly announcer: Announcer,
  ) {}

  reveal(file: WrittenFile): void {
    this.tell(call(this.connection, 'reveal', { file }));
  }

  open(file: WrittenFile): void {
    this.tell(call(this.connection, 'open', { file }));
  }

  copyPython(): void {
    this.tell(call(this.connection, 'copyPython', {}), 'Copied as Python');
  }

  /** @param chosen called with a folder, unless the person thought better of it. */
  chooseFolder(chosen: (folder: string) => void): void {
    const asked = call(this.connection, 'chooseFolder', {});
    this.tell(
      asked.then((folder) => {
        if (folder !== null) chosen(folder);
      }),
    );
  }

  /** Says what was done, or why it was not. */
  private tell(work: Promise<unknown>, done?: string): void {
    work.then(
      () => {
        if (done !== undefined) this.announcer.say(done);
      },
      (error: unknown) => {
        this.announcer.say(printable(error instanceof Error ? error.message : String(error)));
      },
    );
  }
}
