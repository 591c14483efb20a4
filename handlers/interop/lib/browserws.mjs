// In a page, the package ws is the browser's own WebSocket.
export default globalThis.WebSocket
