// Nodemailer: by SMTP, and by the API through its usual Mailgun transport.
import nodemailer from 'nodemailer';
import mailgunTransport from 'nodemailer-mailgun-transport';
import { area, assert, finish, world } from './harness.mjs';

const { domain, to } = world;
const smtp = {
  host: world.submission.host, port: world.submission.port, secure: false, requireTLS: true,
  auth: { user: world.login, pass: world.password }, tls: { ca: world.ca, servername: world.serverName },
};
const message = {
  from: `Bob <bob@${domain}>`, to, subject: 'Grüße', text: 'text', html: '<p>html <img src="cid:dot"></p>',
  attachments: [{ filename: 'a.txt', content: 'attached' }, { filename: 'dot.gif', cid: 'dot', content: Buffer.from('R0lGODlhAQABAAAAACw=', 'base64') }],
};

await area('SMTP', async () => {
  const info = await nodemailer.createTransport(smtp).sendMail({ ...message, headers: { 'X-Mailgun-Tag': 'nodemailer', 'X-Mailgun-Require-TLS': 'yes', 'X-Mailgun-Variables': '{"order":17}' } });
  assert.deepEqual(info.accepted, [to]);
  assert.match(info.response, /^250 /);
});

await area('SMTP with a pool', async () => {
  const pool = nodemailer.createTransport({ ...smtp, pool: true, maxConnections: 2 });
  const all = await Promise.all(Array.from({ length: 10 }, (_, i) => pool.sendMail({ ...message, subject: `pool ${i}` })));
  assert.equal(all.length, 10);
  pool.close();
});

await area('SMTP with delivery notices asked for', async () => {
  const info = await nodemailer.createTransport(smtp).sendMail({ ...message, subject: 'dsn', dsn: { id: 'e1', return: 'headers', notify: ['failure'], recipient: `bob@${domain}` } });
  assert.deepEqual(info.accepted, [to]);
});

await area('SMTP with a wrong password', async () => {
  await assert.rejects(nodemailer.createTransport({ ...smtp, auth: { user: world.login, pass: 'wrong' } }).sendMail(message), (err) => err.responseCode === 535);
});

await area('API transport', async () => {
  const url = new URL(world.base);
  const transport = nodemailer.createTransport(mailgunTransport({ auth: { api_key: world.key, domain }, host: url.hostname, protocol: 'http:', port: url.port }));
  const info = await transport.sendMail({ ...message, subject: 'api' });
  assert.match(info.id, /^<.+>$/);
});

finish();
