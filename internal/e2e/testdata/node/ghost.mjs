// A newsletter in the way of Ghost: batches of 1,000 with recipient variables, then
// polling of events by begin and end and tags to the last empty page, and deletes from
// suppression lists. The fields are those that Ghost sends.
import FormData from 'form-data';
import Mailgun from 'mailgun.js';
import { area, assert, eventually, finish, status, world } from './harness.mjs';

const mg = new Mailgun(FormData).client({ username: 'api', key: world.key, url: world.base, timeout: 60000 });
const { domain, to } = world;
const at = to.slice(to.indexOf('@'));
const begin = Date.now() / 1000 - 1;
const members = Array.from({ length: 1000 }, (_, i) => `member${i}${at}`);
const bounced = members[3];
const complained = members[4];

// pages reads all events of a query as Ghost does: until a page is empty.
async function pages(query) {
  const all = [];
  let page = await mg.events.get(domain, { limit: 300, ascending: 'yes', ...query });
  while (page.items.length) {
    all.push(...page.items);
    page = await mg.events.get(domain, { limit: 300, ascending: 'yes', ...query, page: page.pages.next.page });
  }
  return all;
}

await area('batch', async () => {
  await mg.suppressions.create(domain, 'bounces', [{ address: bounced, code: '550', error: 'no such user' }]);
  await mg.suppressions.create(domain, 'complaints', [{ address: complained }]);
  const variables = {};
  for (const [i, m] of members.entries()) {
    variables[m] = { name: `Member ${i}`, uuid: `u-${i}`, first_name: 'M', unsubscribe_url: `https://ghost.test/unsubscribe/?uuid=u-${i}`, list_unsubscribe: `https://ghost.test/unsubscribe/?uuid=u-${i}`, number: i };
  }
  const sent = await mg.messages.create(domain, {
    to: members, from: `"The Blog" <noreply@${domain}>`, subject: 'News for everybody',
    html: `<p>Hi %recipient.name%</p>${'<p>lorem ipsum dolor sit amet</p>'.repeat(2000)}<a href="%recipient.unsubscribe_url%">unsubscribe</a> <a href="%unsubscribe_url%">from all</a>`, text: 'Hi %recipient.name%',
    'recipient-variables': JSON.stringify(variables), 'h:Reply-To': `reply@${domain}`, 'h:Sender': `noreply@${domain}`, 'h:Auto-Submitted': 'auto-generated',
    'h:X-Auto-Response-Suppress': 'OOF, AutoReply', 'h:List-Unsubscribe': '<%recipient.list_unsubscribe%>, <%tag_unsubscribe_email%>', 'h:List-Unsubscribe-Post': 'List-Unsubscribe=One-Click',
    'v:email-id': 'ghost-1', 'o:tag': ['bulk-email', 'ghost-email', 'blog'], 'o:tracking-opens': true, 'o:deliverytime': new Date(Date.now() - 1000).toUTCString(),
  });
  assert.equal(sent.status, 200);
  assert.match(sent.id, /^<.+@.+>$/);
});

await area('polling', async () => {
  const query = { event: 'delivered OR opened OR failed OR unsubscribed OR complained', tags: 'bulk-email AND ghost-email', begin, end: Date.now() / 1000 + 120 };
  const all = await eventually('all members to be dealt with', async () => {
    const found = await pages(query);
    return found.length >= 1000 && found;
  });
  const outcome = new Map();
  for (const e of all) {
    assert.equal(e['user-variables']['email-id'], 'ghost-1');
    assert.ok(e.message.headers['message-id']);
    assert.ok(e.id && e.timestamp > 1e9);
    outcome.set(e.recipient, e);
  }
  assert.equal(outcome.size, 1000);
  assert.strictEqual(outcome.get(bounced)['delivery-status'].code, 605);
  assert.strictEqual(outcome.get(complained)['delivery-status'].code, 607);
  assert.equal(outcome.get(bounced).severity, 'permanent');
  assert.equal(all.filter((e) => e.event === 'delivered').length, 998);
  for (let i = 1; i < all.length; i++) assert.ok(all[i].timestamp >= all[i - 1].timestamp, 'the order is not stable');
});

await area('templated message ids', async () => {
  const some = members.slice(10, 20);
  const variables = Object.fromEntries(some.map((m, i) => [m, { message_id: `ghost.${i}.${Date.now()}@${domain}` }]));
  const sent = await mg.messages.create(domain, { to: some, from: `noreply@${domain}`, subject: 'ids', text: 'x', 'recipient-variables': JSON.stringify(variables), 'h:Message-Id': '<%recipient.message_id%>', 'o:tag': ['ids'] });
  assert.ok(!sent.id.includes('%recipient'), sent.id);
  const all = await eventually('ten deliveries', async () => {
    const found = await pages({ event: 'delivered', tags: 'ids', begin, end: Date.now() / 1000 + 120 });
    return found.length === 10 && found;
  });
  for (const e of all) assert.equal(e.message.headers['message-id'], variables[e.recipient].message_id);
});

// logs asks the log API as Ghost's own client does: without the library.
async function logs(body) {
  const answer = await fetch(`${world.base}/v1/analytics/logs`, {
    method: 'POST', body: JSON.stringify(body),
    headers: { Authorization: `Basic ${Buffer.from(`api:${world.key}`).toString('base64')}`, 'Content-Type': 'application/json' },
  });
  assert.equal(answer.status, 200);
  return answer.json();
}

await area('logs', async () => {
  const items = [];
  const date = (ms) => new Date(ms).toUTCString().replace('GMT', '-0000');
  let token;
  do {
    const page = await logs({
      start: date(begin * 1000), end: date(Date.now() + 120_000),
      events: ['delivered', 'failed'], include_subaccounts: false, include_totals: false,
      filter: { AND: [{ attribute: 'domain', comparator: '=', values: [{ label: domain, value: domain }] }, { attribute: 'tag', comparator: '=', values: [{ label: 'bulk-email', value: 'bulk-email' }] }] },
      pagination: { sort: 'timestamp:asc', limit: 100, ...(token ? { token } : {}) },
    });
    items.push(...page.items);
    token = page.items.length ? page.pagination.next : undefined;
  } while (token);
  assert.equal(new Set(items.map((e) => e.id)).size, 1000);
  const one = items.find((e) => e.recipient === bounced);
  assert.equal(one['delivery-status'].code, 605);
  assert.ok(one.domain.name === domain && one.message.headers['message-id']);
});

await area('deletes', async () => {
  assert.equal((await mg.suppressions.destroy(domain, 'bounces', bounced)).status, 200);
  assert.equal(await status(mg.suppressions.destroy(domain, 'bounces', bounced)), 404);
  assert.equal((await mg.suppressions.destroy(domain, 'complaints', complained)).status, 200);
  assert.equal(await status(mg.suppressions.destroy(domain, 'unsubscribes', members[5])), 404);
});

finish();
