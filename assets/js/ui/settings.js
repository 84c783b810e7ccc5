// The panel in which camera and microphone are changed during a call.

import { byId } from '../dom.js';
import { DeviceLists } from './device-lists.js';

export class Settings {
  #lists;

  constructor({ media }) {
    this.#lists = new DeviceLists({
      media,
      selects: { camera: byId('settings-camera'), mic: byId('settings-mic') },
      onChoose: (role, id) => media.switchTo(role, id),
    });
  }

  /** Shows the devices there are now. */
  refresh() {
    return this.#lists.refresh();
  }

  render() {}

  mediaChanged(role) {
    if (!byId('panel-settings').hidden && role !== 'screen') this.refresh();
  }
}
