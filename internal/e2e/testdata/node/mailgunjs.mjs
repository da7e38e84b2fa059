// The official JavaScript client through every core area.
import FormData from 'form-data';
import Mailgun from 'mailgun.js';
import { area, assert, eventually, finish, status, world } from './harness.mjs';

const mg = new Mailgun(FormData).client({ username: 'api', key: world.key, url: world.base });
const { domain, to } = world;
const at = to.slice(to.indexOf('@'));

await area('messages', async () => {
  const sent = await mg.messages.create(domain, {
    from: `Bob <bob@${domain}>`, to: [to], cc: `cy${at}`, subject: 'Grüße', text: 'text', html: '<p>html</p>',
    attachment: [{ filename: 'a.txt', data: 'attached' }], 'o:tag': ['js', 'second'], 'v:order': '17', 'h:X-My-Header': 'yes',
    'o:require-tls': true, 'o:skip-verification': false, 'o:tracking': false,
  });
  assert.equal(sent.status, 200);
  assert.equal(sent.message, 'Queued. Thank you.');
  assert.match(sent.id, /^<.+>$/);
  const raw = await mg.messages.create(domain, { to, message: `From: bob@${domain}\r\nTo: ${to}\r\nSubject: raw\r\n\r\nraw\r\n` });
  assert.equal(raw.status, 200);
  const id = sent.id.slice(1, -1);
  const found = await eventually('two deliveries', async () => {
    const page = await mg.events.get(domain, { event: 'delivered', 'message-id': id, limit: 10 });
    return page.items.length === 2 && page.items;
  });
  for (const e of found) {
    assert.equal(e['delivery-status'].tls, true);
    assert.equal(e['delivery-status']['certificate-verified'], true);
    assert.ok(e['delivery-status']['mx-host']);
    assert.deepEqual(e['user-variables'], { order: '17' });
  }
  const stored = await mg.messages.retrieveStoredEmail(domain, found[0].storage.key);
  assert.equal(stored.Subject, 'Grüße');
  const again = await mg.messages.resendEmail(domain, found[0].storage.key, to);
  assert.equal(again.status, 200);
  const queue = await mg.messages.getMessagesQueueStatus(domain);
  assert.equal(queue.regular.isDisabled ?? queue.regular.is_disabled, false);
});

await area('event pages', async () => {
  let seen = 0;
  let page = await mg.events.get(domain, { limit: 1, ascending: 'yes', begin: 1, end: Date.now() / 1000 + 5 });
  while (page.items.length) {
    seen += page.items.length;
    page = await mg.events.get(domain, { limit: 1, page: page.pages.next.page });
  }
  assert.ok(seen >= 6, `saw ${seen}`);
});

await area('domains', async () => {
  const name = `js.${domain}`;
  const created = await mg.domains.create({ name, smtp_password: 'supersecret', web_scheme: 'https', require_tls: true });
  assert.equal(created.name, name);
  assert.equal(created.require_tls, true);
  assert.ok(created.sending_dns_records.length >= 3);
  await mg.domains.update(name, { require_tls: false, skip_verification: true });
  const shown = await mg.domains.get(name, { 'h:extended': true });
  assert.equal(shown.require_tls, false);
  assert.equal(shown.skip_verification, true);
  assert.ok(shown.created_at);
  assert.ok((await mg.domains.list({ search: 'js.' })).some((d) => d.name === name));
  await mg.domains.updateConnection(name, { require_tls: true, skip_verification: false });
  const connection = await mg.domains.getConnection(name);
  assert.equal(connection.require_tls, true);
  assert.equal(connection.skip_verification, false);
  await mg.domains.updateWebPrefix(name, { web_prefix: 'go' });
  await mg.domains.domainKeys.updateDKIMAuthority(name, { self: 'yes' });
  await mg.domains.domainKeys.updateDKIMSelector(name, { dkimSelector: 'fresh' });
  await mg.domains.verify(name);
  assert.match((await mg.domains.destroy(name)).message, /deleted/);
  assert.equal(await status(mg.domains.get(name)), 404);
});

