// What Ghost sees later of its newsletter, with the query that it polls with: who opened it,
// who unsubscribed, who complained.
import FormData from 'form-data';
import Mailgun from 'mailgun.js';
import { area, assert, eventually, finish, world } from './harness.mjs';

const mg = new Mailgun(FormData).client({ username: 'api', key: world.key, url: world.base });
const query = { event: 'delivered OR opened OR failed OR unsubscribed OR complained', tags: 'bulk-email AND ghost-email', begin: Date.now() / 1000 - 600, end: Date.now() / 1000 + 600, ascending: 'yes', limit: 300 };

await area('what members did', async () => {
  const found = await eventually('three more events', async () => {
    const byType = {};
    let page = await mg.events.get(world.domain, query);
    while (page.items.length) {
      for (const e of page.items) (byType[e.event] ??= []).push(e);
      page = await mg.events.get(world.domain, { ...query, page: page.pages.next.page });
    }
    return byType.opened && byType.unsubscribed && byType.complained && byType;
  });
  for (const type of ['opened', 'unsubscribed', 'complained']) {
    assert.equal(found[type].length, 1, type);
    const [e] = found[type];
    assert.equal(e.recipient, world.member);
    assert.equal(e['user-variables']['email-id'], 'ghost-1');
    assert.ok(e.message.headers['message-id'] && e.id && e.timestamp > 1e9);
  }
});

finish();
