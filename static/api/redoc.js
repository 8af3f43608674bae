// Redoc over the document of the whole API. Its search would need a worker, which the pages here may not have.

Redoc.init("/openapi.json", { disableSearch: true, hideSearch: true }, document.getElementById("documentation"));
