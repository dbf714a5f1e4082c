-- All that the planner compares, in one round trip. $1: Postgres schema, $2: table, $3: history,
-- $4: foreign key targets as `schema.table`, $5: the trigger functions, $6: what shape functions' names begin with,
-- $7: the path, $8: whether pg_trgm is asked for.
with tables as materialized (
  select c.oid, c.relrowsecurity, case when c.relname = $2 then 'table' else 'history' end as kind
  from pg_class c join pg_namespace n on n.oid = c.relnamespace
  where n.nspname = $1 and c.relname in ($2, $3) and c.relkind in ('r', 'p')
),
-- A table itself, and a history with its partitions.
parts as materialized (
  select t.kind, p.oid, case when c.relkind = 'r' then greatest(c.reltuples, 0) else 0 end as rows, pg_total_relation_size(c.oid) as bytes
  from tables t
  cross join lateral (select t.oid union all select i.inhrelid from pg_inherits i where i.inhparent = t.oid) p (oid)
  join pg_class c on c.oid = p.oid
),
constraints as materialized (
  select t.oid, k.* from tables t cross join platform.constraints_of(t.oid) k
),
-- A tag of two parts is from before prints were written with them. A constraint's print is `platform.print`'s, of the
-- definition that is there already.
tags as materialized (
  select t.oid, case when g.kind = 'table' then 'table' else g.kind || ' ' || g.name end as name, split_part(g.tag, ':', 2) as source,
    split_part(g.tag, ':', 3) in ('', coalesce(md5(regexp_replace(k.definition, ' NOT VALID$', '')),
      platform.print(g.kind, t.oid, case when g.kind = 'table' then $3 else g.name end))) as holds
  from tables t cross join platform.tags(t.oid) g
  left join constraints k on k.oid = t.oid and k.name = g.name and g.kind = 'constraint'
),
described as (
  select t.kind, t.oid, jsonb_build_object(
    'columns', (select coalesce(jsonb_object_agg(a.attname, jsonb_build_object('sql_type', format_type(a.atttypid, a.atttypmod), 'not_null', a.attnotnull)), '{}')
      from pg_attribute a where a.attrelid = t.oid and a.attnum > 0 and not a.attisdropped),
    'constraints', (select coalesce(jsonb_object_agg(k.name, k.definition), '{}') from constraints k where k.oid = t.oid and k.kind in ('p', 'u', 'c', 'f')),
    'indexes', (select coalesce(jsonb_object_agg(i.relname, x.indisvalid), '{}') from pg_index x join pg_class i on i.oid = x.indexrelid where x.indrelid = t.oid),
    'uses', (select coalesce(jsonb_object_agg(used.name, used.columns), '{}') from (
      select 'constraint ' || k.name as name, (select coalesce(jsonb_agg(a.attname), '[]')
        from unnest(k.columns) number join pg_attribute a on a.attrelid = t.oid and a.attnum = number) as columns
      from constraints k where k.oid = t.oid and k.kind in ('p', 'u', 'c', 'f', 'x')
      union all
      -- By dependency: so the columns of conditions and expressions are in it too. A constraint's index has its columns in its keys only.
      select 'index ' || i.relname, (select coalesce(jsonb_agg(distinct a.attname), '[]') from pg_attribute a
        where a.attrelid = t.oid and a.attnum > 0 and (a.attnum = any (x.indkey) or exists (
          select from pg_depend d where d.classid = 'pg_class'::regclass and d.objid = i.oid
            and d.refclassid = 'pg_class'::regclass and d.refobjid = t.oid and d.refobjsubid = a.attnum)))
      from pg_index x join pg_class i on i.oid = x.indexrelid where x.indrelid = t.oid
    ) used),
    'triggers', (select coalesce(jsonb_object_agg(g.tgname, g.tgenabled in ('O', 'A')), '{}') from pg_trigger g where g.tgrelid = t.oid and not g.tgisinternal),
    'policies', (select coalesce(jsonb_object_agg(p.polname, p.polroles && array[0::oid, (select r.oid from pg_roles r where r.rolname = $1)]), '{}') from pg_policy p where p.polrelid = t.oid),
    'row_security', t.relrowsecurity,
    'comments', (select coalesce(jsonb_object_agg(g.name, g.source), '{}') from tags g where g.oid = t.oid and g.holds),
    'altered', (select coalesce(jsonb_agg(g.name), '[]') from tags g where g.oid = t.oid and not coalesce(g.holds, false)),
    'estimated_rows', (select coalesce(sum(p.rows), 0)::bigint from parts p where p.kind = t.kind),
    'bytes', (select coalesce(sum(p.bytes), 0)::bigint from parts p where p.kind = t.kind),
    'on_disk', pg_relation_size(t.oid) > 0,
    'foreign_grantees', (select coalesce(jsonb_agg(distinct pg_get_userbyid(e.grantee)), '[]')
      from parts p cross join platform.rights_on(p.oid) e
      where p.kind = t.kind and e.grantee <> 0 and pg_get_userbyid(e.grantee) not in ('velocity_api', $1)),
    'referenced_by', (select coalesce(jsonb_object_agg(pointing.attname, pointing.tables), '{}') from (
      select a.attname, jsonb_agg(distinct n.nspname || '.' || c.relname) as tables
      from pg_constraint k join pg_class c on c.oid = k.conrelid join pg_namespace n on n.oid = c.relnamespace
      join pg_attribute a on a.attrelid = t.oid and a.attnum = any (k.confkey)
      where k.confrelid = t.oid and k.conrelid <> t.oid and k.contype = 'f' group by a.attname) pointing)
  ) as body
  from tables t
)
select jsonb_build_object(
  'schema_exists', exists (select from pg_namespace where nspname = $1),
  'role_ready', exists (
    select from pg_roles r
    join pg_auth_members m on m.roleid = r.oid join pg_roles api on api.oid = m.member and api.rolname = 'velocity_api'
    join pg_auth_members d on d.member = r.oid join pg_roles dom on dom.oid = d.roleid and dom.rolname = 'velocity_domain'
    where r.rolname = $1),
  'table', (select body from described where kind = 'table'),
  'history', (select body from described where kind = 'history'),
  'partitions', (select coalesce(jsonb_agg(c.relname), '[]') from pg_inherits i join pg_class c on c.oid = i.inhrelid join described d on d.oid = i.inhparent and d.kind = 'history'),
  -- Only those that run as we make them: others are written anew.
  'functions', (select coalesce(jsonb_object_agg(p.proname, p.prosrc), '{}')
    from pg_proc p join pg_namespace n on n.oid = p.pronamespace join pg_language l on l.oid = p.prolang
    where n.nspname = $1 and p.proname = any ($5) and p.proowner = n.nspowner and p.prosecdef and l.lanname = 'plpgsql'
      and array(select lower(setting) from unnest(p.proconfig) setting order by 1)
        = array['bytea_output=hex', 'extra_float_digits=1', 'search_path=pg_catalog, pg_temp', 'timezone=utc']),
  'shapes', (select coalesce(jsonb_agg(p.proname), '[]') from pg_proc p join pg_namespace n on n.oid = p.pronamespace
    where n.nspname = $1 and starts_with(p.proname::text, $6)),
  'targets', (
    select coalesce(jsonb_object_agg(n.nspname || '.' || c.relname, jsonb_build_object(
      'columns', (select jsonb_object_agg(a.attname, format_type(a.atttypid, a.atttypmod)) from pg_attribute a where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped),
      'unique', (select coalesce(jsonb_agg(distinct a.attname), '[]') from pg_index x join pg_attribute a on a.attrelid = c.oid and a.attnum = x.indkey[0]
        where x.indrelid = c.oid and x.indisunique and x.indisvalid and x.indnatts = 1 and x.indpred is null and x.indexprs is null)
    )), '{}')
    from pg_class c join pg_namespace n on n.oid = c.relnamespace
    where c.relkind in ('r', 'p') and n.nspname || '.' || c.relname = any ($4)),
  'trashed_columns', (select coalesce(jsonb_agg(jsonb_build_object('id', b.id, 'field', b.field, 'column', b.column_name,
      'sql_type', format_type(a.atttypid, a.atttypmod), 'restorable', b.restorable) order by b.id desc), '[]')
    from platform.trash b join tables t on t.kind = 'table' join pg_attribute a on a.attrelid = t.oid and a.attname = b.column_name and not a.attisdropped
    where b.kind = 'column' and b.pg_schema = $1 and b.table_name = $2),
  'trashed_table', (select jsonb_build_object('id', b.id, 'schema', n.nspname, 'partitions', (
      select coalesce(jsonb_agg(c.relname), '[]') from pg_class h join pg_inherits i on i.inhparent = h.oid join pg_class c on c.oid = i.inhrelid
      where h.relnamespace = n.oid and h.relname = $3))
    from platform.trash b join pg_namespace n on n.nspname = 'velocity_trash_' || b.id
    where b.kind = 'table' and b.path = $7 and not exists (select from tables t where t.kind = 'table')
    order by b.id desc limit 1),
  -- Where pg_trgm is; or whether the platform's owner may make it.
  'trigrams', case when $8 then jsonb_build_object(
    'schema', (select n.nspname from pg_extension e join pg_namespace n on n.oid = e.extnamespace where e.extname = 'pg_trgm'),
    'available', exists (select from pg_available_extensions e join pg_available_extension_versions v on v.name = e.name and v.version = e.default_version
      join pg_namespace p on p.nspname = 'platform' join pg_roles r on r.oid = p.nspowner
      where e.name = 'pg_trgm' and (r.rolsuper or v.trusted and has_database_privilege(r.oid, current_database(), 'create')))) end
)::text
