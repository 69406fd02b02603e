/* Parameters: what is drawn and what is chosen stand in the URL; another metric or selection is another page. */
(function () {
  "use strict";
  var none = function () { return window.dash_clientside.no_update; };
  var NAMES = ["universe", "run", "newest", "where", "metric", "x", "y", "how", "hold", "at", "pick", "sort"];
  var USUAL = { newest: "strategy", how: "mean", sort: "plateau", at: "0" };
  var asked = null, focused = null;

  function here() { return window.archiverPage(location.href) === "parameters"; }

  function address(ask) {
    var parts = new URLSearchParams();
    NAMES.forEach(function (name) {
      var text = ask[name] === undefined || ask[name] === null ? "" : String(ask[name]);
      if (text && text !== USUAL[name] && (name !== "at" || ask.hold)) parts.set(name, text);
    });
    return "parameters" + (String(parts) ? "?" + parts : "");
  }

  function tell(ask) {
    asked = ask;
    history.replaceState(history.state, "", address(ask));
  }

  function go(ask) {
    history.pushState({}, "", address(ask));
    window.dispatchEvent(new PopStateEvent("popstate"));
  }

  function pick(text) {
    if (!asked || text === undefined || text === null || text === "") return;
    var next = Object.assign({}, asked, { pick: asked.pick === text ? "" : text });
    tell(next);
    window.dash_clientside.set_props("params-ask", { data: next });
  }

  /* Cells are links: a click or a key chooses one without loading everything anew; arrows go from cell to cell. */
  document.addEventListener("click", function (event) {
    var cell = event.target.closest("table.heat a[data-pick]");
    if (!cell) return;
    event.preventDefault();
    focused = cell.dataset.pick; // the map is drawn anew: what had the focus has it again
    pick(focused);
  }, true);

  document.addEventListener("keydown", function (event) {
    var cell = event.target.closest && event.target.closest("table.heat a[data-pick]");
    if (!cell) return;
    if (event.key === " ") { event.preventDefault(); cell.click(); return; }
    var step = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }[event.key];
    if (!step) return;
    event.preventDefault();
    var row = cell.closest("tr"), at = cell.closest("td").cellIndex;
    do {
      if (step[0]) row = step[0] < 0 ? row.previousElementSibling : row.nextElementSibling;
      at += step[1];
      var near = row && row.cells[at] && row.cells[at].querySelector("a");
      if (near) { cell.tabIndex = -1; near.tabIndex = 0; near.focus(); return; }
    } while (row && row.cells[at]);
  });

  /* One cell of the map can be reached by Tab: the one that is chosen, else the best, else the first. */
  new MutationObserver(function () {
    var table = document.querySelector("table.heat");
    if (!table || table.querySelector("a[tabindex='0']")) return;
    var before = focused && Array.from(table.querySelectorAll("a")).find(function (one) { return one.dataset.pick === focused; });
    if (before && document.activeElement === document.body) { before.tabIndex = 0; before.focus({ preventScroll: true }); return; }
    var cell = table.querySelector("td.on a") || table.querySelector("td.best a") || table.querySelector("a");
    if (cell) cell.tabIndex = 0;
  }).observe(document.documentElement, { childList: true, subtree: true });

  window.dash_clientside.parameters = {
    go: function (universe, newest, metric, where, shown) {
      if (!here() || !shown) return none();
      var next = { run: shown.run, universe: universe || "", newest: newest || "", where: where || "" };
      next.metric = metric === shown.shown ? shown.metric : metric;
      if (["universe", "newest", "where", "metric"].every(function (name) { return next[name] === shown[name]; })) return none();
      var now = new URLSearchParams(location.search);
      ["x", "y", "how", "hold", "at", "sort"].forEach(function (name) { next[name] = now.get(name); });
      go(next);
      return none();
    },

    /* What is drawn came with the page: a click needs to know it. */
    shown: function (ask) { asked = ask; return none(); },

    ask: function (x, y, how, hold, at, ask) {
      if (!here() || !ask) return [none(), none(), none()];
      var next = Object.assign({}, ask, { x: x, y: y, how: how, hold: hold || "", at: Number(at) || 0 });
      if (asked) { next.pick = asked.pick; next.sort = asked.sort; }
      var swapped = x === y;
      if (swapped) { // the one that was there takes the other's place
        if (x !== ask.x) { next.y = ask.x; window.dash_clientside.set_props("params-y", { value: ask.x }); }
        else { next.x = ask.y; window.dash_clientside.set_props("params-x", { value: ask.y }); }
      }
      if (next.hold !== ask.hold) { next.at = 0; window.dash_clientside.set_props("params-at", { value: 0 }); }
      var most = Math.max(0, (ask.sizes[next.hold] || 1) - 1);
      if (next.x !== ask.x || next.y !== ask.y) next.pick = "";
      tell(next);
      return [next, most, !next.hold];
    },

    picked: function () {
      var seen = window.dash_clientside.callback_context.triggered[0];
      var point = seen && seen.value && seen.value.points && seen.value.points[0];
      if (point && point.customdata) pick([].concat(point.customdata)[0]);
      return none();
    },
  };
})();
