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
      rowHoverColor: "var(--hover)",
      selectedRowBackgroundColor: "var(--selected)",
      columnBorder: false,
      wrapperBorder: false,
      wrapperBorderRadius: 0,
      oddRowBackgroundColor: "transparent",
      browserColorScheme: "inherit",
    });
  };

  functions.metricText = function (value) {
    if (value === null || value === undefined) return "–";
    if (typeof value !== "number") return String(value);
    if (value === 0) return "0";
    var size = Math.abs(value);
    if (size >= 1e12 || size < 0.0005) return value.toExponential(2).replace("-", "−");
    var digits = Number.isInteger(value) ? 0 : size >= 10000 ? 0 : size >= 1000 ? 1 : size >= 10 ? 2 : 3;
    return value.toLocaleString("en-US", { minimumFractionDigits: digits, maximumFractionDigits: digits }).replace("-", "−");
  };

  /* The digits that a pip needs. */
  functions.priceText = function (value) {
    if (typeof value !== "number" || Math.abs(value) >= 20) return functions.metricText(value);
    return value.toFixed(5).replace("-", "−");
  };

  /* Cents, as long as they are seen. */
  functions.moneyText = function (value) {
    var size = Math.abs(value);
    if (typeof value !== "number" || size < 0.005 || size >= 10000) return functions.metricText(value);
    return value.toLocaleString("en-US", { minimumFractionDigits: 2, maximumFractionDigits: 2 }).replace("-", "−");
  };

  /* Green above and red below zero where a metric has both; else one hue from its low to its high values. */
  functions.metricShade = function (value, low, high) {
    if (typeof value !== "number") return { backgroundColor: "transparent" };
    var name, share;
    if (low < 0 && high > 0) {
      name = value >= 0 ? "--good" : "--bad";
      share = Math.min(1, Math.abs(value) / Math.max(high, -low));
    } else {
      name = "--accent";
      share = high > low ? Math.max(0, Math.min(1, (value - low) / (high - low))) : 0;
    }
    return { backgroundColor: "color-mix(in srgb, var(" + name + ") " + Math.round(share * 26) + "%, transparent)" };
  };

  components.StrategyLink = function (props) {
    var row = props.data;
    if (!row) return window.React.createElement("span", { className: "bone inline" });
    return window.React.createElement("a", { href: row._href, tabIndex: -1 }, props.value);
  };
})();
