"use strict";

const $ = (id) => document.getElementById(id);
let about = { limits: {} };
let session = "";
let state = { classifier: null, photographs: [], notes: [], teaching: null };
let chosen = 0; // index of the class in "Teach"
let formatNames = "";
const previews = new Map(); // number of a photograph -> address of its picture in this browser
const thumbs = new Map(); // class name -> addresses of its pictures to teach with

class Sentence extends Error {}

async function send(path, { method = "POST", body = undefined, raw = false } = {}) {
  let answer;
  try {
    answer = await fetch(path, { method, body, headers: { "X-Tina-Session": session } });
  } catch {
    throw new Sentence("The program does not answer. Is 'tina ui' still running?");
  }
  if (answer.ok) return raw ? answer : answer.json();
  let said = "";
  try { said = (await answer.json()).error; } catch { /* not from the application */ }
  throw new Sentence(said || `The program refused the request (${answer.status}). Load the page again.`);
}

const json = (values) => ({ body: JSON.stringify(values) });
const percent = (p) => (p > 0.995 && p < 1 ? "> 99" : p < 0.005 && p > 0 ? "< 1" : String(Math.round(100 * p))) + " %";
const seconds = (s) => (s < 10 ? s.toFixed(2) : s.toFixed(0)) + " s";
const plural = (n, one, many = one + "s") => `${n.toLocaleString("en")} ${n === 1 ? one : many}`;

