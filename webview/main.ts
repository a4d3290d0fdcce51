/** The panel's entry: loaded at the end of the body, so that everything it needs is there. */
import { Connection } from './connection';
import { Panel } from './panel';
import { registerControls } from './toolkit';

const connection = new Connection();
// Answers cannot come before this script has ended: the host works while the page is being made.
connection.send({ type: 'ready' });
registerControls();
new Panel(connection).mount(document.body);
