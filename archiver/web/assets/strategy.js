/* Strategy: the trade that is looked at, and how the curve is drawn, stand in the URL. */
(function () {
  "use strict";
  function note(name, value) {
    var here = new URLSearchParams(location.search);
    here.set(name, value);
    history.replaceState(history.state, "", "strategy?" + here);
  }
  window.dash_clientside.strategy = {
    switched: function (chosen) {
      if (chosen && window.archiverPage(location.href) === "strategy") note("curve", chosen.join(",") || "values");
      return window.dash_clientside.no_update;
    },
    trade: function (cell) {
      if (!cell || cell.rowId === undefined || window.archiverPage(location.href) !== "strategy") return window.dash_clientside.no_update;
      note("trade", cell.rowId);
      return Number(cell.rowId);
    },
  };
})();
