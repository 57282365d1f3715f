// The page: load the classifier, take pictures, show the answers. Class names are only ever inserted as text.

import { decoded, pixelsOfFile, pixelsOfFrame } from "./reading.js";

const SHOWN = 5; // answers before "Show all"
const LONGEST_SIDE = 1024; // of the picture on the page
const LIVE_PAUSE = 150; // milliseconds between two answers of the live camera, so that the page stays usable

const at = (id) => document.getElementById(id);
const number = new Intl.NumberFormat("en");

let classifier = null; // what classifier.json says
let ready = null; // a promise of the function pixels -> logits
let stream = null; // of the camera
let latest = 0; // number of the picture that was chosen last: answers for older ones are dropped
let expanded = false;

start();

async function start() {
  at("late").remove(); // scripts work, so the hint that they do not would mislead
  at("file").addEventListener("change", () => {
    take([...at("file").files]);
    at("file").value = ""; // so that the same file can be chosen again
  });
  at("stage").addEventListener("click", () => stream || at("file").click());
  at("camera").addEventListener("click", startCamera);
  at("snap").addEventListener("click", takeSnapshot);
  at("stop").addEventListener("click", () => stopCamera());
  at("more").addEventListener("click", () => {
    expanded = !expanded;
    showRows();
  });
  addEventListener("paste", (event) => take([...event.clipboardData.files]));
  addEventListener("pagehide", () => stopCamera());
  listenForDrops();
  ready = load();
  try {
    await ready;
    if (latest === 0) say("Choose a picture to see the answer.", "", true);
  } catch (error) {
    console.error(error);
    at("loading").hidden = true;
    say("The classifier could not be loaded.", `${messageOf(error)} Load the page again when the connection works.`, true);
    return;
  }
  await keepForOffline();
}

// ---- Loading

async function load() {
  const response = await fetchFile("classifier.json");
  classifier = await response.json();
  describe();
  const parts = Object.entries(classifier.downloads);
  const total = parts.reduce((sum, [, size]) => sum + size, 0);
  const progress = at("loading");
  let done = 0;
  const download = async (name, size) => {
    const bytes = new Uint8Array(size);
    let length = 0;
    const reader = (await fetchFile(name)).body.getReader();
    for (let part = await reader.read(); !part.done; part = await reader.read()) {
      if (length + part.value.length > size) break;
      bytes.set(part.value, length);
      length += part.value.length;
      done += part.value.length;
      progress.value = done / total;
    }
    if (length !== size) throw new Error(`${name} is incomplete or of another version.`);
    return bytes;
  };
  const [ort, ...files] = await Promise.all([import("./runtime/ort.js"), ...parts.map((part) => download(...part))]);
  const [model, wasm] = ["model.onnx", "runtime/ort.wasm"].map((name) => files[parts.findIndex((part) => part[0] === name)]);
  ort.env.logLevel = "error";
  ort.env.wasm.numThreads = 1; // threads would need special headers of the server
  ort.env.wasm.wasmBinary = wasm;
  const session = await ort.InferenceSession.create(model, { executionProviders: ["wasm"] });
  progress.hidden = true;
  const { width, height } = classifier.input;
  const run = async (pixels) => {
    const { logits } = await session.run({ pixels: new ort.Tensor("uint8", pixels, [1, height, width, 3]) });
    return logits.data;
  };
  // One after the other: the live camera may still wait for an answer when a picture is taken.
  let before = Promise.resolve();
  return (pixels) => {
    const answered = before.then(() => run(pixels));
    before = answered.catch(() => {});
    return answered;
  };
}

async function fetchFile(name) {
  const response = await fetch(name, { cache: "no-cache" });
  if (!response.ok) throw new Error(`${name} is missing on the server (status ${response.status}).`);
  return response;
}

async function keepForOffline() {
  if (!("serviceWorker" in navigator)) return;
  try {
    const registration = await navigator.serviceWorker.register("sw.js");
    await navigator.serviceWorker.ready;
    at("offline").textContent = "This page is saved on this device. It also works without a connection.";
    // Browsers look for a new version some time after a visit, and not at all if the visit is short.
    await registration.update();
  } catch {
    // Private windows forbid it. The page works without.
  }
}

