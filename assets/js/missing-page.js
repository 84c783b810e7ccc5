// The page at an address that means nothing: offers what may have been meant.

import { byId, setText } from './base/dom.js';
import { meantBy } from './base/room-name.js';

const meant = meantBy(location.pathname);

if (meant) {
  const link = byId('meant');
  link.href = `/${meant.page}/${meant.room}`;
  setText(link, `${meant.page === 'r' ? 'Join' : 'Watch'} ${meant.room}`);
  link.hidden = false;
}

/** For tests and for a curious console. */
window.tessera = { state: () => ({ meant }) };