function element(name, { text = "", ...attributes } = {}, ...children) {
  const made = document.createElement(name);
  if (text) made.textContent = text;
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

function say(text) { $("status").textContent = text; }

function complain(sentences) {
  const box = $("message");
  box.hidden = sentences.length === 0;
  box.className = "message error";
  box.replaceChildren(...sentences.map((text) => element("p", { text })));
}

// One thing at a time: buttons are disabled while the program works.
let working = false;
async function work(button, doing) {
  if (working) {
    complain(["The program is still working. Try again when the moving bar is gone."]);
    return;
  }
  working = true;
  const focused = document.activeElement;
  complain([]);
  document.body.setAttribute("aria-busy", "true");
  button.classList.add("busy");
  lock();
  try {
    await doing();
  } catch (error) {
    if (!(error instanceof Sentence)) console.error(error);
    complain([error instanceof Sentence ? error.message : "Something went wrong on this page. Load it again."]);
  } finally {
    working = false;
    document.body.removeAttribute("aria-busy");
    button.classList.remove("busy");
    lock();
    // Browsers take the focus from a button that is disabled meanwhile.
    if (document.activeElement === document.body && focused?.isConnected) focused.focus();
  }
}

function lock() {
  const none = state.classifier === null;
  for (const id of ["generate", "samples", "remove-all", "undo", "remove-examples", "photographs", "examples", "int8"]) $(id).disabled = working;
  for (const each of document.querySelectorAll(".card button, .card select")) each.disabled = working;
  $("fine-tune").disabled = working || none || state.teaching.needs !== "";
  $("download").disabled = working || none || !document.querySelector("#formats input:checked");
}

function bars(result, title, kind) {
  const list = element("ul", { "aria-label": title || "Answers" });
  for (const { class: name, probability } of result.top) {
    const ns = "http://www.w3.org/2000/svg";
    const svg = document.createElementNS(ns, "svg");
    svg.setAttribute("aria-hidden", "true");
    svg.setAttribute("preserveAspectRatio", "none");
    svg.setAttribute("viewBox", "0 0 100 10");
    for (const [className, width] of [["track", 100], ["part", Math.max(100 * probability, 0.5)]]) {
      const rect = document.createElementNS(ns, "rect");
      rect.setAttribute("class", className);
      rect.setAttribute("width", width);
      rect.setAttribute("height", 10);
      svg.append(rect);
    }
    list.append(element("li", { class: "bar", "data-class": name, "data-probability": probability },
      element("span", { class: "label", text: name, title: name }), svg,
      element("span", { class: "value", text: percent(probability) })));
  }
  const box = element("div", { class: kind });
  if (title) box.append(element("h3", { text: title }));
  box.append(list);
  return box;
}

function card(row) {
  const made = $("card").content.cloneNode(true).firstElementChild;
  made.dataset.id = row.id;
  const image = made.querySelector("img");
  const none = made.querySelector(".no-preview");
  image.addEventListener("error", () => { image.hidden = true; none.hidden = false; });
  if (previews.has(row.id)) image.src = previews.get(row.id);
  image.alt = `Photograph ${row.name}`;
  const file = made.querySelector(".file");
  file.textContent = row.taught ? `${row.name} · used to teach` : row.name;
  file.title = row.name;
  const remove = made.querySelector(".remove");
  remove.setAttribute("aria-label", `Remove ${row.name}`);
  remove.addEventListener("click", () => work(remove, async () => {
    show(await send(`/api/photographs/${row.id}`, { method: "DELETE" }));
    say(`${row.name} was removed.`);
  }));
  const verdict = made.querySelector(".verdict");
  const teach = made.querySelector(".teach");
  if (row.now === null) {
    verdict.append(element("small", { text: "The answer comes with the classifier." }));
    teach.hidden = true;
    return made;
  }
  const best = row.now.top[0];
  verdict.append(best.class, " ", element("small", { text: percent(best.probability) }));
  if (row.now.unsure) verdict.append(element("small", { text: " · unsure: perhaps none of these" }));
  const lists = made.querySelector(".bars");
  if (row.before) {
    lists.append(bars(row.before, "Before fine-tuning", "before"), bars(row.now, "After fine-tuning", "after"));
    if (row.before.top[0].class !== best.class) verdict.append(element("small", { text: ` · was ${row.before.top[0].class}` }));
  } else {
    lists.append(bars(row.now, "", "now"));
  }
  const select = teach.querySelector("select");
  select.append(element("option", { value: "", text: "choose, to teach" }));
  state.classifier.classes.forEach((name, index) => select.append(element("option", { value: index, text: name })));
  select.value = row.taught === null ? "" : state.classifier.classes.indexOf(row.taught);
  select.setAttribute("aria-label", `What ${row.name} shows, to teach with it`);
  select.addEventListener("change", () => work(select, async () => {
    const label = select.value === "" ? null : Number(select.value);
    show(await send(`/api/photographs/${row.id}/teach`, json({ label })));
    say(label === null ? `${row.name} is not used to teach.` : `${row.name} is used to teach.`);
  }));
  return made;
}

function show(next) {
  const before = state;
  state = next;
  const { classifier, photographs, notes, teaching } = state;
  const numbers = new Set(photographs.map((row) => row.id));
  for (const [number, address] of previews) {
    if (!numbers.has(number)) { URL.revokeObjectURL(address); previews.delete(number); }
  }
  $("made").hidden = $("teach").hidden = $("download-form").hidden = classifier === null;
  $("teach-empty").hidden = $("download-empty").hidden = classifier !== null;
  $("remove-all").hidden = photographs.length < 2;
  $("samples").hidden = classifier === null || classifier.samples === 0;
  // The focus would be lost with the element that had it.
  const focused = document.activeElement?.closest?.(".card")?.dataset.id;
  const tag = document.activeElement?.tagName;
  $("answers").replaceChildren(...photographs.map(card));
  if (focused) (document.querySelector(`.card[data-id="${focused}"] ${tag === "SELECT" ? "select" : "button"}`) || $("photographs")).focus();
  $("notes-box").hidden = notes.length === 0;
  $("notes").replaceChildren(...notes.map((text) => element("li", { text })));
  if (classifier === null) return lock();
  const made = classifier.seconds.generate;
  let text = `${plural(classifier.parameters, "parameter")} for ${plural(classifier.classes.length, "class", "classes")}`;
  if (classifier.networks > 1) text += ` in ${classifier.networks} networks`;
  text += `, generated in ${seconds(made)}`;
  text += classifier.fine_tuned ? `, fine-tuned in ${seconds(classifier.seconds.fine_tune)}.` : ", without training.";
  $("made-text").textContent = text;
  $("chips").replaceChildren(...classifier.classes.map((name) => element("li", { text: name })));
  $("undo").hidden = !classifier.fine_tuned;
  const same = before.classifier && before.classifier.classes.join("\n") === classifier.classes.join("\n");
  if (!same) {
    chosen = 0;
    for (const name of thumbs.keys()) if (!classifier.classes.includes(name)) forget(name);
  }
  showTeaching(teaching);
  lock();
}

function forget(name) {
  for (const address of thumbs.get(name) || []) URL.revokeObjectURL(address);
  thumbs.delete(name);
}

function showTeaching(teaching) {
  const { classes } = state.classifier;
  const focused = document.activeElement?.name === "teach-class";
  $("teach-classes").replaceChildren(...classes.flatMap((name, index) => {
    const count = teaching.counts[index];
    const input = element("input", { type: "radio", name: "teach-class", id: `teach-${index}`, value: index });
    input.checked = index === chosen;
    input.addEventListener("change", () => { chosen = index; showChosen(); });
    const label = element("label", { for: `teach-${index}` }, `${name} `, element("span", { text: `(${count})` }));
    return [element("span", { class: "choice" }, input, label)];
  }));
  if (focused) $(`teach-${chosen}`).focus();
  $("teach-needs").textContent = teaching.needs;
  showChosen();
}

function showChosen() {
  const name = state.classifier.classes[chosen];
  $("teach-name").textContent = name;
  $("remove-examples").hidden = state.teaching.counts[chosen] === 0;
  $("thumbs").replaceChildren(...(thumbs.get(name) || []).map((src) => element("img", { src, alt: `Picture of ${name}` })));
}

// Files go up one after the other, as they are. A file that is refused does not stop the others.
async function upload(files, what, most, there, path, onDone) {
  const faults = [];
  let done = 0;
  const list = [...files];
  if (list.length === 0) return;
  const room = Math.max(most - there(), 0);
  if (list.length > room) {
    faults.push(`At most ${most} ${what} are allowed, so ${list.length - room} of the ${list.length} files were left out.`);
    list.length = room;
  }
  for (const file of list) {
    if (file.size > about.limits.picture_bytes) {
      faults.push(`The file '${file.name}' has more than ${about.limits.picture_bytes / 1e6} MB, which is the limit for one picture; scale it down first.`);
      continue;
    }
    say(`Reading ${file.name}`);
    try {
      onDone(file, await send(`${path}?name=${encodeURIComponent(file.name)}`, { body: file }));
      done += 1;
    } catch (error) {
      if (!(error instanceof Sentence)) throw error;
      faults.push(error.message);
    }
  }
  say(`${plural(done, "picture")} added.`);
  complain(faults);
}

function dropZone(zone, input, take) {
  input.addEventListener("change", async () => { await take(input.files); input.value = ""; });
  zone.addEventListener("dragover", (event) => { event.preventDefault(); zone.classList.add("over"); });
  zone.addEventListener("dragleave", () => zone.classList.remove("over"));
  zone.addEventListener("drop", (event) => {
    event.preventDefault();
    zone.classList.remove("over");
    take(event.dataTransfer.files);
  });
}

const addPhotographs = (files) => work($("photographs-drop"), () => upload(
  files, "photographs", about.limits.photographs, () => state.photographs.length, "/api/photographs", (file, next) => {
    previews.set(next.photographs.at(-1).id, URL.createObjectURL(file));
    show(next);
  }));

const addExamples = (files) => {
  const label = chosen;
  const name = state.classifier.classes[label];
  const count = () => state.teaching.counts.reduce((a, b) => a + b, 0);
  return work($("examples-drop"), () => upload(
    files, "pictures to teach with", about.limits.examples, count, `/api/examples/${label}`, (file, next) => {
      thumbs.set(name, [...(thumbs.get(name) || []), URL.createObjectURL(file)]);
      show(next);
    }));
};

async function generate() {
  show(await send("/api/generate", json({ words: $("words").value })));
  say(`The classifier is ready: ${$("made-text").textContent}`);
  await loadFormats();
}

async function loadFormats() {
  const { formats } = await send("/api/formats");
  const names = JSON.stringify(formats);
  if (names === formatNames) return;
  formatNames = names;
  $("formats").replaceChildren(...formats.map((format, index) => {
    const input = element("input", { type: "radio", name: "format", value: format.name, "data-int8": format.int8 });
    input.disabled = format.problem !== "";
    input.checked = index === 0;
    input.addEventListener("change", showInt8);
    const text = element("span", { text: format.label });
    if (format.problem) text.append(element("small", { text: format.problem }));
    return element("label", { class: format.problem ? "format off" : "format" }, input, text);
  }));
  showInt8();
  lock();
}

function showInt8() {
  const int8 = document.querySelector("#formats input:checked")?.dataset.int8;
  $("int8-label").hidden = int8 !== "optional" && int8 !== "always";
  $("int8").checked = int8 === "always" || ($("int8").checked && int8 === "optional");
  $("int8").onclick = int8 === "always" ? (event) => event.preventDefault() : null;
}

async function download() {
  const chosenFormat = document.querySelector("#formats input:checked");
  $("download-text").textContent = "Writing the file and comparing its answers. Large networks take up to a minute.";
  try {
    const answer = await send("/api/download", { ...json({ format: chosenFormat.value, int8: $("int8").checked }), raw: true });
    const name = /filename="([^"]+)"/.exec(answer.headers.get("Content-Disposition"))[1];
    const data = await answer.blob();
    const link = element("a", { href: URL.createObjectURL(data), download: name });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60000);
    const size = data.size < 1e6 ? `${(data.size / 1e3).toFixed(1)} kB` : `${(data.size / 1e6).toFixed(1)} MB`;
    $("download-text").textContent = `Saved ${name} (${size}). ${answer.headers.get("X-Tina-Note")}`;
  } catch (error) {
    $("download-text").textContent = "";
    await loadFormats(); // a format that cannot hold this network says so from now on
    throw error;
  }
}

