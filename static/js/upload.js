// A baseline file, chosen or dropped, goes up in pieces by the tus protocol (tus-js-client). It can be paused, goes on
// by itself after a lost connection, and after a reload when the same file is chosen again. Without this script the
// file goes with the form. What is shown: idle, sending, paused, cut, out (signed out), arrived.
const field = document.querySelector("[data-upload]");
if (field) connect(field);

function connect(field) {
  const HEADER = "SQLite format 3\0";
  const WAITS = [0, 1, 2, 5, 10, 20, 30]; // seconds before the next try, then always the last
  const SIGNED_OUT = "signed out";
  const STALLED_AFTER = 60; // seconds without a byte before a connection counts as lost
  const ANNOUNCE_EVERY = 20; // seconds between two sentences on how far it is

  const rules = field.dataset;
  const form = field.closest("form");
  const part = (name) => field.querySelector(`[data-${name}]`);
  const input = field.querySelector("#file");
  const staged = field.querySelector("#staged_file");
  const zone = part("drop");
  const buttons = Object.fromEntries(["pause", "resume", "remove"].map((id) => [id, field.querySelector(`#${id}-upload`)]));
  const foot = form.querySelector("[data-foot]");
  const footText = foot.textContent;

  let file = null;
  let upload = null; // tus's own object, while a file is on its way
  let state = "idle";
  let sent = 0; // what has left
  let safe = 0; // what the desk has counted
  let samples = []; // [second, bytes], of the last seconds: what the speed is made of
  let isTrying = false; // tus is at work
  let cameNow = false; // the chosen file was brought by this page
  let tries = 0;
  let timer = 0;
  let movedAt = 0;
  let announcedAt = 0;
  let sendWhenHere = null; // the button that asked for it

  input.removeAttribute("name"); // it goes up by itself
  if (staged.value && part("name").textContent) state = "arrived";

  // Choosing

  input.addEventListener("change", (event) => {
    event.stopPropagation();
    if (input.files.length) choose([...input.files]);
    input.value = ""; // the same file may be chosen again
  });
  for (const type of ["dragenter", "dragover", "dragleave", "drop"]) {
    document.addEventListener(type, (event) => {
      if (!event.dataTransfer?.types.includes("Files")) return;
      event.preventDefault(); // beside the zone, too: the browser would leave the page for the file
      const isOver = zone.contains(event.target) && type !== "dragleave" && type !== "drop";
      zone.classList.toggle("drop-over", isOver);
      event.dataTransfer.dropEffect = zone.contains(event.target) ? "copy" : "none";
      if (type === "drop" && zone.contains(event.target)) choose([...event.dataTransfer.files]);
    });
  }

  async function choose(files) {
    const wrong = files.length > 1 ? "One file makes one iModel. Choose one." : await whatIsWrong(files[0]);
    if (wrong) return refuse(wrong);
    if (upload || cameNow) await remove();
    file = files[0];
    begin();
  }

  async function whatIsWrong(file) {
    if (!file.size) return rules.empty;
    if (file.size > Number(rules.most)) return rules.tooLarge;
    try {
      const head = new TextDecoder("latin1").decode(await file.slice(0, HEADER.length).arrayBuffer());
      return head === HEADER ? "" : rules.noImodel;
    } catch {
      return `${file.name} cannot be read. Choose it again.`;
    }
  }

  // Sending

  async function begin() {
    complain("");
    suggestName();
    const mine = new window.tus.Upload(file, {
      endpoint: rules.url,
      chunkSize: Number(rules.piece),
      retryDelays: null, // we try again ourselves, and say so
      removeFingerprintOnSuccess: true,
      overridePatchMethod: true, // proxies that know only GET and POST let it pass
      metadata: { filename: file.name },
      onBeforeRequest: (request) => request.setHeader("X-CSRFToken", document.getElementById("csrf").value),
      onAfterResponse: (request, response) => {
        // Whatever a look at the file is answered, tus begins it anew. That is right only where it is not there;
        // what is thrown here is an error instead.
        const status = response.getStatus();
        if ([401, 403].includes(status)) throw new Error(SIGNED_OUT);
        if (mine === upload) counted(Number(response.getHeader("Upload-Offset")));
        if (request.getMethod() === "HEAD" && status >= 300 && ![404, 410].includes(status)) throw new Error("not now");
      },
      onUploadUrlAvailable: () => mine === upload && known(),
      onProgress: (bytes) => mine === upload && progress(bytes),
      onSuccess: () => mine === upload && arrived(),
      onError: (error) => mine === upload && failed(error),
    });
    upload = mine;
    const [before] = (await mine.findPreviousUploads()).sort((a, b) => b.creationTime.localeCompare(a.creationTime));
    if (before) mine.resumeFromPreviousUpload(before);
    sent = safe = 0;
    show("sending", before ? `${file.name} continues where it stopped` : `${file.name} is on its way`);
    go();
  }

  function go() {
    clearTimeout(timer);
    samples = [];
    movedAt = seconds();
    isTrying = true;
    upload.start();
  }

  function known() {
    const id = upload.url.split("/").pop();
    if (staged.value === id) return;
    choiceIs(id);
    unlist(field.querySelector(`#staged-${CSS.escape(id)}`));
  }

  function unlist(row) {
    row?.remove();
    if (row) part("full")?.remove();
    if (!field.querySelector(".staged li")) field.querySelector(".staged")?.parentElement.remove();
  }

  function choiceIs(id) {
    staged.value = id;
    buttons.remove.formAction = id ? `${rules.url}${id}/remove` : "";
    staged.dispatchEvent(new Event("change", { bubbles: true })); // the side column looks again
  }

  // As long as something arrives, the next try need not wait.
  function counted(bytes) {
    if (bytes > safe) tries = 0;
    safe = Math.max(safe, bytes);
  }

  function progress(bytes) {
    if (state === "paused") return void upload.abort(); // it was about to start when it was paused
    const now = seconds();
    if (bytes !== sent) movedAt = now;
    sent = bytes;
    samples.push([now, bytes]);
    while (samples.length > 2 && now - samples[0][0] > 8) samples.shift();
    if (state !== "sending") show("sending", "The connection is back");
    draw();
    if (now - announcedAt > ANNOUNCE_EVERY) announce(`${percent()} %${left()}`);
  }

  function arrived() {
    upload = null;
    isTrying = false;
    cameNow = true;
    sent = file.size;
    show("arrived", `${file.name} has arrived`);
    if (sendWhenHere) form.requestSubmit(sendWhenHere);
    else choiceIs(staged.value);
  }

  async function failed(error) {
    isTrying = false;
    const answer = error.originalResponse;
    const status = answer?.getStatus() ?? 0;
    const isOurs = answer?.getHeader("Tus-Resumable");
    const said = isOurs ? answer.getBody() : "Something between here and iModel Desk refuses the file. Tell your administrator.";
    if (error.causingError?.message === SIGNED_OUT) return show("out", "You are signed out");
    if (status === 429 || (status === 507 && upload.url)) return show("paused", said);
    if ([413, 422, 507].includes(status)) return stop(said);
    const mine = upload;
    const gone = await isGone();
    if (mine !== upload) return;
    if (!gone) return waitAndTry();
    await remove(); // what arrived is of a file that is no more
    refuse(`${file.name} was changed or moved meanwhile. Choose it again.`);
  }

  function waitAndTry() {
    isTrying = false;
    if (state === "paused") return;
    show("cut", "The connection is lost");
    const wait = WAITS[Math.min(tries, WAITS.length - 1)];
    tries += 1;
    clearTimeout(timer);
    timer = setTimeout(go, wait * 1000);
  }

  async function isGone() {
    try {
      await file.slice(0, 1).arrayBuffer();
      return false;
    } catch {
      return true;
    }
  }

  window.addEventListener("online", () => state === "cut" && !isTrying && go());
  window.addEventListener("offline", () => isTrying && lose());
  setInterval(() => isTrying && seconds() - movedAt > STALLED_AFTER && lose(), 5000);

  function lose() {
    upload.abort();
    waitAndTry();
  }

  // Buttons

  buttons.pause.addEventListener("click", () => {
    clearTimeout(timer);
    isTrying = false;
    upload.abort();
    show("paused", "Paused");
  });
  buttons.resume.addEventListener("click", async () => {
    if (state === "out") await newToken();
    tries = 0;
    show("sending", "Resuming");
    go();
  });
  buttons.remove.addEventListener("click", async (event) => {
    event.preventDefault();
    await remove();
    input.focus();
  });
  field.addEventListener("click", async (event) => {
    const [use, drop, row] = ["[data-use]", "[data-remove]", "li"].map((what) => event.target.closest(what));
    if (!use && !drop) return;
    event.preventDefault();
    if (drop && !(await ask("DELETE", drop.dataset.remove))) return;
    if (use) await take(use.dataset);
    unlist(row);
    input.focus();
  });

  async function take({ use, name, size }) {
    if (upload || cameNow) await remove();
    complain("");
    file = { name, size: Number(size) };
    sent = file.size;
    choiceIs(use);
    suggestName();
    show("arrived", `${name} is chosen`);
  }

  async function remove() {
    clearTimeout(timer);
    const [leaving, id] = [upload, staged.value];
    upload = null;
    isTrying = cameNow = false;
    wait(null);
    await leaving?.abort();
    if (id && !(await ask("DELETE", id))) return;
    forgetFingerprint(id);
    if (id) part("full")?.remove();
    choiceIs("");
    complain("");
    show("idle", "Removed");
  }

  async function ask(method, id) {
    const token = document.getElementById("csrf").value;
    const headers = { "X-CSRFToken": token, "Tus-Resumable": "1.0.0", "X-HTTP-Method-Override": method };
    try {
      const answer = await fetch(`${rules.url}${id}`, { method: "POST", headers });
      if (answer.ok || answer.status === 404) return true;
      complain(await answer.text());
    } catch {
      complain("It could not be removed: the connection is lost. Try again.");
    }
    return false;
  }

  // Without it tus would look for a file that is not there; that costs a request, no more.
  function forgetFingerprint(id) {
    Object.keys(localStorage)
      .filter((key) => key.startsWith("tus::") && localStorage[key].includes(id || "\0"))
      .forEach((key) => localStorage.removeItem(key));
  }

  // Signing in made the form's token void; the side column brings the new one.
  function newToken() {
    return new Promise((resolve) => {
      document.body.addEventListener("htmx:afterSettle", resolve, { once: true });
      setTimeout(resolve, 3000);
      staged.dispatchEvent(new Event("change", { bubbles: true }));
    });
  }

  // Sending the form

  form.addEventListener("submit", (event) => {
    if (!["sending", "paused", "cut", "out"].includes(state)) return;
    if (event.submitter?.hasAttribute("formaction")) return; // keeping a preset needs no file
    event.preventDefault();
    wait(event.submitter);
    announce(foot.textContent);
  });

  function wait(button) {
    sendWhenHere = button;
    foot.textContent = button ? "Sent as soon as the file has arrived. Keep this page open." : footText;
  }

  function suggestName() {
    const name = form.querySelector("#name");
    if (name.value) return;
    name.value = file.name.replace(/\.(bim|ibim|imodel|db)$/i, "");
    name.dispatchEvent(new Event("change", { bubbles: true }));
  }

  // Showing

  const NOTES = {
    cut: "The connection is lost. What arrived is kept, and it resumes as soon as it can.",
    out: "You are signed out. What arrived is kept. Sign in, then press Resume here.",
  };

  function show(next, said) {
    const focused = Object.values(buttons).find((one) => one === document.activeElement);
    state = next;
    field.dataset.state = state;
    part("box").hidden = state === "idle";
    buttons.pause.hidden = !["sending", "cut"].includes(state);
    buttons.resume.hidden = !["paused", "out"].includes(state);
    const note = NOTES[state] ?? (state === "paused" && said !== "Paused" ? said : "");
    part("note").hidden = !note;
    part("note-text").textContent = note;
    part("sign-in").hidden = state !== "out";
    part("choose").textContent = state === "idle" ? "Choose an iModel file" : "Choose another iModel file";
    if (state === "idle" || state === "arrived") samples = [];
    if (state !== "idle") draw();
    if (focused?.hidden) [buttons.pause, buttons.resume].find((one) => !one.hidden)?.focus();
    announce(said);
  }

  function draw() {
    part("name").textContent = file.name;
    part("amount").textContent = state === "arrived" ? amount(file.size) : amount(sent, file.size);
    part("bar").max = file.size;
    part("bar").value = sent;
    const words = { arrived: "Complete", paused: `${percent()} %, paused`, cut: `${percent()} %, waiting`, out: `${percent()} %` };
    part("line").textContent = words[state] ?? `${percent()} %${left()}`;
    part("speed").textContent = state === "sending" && speed() ? `${amount(speed())}/s` : "";
  }

  function refuse(sentence) {
    complain(sentence);
    announce(sentence);
    input.focus();
  }

  // The end of this file: it is forgotten here as it is at the desk.
  function stop(sentence) {
    upload = null;
    wait(null);
    forgetFingerprint(staged.value);
    choiceIs("");
    show("idle", sentence);
    refuse(sentence);
  }

  function complain(sentence) {
    const msgs = field.querySelector("#file_msg");
    msgs.replaceChildren();
    field.classList.toggle("field-bad", Boolean(sentence));
    input.toggleAttribute("aria-invalid", Boolean(sentence));
    if (!sentence) return;
    const wrong = part("wrong").content.cloneNode(true);
    wrong.querySelector("span").textContent = sentence;
    msgs.append(wrong);
    input.setAttribute("aria-invalid", "true");
  }

  function announce(sentence) {
    part("upload-status").textContent = sentence;
    announcedAt = seconds();
  }

  function percent() {
    return Math.floor((100 * sent) / file.size);
  }

  function speed() {
    if (samples.length < 2) return 0;
    const [[then, before], [now, bytes]] = [samples[0], samples.at(-1)];
    return now - then < 1 ? 0 : Math.max(0, (bytes - before) / (now - then));
  }

  function left() {
    if (!speed()) return "";
    const minutes = (file.size - sent) / speed() / 60;
    if (minutes < 1) return ", less than a minute left";
    return minutes < 100 ? `, about ${Math.ceil(minutes)} min left` : `, about ${Math.round(minutes / 60)} h left`;
  }

  // 12 KiB, 300 MiB, 2.1 GiB; and 120 of 300 MiB, as formats.file_size and formats.arrived say it.
  function amount(bytes, whole) {
    const [unit, name] = [[2 ** 30, "GiB"], [2 ** 20, "MiB"], [2 ** 10, "KiB"]].find(([size]) => (whole ?? bytes) >= size) ?? [1, "bytes"];
    const short = (value) => (value >= 100 ? value.toFixed(0) : value.toFixed(1).replace(/\.0$/, ""));
    return (whole ? `${short(bytes / unit)} of ${short(whole / unit)}` : short(bytes / unit)) + ` ${name}`;
  }

  function seconds() {
    return performance.now() / 1000;
  }
}
