const assert = require("node:assert/strict");
const { after, before, test } = require("node:test");
const { application, connected } = require("../counter");

let client, server, url;

before(async () => {
  client = await connected();
  await client.flushDb();
  server = application(client).listen(0);
  url = `http://127.0.0.1:${server.address().port}`;
});

after(async () => {
  server.close();
  await client.close();
});

test("the store answers", async () => {
  assert.deepEqual(await (await fetch(`${url}/health`)).json(), { ok: true });
});

test("every visit counts, each page for itself", async () => {
  for (let visit = 1; visit <= 3; visit += 1) {
    const answer = await fetch(`${url}/visits/home`, { method: "POST" });
    assert.equal(answer.status, 201);
    assert.equal((await answer.json()).visits, visit);
  }
  assert.equal((await (await fetch(`${url}/visits/home`)).json()).visits, 3);
  assert.equal((await (await fetch(`${url}/visits/about`)).json()).visits, 0);
});
