// Shows openapi.yaml. Everything comes from this server: no fonts, no search worker, no logo from elsewhere.
Redoc.init("openapi.yaml", {
  disableSearch: true,
  hideLoading: false,
  expandResponses: "200,201",
  pathInMiddlePanel: true,
  theme: { typography: { fontFamily: "system-ui, sans-serif", headings: { fontFamily: "system-ui, sans-serif" }, code: { fontFamily: "ui-monospace, monospace" } } },
}, document.getElementById("reader"))
