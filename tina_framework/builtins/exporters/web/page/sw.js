// Keep the files of this page, so that it works without a connection. The exporter fills in the version and the files.

const VERSION = "@VERSION@";
const FILES = ["@FILES@"];

// Other pages of the same host may have caches too, so the name holds the folder of this one.
const PREFIX = `tina:${self.registration.scope}:`;
const CACHE = PREFIX + VERSION;

self.addEventListener("install", (event) => event.waitUntil(keep()));
self.addEventListener("activate", (event) => event.waitUntil(takeOver()));
self.addEventListener("fetch", (event) => {
  const { method, url } = event.request;
  if (method === "GET" && url.startsWith(self.registration.scope)) event.respondWith(answer(event.request));
});

async function keep() {
  const cache = await caches.open(CACHE);
  // The browser's own cache may still hold files of an older version.
  await cache.addAll(FILES.map((file) => new Request(file, { cache: "no-cache" })));
  await self.skipWaiting();
}

async function takeOver() {
  const old = (await caches.keys()).filter((name) => name.startsWith(PREFIX) && name !== CACHE);
  await Promise.all(old.map((name) => caches.delete(name)));
  await self.clients.claim();
}

async function answer(request) {
  const [address] = request.url.split(/[?#]/);
  const scope = self.registration.scope;
  const cache = await caches.open(CACHE);
  return (await cache.match(address === `${scope}index.html` ? scope : address)) ?? fetch(request);
}