function start() {
  $("words-form").addEventListener("submit", (event) => { event.preventDefault(); work($("generate"), generate); });
  $("words").addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) { event.preventDefault(); work($("generate"), generate); }
  });
  dropZone($("photographs-drop"), $("photographs"), addPhotographs);
  dropZone($("examples-drop"), $("examples"), addExamples);
  // A file that is dropped beside a zone would replace the page.
  for (const name of ["dragover", "drop"]) window.addEventListener(name, (event) => event.preventDefault());
  $("samples").addEventListener("click", () => work($("samples"), async () => {
    const next = await send("/api/samples");
    for (const [number, index] of Object.entries(next.samples)) previews.set(Number(number), `/samples/${index}`);
    show(next);
    say(`${plural(Object.keys(next.samples).length, "sample picture")} added.`);
  }));
  $("remove-all").addEventListener("click", () => work($("remove-all"), async () => {
    show(await send("/api/photographs", { method: "DELETE" }));
    say("All photographs were removed.");
  }));
  $("remove-examples").addEventListener("click", () => work($("remove-examples"), async () => {
    forget(state.classifier.classes[chosen]);
    show(await send(`/api/examples/${chosen}`, { method: "DELETE" }));
  }));
  $("fine-tune").addEventListener("click", () => work($("fine-tune"), async () => {
    say("Fine-tuning");
    show(await send("/api/fine-tune"));
    say(`Fine-tuned in ${seconds(state.classifier.seconds.fine_tune)}.`);
  }));
  $("undo").addEventListener("click", () => work($("undo"), async () => {
    show(await send("/api/undo"));
    say("The generated classifier is back.");
  }));
  $("download-form").addEventListener("submit", (event) => { event.preventDefault(); work($("download"), download); });
  // Closing the page removes its pictures from the memory of the program.
  window.addEventListener("pagehide", () => fetch("/api/session", { method: "DELETE", keepalive: true, headers: { "X-Tina-Session": session } }));
  window.addEventListener("pageshow", (event) => { if (event.persisted) location.reload(); });
  work($("generate"), async () => {
    about = await send("/api/session");
    session = about.session;
    $("model").textContent = about.model;
    if (!$("words").value) $("words").value = about.example;
    const size = about.limits.picture_bytes / 1e6;
    $("photographs-help").textContent = `Up to ${about.limits.photographs} photographs of at most ${size} MB each.`;
    $("teach-help").textContent = `Two or three pictures of each class already help. Up to ${about.limits.examples} in all, at most ${size} MB each.`;
  });
}

start();
