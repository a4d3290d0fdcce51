/** Entry of the process that holds a device. */
import { openDevice } from './open';
import { serveDevice } from './serve';

serveDevice(openDevice);
