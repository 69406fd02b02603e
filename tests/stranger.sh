#!/bin/bash
# Reads a bundle with nothing of ours: tar, zstd, sha256sum and duckdb. Prints facts, tab-separated.
set -euo pipefail
bundle=$1
work=$(mktemp -d "${TMPDIR:-/tmp}/stranger.XXXXXX")
trap 'rm -rf "$work"' EXIT

duck() { # the duckdb shell, or its Python package where that is what is installed
    if command -v duckdb >/dev/null; then
        duckdb -noheader -list -c "$1"
    else
        "${DUCKDB_PYTHON:-python3}" -I -c 'import duckdb, sys
for row in duckdb.sql(sys.argv[1]).fetchall():
    print(*row, sep="|")' "$1"
    fi
}

zstd -tq "$bundle"
tar --zstd -xf "$bundle" -C "$work"
cd "$work"
grep -q "This is a bundle of archiver" README.txt
sha256sum -c --quiet SHA256SUMS
duck "select printf('%s  %s', m.sha256, m.key) from (select unnest(members) as m from 'manifest.json')" >sums
sha256sum -c --quiet sums
printf 'runs\t%s\n' "$(duck "select len(runs) from 'manifest.json'")"
if [ -d tier1 ]; then # small runs have their metrics in the record
    printf 'rows in tier1\t%s\n' "$(duck "select count(*) from read_parquet('tier1/*/*.parquet')")"
    printf 'best sharpe_ratio\t%s\n' "$(duck "
        select max(x) from (select try_cast(sharpe_ratio as double) as x
        from read_parquet('tier1/*/*.parquet', union_by_name=true)) where not isnan(x)")"
fi
for record in runs/*.json.zst; do zstd -dcq "$record" >"${record%.zst}"; done
printf 'details\t%s\n' "$(duck "select sum(len(details.strategy)) from read_json('runs/*.json', union_by_name=true)")"
file=$(duck "
    select '\"' || f[3] || '\"' from (select unnest(code.files) as f from read_json('runs/*.json', union_by_name=true))
    where trim(f[1]::varchar, '\"') = 'strategy.py' limit 1" | tr -d '"')
if [ -n "$file" ]; then printf 'strategy.py\t%s\n' "$(zstd -dcq "code/${file:0:2}/$file.zst")"; fi
