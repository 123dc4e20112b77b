const express = require("express");
const { createClient } = require("redis");

async function connected(url = process.env.REDIS_URL || "redis://127.0.0.1:6379") {
  const client = createClient({ url });
  await client.connect();
  return client;
}

function application(client) {
  const app = express();
  app.get("/health", async (_request, response) => {
    response.json({ ok: (await client.ping()) === "PONG" });
  });
  app.post("/visits/:page", async (request, response) => {
    response.status(201).json({ page: request.params.page, visits: await client.incr(`visits:${request.params.page}`) });
  });
  app.get("/visits/:page", async (request, response) => {
    response.json({ page: request.params.page, visits: Number((await client.get(`visits:${request.params.page}`)) || 0) });
  });
  return app;
}

module.exports = { application, connected };
