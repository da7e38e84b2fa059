// What the client scripts share: where the server is, and areas that pass or fail.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';

// Given by the test: base, key, domain, submission {host, port}, ca, login, password, to
// (an address whose MX host takes mail), webhook (an URL that answers 200).
export const world = JSON.parse(readFileSync(0, 'utf8'));
export { assert };

const failed = [];

// area runs one part and says how it went; the parts after it run in any case.
export async function area(name, run) {
  try {
    await run();
    console.log(`ok ${name}`);
  } catch (err) {
    failed.push(name);
    const details = err.details ? ` (${err.status} ${JSON.stringify(err.details)})` : '';
    console.log(`not ok ${name}: ${String(err.stack).replace(/\n/g, ' | ')}${details}`);
  }
}

// eventually polls until f returns something true; the test as a whole has a limit.
export async function eventually(what, f) {
  for (let i = 0; i < 600; i++) {
    const got = await f();
    if (got) return got;
    await new Promise((resolve) => { setTimeout(resolve, 50); });
  }
  throw new Error(`waited in vain for ${what}`);
}

// status returns the HTTP status that a call fails with.
export async function status(promise) {
  try {
    await promise;
    return 200;
  } catch (err) {
    return err.status;
  }
}

export function finish() {
  process.exitCode = failed.length ? 1 : 0;
}