await area('tracking', async () => {
  await mg.domains.domainTracking.updateTracking(domain, 'open', { active: 'yes' });
  await mg.domains.domainTracking.updateTracking(domain, 'click', { active: 'htmlonly' });
  await mg.domains.domainTracking.updateTracking(domain, 'unsubscribe', { active: true, html_footer: '<a href="%unsubscribe_url%">bye</a>', text_footer: '%unsubscribe_url%' });
  const tracking = await mg.domains.domainTracking.getTracking(domain);
  assert.equal(tracking.open.active, true);
  assert.equal(tracking.unsubscribe.active, true);
  for (const type of ['open', 'click', 'unsubscribe']) {
    await mg.domains.domainTracking.updateTracking(domain, type, { active: false });
  }
  assert.equal((await mg.domains.domainTracking.getTracking(domain)).click.active, false);
});

await area('DKIM keys', async () => {
  const key = await mg.domains.domainKeys.create({ signingDomain: domain, selector: 'js1', bits: 2048 });
  assert.equal(key.selector, 'js1');
  await mg.domains.domainKeys.activate(domain, 'js1');
  assert.ok((await mg.domains.domainKeys.list(domain)).items.some((k) => k.selector === 'js1'));
  assert.ok((await mg.domains.domainKeys.listAll({ limit: 100 })).items.some((k) => k.selector === 'js1'));
  await mg.domains.domainKeys.deactivate(domain, 'js1');
  await mg.domains.domainKeys.destroy(domain, 'js1');
});

await area('credentials', async () => {
  await mg.domains.domainCredentials.create(domain, { login: 'js', password: 'longpassword' });
  const list = await mg.domains.domainCredentials.list(domain);
  assert.ok(list.items.some((c) => c.login === `js@${domain}`));
  await mg.domains.domainCredentials.update(domain, 'js', { password: 'otherpassword' });
  await mg.domains.domainCredentials.destroy(domain, 'js');
});

await area('suppressions', async () => {
  await mg.suppressions.create(domain, 'bounces', [{ address: `b1${at}`, code: 550, error: 'no' }, { address: `b2${at}` }]);
  await mg.suppressions.create(domain, 'unsubscribes', [{ address: `u1${at}`, tags: ['news'] }]);
  await mg.suppressions.create(domain, 'unsubscribes', { address: `u2${at}`, tag: '*' });
  await mg.suppressions.create(domain, 'complaints', [{ address: `c1${at}` }]);
  await mg.suppressions.create(domain, 'whitelists', { address: `w1${at}`, reason: 'friend' });
  await mg.suppressions.create(domain, 'whitelists', { domain: 'friends.test', reason: 'friends' });
  assert.equal((await mg.suppressions.get(domain, 'bounces', `b1${at}`)).code, 550);
  assert.deepEqual((await mg.suppressions.get(domain, 'unsubscribes', `u1${at}`)).tags, ['news']);
  let page = await mg.suppressions.list(domain, 'bounces', { limit: 1 });
  let n = 0;
  while (page.items.length) {
    n += page.items.length;
    page = await mg.suppressions.list(domain, 'bounces', { limit: 1, page: page.pages.next.page });
  }
  assert.equal(n, 2);
  const sent = await mg.messages.create(domain, { from: `bob@${domain}`, to: [`b1${at}`, `u2${at}`, `c1${at}`], subject: 'x', text: 'y', 'o:tag': 'jssup' });
  assert.equal(sent.status, 200);
  const failed = await eventually('three refusals', async () => {
    const events = await mg.events.get(domain, { event: 'failed', tags: 'jssup' });
    return events.items.length === 3 && events.items;
  });
  assert.deepEqual(failed.map((e) => e['delivery-status'].code).sort(), [605, 606, 607]);
  await mg.suppressions.destroy(domain, 'bounces', `b1${at}`);
  await mg.suppressions.destroyAll(domain, 'bounces');
  await mg.suppressions.destroyAll(domain, 'unsubscribes');
  await mg.suppressions.destroyAll(domain, 'complaints');
  await mg.suppressions.destroyAll(domain, 'whitelists');
  assert.equal(await status(mg.suppressions.get(domain, 'bounces', `b2${at}`)), 404);
});

