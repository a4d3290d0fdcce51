/** The panel's entry: loaded at the end of the body, so that everything it needs is there. */
import { Connection } from './connection';
import { Panel } from './panel';
import { registerControls } from './toolkit';

registerControls();
new Panel(new Connection()).mount(document.body);
