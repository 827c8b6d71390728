// What pages cannot do without a script. Each works without it, too, only less quickly.
"use strict";

// a button or a list is reached by the key that it names
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.altKey || event.metaKey || /^(INPUT|TEXTAREA|SELECT)$/.test(event.target.tagName)) return;
  const named = document.querySelector(`[data-key="${CSS.escape(event.key)}"]`);
  if (!named) return;
  event.preventDefault();
  if (named.tagName === "BUTTON") named.click();
  else named.focus();
});
