/* How tables of rows look: the theme follows the page's own colours, numbers read alike everywhere. */
(function () {
  "use strict";
  var functions = (window.dashAgGridFunctions = window.dashAgGridFunctions || {});
  var components = (window.dashAgGridComponentFunctions = window.dashAgGridComponentFunctions || {});

  functions.archiverTheme = function (theme) {
    return theme.withParams({
      backgroundColor: "var(--panel)",
      foregroundColor: "var(--text)",
      accentColor: "var(--accent)",
      borderColor: "var(--line)",
      chromeBackgroundColor: "var(--panel)",
      headerBackgroundColor: "var(--panel)",
      headerTextColor: "var(--muted)",
      headerFontWeight: 600,
      headerFontSize: 12,
      fontFamily: "inherit",
      fontSize: 13,
      cellHorizontalPadding: 11,
      rowHoverColor: "var(--hover)",
      selectedRowBackgroundColor: "var(--selected)",
      columnBorder: false,
      wrapperBorder: false,
      wrapperBorderRadius: 0,
      oddRowBackgroundColor: "transparent",
      browserColorScheme: "inherit",
    });
  };

  /* As everywhere else: only what is counted has no digits behind the point, so that numbers stand below each other. */
  functions.metricText = function (value, counted) {
    if (value === null || value === undefined) return "–";
    if (typeof value !== "number") return String(value);
    if (value === 0) return "0";
    var size = Math.abs(value), whole = counted && Number.isInteger(value);
    if (whole && size >= 1e15) return String(value).replace("-", "−");
    if ((size >= 1e12 && !whole) || size < 0.0005) return value.toExponential(2).replace(/-/g, "−");
    var digits = whole ? 0 : size >= 10000 ? 0 : size >= 1000 ? 1 : size >= 10 ? 2 : 3;
    return value.toLocaleString("en-US", { minimumFractionDigits: digits, maximumFractionDigits: digits }).replace("-", "−");
  };

  /* The digits that a pip needs, the same for a whole number: prices stand below each other. */
  functions.priceText = function (value) {
    if (typeof value !== "number" || Math.abs(value) >= 10000) return functions.metricText(value);
    var size = Math.abs(value), digits = size < 20 ? 5 : size < 1000 ? 3 : 1;
    return value.toLocaleString("en-US", { minimumFractionDigits: digits, maximumFractionDigits: digits }).replace("-", "−");
  };

  /* Cents, as long as they are seen. */
  functions.moneyText = function (value) {
    var size = Math.abs(value);
    if (typeof value !== "number" || size < 0.005 || size >= 10000) return functions.metricText(value);
    return value.toLocaleString("en-US", { minimumFractionDigits: 2, maximumFractionDigits: 2 }).replace("-", "−");
  };

  /* How far up a list of percentiles a value is, 0 to 1. */
  function position(value, steps) {
    var last = steps.length - 1, at = 0;
    while (at < last && value >= steps[at + 1]) at += 1;
    if (at === last) return 1;
    var width = steps[at + 1] - steps[at];
    return Math.max(0, (at + (width > 0 ? Math.max(0, value - steps[at]) / width : 0)) / last);
  }

  /* Green above and red below zero where a metric has both; else one hue from its low to its high values. */
  functions.metricShade = function (value, below, above) {
    if (typeof value !== "number") return { backgroundColor: "transparent" };
    var both = below.length && above.length && above[above.length - 1] > 0;
    var name = !both ? "--accent" : value >= 0 ? "--good" : "--bad";
    var steps = value < 0 ? below : above, most = steps[steps.length - 1];
    // By rank, so that a few extremes leave shades for the others; by size too, so that the best are told apart.
    var share = most > 0 ? (position(Math.abs(value), steps) + Math.min(1, Math.abs(value) / most)) / 2 : 0;
    if (!both && value < 0) share = 1 - share;
    return { backgroundColor: "color-mix(in srgb, var(" + name + ") " + Math.round(share * 32) + "%, transparent)" };
  };

  /* When a row's run was saved; which run, where a pointer rests. */
  components.RunLink = function (props) {
    var row = props.data;
    if (!row) return null;
    return window.React.createElement("a", { href: row._run_href, tabIndex: -1, className: "quiet" }, row._age);
  };

  components.StrategyLink = function (props) {
    var row = props.data;
    if (!row) return window.React.createElement("span", { className: "bone inline" });
    return window.React.createElement("a", { href: row._href, tabIndex: -1 }, props.value);
  };
})();
