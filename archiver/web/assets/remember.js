/* What the table of strategies remembers: its columns for this browser, place and selection for this step of the history. */
(function () {
  "use strict";
  var KEY = "archiver-columns", NAME = "strategy_name", UNIVERSE = "universe", RUN = "run", FIXED = [NAME, UNIVERSE, RUN], MOST_WIDER = 1;
  var seen = new WeakSet(), added = null;

  function stored() {
    try {
      var found = JSON.parse(localStorage.getItem(KEY));
      return found && typeof found === "object" && !Array.isArray(found) ? found : {};
    } catch (_) { return {}; }
  }
  function store(change) {
    try { localStorage.setItem(KEY, JSON.stringify(Object.assign(stored(), change))); } catch (_) { /* a private window */ }
  }

  function here() { return window.archiverPage(location.href) === "strategies"; }
  function step() { return (history.state && history.state.table) || {}; }
  function note(change) {
    if (here()) history.replaceState(Object.assign({}, history.state, { table: Object.assign({}, step(), change) }), "");
  }

  function narrow() { return window.innerWidth < 760; }
  function besidePlot() { return window.innerWidth < 1400 && document.querySelector("#scatter:not(.shut):not(.large)") !== null; }
  function metrics(order) { return order.filter(function (id) { return FIXED.indexOf(id) < 0; }); }
  function order(grid) {
    return grid.getAllGridColumns().map(function (column) { return column.getColId(); })
      .filter(function (id) { return id.indexOf("ag-Grid-") !== 0; });
  }

  /* A phone, or a table beside the plot, has room for the name and two or three metrics; universe and run can wait behind them. */
  function arrange(grid) {
    var now = order(grid), state;
    if (narrow()) {
      now = [NAME].concat(metrics(now), RUN, UNIVERSE);
      state = [{ colId: "ag-Grid-SelectionColumn", width: 34 }].concat(now.map(function (id) { return { colId: id, width: id === NAME ? 144 : id === UNIVERSE ? 150 : 93 }; }));
    } else {
      var kept = stored(), widths = kept.widths || {};
      if (kept.order && kept.order.indexOf(RUN) >= 0 && String(metrics(kept.order)) === String(metrics(now))) now = kept.order;
      else now = besidePlot() ? [NAME].concat(metrics(now), RUN, UNIVERSE) : FIXED.concat(metrics(now));
      state = now.map(function (id) { return widths[id] ? { colId: id, width: widths[id] } : { colId: id }; });
    }
    grid.applyColumnState({ state: state, applyOrder: true });
    if (!narrow()) fill(grid);
  }

  /* On a wide screen columns take the room there is, but those that were given a width by hand. */
  function fill(grid) {
    var body = document.querySelector("#strategies-grid .ag-body-viewport"), given = stored().widths || {};
    var shown = grid.getAllDisplayedColumns(), taken = 0, free = 0;
    shown.forEach(function (column) {
      taken += column.getActualWidth();
      if (order(grid).indexOf(column.getColId()) >= 0 && !given[column.getColId()]) free += column.getActualWidth();
    });
    var room = body ? body.clientWidth - taken : 0;
    if (room < 1 || !free) return;
    var by = 1 + Math.min(room / free, MOST_WIDER);
    grid.applyColumnState({ state: shown.filter(function (column) { return order(grid).indexOf(column.getColId()) >= 0 && !given[column.getColId()]; })
      .map(function (column) { return { colId: column.getColId(), width: Math.floor(column.getActualWidth() * by) }; }) });
  }

  function watchColumns(grid, moved) {
    arrange(grid);
    grid.addEventListener("newColumnsLoaded", function () {
      arrange(grid);
      if (!added || !grid.getColumn(added)) return;
      var name = added;
      added = null;
      setTimeout(function () { grid.ensureColumnVisible(name); });
    });
    grid.addEventListener("columnMoved", function (event) {
      if (!event.finished || event.source !== "uiColumnMoved" || narrow()) return;
      store({ order: order(grid), columns: metrics(order(grid)) });
      moved(metrics(order(grid)));
    });
    grid.addEventListener("columnResized", function (event) {
      if (!event.finished || !/^(ui|autosize)/.test(event.source) || narrow()) return;
      var widths = Object.assign({}, stored().widths);
      (event.columns || []).forEach(function (column) { widths[column.getColId()] = Math.round(column.getActualWidth()); });
      store({ widths: widths });
    });
  }

  function compare() {
    var link = document.getElementById("compare-selected");
    if (!link) return;
    var ids = step().selected || [], ok = ids.length >= 1 && ids.length <= 10, parts = new URLSearchParams();
    ids.slice(0, 10).forEach(function (id) { parts.append("strategy", id); });
    window.dash_clientside.set_props("compare-selected", {
      href: ok ? "compare?" + parts : "compare",
      children: ids.length ? "Compare " + ids.length + (ids.length > 10 ? " (at most 10)" : "") : "Compare",
      className: ok ? "button primary" : "button off",
    });
    var some = ids.length >= 2 && ids.length <= 50, all = new URLSearchParams();
    ids.slice(0, 50).forEach(function (id) { all.append("strategy", id); });
    window.dash_clientside.set_props("portfolio-selected", {
      href: some ? "portfolio?" + all : "portfolio",
      children: some ? "Portfolio " + ids.length : "Portfolio",
    });
  }

  /* Rows come page by page: one that was ticked is ticked again when it comes, and counts until then. */
  function watchSelection(grid) {
    function tick() {
      var ids = step().selected || [];
      if (ids.length) grid.forEachNode(function (node) {
        if (node.data && ids.indexOf(node.id) >= 0 && !node.isSelected()) node.setSelected(true);
      });
    }
    function count() {
      if (!here()) return;
      var ids = (step().selected || []).slice();
      grid.forEachNode(function (node) {
        var at = ids.indexOf(node.id);
        if (!node.data || node.isSelected() === at >= 0) return;
        if (at >= 0) ids.splice(at, 1); else ids.push(node.id);
      });
      note({ selected: ids });
      compare();
    }
    grid.addEventListener("modelUpdated", tick);
    grid.addEventListener("selectionChanged", count);
    // Rows may have come, and been ticked, before anybody watched.
    tick();
    count();
  }

  function watchPlace(grid) {
    var wanted = step().row || 0;
    grid.addEventListener("modelUpdated", function () {
      if (!wanted || !grid.isLastRowIndexKnown()) return;
      if (grid.getDisplayedRowCount() > wanted) grid.ensureIndexVisible(wanted, "top");
      wanted = 0;
    });
    grid.addEventListener("bodyScrollEnd", function () {
      if (!wanted) note({ row: Math.round(grid.getVerticalPixelRange().top / grid.getGridOption("rowHeight")) });
    });
  }

  window.archiverRemember = {
    arrange: arrange,
    columns: function (chosen) { store({ columns: chosen }); },
    /* A column that was asked for is brought into sight when it comes. */
    show: function (name) { added = name; },
    forget: function () { try { localStorage.removeItem(KEY); } catch (_) { /* nothing was kept */ } },
    restart: function () { note({ row: 0, selected: [] }); compare(); },
    watch: function (grid, moved) {
      if (seen.has(grid)) return;
      seen.add(grid);
      if (narrow()) grid.setGridOption("rowHeight", 50);
      watchColumns(grid, moved);
      watchSelection(grid);
      watchPlace(grid);
      compare();
    },
    /* Columns chosen once come back where an address names none. */
    address: function (text) {
      var there = new URL(text, location.href), kept = stored().columns || [];
      if (window.archiverPage(text) === "strategies" && kept.length && !there.searchParams.has("columns")) {
        there.searchParams.set("columns", kept.join(","));
      }
      return there.pathname + there.search + there.hash;
    },
  };
  window.addEventListener("DOMContentLoaded", function () {
    if (here()) history.replaceState(history.state, "", window.archiverRemember.address(location.href));
  });
})();
