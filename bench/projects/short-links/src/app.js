const { createHash } = require("node:crypto");
const fastify = require("fastify");

function build() {
  const links = new Map();
  const app = fastify();
  app.post("/links", async (request, reply) => {
    const { url } = request.body ?? {};
    if (!URL.canParse(url)) {
      return reply.code(400).send({ error: "that is no address" });
    }
    const name = createHash("sha256").update(url).digest("base64url").slice(0, 7);
    links.set(name, url);
    return reply.code(201).send({ name });
  });
  app.get("/:name", async (request, reply) => {
    const url = links.get(request.params.name);
    return url ? reply.redirect(url) : reply.code(404).send({ error: "no such link" });
  });
  return app;
}

module.exports = { build };
