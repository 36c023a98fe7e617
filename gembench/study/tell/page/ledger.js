(function () {
  // Chips that show the ledger's rows by verdict and by evidence; without this script every row is shown.
  var bar = document.getElementById("filters");
  var rows = Array.prototype.slice.call(document.querySelectorAll("#ledger tr[data-verdict]"));
  if (!bar || !rows.length) { return; }
  var chosen = { verdict: {}, evidence: {} };
  var count = bar.querySelector("output");
  function shown(row) {
    return ["verdict", "evidence"].every(function (kind) {
      var wanted = Object.keys(chosen[kind]);
      return !wanted.length || wanted.indexOf(row.dataset[kind]) >= 0;
    });
  }
  function apply() {
    var left = 0;
    rows.forEach(function (row) { row.hidden = !shown(row); left += row.hidden ? 0 : 1; });
    count.textContent = left + " of " + rows.length + " statements";
  }
  bar.addEventListener("click", function (event) {
    var chip = event.target.closest("button");
    if (!chip) { return; }
    if (chip.dataset.all !== undefined) {
      chosen = { verdict: {}, evidence: {} };
      bar.querySelectorAll("button").forEach(function (each) { each.setAttribute("aria-pressed", "false"); });
    } else {
      var pressed = chip.getAttribute("aria-pressed") !== "true";
      chip.setAttribute("aria-pressed", String(pressed));
      if (pressed) { chosen[chip.dataset.kind][chip.dataset.value] = true; }
      else { delete chosen[chip.dataset.kind][chip.dataset.value]; }
    }
    apply();
  });
  function reveal() {
    var row = document.getElementById(location.hash.slice(1));
    if (row && row.hidden) { row.hidden = false; row.scrollIntoView(); }
  }
  window.addEventListener("hashchange", reveal);
  bar.hidden = false;
  apply();
})();