function describe() {
  const { class_names: names, abstention_threshold: threshold, input, downloads, metadata = {} } = classifier;
  const listed = names.length > 12 ? [...names.slice(0, 12), `${names.length - 12} more`] : names;
  const sentence = at("classes");
  sentence.textContent = "A small neural network tells ";
  listed.forEach((name, index) => {
    if (index > 0) sentence.append(index === listed.length - 1 ? " and " : ", ");
    sentence.append(isolated(name));
  });
  sentence.append(" apart. It runs in your browser: no picture leaves this device.");
  document.title = `${names.slice(0, 3).join(", ")}${names.length > 3 ? " …" : ""} – picture classifier`;
  at("honest").textContent =
    (threshold === null
      ? "It always names one of its classes, even if the picture shows something else."
      : "It answers “none of these” if it is too unsure. It may still name a class when the picture shows something else.") +
    " It is small and makes mistakes. Do not rely on it where a mistake would do harm.";
  const made = metadata.provenance ?? {};
  facts({
    Classes: number.format(names.length),
    Generator: made.generator,
    Seed: made.seed,
    Architecture: metadata.architecture,
    "Fine-tuned": made.fine_tuning ? "yes, on pictures" : null,
    Input: `${input.width} × ${input.height} pixels, cut from the centre`,
    Threshold: threshold === null ? null : `${threshold} (greatest logit); below it, the answer is “none of these”`,
    Size: `${size(downloads["model.onnx"])}${classifier.int8 ? ", 8-bit integers" : ""}`,
    Program: classifier.runtime,
  });
}

function size(bytes) {
  return bytes < 1e6 ? `${Math.ceil(bytes / 1000)} KB` : `${(bytes / 1e6).toFixed(1)} MB`;
}

function facts(values) {
  for (const [name, value] of Object.entries(values)) {
    if (value === null || value === undefined) continue;
    at("facts").append(element("dt", name), element("dd", String(value)));
  }
}

// ---- Pictures from files

function listenForDrops() {
  const over = (yes) => at("stage").classList.toggle("over", yes);
  addEventListener("dragover", (event) => {
    event.preventDefault(); // else the browser would open the file
    over(true);
  });
  addEventListener("dragleave", (event) => event.relatedTarget === null && over(false));
  addEventListener("drop", (event) => {
    event.preventDefault();
    over(false);
    if (event.dataTransfer.files.length === 0) complain("That is not a file. Save the picture first, then drop its file.");
    else take([...event.dataTransfer.files]);
  });
}

async function take(files) {
  if (files.length === 0) return;
  const turn = ++latest;
  stopCamera(false);
  const name = files[0].name;
  complain(files.length > 1 ? `One picture at a time: this is “${name}”.` : "");
  say("Looking at the picture …", "", true);
  let bitmap;
  try {
    bitmap = await decoded(files[0]);
  } catch {
    if (turn !== latest) return;
    forget();
    complain(`This browser cannot read “${name}” as a picture. Choose a JPEG, PNG or WebP file.`);
    return;
  }
  show(bitmap, bitmap.width, bitmap.height);
  try {
    const predict = await ready;
    const pixels = await pixelsOfFile(files[0], bitmap, classifier.input);
    const logits = await predict(pixels);
    if (turn === latest) answer(pixels, logits);
  } catch (error) {
    console.error(error);
    if (turn === latest) say("There is no answer for this picture.", messageOf(error), true);
  } finally {
    bitmap.close();
  }
}

function show(image, width, height) {
  const scale = Math.min(1, LONGEST_SIDE / Math.max(width, height));
  const canvas = at("shown");
  canvas.width = Math.max(1, Math.round(width * scale));
  canvas.height = Math.max(1, Math.round(height * scale));
  const context = canvas.getContext("2d");
  context.imageSmoothingQuality = "high";
  context.drawImage(image, 0, 0, canvas.width, canvas.height);
  showStage("shown");
}

function showStage(shown) {
  for (const id of ["invitation", "shown", "video"]) at(id).hidden = id !== shown;
  at("stage").classList.toggle("filled", shown !== "invitation");
}

// ---- The camera

async function startCamera() {
  if (!navigator.mediaDevices?.getUserMedia) {
    complain("Browsers allow the camera only on pages with https:// and on localhost. Choose a picture instead.");
    return;
  }
  complain("");
  const before = latest;
  let opened;
  try {
    opened = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" } });
  } catch (error) {
    complain(
      error.name === "NotAllowedError"
        ? "The camera is not allowed. Allow it in the settings of the browser for this page, or choose a picture."
        : "No camera was found, or another program uses it. Choose a picture instead.",
    );
    return;
  }
  if (before !== latest) {
    // A file was chosen while the browser asked for permission.
    opened.getTracks().forEach((track) => track.stop());
    return;
  }
  stream = opened;
  const turn = ++latest;
  opened.getTracks().forEach((track) =>
    track.addEventListener("ended", () => {
      stopCamera();
      complain("The camera has stopped.");
    }),
  );
  const video = at("video");
  video.srcObject = stream;
  showStage("video");
  cameraButtons(true);
  at("snap").focus();
  // Answers change several times a second. A screen reader hears the one of the picture that is taken.
  at("answer").setAttribute("aria-live", "off");
  await video.play().catch(() => {});
  watch(turn);
}

async function watch(turn) {
  const video = at("video");
  try {
    const predict = await ready;
    while (stream && turn === latest) {
      if (video.videoWidth > 0) {
        const pixels = pixelsOfFrame(video, video.videoWidth, video.videoHeight, classifier.input);
        const logits = await predict(pixels);
        if (stream && turn === latest) answer(pixels, logits);
      }
      await new Promise((resolve) => setTimeout(resolve, LIVE_PAUSE));
    }
  } catch (error) {
    console.error(error);
    if (turn === latest) say("There is no answer for this picture.", messageOf(error), true);
  }
}

