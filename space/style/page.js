// What the page does without asking the server: switching between reading and editing, showing both ends of what was
// copied, word scores beside the pointer, telling screen readers that a summary has come. Texts that come from outside
// are set as text, never as markup. One listener each serves all elements, and outlives every new result.
const summariser = (() => {
  const find = (selector) => document.querySelector(selector);
  const textarea = () => find("#article-in textarea");
  const narrow = () => window.innerWidth <= 760;
  let asked = ""; // "asked" and then "busy" until a summary that was asked for is announced
  let belongs = null; // the article that the reference was written for; null: the one that is shown
  let openPiece = null; // letter of the piece whose sentence is shown

  // --- Reading and editing ---

  function state(name) {
    find("#tool").dataset.state = name;
    find("#read").setAttribute("aria-pressed", name === "read");
    find("#edit").setAttribute("aria-pressed", name === "edit");
  }

  function edit(selectAll) {
    state("edit");
    textarea().focus();
    if (selectAll) textarea().select();
  }

  function read() {
    state("read");
  }

  function layer(name) {
    find("#tool").dataset.layer = name;
    find("#show-copied").setAttribute("aria-pressed", name === "copied");
    find("#show-influence").setAttribute("aria-pressed", name === "influence");
    find("#show-strike").setAttribute("aria-pressed", name === "strike");
    if (name === "strike") read();
    ticks();
    tints();
  }

  function asks() {
    asked = "asked";
    belongs = null;
    read();
    if (narrow()) find("#side").scrollIntoView({ behavior: calm() ? "auto" : "smooth" });
  }

  const calm = () => window.matchMedia("(prefers-reduced-motion: reduce)").matches;

  // A reference belongs to its article: another article clears it. Another one shares less than half of its words.
  function typed(article, reference) {
    const before = belongs ?? find("#article .article")?.textContent ?? "";
    return reference && another(before, article) ? "" : reference;
  }

  function another(before, now) {
    const words = (text) => new Set(text.toLowerCase().split(/\s+/).filter(Boolean));
    const [old, fresh] = [words(before), words(now)];
    const shared = [...fresh].filter((word) => old.has(word)).length;
    return shared < 0.5 * Math.max(Math.min(old.size, fresh.size), 1);
  }

  function referenced() {
    belongs = textarea().value;
  }

  // --- The copied-from map ---

  function pieces(letter) {
    return [...document.querySelectorAll("#summary mark.piece, #article mark.piece")].filter((one) =>
      one.dataset.piece.split(" ").includes(letter),
    );
  }

  function light(letter) {
    for (const one of document.querySelectorAll("mark.lit")) one.classList.remove("lit");
    if (letter) for (const one of pieces(letter)) one.classList.add("lit");
  }

  function open(letter, jump) {
    openPiece = letter;
    const from = find("#summary .from");
    for (const button of document.querySelectorAll("#summary [data-do=piece]")) {
      const mine = button.dataset.piece === letter;
      button.setAttribute("aria-expanded", mine);
      if (mine && from) from.textContent = `${letter}: “${button.dataset.sentence}”`;
    }
    if (from) from.hidden = !letter;
    light(letter);
    if (letter && jump && !narrow()) {
      read();
      const there = pieces(letter).find((one) => one.closest("#article"));
      there?.scrollIntoView({ block: "center", behavior: calm() ? "auto" : "smooth" });
    }
  }

  const letterAt = (target) =>
    (target.closest?.("#summary mark.piece, #article mark.piece") ?? target.closest?.("[data-do=piece]"))?.dataset.piece.split(" ")[0] ?? null;

  // --- Sentences that are struck out ---

  let ticked = new Set(); // numbers of sentences
  let tickedOf = ""; // the article that they are of
  let asksWithout = [[], []]; // numbers of the sentences and the words that are asked about
  let awaited = ""; // "asked" and then "seen" until the answer to what was struck out is announced

  const lineThrough = new CSSStyleSheet();
  lineThrough.replaceSync("::highlight(struck) { text-decoration: line-through 2px; }");
  document.adoptedStyleSheets.push(lineThrough);

  // The boxes are new with every answer; what was ticked stays as long as the article is the same.
  function ticks() {
    const article = find("#article .article");
    const boxes = [...(article?.querySelectorAll(".strike") ?? [])];
    if (article && article.textContent !== tickedOf) {
      tickedOf = article.textContent;
      ticked = new Set();
    }
    const ranges = [];
    boxes.forEach((box, i) => {
      box.checked = ticked.has(Number(box.dataset.sentence));
      if (!box.checked) return;
      const range = new Range();
      range.setStartAfter(box);
      const next = boxes[i + 1] ?? article.querySelector(".unread");
      if (next) range.setEndBefore(next);
      else range.setEndAfter(article.lastChild);
      ranges.push(range);
    });
    const striking = find("#tool").dataset.layer === "strike";
    if (window.Highlight) CSS.highlights.set("struck", new Highlight(...(striking ? ranges : [])));
    const button = find("#strike-out button");
    const count = `${ticked.size} sentence${ticked.size === 1 ? "" : "s"}`;
    if (button && button.lastElementChild.textContent !== count) button.lastElementChild.textContent = count;
    if (button) button.hidden = !ticked.size;
  }

  function strike(sentences, words) {
    asksWithout = [sentences, words];
    awaited = "asked";
    find("#ask-without").click();
  }

  // The answer stands beside or above the article: it is brought into view and read out.
  function answered() {
    const answer = find("#again .card, #again .notice");
    if (!awaited || !answer) return;
    const busy = answer.matches(".busy");
    if (awaited === "asked" && (busy || answer.matches(".problem"))) {
      awaited = "seen";
      answer.scrollIntoView({ block: "center", behavior: calm() ? "auto" : "smooth" });
    }
    if (awaited !== "seen" || busy) return;
    awaited = "";
    say(answer.dataset.says ?? answer.textContent);
    answer.scrollIntoView({ block: "nearest", behavior: calm() ? "auto" : "smooth" });
  }

  // --- Scores beside words ---

  function tip() {
    let one = find(".tip");
    if (!one) {
      one = document.createElement("div");
      one.className = "tip";
      one.hidden = true;
      document.body.appendChild(one);
    }
    return one;
  }

  function point(word) {
    const one = tip();
    one.hidden = !word || find("#tool").dataset.layer !== "influence";
    if (one.hidden) return;
    one.textContent = word.dataset.nats + word.closest(".article").dataset.unit;
    const box = word.getClientRects()[0];
    const left = box.left + box.width / 2 - one.offsetWidth / 2;
    const most = document.documentElement.clientWidth - one.offsetWidth - 8;
    one.style.left = `${Math.max(8, Math.min(left, most)) + window.scrollX}px`;
    one.style.top = `${box.top + window.scrollY - one.offsetHeight - 6}px`;
  }

  // --- Which of the compared methods tints the article ---

  let method = ""; // its name, as asked for last

  function tints() {
    const by = find("#tool").dataset.layer === "influence" ? find("#article .article")?.dataset.by : null;
    for (const button of document.querySelectorAll("#methods [data-do=tint]")) {
      button.setAttribute("aria-pressed", button.dataset.method === by);
    }
  }

  function tint(button) {
    method = button.dataset.method;
    layer("influence");
    read();
    find("#ask-tint").click();
  }

  // --- Buttons inside what the server sends ---

  async function copied(text, button) {
    try {
      await navigator.clipboard.writeText(text);
    } catch {
      const field = document.createElement("textarea"); // without https there is no clipboard to write to
      field.value = text;
      document.body.appendChild(field);
      field.select();
      document.execCommand("copy");
      field.remove();
      button.focus();
    }
    say("Copied.");
    button.classList.add("done");
    setTimeout(() => button.classList.remove("done"), 1500);
  }

  // --- Taking a result away ---

  const MOST_IN_LINK = 8000; // characters of an address that every browser and mail program keeps
  let clicked = null; // number of the summary's word that is asked about

  async function packed(text) {
    const stream = new Blob([text]).stream().pipeThrough(new CompressionStream("deflate-raw"));
    const bytes = new Uint8Array(await new Response(stream).arrayBuffer());
    const letters = Array.from(bytes, (byte) => String.fromCharCode(byte)).join("");
    return btoa(letters).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
  }

  async function unpacked(text) {
    const letters = atob(text.replaceAll("-", "+").replaceAll("_", "/"));
    const bytes = Uint8Array.from(letters, (letter) => letter.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate-raw"));
    return new Response(stream).text();
  }

  // The fragment holds the fields' values: article, reference, steps, whether the settings are the model's own, and
  // the settings. Browsers send no fragment to a server.
  async function link([article, reference, ...settings]) {
    const address = location.href.split("#")[0];
    let whole = `${address}#s=${await packed(JSON.stringify([article, reference, ...settings]))}`;
    const fits = whole.length <= MOST_IN_LINK;
    if (!fits) whole = `${address}#s=${await packed(JSON.stringify([null, null, ...settings]))}`;
    await copied(whole, find("[data-do=link]"));
    say(fits ? "Link copied." : "The text is too long for a link: it brings the settings only.");
  }

  async function fromLink(values) {
    const found = location.hash.match(/^#s=([\w-]+)$/);
    if (!found) return values;
    try {
      const brought = JSON.parse(await unpacked(found[1]));
      const alike = values.every((value, i) => brought[i] === null || typeof brought[i] === typeof value);
      return alike ? values.map((value, i) => brought[i] ?? value) : values;
    } catch {
      return values; // the link was cut: the page opens as ever
    }
  }

  function save(text, name) {
    if (!text) return;
    const anchor = document.createElement("a");
    anchor.href = URL.createObjectURL(new Blob([text], { type: name.endsWith("html") ? "text/html" : "application/json" }));
    anchor.download = name;
    anchor.click();
    setTimeout(() => URL.revokeObjectURL(anchor.href), 10000);
  }

  const actions = {
    run: () => find("#run").click(),
    anyway: () => find("#anyway").click(),
    strip: () => find("#strip").click(),
    link: () => find("#copy-link").click(),
    html: () => find("#save-html").click(),
    json: () => find("#save-json").click(),
    word: (word) => {
      clicked = Number(word.dataset.word);
      for (const one of document.querySelectorAll("#summary .sw")) one.classList.toggle("asked", one.dataset.word === word.dataset.word);
      open(letterAt(word), false);
      layer("influence");
      read();
      find("#ask-word").click();
    },
    strike: () => strike([...ticked], []),
    without: (button) => strike([], button.dataset.words.split(",").map(Number)),
    copy: (button) => copied(find("#summary .summary").textContent, button),
    tint,
    piece: (button) => open(openPiece === button.dataset.piece ? null : button.dataset.piece, true),
  };

  // --- Telling what happens ---

  function say(text) {
    find("#live").textContent = text;
  }

  function changed() {
    ticks();
    tints();
    answered();
    for (const time of document.querySelectorAll("#status time:not([data-local])")) {
      const when = new Date(time.dateTime);
      time.dataset.local = "";
      time.textContent = when.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
    }
    const busy = find("#progress .busy");
    if (asked && busy) asked = "busy";
    const problem = find(".notice[role=alert]");
    const summary = find("#summary .summary");
    if (asked !== "busy" || busy || !(summary || problem)) return;
    asked = "";
    if (problem && find("#article-error .notice")) edit(false);
    const warnings = [...document.querySelectorAll("#summary .warnings li")].map((one) => one.textContent);
    say(problem ? problem.textContent : `Summary: ${summary.textContent} ${warnings.join(" ")}`);
  }

  // --- Listening ---

  function start() {
    state("read");
    layer("copied");
    new MutationObserver(changed).observe(find("#tool").parentElement, { childList: true, subtree: true });
  }

  document.addEventListener("pointerover", (event) => {
    point(event.target.closest?.("#article .w"));
    light(letterAt(event.target) ?? openPiece);
  });
  document.addEventListener("focusin", (event) => light(letterAt(event.target) ?? openPiece));
  document.addEventListener("click", (event) => {
    const button = event.target.closest?.("[data-do]");
    if (button) return actions[button.dataset.do]?.(button);
    if (event.target.closest?.("#run, #anyway, #strip, .example")) return asks();
  });
  document.addEventListener("keydown", (event) => {
    const word = event.target.closest?.("#summary .sw");
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (word && step) {
      const words = [...document.querySelectorAll("#summary .sw")];
      words[words.indexOf(word) + step]?.focus();
      event.preventDefault();
    }
    if (word && (event.key === "Enter" || event.key === " ")) {
      event.preventDefault();
      if (!event.ctrlKey && !event.metaKey) actions.word(word);
    }
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
      event.preventDefault();
      find("#run").click();
    }
  });
  document.addEventListener("change", (event) => {
    const box = event.target.closest?.("#article .strike");
    if (!box) return;
    ticked[box.checked ? "add" : "delete"](Number(box.dataset.sentence));
    ticks();
  });
  let changing; // a text that is being typed is looked at when the hand rests
  document.addEventListener("input", (event) => {
    const asks = { "article-in": "#look", "reference-in": "#weigh" }[event.target.closest?.("#article-in, #reference-in")?.id];
    if (!asks) return;
    clearTimeout(changing);
    changing = setTimeout(() => find(asks).click(), 200);
  });
  const ready = setInterval(() => {
    if (!find("#tool") || !find("#read") || !textarea()) return;
    clearInterval(ready);
    start();
  }, 50);

  return { edit, read, layer, typed, referenced, link, fromLink, save, word: () => clicked, struck: () => asksWithout, tinted: () => method };
})();
window.summariser = summariser;