await area('webhooks', async () => {
  const hook = await mg.webhooks.create(domain, 'delivered', 'https://hooks.example.net/a');
  assert.deepEqual(hook.urls, ['https://hooks.example.net/a']);
  await mg.webhooks.update(domain, 'delivered', ['https://hooks.example.net/b', 'https://hooks.example.net/c']);
  assert.equal((await mg.webhooks.get(domain, 'delivered')).urls.length, 2);
  assert.ok((await mg.webhooks.list(domain)).delivered);
  await mg.webhooks.destroy(domain, 'delivered');
  assert.equal(await status(mg.webhooks.get(domain, 'delivered')), 404);
});

await area('templates', async () => {
  const t = mg.domains.domainTemplates;
  await t.create(domain, { name: 'js', description: 'one', template: '<p>Hello {{name}}</p>', tag: 'v1', engine: 'handlebars' });
  await t.createVersion(domain, 'js', { template: '<p>Bye {{name}}</p>', tag: 'v2', active: 'yes' });
  assert.equal((await t.get(domain, 'js', { active: true })).version.tag, 'v2');
  assert.match((await t.getVersion(domain, 'js', 'v1')).version.template, /Hello/);
  await t.updateVersion(domain, 'js', 'v1', { comment: 'c' });
  await t.update(domain, 'js', { description: 'two' });
  assert.equal((await t.listVersions(domain, 'js')).template.versions.length, 2);
  assert.equal((await t.list(domain)).items.length, 1);
  const sent = await mg.messages.create(domain, { from: `bob@${domain}`, to, subject: 'x', template: 'js', 't:variables': JSON.stringify({ name: 'Ann' }), 't:text': 'yes' });
  assert.equal(sent.status, 200);
  await t.destroyVersion(domain, 'js', 'v1');
  await t.destroy(domain, 'js');
});

await area('tags and numbers', async () => {
  const tags = mg.domains.domainTags;
  await eventually('the tag', async () => (await tags.list(domain)).items.some((x) => x.tag === 'js'));
  await tags.update(domain, 'js', 'from JavaScript');
  const tag = await tags.get(domain, 'js');
  assert.equal(tag.description, 'from JavaScript');
  assert.ok(!Number.isNaN(new Date(tag['first-seen']).getTime()));
  const stat = await eventually('the tag to be counted', async () => {
    const s = await tags.statistic(domain, 'js', { event: ['accepted', 'delivered'] });
    return s.stats.some((b) => b.delivered.total >= 2) && s;
  });
  assert.equal(stat.tag, 'js');
  await tags.countries(domain, 'js');
  await tags.providers(domain, 'js');
  await tags.devices(domain, 'js');
  const stats = await mg.stats.getDomain(domain, { event: ['accepted', 'delivered', 'failed'], duration: '1d' });
  assert.ok(stats.stats.some((b) => b.accepted.total >= 2));
  const account = await mg.stats.getAccount({ event: ['delivered'], duration: '1d' });
  assert.ok(account.stats.length >= 1);
  const metrics = await mg.metrics.getAccount({ dimensions: ['domain'], metrics: ['delivered_count'], duration: '1d', filter: { AND: [{ attribute: 'domain', comparator: '=', values: [{ label: domain, value: domain }] }] } });
  assert.ok(metrics.items[0].metrics.delivered_count >= 2);
  const accountTags = await mg.tags.list({ tag: 'js', pagination: { limit: 10, skip: 0, sort: 'lastseen:desc', include_total: true } });
  assert.ok(accountTags.items.length >= 1);
  assert.ok((await mg.tags.limits()).limit > 0);
  await tags.destroy(domain, 'second');
});

await area('logs', async () => {
  const log = await mg.logs.list({
    start: new Date(Date.now() - 3600_000), end: new Date(Date.now() + 3600_000),
    events: ['delivered'], filter: { AND: [{ attribute: 'domain', comparator: '=', values: [{ label: domain, value: domain }] }] }, include_totals: true,
    pagination: { sort: 'timestamp:asc', limit: 100 },
  });
  assert.ok(log.items.length >= 2);
  assert.ok(!Number.isNaN(new Date(log.items[0]['@timestamp']).getTime()));
});