async function takeSnapshot() {
  const video = at("video");
  if (video.videoWidth === 0) return;
  const turn = ++latest;
  const still = await createImageBitmap(video);
  show(still, still.width, still.height);
  stopCamera(false);
  at("camera").focus();
  try {
    const predict = await ready;
    const pixels = pixelsOfFrame(still, still.width, still.height, classifier.input);
    const logits = await predict(pixels);
    if (turn === latest) answer(pixels, logits);
  } catch (error) {
    console.error(error);
    if (turn === latest) say("There is no answer for this picture.", messageOf(error), true);
  } finally {
    still.close();
  }
}

function stopCamera(clear = true) {
  at("answer").setAttribute("aria-live", "polite");
  if (!stream) return;
  stream.getTracks().forEach((track) => track.stop());
  stream = null;
  at("video").srcObject = null;
  cameraButtons(false);
  if (!clear) return;
  latest++;
  forget();
  at("camera").focus();
}

function cameraButtons(on) {
  at("snap").hidden = !on;
  at("stop").hidden = !on;
  for (const id of ["file", "file-label", "camera"]) at(id).hidden = on;
}

// ---- Answers

function answer(pixels, logits) {
  const probabilities = softmax(logits);
  const order = [...probabilities.keys()].sort((a, b) => probabilities[b] - probabilities[a] || a - b);
  const best = order[0];
  const threshold = classifier.abstention_threshold;
  const unsure = threshold !== null && logits[best] < threshold;
  if (unsure) {
    const score = `${logits[best].toFixed(2)}, below ${threshold.toFixed(2)}`;
    say("None of these", `The classifier is too unsure (score ${score}). The bars show what comes closest.`);
  } else {
    say(isolated(classifier.class_names[best]), "", false, percent(probabilities[best]));
  }
  at("bars").replaceChildren(
    ...order.map((k, place) => {
      const row = element("li");
      row.className = place === 0 && !unsure ? "first" : "";
      row.dataset.probability = probabilities[k];
      const track = element("div");
      track.className = "track";
      track.setAttribute("aria-hidden", "true");
      const bar = element("span");
      bar.style.width = `${100 * probabilities[k]}%`;
      track.append(bar);
      row.append(isolated(classifier.class_names[k]), share(percent(probabilities[k])), track);
      return row;
    }),
  );
  showRows();
  showSeen(pixels);
}

function softmax(logits) {
  const greatest = Math.max(...logits);
  const powers = Float64Array.from(logits, (value) => Math.exp(value - greatest));
  const sum = powers.reduce((total, value) => total + value, 0);
  return powers.map((value) => value / sum);
}

function showRows() {
  const rows = [...at("bars").children];
  rows.forEach((row, place) => (row.hidden = place >= SHOWN && !expanded));
  const more = at("more");
  more.hidden = rows.length <= SHOWN;
  more.setAttribute("aria-expanded", String(expanded));
  more.textContent = expanded ? `Show the first ${SHOWN} only` : `Show all ${number.format(rows.length)} classes`;
}

function showSeen(pixels) {
  const { width, height } = classifier.input;
  const canvas = at("seen");
  canvas.width = width;
  canvas.height = height;
  const image = new ImageData(width, height);
  for (let from = 0, to = 0; from < pixels.length; from += 3, to += 4) {
    image.data.set(pixels.subarray(from, from + 3), to);
    image.data[to + 3] = 255;
  }
  canvas.getContext("2d").putImageData(image, 0, 0);
  at("seen-caption").textContent = `What the network sees: the centre, at ${width} × ${height} pixels.`;
  at("seen-figure").hidden = false;
}

/** Show the answer, or what happens instead of one. */
function say(best, remark, waiting = false, probability = "") {
  const line = at("best");
  line.replaceChildren(best);
  if (probability) line.append(" ", share(probability));
  line.classList.toggle("waiting", waiting);
  at("remark").textContent = remark;
}

function complain(sentence) {
  at("problem").textContent = sentence;
}

/** Remove the picture and its answer. */
function forget() {
  showStage("invitation");
  at("bars").replaceChildren();
  at("more").hidden = true;
  at("seen-figure").hidden = true;
  say("Choose a picture to see the answer.", "", true);
}

function percent(probability) {
  return `${(100 * probability).toFixed(1)} %`;
}

function share(text) {
  const part = element("span", text);
  part.className = "share";
  return part;
}

/** Return a name as an element that keeps its own direction of writing. */
function isolated(name) {
  return element("bdi", name);
}

function element(tag, text = "") {
  const made = document.createElement(tag);
  made.textContent = text;
  return made;
}

function messageOf(error) {
  const text = String(error?.message ?? error).trim();
  return /[.!?]$/.test(text) ? text : `${text}.`;
}
