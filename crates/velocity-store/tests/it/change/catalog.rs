//! What the catalog shows of a Postgres schema, as text that does not depend on how it came about.

use tokio_postgres::Client;

/// One line a thing, sorted; trash is left out, and so are the positions of columns.
const LINES: &str = r#"
with relations as (
  select c.* from pg_class c join pg_namespace n on n.oid = c.relnamespace where n.nspname = $1
), tables as (select * from relations where relkind in ('r', 'p'))
select line from (
  select format('table %s: %s row security %s %s, options %s, part of %s %s, comment %s', relname, relkind, relrowsecurity, relforcerowsecurity, reloptions,
    (select i.inhparent::regclass from pg_inherits i where i.inhrelid = t.oid), pg_get_expr(relpartbound, oid), obj_description(oid, 'pg_class'))
  from tables t
  union all
  select format('column %s.%s: %s collate %s, not null %s, default %s, identity %s, generated %s, comment %s', t.relname, a.attname, format_type(a.atttypid, a.atttypmod),
    (select collname from pg_collation l where l.oid = a.attcollation), a.attnotnull, pg_get_expr(d.adbin, d.adrelid), a.attidentity, a.attgenerated, col_description(t.oid, a.attnum))
  from tables t join pg_attribute a on a.attrelid = t.oid and a.attnum > 0 and not a.attisdropped
  left join pg_attrdef d on d.adrelid = t.oid and d.adnum = a.attnum
  where a.attname not like '\_trash%'
  union all
  select format('constraint %s.%s: %s, valid %s, deferrable %s, comment %s', t.relname, k.conname, pg_get_constraintdef(k.oid), k.convalidated, k.condeferrable, obj_description(k.oid, 'pg_constraint'))
  from tables t join pg_constraint k on k.conrelid = t.oid where k.contype <> 'n'
  union all
  select format('index %s: %s, valid %s %s, comment %s', i.relname, pg_get_indexdef(i.oid), x.indisvalid, x.indisready, obj_description(i.oid, 'pg_class'))
  from tables t join pg_index x on x.indrelid = t.oid join pg_class i on i.oid = x.indexrelid
  union all
  select format('trigger %s: %s, enabled %s, comment %s', g.tgname, pg_get_triggerdef(g.oid), g.tgenabled, obj_description(g.oid, 'pg_trigger'))
  from tables t join pg_trigger g on g.tgrelid = t.oid where not g.tgisinternal
  union all
  select format('policy %s.%s: %s %s %s using %s check %s, comment %s', t.relname, p.polname, p.polcmd, p.polpermissive, p.polroles::regrole[], pg_get_expr(p.polqual, p.polrelid),
    pg_get_expr(p.polwithcheck, p.polrelid), obj_description(p.oid, 'pg_policy'))
  from tables t join pg_policy p on p.polrelid = t.oid
  union all
  select format('right on %s: %s %s %s', r.relname, e.grantee::regrole, e.privilege_type, e.is_grantable)
  from relations r cross join aclexplode(r.relacl) e where e.grantee <> r.relowner
  union all
  select format('right on %s.%s: %s %s %s', t.relname, case when a.attname like '\_trash%' then 'trash' else a.attname end, e.grantee::regrole, e.privilege_type, e.is_grantable)
  from tables t join pg_attribute a on a.attrelid = t.oid and not a.attisdropped cross join aclexplode(a.attacl) e where e.grantee <> t.relowner
  union all
  select format('sequence %s: of %s', r.relname, (select format('%s.%s', d.refobjid::regclass, a.attname) from pg_depend d join pg_attribute a on a.attrelid = d.refobjid and a.attnum = d.refobjsubid
    where d.objid = r.oid and d.classid = 'pg_class'::regclass and d.deptype = 'a'))
  from relations r where relkind = 'S'
  union all
  select format('other relation %s %s', relkind, relname) from relations where relkind not in ('r', 'p', 'S', 'i', 'I')
  union all
  select format('function %s %s: %s %s, settings %s, volatility %s, rights %s', p.oid::regprocedure, l.lanname, p.prosrc, p.prosecdef, p.proconfig, p.provolatile,
    (select string_agg(format('%s %s', e.grantee::regrole, e.privilege_type), ', ' order by e.grantee::regrole::text) from aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) e))
  from pg_proc p join pg_namespace n on n.oid = p.pronamespace join pg_language l on l.oid = p.prolang where n.nspname = $1
  union all
  select format('provisioned %s: %s', path, spec_hash) from platform.schemas
  union all
  select format('left over: backfill %s of %s', name, path) from platform.backfills
) all_of_it (line) order by line collate "C"
"#;

pub(crate) async fn shown(client: &Client, pg_schema: &str) -> Vec<String> {
    let rows = client.query(LINES, &[&pg_schema]).await.unwrap_or_else(|e| panic!("{e:?}"));
    rows.iter().map(|row| row.get(0)).collect()
}

/// Lines that only one of two has.
pub(crate) fn difference(found: &[String], wanted: &[String]) -> String {
    let only = |mark: &str, these: &[String], those: &[String]| -> String {
        let lines = these.iter().filter(|line| !those.contains(line));
        lines.map(|line| format!("{mark} {line}")).collect::<Vec<_>>().join("\n")
    };
    [only("-", wanted, found), only("+", found, wanted)].join("\n")
}
