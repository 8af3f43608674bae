// Swagger UI over the document of the whole API. It is a script of its own: pages here have none inside them.

SwaggerUIBundle({
  url: "/openapi.json",
  dom_id: "#documentation",
  deepLinking: true,
  docExpansion: "none",
  // Nobody outside is asked whether the document is valid.
  validatorUrl: null,
  // What a page of this server has to say with an upload.
  requestInterceptor: (request) => ({ ...request, headers: { ...request.headers, "X-Forge-Request": "1" } }),
});
