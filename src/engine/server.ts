/**
 * The engine process: serves jobs to the extension host over its standard input and output, and ends with them.
 */
import { EngineEnd } from './connection';
import { EngineService } from './service';

/** Nobody is there to hear of anything any more: the host ended or was killed. */
function exitWhenHostIsGone(): void {
  const exit = (): void => {
    process.exit(0);
  };
  process.stdin.on('end', exit);
  process.stdin.on('close', exit);
  process.stdin.on('error', exit);
  process.stdout.on('error', exit);
}

/** Standard output belongs to the protocol: a library's chatter must not break it. */
function keepOutputClean(): void {
  const toStderr = (...words: unknown[]): void => {
    process.stderr.write(`${words.map(String).join(' ')}\n`);
  };
  Object.assign(console, { log: toStderr, info: toStderr, debug: toStderr });
}

exitWhenHostIsGone();
keepOutputClean();
const host = new EngineEnd(process.stdin, process.stdout, (message) => {
  process.stderr.write(`protocol: ${message}\n`);
});
new EngineService(host);
host.listen();