await area('lists', async () => {
  const address = `team@${domain}`;
  await mg.lists.create({ address, name: 'Team', access_level: 'everyone' });
  await mg.lists.update(address, { description: 'all' });
  assert.equal((await mg.lists.get(address)).description, 'all');
  assert.ok((await mg.lists.list()).items.some((l) => l.address === address));
  await mg.lists.members.createMember(address, { address: `ann${at}`, name: 'Ann', vars: JSON.stringify({ age: 7 }), subscribed: 'yes' });
  await mg.lists.members.createMembers(address, { members: [{ address: `bo${at}` }], upsert: 'yes' });
  assert.equal((await mg.lists.members.listMembers(address)).items.length, 2);
  assert.equal((await mg.lists.members.getMember(address, `ann${at}`)).vars.age, 7);
  await mg.lists.members.updateMember(address, `ann${at}`, { name: 'Anna', vars: '{}' });
  await mg.lists.members.destroyMember(address, `ann${at}`);
  await mg.lists.destroy(address);
});

await area('routes', async () => {
  const route = await mg.routes.create({ expression: `match_recipient("x@${domain}")`, action: ['stop()'], description: 'r', priority: '0' });
  await mg.routes.update(route.id, { description: 'r2', expression: 'catch_all()', action: ['stop()'] });
  assert.equal((await mg.routes.get(route.id)).description, 'r2');
  assert.equal((await mg.routes.list({})).length, 1);
  await mg.routes.destroy(route.id);
});

await area('IPs and pools', async () => {
  const ips = await mg.ips.list();
  assert.ok(Array.isArray(ips.items));
  await mg.domains.getIps(domain);
  const pools = await mg.ip_pools.list();
  assert.ok(Array.isArray(pools.ip_pools));
  const pool = await mg.ip_pools.create({ name: 'p', description: 'd' });
  await mg.ip_pools.update(pool.pool_id, { name: 'p2' });
  await mg.ip_pools.destroy(pool.pool_id);
});

await area('sub-accounts', async () => {
  const created = await mg.subaccounts.create('js branch');
  const { id } = created.subaccount;
  assert.equal((await mg.subaccounts.get(id)).subaccount.name, 'js branch');
  assert.ok((await mg.subaccounts.list()).subaccounts.some((s) => s.id === id));
  mg.setSubaccount(id);
  assert.deepEqual(await mg.domains.list(), []);
  assert.equal(await status(mg.domains.get(domain)), 404);
  mg.resetSubaccount();
  assert.equal((await mg.subaccounts.disable(id)).subaccount.status, 'disabled');
  assert.equal((await mg.subaccounts.enable(id)).subaccount.status, 'open');
});

await area('API keys', async () => {
  const made = await mg.apiKeys.create({ role: 'sending', kind: 'domain', domain_name: domain, description: 'js' });
  const secret = made.secret ?? made.key.secret;
  const id = made.id ?? made.key.id;
  const sender = new Mailgun(FormData).client({ username: 'api', key: secret, url: world.base });
  assert.equal((await sender.messages.create(domain, { from: `bob@${domain}`, to, subject: 'x', text: 'y', 'o:testmode': true })).status, 200);
  assert.equal(await status(sender.domains.list()), 401);
  await mg.apiKeys.destroy(id);
  assert.equal(await status(sender.messages.create(domain, { from: `bob@${domain}`, to, subject: 'x', text: 'y' })), 401);
});

await area('errors', async () => {
  assert.equal(await status(mg.messages.create('unknown.test', { from: 'a@unknown.test', to, subject: 'x', text: 'y' })), 404);
  assert.equal(await status(mg.messages.create(domain, { from: 'no address', to, subject: 'x', text: 'y' })), 400);
  const stranger = new Mailgun(FormData).client({ username: 'api', key: 'wrong', url: world.base });
  assert.equal(await status(stranger.domains.list()), 401);
});

finish();
