/** The page's questions to the host, typed from end to end. */
import type { Asked, Connection } from '../connection';
import type { ConversionCalls, FromConversion, ToConversion } from './protocol';

export type ConversionConnection = Connection<FromConversion, ToConversion>;

/** @throws {Error} whose message is the host's one line. */
export async function call<K extends keyof ConversionCalls>(
  connection: ConversionConnection,
  name: K,
  params: ConversionCalls[K]['params'],
): Promise<ConversionCalls[K]['result']> {
  // The compiler cannot see that a name and its own params make one of the union's members.
  const asked = { type: 'call', call: name, params } as Asked<FromConversion>;
  const reply = await connection.ask(asked);
  if (!reply.ok) throw new Error(reply.message);
  // The host answers each call with its own result: `resultOf` there is exhaustive.
  return reply.result as ConversionCalls[K]['result'];
}
