// Shows what a word did, in nats, beside the word that is pointed at or tapped. The text comes from data-nats and is
// set as text, never as markup. One listener serves all words, and outlives every new explanation.
const tip = document.createElement("div");
tip.className = "tip";
tip.hidden = true;
document.body.appendChild(tip);

function show(word) {
  tip.textContent = `${word.dataset.nats} nats`;
  tip.hidden = false;
  const box = word.getClientRects()[0];
  const left = box.left + box.width / 2 - tip.offsetWidth / 2;
  const most = document.documentElement.clientWidth - tip.offsetWidth - 8;
  tip.style.left = `${Math.max(8, Math.min(left, most)) + window.scrollX}px`;
  tip.style.top = `${box.top + window.scrollY - tip.offsetHeight - 6}px`;
}

element.addEventListener("pointerover", (event) => {
  const word = event.target.closest(".w");
  if (word) show(word);
  else tip.hidden = true;
});
element.addEventListener("pointerleave", () => (tip.hidden = true));
