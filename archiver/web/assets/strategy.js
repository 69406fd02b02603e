/* Strategy: the trade that is looked at stands in the URL. */
(function () {
  "use strict";
  window.dash_clientside.strategy = {
    trade: function (cell) {
      if (!cell || cell.rowId === undefined || window.archiverPage(location.href) !== "strategy") return window.dash_clientside.no_update;
      var here = new URLSearchParams(location.search);
      here.set("trade", cell.rowId);
      history.replaceState(history.state, "", "strategy?" + here);
      return Number(cell.rowId);
    },
  };
})();
