/* Strategy: the trade that is looked at, and how the curve is drawn, stand in the URL. */
(function () {
  "use strict";
  function note(name, value) {
    var here = new URLSearchParams(location.search);
    here.set(name, value);
    history.replaceState(history.state, "", "strategy?" + here);
  }
  window.dash_clientside.strategy = {
    switched: function () {
      var names = ["percent", "log", "benchmark"], chosen = (arguments[names.length] || []).slice();
      var name = String(window.dash_clientside.callback_context.triggered_id || "").replace("equity-", "");
      if (names.indexOf(name) < 0) return names.concat("").map(function () { return window.dash_clientside.no_update; });
      chosen = chosen.indexOf(name) < 0 ? chosen.concat(name) : chosen.filter(function (one) { return one !== name; });
      if (window.archiverPage(location.href) === "strategy") note("curve", chosen.join(",") || "values");
      return [chosen].concat(names.map(function (one) { return String(chosen.indexOf(one) >= 0); }));
    },
    viewed: function (moved, view) {
      var left = (moved || {})["xaxis.range[0]"], right = (moved || {})["xaxis.range[1]"], there = left !== undefined && right !== undefined;
      if (!view || !view.thinned || !(there || (moved || {})["xaxis.autorange"])) return window.dash_clientside.no_update;
      return { thinned: true, ends: there ? [left, right] : null };
    },
    trade: function (cell) {
      if (!cell || cell.rowId === undefined || window.archiverPage(location.href) !== "strategy") return window.dash_clientside.no_update;
      note("trade", cell.rowId);
      return Number(cell.rowId);
    },
  };
})();
