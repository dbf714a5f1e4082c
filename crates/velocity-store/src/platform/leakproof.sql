-- Row-level security keeps conditions with functions that are not marked leakproof from using an index, and Postgres
-- marks these few only out of caution: none of them can fail or tell anything about a value but its comparison.
-- Needs a superuser; without one, conditions on these types are filtered after the row policy instead.
alter function pg_catalog.numeric_eq(numeric, numeric) leakproof;
alter function pg_catalog.numeric_ne(numeric, numeric) leakproof;
alter function pg_catalog.numeric_lt(numeric, numeric) leakproof;
alter function pg_catalog.numeric_le(numeric, numeric) leakproof;
alter function pg_catalog.numeric_gt(numeric, numeric) leakproof;
alter function pg_catalog.numeric_ge(numeric, numeric) leakproof;
alter function pg_catalog.jsonb_contains(jsonb, jsonb) leakproof;
alter function pg_catalog.arraycontains(anyarray, anyarray) leakproof;
alter function pg_catalog.arrayoverlap(anyarray, anyarray) leakproof;
-- Search: words of ours, which fail for no row that an index on them has; whether they are in a query; and patterns, which
-- fail only where they end within an escape, and none that the API sends does.
alter function platform.search_words(regconfig, text[]) leakproof;
alter function pg_catalog.ts_match_vq(tsvector, tsquery) leakproof;
alter function pg_catalog.texticlike(text, text) leakproof;
